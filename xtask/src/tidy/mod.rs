//! What the architecture asks for and compilers do not see, as checks.

mod cycles;
mod errors;
mod features;
mod houses;
mod named;
mod pure;
mod texts;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// `cargo xtask tidy --help`.
pub(crate) const HELP: &str = "\
Checks what the architecture asks for and compilers do not see: what plans and what decides what runs is free of files,
processes and runtimes; no modules import each other in a circle; public functions say when they fail; every Rust
file says what it is for and stays small; platform calls stay in one crate; pipelines and standard stages have their README and
example; what ARCHITECTURE.md names is there; no crate is compiled twice because of its features.

Usage: cargo xtask tidy
";

/// Runs all checks, and tells all that is wrong.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut problems = texts::check(&workspace.root)?;
    problems.extend(pure::check(workspace)?);
    problems.extend(cycles::check(&workspace.root)?);
    problems.extend(errors::check(&workspace.root)?);
    problems.extend(houses::check(&workspace.root)?);
    problems.extend(named::check(&workspace.root)?);
    problems.extend(features::check(workspace)?);
    if problems.is_empty() {
        println!("tidy: everything is in its place");
        return Ok(());
    }
    for problem in &problems {
        println!("tidy: {problem}");
    }
    bail!("tidy found {} problems", problems.len())
}
