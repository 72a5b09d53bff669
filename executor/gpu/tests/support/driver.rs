//! Tests that need the Vulkan driver that `FLOWC_VULKAN` names a program for: each runs again in a process that finds it.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

use std::process::Command;

/// Says in the environment of a process that it was started for one test.
const INSIDE: &str = "FLOWC_VULKAN_INSIDE";

/// Runs a test in a process of its own, with the driver.
pub(crate) fn with_driver(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let program = std::env::var_os("FLOWC_VULKAN").expect("FLOWC_VULKAN names a program: run `cargo xtask test`");
    let mut command = Command::new(program);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
