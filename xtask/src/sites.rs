//! The program of `pipelines/sites`, which its image is made of: linked statically, so that the image needs nothing else.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// Its crate, a workspace of its own.
const FOLDER: &str = "pipelines/sites/stage";

/// The target that links statically, for this machine's processor.
pub(crate) fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Builds it, runs its tests, and puts it where the `Containerfile` looks for it.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    process::run(cargo(workspace).args(["fmt", "--check"]))?;
    for action in ["test", "build"] {
        process::run(cargo(workspace).args([action, "--release", "--locked", "--target", &target()]))?;
    }
    let built = workspace.target.join("sites").join(target()).join("release/sites");
    let place = workspace.root.join(FOLDER).join("program");
    std::fs::copy(&built, &place).with_context(|| format!("{} can't be copied", built.display()))?;
    Ok(())
}

fn cargo(workspace: &Workspace) -> Command {
    let mut command = process::cargo(&workspace.root.join(FOLDER));
    command.env("CARGO_TARGET_DIR", workspace.target.join("sites"));
    command
}
