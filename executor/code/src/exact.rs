//! Copies of code, read again in full to see whether they are as they were made.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
            let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
            if !is_wanted(&path) {
                continue;
            }
            let found = if kind.is_dir() {
                open.push(path.clone());
                Entry::Folder
            } else if kind.is_symlink() {
                Entry::Link { to: fs::read_link(entry.path())? }
            } else {
                file(&entry.path())?
            };
            tree.entries.insert(path, found);
        }
    }
    Ok(tree.finished().digest())
}

/// A file as it is.
pub(crate) fn file(path: &Path) -> io::Result<Entry> {
    let mut opened = File::open(path)?;
    let metadata = opened.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut opened, &mut hasher)?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Entry::File { digest: *hasher.finalize().as_bytes(), size: metadata.len(), executable })
}
