//! The components of the standard stages, and the bindings of the SDK, written anew from their sources.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, setup};

/// `cargo xtask stages --help`.
pub(crate) const HELP: &str = "\
Writes sdk-rust-wasm/src/bindings.rs from the contract, then builds the standard stages and writes their components to
stdlib-stages/bundle/components. After a change of the SDK or of a standard stage; `cargo xtask test` compares them.

Usage: cargo xtask stages
";

/// The variable that makes tests write what they would compare.
const BLESS: &str = "FLOWC_BLESS";

/// Writes them.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::targets(workspace)?;
    let mut bindings = workspace.guest_cargo("sdk-rust-wasm");
    process::run(bindings.env(BLESS, "1").args([
        "test",
        "--release",
        "--locked",
        "--workspace",
        "--test",
        "bindings",
    ]))?;
    let mut components = workspace.cargo();
    process::run(components.env(BLESS, "1").args([
        "test",
        "--release",
        "--locked",
        "--workspace",
        "--test",
        "components",
    ]))
}
