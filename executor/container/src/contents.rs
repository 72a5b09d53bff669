//! The files that a recipe copies from its folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowc_planner::key::KeyHasher;

use crate::ContainerError;
use crate::recipe::{CopyStep, Recipe};

/// Folders that are left out.
const IGNORED: &[&str] =
    &[".git", ".flowc", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".ipynb_checkpoints"];

/// What is added to an image.
#[derive(Default)]
pub(crate) struct Contents {
    /// By path in the image, without the first slash. Folders come before what is in them.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Files and folders that were looked at.
    pub(crate) seen: Vec<PathBuf>,
}

/// Something in an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder,
    File { from: PathBuf, mode: u32 },
    Link { to: PathBuf },
}

impl Contents {
    /// Looks for what a recipe copies.
    ///
    /// # Errors
    /// If something is not there, or can't be read.
    pub(crate) fn find(recipe: &Recipe, folder: &Path) -> Result<Self, ContainerError> {
        let mut contents = Self::default();
        if let Some(start) = &recipe.folder {
            contents.put(start, Entry::Folder);
        }
        for copy in &recipe.copies {
            copy.sources.iter().try_for_each(|source| contents.copy(copy, source, folder))?;
        }
        Ok(contents)
    }

    /// A digest of all of it.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(crate) fn digest(&self) -> Result<[u8; 32], ContainerError> {
        let mut hasher = KeyHasher::new("flowc image contents 1");
        for (path, entry) in &self.entries {
            hasher.bytes(path.as_bytes());
            match entry {
                Entry::Folder => hasher.number(0),
                Entry::Link { to } => hasher.number(1).bytes(to.as_os_str().as_bytes()),
                Entry::File { from, mode } => {
                    let content = fs::read(from).map_err(ContainerError::io(from))?;
                    hasher.number(2).number(u64::from(*mode)).bytes(&content)
                }
            };
        }
        Ok(hasher.finish())
    }

    fn copy(&mut self, copy: &CopyStep, source: &str, folder: &Path) -> Result<(), ContainerError> {
        let from = folder.join(source);
        if from.symlink_metadata().is_err() {
            let (folder, line, source_path) = (folder.to_owned(), copy.line, source.to_owned());
            return Err(ContainerError::NothingToCopy { folder, line, source_path });
        }
        // Of a folder, what is in it is copied.
        let target = match from.file_name() {
            Some(name) if copy.into_folder && !from.is_dir() => format!("{}/{}", copy.target, name.to_string_lossy()),
            _ => copy.target.clone(),
        };
        self.add(&from, &target, copy.mode)
    }

    /// Adds a file, or all that is in a folder.
    fn add(&mut self, from: &Path, target: &str, mode: Option<u32>) -> Result<(), ContainerError> {
        let kind = from.symlink_metadata().map_err(ContainerError::io(from))?;
        self.seen.push(from.to_owned());
        if kind.is_symlink() {
            let to = fs::read_link(from).map_err(ContainerError::io(from))?;
            self.put(target, Entry::Link { to });
        } else if kind.is_dir() {
            self.put(target, Entry::Folder);
            for entry in fs::read_dir(from).map_err(ContainerError::io(from))? {
                let path = entry.map_err(ContainerError::io(from))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !(path.is_dir() && IGNORED.contains(&&*name)) {
                    self.add(&path, &format!("{target}/{name}"), mode)?;
                }
            }
        } else {
            // Who else may read or write depends on the user's umask, so it does not count.
            let is_executable = kind.permissions().mode() & 0o100 != 0;
            let mode = mode.unwrap_or(if is_executable { 0o755 } else { 0o644 });
            self.put(target, Entry::File { from: from.to_owned(), mode });
        }
        Ok(())
    }

    /// Puts an entry in its place, and the folders above it.
    fn put(&mut self, target: &str, entry: Entry) {
        let target = target.trim_matches('/');
        for (end, _) in target.match_indices('/') {
            self.entries.entry(target[..end].to_owned()).or_insert(Entry::Folder);
        }
        if !target.is_empty() && (entry != Entry::Folder || !self.entries.contains_key(target)) {
            self.entries.insert(target.to_owned(), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::project;

    fn find(recipe: &str, folder: &Path) -> Result<Contents, ContainerError> {
        Contents::find(&Recipe::parse(recipe).unwrap(), folder)
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_line() {
        let folder = project(&["a"]);
        let error = find("FROM scratch\n\nCOPY a b /x/", folder.path()).err().unwrap().to_string();
        assert!(error.contains("line 3") && error.contains("`b`"), "{error}");
    }

    #[test]
    fn links_count_by_where_they_lead() {
        let folder = project(&["a", "b"]);
        let link = folder.path().join("link");
        let recipe = "FROM scratch\nCOPY . /x";
        let digests = ["a", "b"].map(|to| {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(to, &link).unwrap();
            let contents = find(recipe, folder.path()).unwrap();
            assert_eq!(contents.entries["x/link"], Entry::Link { to: to.into() });
            contents.digest().unwrap()
        });
        assert_ne!(digests[0], digests[1]);
    }

    #[test]
    fn later_copies_replace_earlier_ones() {
        let folder = project(&["one/f", "two/f"]);
        let contents = find("FROM scratch\nCOPY one /x\nCOPY two /x/", folder.path()).unwrap();
        let Entry::File { from, .. } = &contents.entries["x/f"] else { panic!() };
        assert!(from.ends_with("two/f"));
        assert_eq!(contents.seen.len(), 4);
    }
}
