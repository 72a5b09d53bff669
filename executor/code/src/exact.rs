//! Copies of code, read again in full to see whether they are as they were made.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowc_platform::open_regular;

use crate::{Entry, Tree};

/// The digest of all that is in a folder and wanted, just as it is there: links are not followed.
///
/// # Errors
/// If something can't be read.
pub fn exact_digest(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<[u8; 32]> {
    let mut tree = Tree::default();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if !is_wanted(&path) {
                continue;
            }
            let found = exact_entry(&entry.path())?;
            if found == Entry::Folder {
                open.push(path.clone());
            }
            tree.entries.insert(path, found);
        }
    }
    Ok(tree.finished().digest())
}

/// What is at a path, just as it is.
pub(crate) fn exact_entry(path: &Path) -> io::Result<Entry> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        return Ok(Entry::Folder);
    }
    if kind.is_symlink() {
        return Ok(Entry::Link { to: fs::read_link(path)? });
    }
    let mut opened = open_regular(path)?;
    let metadata = opened.metadata()?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut opened, &mut hasher)?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Entry::File { digest: *hasher.finalize().as_bytes(), size: metadata.len(), executable })
}
