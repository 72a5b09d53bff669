//! The files that a recipe copies from its folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flowc_code::{CodeError, Evidence, Reader, Snapshots};
use flowc_planner::key::KeyHasher;

use crate::ContainerError;
use crate::recipe::{CopyStep, Recipe};

/// What is added to an image.
#[derive(Default)]
pub(crate) struct Contents {
    /// By path in the image, without the first slash. Folders come before what is in them.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// By what a later run sees that they are the same.
    pub(crate) evidence: Evidence,
    /// Where the contents of files are kept as they were hashed, if they are.
    snapshots: Option<Snapshots>,
}

/// Something in an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder,
    File {
        /// The author's file.
        from: PathBuf,
        /// BLAKE3 of its content.
        digest: [u8; 32],
        /// Whether its owner may execute it.
        executable: bool,
        mode: u32,
    },
    Link {
        to: PathBuf,
    },
}

impl Entry {
    /// What it is, to be told from others.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Entry::Folder => Vec::new(),
            Entry::Link { to } => to.as_os_str().as_bytes().to_vec(),
            Entry::File { digest, mode, .. } => [&digest[..], &mode.to_le_bytes()].concat(),
        }
    }
}

impl Contents {
    /// Reads what a recipe copies.
    ///
    /// # Errors
    /// If something is not there, or can't be read.
    pub(crate) fn find(recipe: &Recipe, folder: &Path, reader: &Reader<'_>) -> Result<Self, ContainerError> {
        let mut contents = Self { snapshots: reader.snapshots().cloned(), ..Self::default() };
        if let Some(start) = &recipe.folder {
            contents.put(start, Entry::Folder);
        }
        for copy in &recipe.copies {
            copy.sources.iter().try_for_each(|source| contents.copy(copy, source, folder, reader))?;
        }
        Ok(contents)
    }

    /// The file to read for the content of an author's file: the one that is kept, if it is as it was hashed, or is made so.
    ///
    /// # Errors
    /// If what is kept is damaged, and the author's file has changed meanwhile.
    pub(crate) fn content(&self, from: &Path, digest: &[u8; 32], executable: bool) -> Result<PathBuf, CodeError> {
        let restored = self.snapshots.as_ref().map(|kept| kept.restored(digest, executable, from));
        restored.unwrap_or_else(|| Ok(from.to_owned()))
    }

