//! Where things are: the checkout, and what is built from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// Workspaces of crates for wasm32, whose logic is tested natively.
pub const GUESTS: [&str; 3] = ["sdk-rust-wasm", "stdlib-stages", "executor/tests/stages"];

/// Arguments of cargo for flowc without its Cargo features, and for what other builds share with it.
pub(crate) const LEAN: [&str; 7] = [
    "--package",
    "flowc",
    "--package",
    "flowc-features",
    "--no-default-features",
    "--features",
    "flowc-features/engine",
];

/// A checkout.
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// Where cargo builds it.
    pub target: PathBuf,
    /// All packages of `Cargo.lock`, whatever the platform.
    pub packages: Vec<Package>,
}

/// A package as `cargo metadata` tells it.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from; none for what lies in the checkout.
    pub source: Option<String>,
    /// Its `Cargo.toml`.
    pub manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    ///
    /// # Errors
    /// If `cargo metadata` fails.
    pub fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().context("xtask lies in no folder")?.to_owned();
        let mut metadata = process::cargo(&root);
        metadata.args(["metadata", "--locked", "--format-version", "1"]);
        let text = process::output(&mut metadata)?;
        let metadata: Metadata = serde_json::from_str(&text).context("`cargo metadata` gave something unknown")?;
        Ok(Self { root, target: metadata.target_directory, packages: metadata.packages })
    }

    /// Cargo in the checkout.
    pub fn cargo(&self) -> Command {
        process::cargo(&self.root)
    }

    /// Cargo in a workspace of its own below the checkout, with build results of its own. It is for native tests and
    /// lints, so what makes components small and fast is left out: it takes minutes.
    pub fn guest_cargo(&self, guest: &str) -> Command {
        let mut command = process::cargo(&self.root.join(guest));
        command.env("CARGO_TARGET_DIR", self.target.join("guests"));
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        command
    }

    /// Writes the file of settings that has cargo check our own crates for overflow and by assertions, and compile no other crate
    /// once more.
    pub(crate) fn write_checks(&self) -> Result<PathBuf> {
        let own = self.packages.iter().filter(|package| package.source.is_none());
        let checks = own.map(|package| {
            format!("[profile.release.package.{}]\noverflow-checks = true\ndebug-assertions = true\n", package.name)
        });
        let path = self.target.join("checks.toml");
        std::fs::create_dir_all(&self.target)?;
        std::fs::write(&path, checks.collect::<String>())
            .with_context(|| format!("{} can't be written", path.display()))?;
        Ok(path)
    }

    /// Builds flowc without its Cargo features, which is enough for components over files, and says where it is. `flowc-features`
    /// comes with it, so that other builds find what these share with this one.
    ///
    /// # Errors
    /// If it does not compile.
    pub(crate) fn build_lean(&self) -> Result<PathBuf> {
        process::run(self.cargo().args(["build", "--release", "--locked", "--bins"]).args(LEAN))?;
        Ok(self.program("flowc"))
    }

    /// Builds all programs but that of SQL stages, which takes as long as all others, and says where one is. One program alone
    /// would have fewer features on in the crates that it shares with the others, and these would be compiled several times.
    ///
    /// # Errors
    /// If one of them does not compile.
    pub fn build(&self, program: &str) -> Result<PathBuf> {
        process::run(self.cargo().args(["build", "--release", "--locked", "--bins"]))?;
        Ok(self.program(program))
    }

    /// Builds everything that is installed, with features of `flowc` beside those that are on by default.
    ///
    /// # Errors
    /// If it does not compile.
    pub(crate) fn build_all(&self, features: Option<&str>) -> Result<()> {
        let names = features.into_iter().flat_map(|names| names.split([',', ' '])).filter(|name| !name.is_empty());
        let features = names.map(|name| format!("--features=flowc/{name}"));
        let mut build = self.cargo();
        process::run(build.args(["build", "--release", "--locked", "--workspace", "--bins"]).args(features))
    }

    /// Where a program is once it was built.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Where the text of the crates is gathered: pipelines find it there, wherever cargo builds.
    pub fn corpus(&self) -> PathBuf {
        self.root.join("target/corpus")
    }
}
