//! Has the binary built anew when a file of the Rust SDK comes or goes: `flowc init` brings them. Has it linked so that it starts fast.

use std::process::Command;

fn main() {
    for folder in ["src", "src/host", "arrays/src", "wit"] {
        println!("cargo::rerun-if-changed=../sdk-rust-wasm/{folder}");
    }
    pack_relocations();
}

/// The first glibc that loads programs with packed relocations.
const GLIBC: (u32, u32) = (2, 36);

/// Has the linker pack the places in the program that its loader adjusts to where the program lies. There are some 150,000, and packed
/// they take 1.3 % of the room. A program that is built so needs a glibc that knows this: that of its build machine does.
fn pack_relocations() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_for_here = variable("TARGET") == variable("HOST") && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_for_here && glibc().is_some_and(|version| version >= GLIBC) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