    /// A digest of all of it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = KeyHasher::new("flowc image contents 2");
        for (path, entry) in &self.entries {
            hasher.bytes(path.as_bytes());
            match entry {
                Entry::Folder => hasher.number(0),
                Entry::Link { to } => hasher.number(1).bytes(to.as_os_str().as_bytes()),
                Entry::File { digest, mode, .. } => hasher.number(2).number(u64::from(*mode)).digest(digest),
            };
        }
        hasher.finish()
    }

    fn copy(
        &mut self,
        copy: &CopyStep,
        source: &str,
        folder: &Path,
        reader: &Reader<'_>,
    ) -> Result<(), ContainerError> {
        let from = folder.join(source);
        if from.symlink_metadata().is_err() {
            let (folder, line, source_path) = (folder.to_owned(), copy.line, source.to_owned());
            return Err(ContainerError::NothingToCopy { folder, line, source_path });
        }
        // Of a folder, what is in it is copied.
        let into = copy.into_folder || self.entries.get(copy.target.trim_matches('/')) == Some(&Entry::Folder);
        let target = match from.file_name() {
            Some(name) if into && !from.is_dir() => format!("{}/{}", copy.target, name.to_string_lossy()),
            _ => copy.target.clone(),
        };
        // A link is seen in its folder: what it leads to may be in the image alone.
        from.parent().into_iter().for_each(|above| self.evidence.look(above));
        let kind = from.symlink_metadata().map_err(ContainerError::io(&from))?;
        if !(kind.is_symlink() || kind.is_dir() || kind.is_file()) {
            let odd = std::io::Error::other("it is neither a file nor a folder nor a link");
            return Err(ContainerError::io(&from)(odd));
        }
        self.add(&from, &target, copy.mode, reader)?;
        match self.below_a_file() {
            Some(path) => Err(ContainerError::NoFolder { folder: folder.to_owned(), line: copy.line, path }),
            None => Ok(()),
        }
    }

    /// Adds a file, or all that is in a folder but for what tools make, what the pipeline itself reads and writes, and pipes and
    /// sockets.
    fn add(&mut self, from: &Path, target: &str, mode: Option<u32>, reader: &Reader<'_>) -> Result<(), ContainerError> {
        let kind = from.symlink_metadata().map_err(ContainerError::io(from))?;
        if !kind.is_symlink() {
            self.evidence.look(from);
        }
        if kind.is_symlink() {
            let to = fs::read_link(from).map_err(ContainerError::io(from))?;
            self.put(target, Entry::Link { to });
        } else if kind.is_dir() {
            self.put(target, Entry::Folder);
            for entry in fs::read_dir(from).map_err(ContainerError::io(from))? {
                let path = entry.map_err(ContainerError::io(from))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !reader.passes_over(&path) {
                    self.add(&path, &format!("{target}/{name}"), mode, reader)?;
                }
            }
        } else if let Some(flowc_code::Entry::File { digest, executable, .. }) = reader.file(from)? {
            // Who else may read or write depends on the user's umask, so it does not count.
            let mode = mode.unwrap_or(if executable { 0o755 } else { 0o644 });
            self.put(target, Entry::File { from: from.to_owned(), digest, executable, mode });
        }
        Ok(())
    }

    /// Something that would lie below what is no folder.
    fn below_a_file(&self) -> Option<String> {
        let is_below = |path: &str| {
            let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
            above.any(|above| self.entries.get(above).is_some_and(|entry| *entry != Entry::Folder))
        };
        self.entries.keys().find(|path| is_below(path)).cloned()
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
    use crate::testing::{project, reading};

    fn find(recipe: &str, folder: &Path) -> Result<Contents, ContainerError> {
        reading(|reader| Contents::find(&Recipe::parse(recipe).unwrap(), folder, reader))
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
            contents.digest()
        });
        assert_ne!(digests[0], digests[1]);
    }

    #[test]
    fn a_file_goes_into_a_folder_that_is_there_and_never_becomes_one() {
        let folder = project(&["stage", "lib/a"]);
        let contents = find("FROM scratch\nWORKDIR /app\nCOPY stage /app", folder.path()).unwrap();
        assert!(contents.entries.contains_key("app/stage") && contents.entries["app"] == Entry::Folder);
        let error = find("FROM scratch\nCOPY stage /x\nCOPY lib /x/lib", folder.path()).err().unwrap().to_string();
        assert!(error.contains("line 3") && error.contains("x/lib"), "{error}");
    }

    #[test]
    fn of_a_folder_what_tools_make_is_left_out_and_pipes_are_never_opened() {
        let folder = project(&["lib/a", "lib/.a.swp", "lib/.git/config"]);
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("lib/pipe")).status();
        assert!(made.unwrap().success());
        let contents = find("FROM scratch\nCOPY lib /x", folder.path()).unwrap();
        assert_eq!(contents.entries.keys().collect::<Vec<_>>(), ["x", "x/a"]);
        let error = find("FROM scratch\nCOPY lib/pipe /x", folder.path()).err().unwrap().to_string();
        assert!(error.contains("lib/pipe") && error.contains("neither a file"), "{error}");
    }

    #[test]
    fn later_copies_replace_earlier_ones() {
        let folder = project(&["one/f", "two/f"]);
        let contents = find("FROM scratch\nCOPY one /x\nCOPY two /x/", folder.path()).unwrap();
        let Entry::File { from, .. } = &contents.entries["x/f"] else { panic!() };
        assert!(from.ends_with("two/f"));
    }
}
