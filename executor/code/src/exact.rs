//! Copies of code, looked at in full to see whether they are as they were made.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowc_platform::{FileStamp, open_regular};

use crate::{Entry, Tree};

/// The digest of all that is in a folder and wanted, just as it is there: links are not followed.
///
/// # Errors
/// If something can't be read.
pub fn exact_digest(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<[u8; 32]> {
    let mut tree = Tree::default();
    for path in contents(folder, is_wanted)?.into_keys() {
        let entry = exact_entry(&folder.join(&path))?;
        tree.entries.insert(path, entry);
    }
    Ok(tree.finished().digest())
}

/// A digest of the stamps of all that is in a folder and wanted, without reading it. Equal ones say that nothing was written to since, in
/// one start of the machine.
///
/// # Errors
/// If the file system does not say.
pub fn exact_stamps(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for (path, metadata) in contents(folder, is_wanted)? {
        let path = path.as_os_str().as_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path).update(&[u8::from(metadata.is_dir())]);
        // What is in a folder has stamps of its own, and a seal may be put there.
        if !metadata.is_dir() {
            let FileStamp { size, modified_ns, changed_ns, inode, device } = FileStamp::from_metadata(&metadata);
            let numbers = [size, modified_ns.cast_unsigned(), changed_ns.cast_unsigned(), inode, device];
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

/// All that is below a folder and wanted, by its path from there.
fn contents(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<BTreeMap<PathBuf, Metadata>> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let (path, metadata) = (below.join(entry.file_name()), entry.metadata()?);
            if !is_wanted(&path) {
                continue;
            }
            if metadata.is_dir() {
                open.push(path.clone());
            }
            found.insert(path, metadata);
        }
    }
    Ok(found)
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
