//! Measurements against named peers and limits.

use anyhow::Result;

use crate::workspace::Workspace;

/// `cargo xtask bench --help`.
pub(crate) fn help() -> String {
    String::new()
}

/// Runs the benchmarks with these names, or all.
pub(crate) fn run(_: &Workspace, _: &[&str]) -> Result<()> {
    Ok(())
}
