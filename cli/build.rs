//! Has the library built anew when a file of the Rust SDK comes or goes: `flowc init` brings them.

fn main() {
    for folder in ["src", "src/host", "arrays/src", "wit"] {
        println!("cargo::rerun-if-changed=../sdk-rust-wasm/{folder}");
    }
}
