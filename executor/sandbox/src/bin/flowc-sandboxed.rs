//! Starts programs in sandboxes, for tests.

fn main() {
    flowc_sandbox::main();
}
