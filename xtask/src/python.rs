//! uv, which tests and benchmarks of Python stages need, and what it runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// The version that is installed where there is none.
const UV: &str = "uv==0.13.9";

/// uv: the one that `FLOWC_UV` names, the one on the `PATH`, or one of our own below the target folder.
///
/// # Errors
/// If there is no uv, and it can't be installed.
pub fn uv(workspace: &Workspace) -> Result<OsString> {
    let found = std::env::var_os("FLOWC_UV").unwrap_or_else(|| "uv".into());
    if process::succeeds(Command::new(&found).arg("--version")) {
        return Ok(found);
    }
    let folder = workspace.target.join("tools/uv");
    let own: PathBuf = folder.join("bin/uv");
    if !process::succeeds(Command::new(&own).arg("--version")) {
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            .context("Python stages need Python 3.10 or later, with its module venv")?;
        process::run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", UV]))?;
    }
    Ok(own.into())
}

/// A program of the Python SDK's environment, in its folder.
pub(crate) fn run(workspace: &Workspace, uv: &OsString, arguments: &[&str]) -> Command {
    let mut command = Command::new(uv);
    command.current_dir(workspace.root.join("sdk-python"));
    // One environment for all checkouts that share a target folder.
    command.env("UV_PROJECT_ENVIRONMENT", workspace.target.join("tools/sdk-python")).env_remove("VIRTUAL_ENV");
    // For the test that runs a pipeline: the binary that the tests before it have built.
    command.env("FLOWC_BIN", workspace.target.join("release/flowc"));
    command.args(["run", "--locked", "--quiet"]).args(arguments);
    command
}

/// The checks of the Python SDK, each with its name.
pub fn commands(workspace: &Workspace, uv: &OsString) -> Vec<(String, Command)> {
    let run = |name: &str, arguments: &[&str]| (format!("{name} sdk-python"), run(workspace, uv, arguments));
    vec![
        run("format", &["ruff", "format", "--check"]),
        run("lints", &["ruff", "check"]),
        run("types", &["mypy"]),
        run("pytest", &["pytest"]),
    ]
}
