//! A folder that is not, or no longer, a sink's target is removed, and what no sink wrote goes back to the target.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flowc_platform::rename_new;

use crate::error::{At, SinkError};
use crate::files::manifest::{self, MANIFEST};

/// Removes a folder that is no longer, or not yet, the target: an old one after the exchange, or one that was being
/// built when a run was killed. No file goes that its own manifest does not list: it is the target's too, or it came
/// after the links were made and is moved there.
pub(crate) fn retire(folder: &Path, target: &Path) -> Result<(), SinkError> {
    if !folder.exists() {
        return Ok(());
    }
    let ours = manifest::paths(folder)?.unwrap_or_default();
    let mut folders = Vec::new();
    walk(folder, "", &mut |path, metadata| {
        let (old, new) = (folder.join(path), target.join(path));
        if metadata.is_dir() {
            folders.push(old);
            return Ok(());
        }
        let same = new.symlink_metadata().is_ok_and(|new| new.ino() == metadata.ino() && new.dev() == metadata.dev());
        if path == MANIFEST {
            return Ok(());
        }
        if same || ours.contains(path) {
            return fs::remove_file(&old).at(&old, "removing");
        }
        make_parents(target, path)?;
        rename_new(&old, &new).at(&new, "moving it into the folder")
    })?;
    // Deepest first; one that is not empty stays.
    for folder in folders.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    // The manifest last: a run killed here must still know which files are the sink's.
    let manifest = folder.join(MANIFEST);
    if manifest.exists() {
        fs::remove_file(&manifest).at(&manifest, "removing")?;
    }
    fs::remove_dir(folder).at(folder, "removing")
}

/// Calls `see` for everything below `root` with its path relative to it, folders before what they hold. Links are not
/// followed.
pub(crate) fn walk(
    root: &Path,
    below: &str,
    see: &mut dyn FnMut(&str, &Metadata) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let folder = root.join(below);
    let mut entries =
        fs::read_dir(&folder).at(&folder, "listing")?.collect::<io::Result<Vec<_>>>().at(&folder, "listing")?;
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let odd = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8; move it away");
            return Err(SinkError::io(&entry.path(), "listing", odd));
        };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let metadata = entry.metadata().at(&entry.path(), "reading its metadata")?;
        see(&path, &metadata)?;
        if metadata.is_dir() {
            walk(root, &path, see)?;
        }
    }
    Ok(())
}

/// Makes the folders above a path within `root`.
pub(crate) fn make_parents(root: &Path, path: &str) -> Result<(), SinkError> {
    let parent = root.join(path);
    let parent = parent.parent().unwrap_or(root);
    fs::create_dir_all(parent).at(parent, "making the folder")
}
