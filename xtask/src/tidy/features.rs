//! The programs without the query engine are built with the same features of shared crates as all of them together, so that
//! `cargo xtask demo` and `cargo xtask test` compile a crate once.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// The package that turns features on.
const PLACE: &str = "executor/sql/features/Cargo.toml";

/// The crates that would be compiled twice.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let (some, all) = (compiled(workspace, &[])?, compiled(workspace, &["--workspace"])?);
    Ok(some
        .difference(&all)
        .map(|compiled| format!("{PLACE}: `--workspace` compiles this crate with more features: {compiled}"))
        .collect())
}

/// Crates with their features, as often as there are combinations of these.
fn compiled(workspace: &Workspace, packages: &[&str]) -> Result<BTreeSet<String>> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"]);
    let listed = process::output(tree.args(packages))?;
    // What was listed before is marked, and what it needs is not listed again.
    Ok(listed.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}
