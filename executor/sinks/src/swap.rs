//! A folder replaced in one step: the new one is built beside it and takes its place.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flowc_platform::{FileStamp, exchange, rename_new, sync_filesystem};

use crate::error::{At, SinkError};
use crate::manifest::{self, MANIFEST};
use crate::prepare::Preparation;
use crate::state::SinkState;
use crate::writer::StagedOutput;

/// The name, in a staging folder, of the folder that is built; after the exchange, of the old one.
pub(crate) const NEXT: &str = "next";

/// Builds the new folder and exchanges it with the target.
///
/// Files that this sink did not write go along as hard links. The manifest is written first: whatever the new folder
/// holds can then be told apart at any instant ([`retire`]). Gives the manifest's stamp.
pub(crate) fn swap<'a>(
    sink: &Preparation,
    written: impl Iterator<Item = &'a StagedOutput>,
    state: &SinkState,
) -> Result<FileStamp, SinkError> {
    let (target, next) = (&sink.target, sink.staging.next());
    fs::create_dir(&next).at(target, "making the folder")?;
    let manifest = manifest::write(&next, &sink.staging.fresh(), state)?;
    if target.is_dir() {
        link_foreign(target, &next, &sink.ours)?;
        link_kept(sink, &next)?;
    }
    for output in written {
        let place = next.join(&output.path);
        if place.symlink_metadata().is_ok() {
            return Err(SinkError::Foreign { path: target.join(&output.path) });
        }
        make_parents(&next, &output.path).map_err(|error| foreign_if_taken(error, target, &output.path))?;
        fs::rename(&output.staged, &place).at(&target.join(&output.path), "writing")?;
    }
    sync_filesystem(&next).at(target, "syncing")?;
    take_place(&next, target).at(target, "replacing the folder")?;
    // The new folder stands, so this is no failure of the commit; dropping the staging folder tries again.
    if let Err(error) = retire(&next, target) {
        tracing::warn!("{}: the old folder could not be removed yet: {error}", next.display());
    }
    Ok(manifest)
}

/// A folder that can't be made since a file has its name: that file is somebody else's.
fn foreign_if_taken(error: SinkError, target: &Path, path: &str) -> SinkError {
    let taken = match &error {
        SinkError::NotADirectory { .. } => true,
        SinkError::Io { source, .. } => source.kind() == io::ErrorKind::AlreadyExists,
        _ => false,
    };
    if taken { SinkError::Foreign { path: target.join(path) } } else { error }
}

fn take_place(next: &Path, target: &Path) -> io::Result<()> {
    match rename_new(next, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => exchange(next, target),
        done => done,
    }
}

fn link_kept(sink: &Preparation, next: &Path) -> Result<(), SinkError> {
    for file in &sink.kept {
        let path = sink.target.join(&file.path);
        if FileStamp::of(&path).ok() != Some(file.stamp) {
            return Err(SinkError::Changed { path });
        }
        make_parents(next, &file.path)?;
        fs::hard_link(&path, next.join(&file.path)).at(&path, "linking it into the new folder")?;
    }
    Ok(())
}

/// Makes the folders above a path within `root`.
pub(crate) fn make_parents(root: &Path, path: &str) -> Result<(), SinkError> {
    let parent = root.join(path);
    let parent = parent.parent().unwrap_or(root);
    fs::create_dir_all(parent).at(parent, "making the folder")
}

/// Links what is not ours into the new folder, and makes its folders with their permissions.
fn link_foreign(target: &Path, next: &Path, ours: &BTreeSet<String>) -> Result<(), SinkError> {
    copy_mode(target, next)?;
    let folders = our_folders(ours);
    walk(target, "", &mut |path, metadata| {
        let (from, to) = (target.join(path), next.join(path));
        if metadata.is_dir() {
            if !folders.contains(path) {
                fs::create_dir_all(&to).at(&from, "making the folder")?;
                copy_mode(&from, &to)?;
            }
        } else if path != MANIFEST && !ours.contains(path) {
            make_parents(next, path)?;
            fs::hard_link(&from, &to).at(&from, "linking it into the new folder")?;
        }
        Ok(())
    })
}

fn copy_mode(from: &Path, to: &Path) -> Result<(), SinkError> {
    let permissions = fs::metadata(from).at(from, "looking at it")?.permissions();
    fs::set_permissions(to, permissions).at(to, "setting permissions")
}

/// The folders above our files: they come and go with them.
fn our_folders(ours: &BTreeSet<String>) -> BTreeSet<String> {
    let above = |path: &String| {
        let cuts: Vec<_> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        cuts
    };
    ours.iter().flat_map(above).collect()
}

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
fn walk(
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
        let metadata = entry.metadata().at(&entry.path(), "looking at it")?;
        see(&path, &metadata)?;
        if metadata.is_dir() {
            walk(root, &path, see)?;
        }
    }
    Ok(())
}
