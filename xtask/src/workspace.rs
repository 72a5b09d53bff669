//! Where things are: the checkout, and what is built from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// Workspaces of crates for wasm32, whose logic is tested natively.
pub(crate) const GUESTS: [&str; 3] = ["sdk-rust-wasm", "stdlib-stages", "executor/tests/stages"];

/// A checkout.
pub(crate) struct Workspace {
    /// Its folder.
    pub(crate) root: PathBuf,
    /// Where cargo builds it.
    pub(crate) target: PathBuf,
    /// All packages of `Cargo.lock`, whatever the platform.
    pub(crate) packages: Vec<Package>,
}

/// A package as `cargo metadata` tells it.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where it comes from; none for what lies in the checkout.
    pub(crate) source: Option<String>,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().context("xtask lies in no folder")?.to_owned();
        let mut metadata = process::cargo(&root);
        metadata.args(["metadata", "--locked", "--format-version", "1"]);
        let text = process::output(&mut metadata)?;
        let metadata: Metadata = serde_json::from_str(&text).context("`cargo metadata` gave something unknown")?;
        Ok(Self { root, target: metadata.target_directory, packages: metadata.packages })
    }

    /// Cargo in the checkout.
    pub(crate) fn cargo(&self) -> Command {
        process::cargo(&self.root)
    }

    /// Cargo in a workspace of its own below the checkout, with build results of its own. It is for native tests and
    /// lints, so what makes components small and fast is left out: it takes minutes.
    pub(crate) fn guest_cargo(&self, guest: &str) -> Command {
        let mut command = process::cargo(&self.root.join(guest));
        command.env("CARGO_TARGET_DIR", self.target.join("guests"));
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        command
    }

    /// Builds flowc as it is installed, and says where it is.
    pub(crate) fn build_flowc(&self) -> Result<PathBuf> {
        process::run(self.cargo().args(["build", "--release", "--locked", "--package", "flowc"]))?;
        Ok(self.target.join("release/flowc"))
    }

    /// Where the text of the crates is gathered: pipelines find it there, wherever cargo builds.
    pub(crate) fn corpus(&self) -> PathBuf {
        self.root.join("target/corpus")
    }
}
