//! All programs are built with the same features of shared crates, few of them or all of them together, so that `cargo xtask`,
//! `cargo xtask demo` and `cargo xtask test` compile a crate once.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::process;
use crate::workspace::{LEAN, Workspace};

/// The package that turns features on.
const PLACE: &str = "executor/features/Cargo.toml";

/// The crates that would be compiled twice.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let all = compiled(workspace, &["--workspace"])?;
    let mut problems = Vec::new();
    let builds = [("cargo xtask", &["--package", "xtask"][..]), ("cargo xtask demo", &LEAN), ("cargo build", &[])];
    for (build, packages) in builds {
        problems.extend(compiled(workspace, packages)?.difference(&all).map(|compiled| {
            format!("{PLACE}: `--workspace` compiles this crate with more features than `{build}`: {compiled}")
        }));
    }
    Ok(problems)
}

/// Foreign crates with their features, as often as there are combinations of these.
fn compiled(workspace: &Workspace, packages: &[&str]) -> Result<BTreeSet<String>> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"]);
    let listed = process::output(tree.args(packages))?;
    // What was listed before is marked, and what it needs is not listed again. Our own crates have a path.
    let foreign = listed.lines().filter(|line| !line.contains(" (/"));
    Ok(foreign.map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}
