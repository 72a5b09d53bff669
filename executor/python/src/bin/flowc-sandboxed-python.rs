//! Starts programs in sandboxes, for the tests of this crate.

fn main() {
    flowc_sandbox::main();
}
