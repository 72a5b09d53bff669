//! A tree of code.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::Evidence;

/// Files, links and folders that a build, an import or a run may read.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The folder that paths start from.
    pub base: PathBuf,
    /// By their paths. A folder comes before what is in it.
    pub entries: BTreeMap<PathBuf, Entry>,
    /// By what a later run sees that the tree is the same.
    pub evidence: Evidence,
    /// The digest of all of it.
    pub(crate) digest: [u8; 32],
}

/// Something in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A folder; what is in it are entries of their own.
    Folder,
    /// A file.
    File {
        /// BLAKE3 of its bytes.
        digest: [u8; 32],
        /// Its bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A link that leads within the tree, or nowhere.
    Link {
        /// Where it leads.
        to: PathBuf,
    },
}

impl Entry {
    /// A digest of a file or a link; folders have none.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        match self {
            Entry::Folder => return None,
            Entry::File { digest, executable, .. } => hasher.update(&[1, u8::from(*executable)]).update(digest),
            Entry::Link { to } => hasher.update(&[2]).update(to.as_os_str().as_bytes()),
        };
        Some(*hasher.finalize().as_bytes())
    }
}

impl Tree {
    /// The digest of all of it: of paths, contents and what may be executed, not of times, owners or where it lies.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The tree, when nothing more is added to it.
    pub(crate) fn finished(self) -> Self {
        Self { digest: self.digest_of(|_| true), ..self }
    }

    /// The digest of the entries that are wanted.
    pub fn digest_of(&self, is_wanted: impl Fn(&Path) -> bool) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"flowc code tree 1");
        for (path, entry) in self.entries.iter().filter(|(path, _)| is_wanted(path)) {
            let path = path.as_os_str().as_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
            hasher.update(&entry.digest().unwrap_or_default());
        }
        *hasher.finalize().as_bytes()
    }
}

/// A path without `.` and `..`, by its text alone.
pub fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
        normal
    })
}

/// The way from a folder to a path; both are normal, and start from the same place.
pub fn relative(folder: &Path, path: &Path) -> PathBuf {
    let shared = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_from_folder_to_path() {
        let way = |folder, path| relative(Path::new(folder), Path::new(path));
        assert_eq!(way("/a/b", "/a/c/d"), Path::new("../c/d"));
        assert_eq!(way("", "c"), Path::new("c"));
        assert_eq!(way("a", "a"), Path::new("."));
        assert_eq!(way("a/b", ""), Path::new("../.."));
    }
}
