//! Starts and serves components in sandboxes, for the tests of this crate.

fn main() {
    flowc_sandbox::main();
    flowc_wasm_process::main();
}
