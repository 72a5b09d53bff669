//! The digest of a folder of sources, and the files that decide whether it is still the same.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What a build is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTree {
    /// Of all sources with their relative paths, and of whatever else was hashed with them.
    pub digest: [u8; 32],
    /// All source files: while none of them has changed, and no folder has, the digest is the same.
    pub files: Vec<PathBuf>,
    /// All folders that were listed.
    pub directories: Vec<PathBuf>,
}

/// Makes a [`SourceTree`]. What is added is told apart by its length; the order matters.
pub struct TreeHasher {
    hasher: blake3::Hasher,
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    ignored: &'static [&'static str],
}

impl TreeHasher {
    /// Starts with nothing. Folders of these names are left out.
    pub fn new(ignored: &'static [&'static str]) -> Self {
        Self { hasher: blake3::Hasher::new(), files: BTreeSet::new(), directories: BTreeSet::new(), ignored }
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a file under a name.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn file(&mut self, name: &str, path: &Path) -> Result<(), TreeError> {
        let content = std::fs::read(path).map_err(TreeError::of(path))?;
        self.text(name).bytes(&content);
        self.files.insert(path.to_owned());
        Ok(())
    }

    /// Adds all files of a folder, by their paths from there.
    ///
    /// # Errors
    /// If one of them can't be read.
    pub fn directory(&mut self, dir: &Path) -> Result<(), TreeError> {
        self.below(dir, dir)
    }

    /// A folder is entered once, whatever links there are.
    fn below(&mut self, dir: &Path, base: &Path) -> Result<(), TreeError> {
        let real = dir.canonicalize().map_err(TreeError::of(dir))?;
        if !self.directories.insert(real) {
            return Ok(());
        }
        let entries = std::fs::read_dir(dir).map_err(TreeError::of(dir))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let mut paths = paths.map_err(TreeError::of(dir))?;
        paths.sort();
        let ignored = self.ignored;
        for path in paths.iter().filter(|path| !is_ignored(path, ignored)) {
            match path.is_dir() {
                true => self.below(path, base)?,
                false => self.file(&relative(path, base), path)?,
            }
        }
        Ok(())
    }

    /// The digest of all that was added.
    pub fn finish(self) -> SourceTree {
        SourceTree {
            digest: *self.hasher.finalize().as_bytes(),
            files: self.files.into_iter().collect(),
            directories: self.directories.into_iter().collect(),
        }
    }
}

fn is_ignored(path: &Path, ignored: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default();
    let dangling = !path.exists();
    dangling || (path.is_dir() && ignored.iter().any(|ignored| name == *ignored))
}

/// A file or folder that can't be read.
#[derive(Debug)]
pub struct TreeError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

impl TreeError {
    fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { path: path.to_owned(), cause }
    }
}

/// With `/` on every platform.
fn relative(path: &Path, base: &Path) -> String {
    let parts = path.strip_prefix(base).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}
