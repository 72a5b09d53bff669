//! Whether a crate has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::manifest::{Package, Sources};
use crate::{BuildError, RUSTFLAGS, TARGET, cargo};

/// Everything that a component is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTree {
    /// Of all sources with their relative paths, the lock file, the toolchain and the flags.
    pub digest: [u8; 32],
    /// All source files: while none of them has changed, and no folder has, the digest is the same.
    pub files: Vec<PathBuf>,
    /// All folders that were listed.
    pub directories: Vec<PathBuf>,
}

/// Bump this when the way of building changes the bytes of components.
const VERSION: &str = "flowc componentize 1";

/// The digest of the crate in `dir`: of its own files, of crates that it depends on by path, of `Cargo.lock`, of the
/// toolchain and the flags. `target`, `.git` and `.flowc` folders are left out.
///
/// # Errors
/// If a manifest or a file can't be read, there is no `Cargo.lock`, or no toolchain.
pub fn sources_digest(dir: &Path) -> Result<SourceTree, BuildError> {
    let sources = Sources::find(dir)?;
    let mut walk = Walk::new();
    walk.text(VERSION).text(RUSTFLAGS).text(TARGET).text(&cargo::toolchain(sources.dir())?);
    walk.file("Cargo.lock", &sources.lock()?)?;
    walk.file("Cargo.toml", &sources.workspace.join("Cargo.toml"))?;
    for package in &sources.packages {
        walk.text(&package.name);
        if let Some(root) = &package.inherits {
            walk.file("inherited", &root.join("Cargo.toml"))?;
        }
        walk.directory(&package.dir, &package.dir)?;
    }
    for config in configs(sources.dir()) {
        walk.file("config", &config)?;
    }
    Ok(walk.finish())
}

/// The digest of one crate's own files, in hex.
pub(crate) fn package_digest(package: &Package) -> Result<String, BuildError> {
    let mut walk = Walk::new();
    walk.directory(&package.dir, &package.dir)?;
    Ok(walk.hasher.finalize().to_hex().to_string())
}

/// Cargo's own settings for a folder; those inside the crate are among its files.
fn configs(dir: &Path) -> Vec<PathBuf> {
    let above = dir.ancestors().skip(1).map(|above| above.join(".cargo").join("config.toml"));
    above.filter(|config| config.is_file()).collect()
}

struct Walk {
    hasher: blake3::Hasher,
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Walk {
    fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), files: BTreeSet::new(), directories: BTreeSet::new() }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn file(&mut self, name: &str, path: &Path) -> Result<(), BuildError> {
        let content = std::fs::read(path).map_err(BuildError::io(path))?;
        self.text(name).bytes(&content);
        self.files.insert(path.to_owned());
        Ok(())
    }

    /// All files below a folder, by their paths from `base`. A folder is entered once, whatever links there are.
    fn directory(&mut self, dir: &Path, base: &Path) -> Result<(), BuildError> {
        let real = dir.canonicalize().map_err(BuildError::io(dir))?;
        if !self.directories.insert(real) {
            return Ok(());
        }
        let entries = std::fs::read_dir(dir).map_err(BuildError::io(dir))?;
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(BuildError::io(dir))?;
        paths.sort();
        for path in paths.iter().filter(|path| !is_ignored(path)) {
            match path.is_dir() {
                true => self.directory(path, base)?,
                false => self.file(&relative(path, base), path)?,
            }
        }
        Ok(())
    }

    fn finish(self) -> SourceTree {
        SourceTree {
            digest: *self.hasher.finalize().as_bytes(),
            files: self.files.into_iter().collect(),
            directories: self.directories.into_iter().collect(),
        }
    }
}

fn is_ignored(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let dangling = !path.exists();
    dangling || (path.is_dir() && [".git", ".flowc", "target"].iter().any(|ignored| name == *ignored))
}

/// With `/` on every platform.
fn relative(path: &Path, base: &Path) -> String {
    let parts = path.strip_prefix(base).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}
