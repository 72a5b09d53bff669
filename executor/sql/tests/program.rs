//! The program as flowc does not start it.

#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn alone_it_says_what_it_is_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_flowc-sql")).env_clear().output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("serves the SQL stages of flowc"));
}
