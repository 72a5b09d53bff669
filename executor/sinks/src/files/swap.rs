//! A folder replaced in one step: the new one is built beside it and takes its place.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use flowc_platform::{FileStamp, exchange, rename_new, sync_filesystem};

use crate::error::{At, SinkError};
use crate::files::manifest::{self, MANIFEST};
use crate::files::retire::{make_parents, retire, walk};
use crate::files::transaction::{FileTransaction, StagedOutput};
use crate::state::SinkState;

/// Builds the new folder and exchanges it with the target.
///
/// Files that this sink did not write go along as hard links. The manifest is written first: whatever the new folder
/// holds can then be told apart at any instant ([`retire`]). So can what the old one holds: it gets its manifest back where
/// somebody removed that. Gives the manifest's stamp.
pub(crate) fn swap<'a>(
    sink: &FileTransaction,
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
    if let Some(unlisted) = sink.unlisted.as_ref().filter(|_| target.is_dir()) {
        manifest::write(target, &sink.staging.fresh(), unlisted)?;
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

fn link_kept(sink: &FileTransaction, next: &Path) -> Result<(), SinkError> {
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
    let permissions = fs::metadata(from).at(from, "reading its metadata")?.permissions();
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
