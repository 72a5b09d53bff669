//! Builds a Rust stage crate into a WASM component, the same bytes from any folder.
//!
//! [`sources_digest`] says whether a crate has changed, [`build`] compiles it and [`encode`]s the module as a component.
//! Nothing of the machine enters the bytes: paths are mapped away, cargo's hashes of folders are replaced (see
//! [`wrapper`]), the lock file must be there, and the caller's environment does not reach the compiler.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cargo;
mod error;
mod fresh;
mod manifest;
mod tree;
mod wrapper;

use std::path::Path;

pub use error::BuildError;
pub use tree::sources_digest;

use cargo::Cargo;
use manifest::Sources;

/// What the compiler is told beside the crate's own profile. Part of [`sources_digest`].
const RUSTFLAGS: &str = "-Ctarget-feature=+simd128";
const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the crate in `dir` and gives its component. Compiled dependencies stay in `target_dir`. What cargo says goes
/// to `log`, line by line.
///
/// # Errors
/// If the crate, its lock file or the toolchain lacks something, if it does not compile, or if it is no component.
pub fn build(dir: &Path, target_dir: &Path, log: &mut dyn FnMut(&str)) -> Result<Vec<u8>, BuildError> {
    let sources = Sources::find(dir)?;
    sources.expect_cdylib()?;
    let cargo = Cargo::new(&sources, target_dir)?;
    let (modules, _held) = cargo.build(&["--package", sources.name()], log)?;
    let module = modules.into_iter().find(|module| module.package_dir == sources.dir());
    encode_file(&module.ok_or_else(|| BuildError::NoCdylib { manifest: sources.dir().join("Cargo.toml") })?.path)
}

/// Builds all crates of the workspace in `dir` that are stages; gives their package names with their components.
///
/// # Errors
/// As for [`build`].
pub fn build_workspace(
    dir: &Path,
    target_dir: &Path,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let sources = Sources::find(dir)?;
    let (modules, _held) = Cargo::new(&sources, target_dir)?.build(&["--workspace"], log)?;
    let component = |module: cargo::Module| Ok((module.package, encode_file(&module.path)?));
    modules.into_iter().map(component).collect()
}

/// Makes a core module with embedded interface descriptions, as wit-bindgen leaves it, a component.
///
/// # Errors
/// If it is none: [`BuildError::NotAComponent`].
pub fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(module)?.encode();
    encode().map_err(|error| BuildError::NotAComponent { reason: format!("{error:#}") })
}

fn encode_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    encode(&std::fs::read(path).map_err(BuildError::io(path))?)
}
