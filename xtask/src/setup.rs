//! What the build needs beyond cargo, added where it is missing: wasm targets, rustfmt and clippy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Stages are built for the first; the second comes with WASI, for the tests of it.
const WASM: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Adds the wasm targets.
///
/// # Errors
/// If rustup can't add a target.
pub fn targets(workspace: &Workspace) -> Result<()> {
    add_targets(workspace, &WASM)
}

/// Adds targets.
///
/// # Errors
/// If rustup can't add a target.
pub fn add_targets(workspace: &Workspace, targets: &[&str]) -> Result<()> {
    let libraries = sysroot(workspace)?.join("lib/rustlib");
    let is_missing = |target: &&str| !libraries.join(target).join("lib").is_dir();
    let missing: Vec<&str> = targets.iter().copied().filter(is_missing).collect();
    add(workspace, "target", &missing)
}

/// Adds rustfmt and clippy.
///
/// # Errors
/// If rustup can't add a component.
pub fn tools(workspace: &Workspace) -> Result<()> {
    let there = |tool: &str| process::succeeds(workspace.cargo().args([tool, "--version"]));
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(tool, _)| !there(tool))
        .map(|(_, c)| c)
        .collect();
    add(workspace, "component", &missing)
}

fn add(workspace: &Workspace, what: &str, missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let channel = channel(&workspace.root)?;
    eprintln!("setup: adding {what} {} to toolchain {channel}", missing.join(", "));
    if !process::succeeds(Command::new("rustup").arg("--version")) {
        bail!(
            "{what} {} is missing, and there is no rustup to add it with; add it the way this machine's Rust was \
             installed, or install rustup (https://rustup.rs)",
            missing.join(", ")
        );
    }
    process::run(Command::new("rustup").args([what, "add", "--toolchain", &channel]).args(missing))
}

/// The folder of the toolchain that compiles the checkout.
pub(crate) fn sysroot(workspace: &Workspace) -> Result<PathBuf> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let sysroot = process::output(rustc.current_dir(&workspace.root).args(["--print", "sysroot"]))?;
    Ok(sysroot.trim_end().into())
}

/// The toolchain that `rust-toolchain.toml` names.
fn channel(root: &Path) -> Result<String> {
    let path = root.join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let file: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let channel = file.get("toolchain").and_then(|toolchain| toolchain.get("channel")).and_then(|name| name.as_str());
    channel.map(str::to_owned).with_context(|| format!("{} names no channel", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_that_of_the_checkout() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(channel(root).unwrap().starts_with("1."));
    }

    #[test]
    fn a_toolchain_file_without_channel_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rust-toolchain.toml"), "[toolchain]\n").unwrap();
        assert!(channel(folder.path()).unwrap_err().to_string().contains("names no channel"));
    }
}
