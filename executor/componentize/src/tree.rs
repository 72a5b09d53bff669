//! Whether a crate has changed.

use std::path::{Path, PathBuf};

use flowc_platform::{SourceTree, TreeHasher};

use crate::manifest::{Package, Sources};
use crate::{BuildError, RUSTFLAGS, TARGET, cargo};

/// Bump this when the way of building changes the bytes of components.
const VERSION: &str = "flowc componentize 1";

/// Folders that hold no sources.
const IGNORED: &[&str] = &[".git", ".flowc", "target"];

/// The digest of the crate in `dir`: of its own files, of crates that it depends on by path, of `Cargo.lock`, of the
/// toolchain and the flags. `target`, `.git` and `.flowc` folders are left out.
///
/// # Errors
/// If a manifest or a file can't be read, there is no `Cargo.lock`, or no toolchain.
pub fn sources_digest(dir: &Path) -> Result<SourceTree, BuildError> {
    let sources = Sources::find(dir)?;
    let mut tree = TreeHasher::new(IGNORED);
    tree.text(VERSION).text(RUSTFLAGS).text(TARGET).text(&cargo::toolchain(sources.dir())?);
    tree.file("Cargo.lock", &sources.lock()?)?;
    tree.file("Cargo.toml", &sources.workspace.join("Cargo.toml"))?;
    for package in &sources.packages {
        tree.text(&package.name);
        if let Some(root) = &package.inherits {
            tree.file("inherited", &root.join("Cargo.toml"))?;
        }
        tree.directory(&package.dir)?;
    }
    for config in configs(sources.dir()) {
        tree.file("config", &config)?;
    }
    Ok(tree.finish())
}

/// The digest of one crate's own files, in hex.
pub(crate) fn package_digest(package: &Package) -> Result<String, BuildError> {
    let mut tree = TreeHasher::new(IGNORED);
    tree.directory(&package.dir)?;
    Ok(blake3::Hash::from_bytes(tree.finish().digest).to_hex().to_string())
}

/// Cargo's own settings for a folder; those inside the crate are among its files.
fn configs(dir: &Path) -> Vec<PathBuf> {
    let above = dir.ancestors().skip(1).map(|above| above.join(".cargo").join("config.toml"));
    above.filter(|config| config.is_file()).collect()
}
