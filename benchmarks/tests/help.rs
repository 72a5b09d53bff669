//! The program of the benchmarks, as `cargo xtask bench` starts it.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

use std::process::Command;

#[test]
fn help_names_the_benchmarks() {
    let said = Command::new(env!("CARGO_BIN_EXE_flowc-benchmarks")).arg("--help").output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    for name in ["databases", "objects", "serve"] {
        assert!(text.contains(name), "{text}");
    }
}
