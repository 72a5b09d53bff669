//! Folders that go with the process that made them, also where that is killed.
//!
//! ```text
//! PREFIX4k2Xq1/       the folder
//! PREFIX4k2Xq1.lock   held while its owner lives
//! ```

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::files::{Lock, lock_exclusive};

/// How the names of locks end.
const LOCK: &str = ".lock";

/// A folder of this process. Dropping it removes it; [`sweep_folders`] removes it where the process was killed.
#[derive(Debug)]
pub struct OwnedFolder {
    path: PathBuf,
    /// Removed after the folder, and given back after that.
    _lock: (TempPath, Lock),
}

impl OwnedFolder {
    /// A new folder in `parent`, whose name starts with `prefix`.
    ///
    /// # Errors
    /// If `parent` can't be written, or its file system has no locks.
    pub fn make(parent: &Path, prefix: &str) -> io::Result<Self> {
        loop {
            let file = tempfile::Builder::new().prefix(prefix).suffix(LOCK).tempfile_in(parent)?;
            let path = file.into_temp_path();
            let held = lock_exclusive(&path, true)?;
            // Another process may take the file for a leftover before it is locked: then the next name is tried.
            if let Some(held) = held.filter(|held| held.is_of(&path)) {
                let folder = path.with_extension("");
                std::fs::create_dir(&folder)?;
                return Ok(Self { path: folder, _lock: (path, held) });
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        // What can't be removed now is a leftover.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of this prefix in `parent` whose processes were killed: those whose lock nobody holds.
pub fn sweep_folders(parent: &Path, prefix: &str) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if !(name.starts_with(prefix) && name.ends_with(LOCK)) {
            continue;
        }
        if let Ok(Some(held)) = lock_exclusive(&path, false)
            && held.is_of(&path)
        {
            // The lock goes last: a folder without one is nobody's to remove.
            let removed = std::fs::remove_dir_all(path.with_extension(""));
            if removed.is_ok() || !path.with_extension("").exists() {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "flowc-test-";

    fn names(parent: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(parent).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_stays_while_its_owner_lives_and_goes_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = OwnedFolder::make(parent.path(), PREFIX).unwrap();
        std::fs::write(folder.path().join("kept"), "").unwrap();
        sweep_folders(parent.path(), PREFIX);
        assert!(folder.path().join("kept").exists());
        drop(folder);
        assert_eq!(names(parent.path()), [""; 0]);
    }

    #[test]
    fn what_nobody_holds_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        // As a process leaves them that is killed; and those of an earlier flowc, whose owner is not known.
        std::fs::create_dir_all(at("flowc-test-gone/files")).unwrap();
        std::fs::write(at("flowc-test-gone.lock"), "").unwrap();
        std::fs::write(at("flowc-test-never.lock"), "").unwrap();
        std::fs::create_dir(at("flowc-test-1-old")).unwrap();
        std::fs::write(at("flowc-other-gone.lock"), "").unwrap();
        sweep_folders(parent.path(), PREFIX);
        assert_eq!(names(parent.path()), ["flowc-other-gone.lock", "flowc-test-1-old"]);
    }
}
