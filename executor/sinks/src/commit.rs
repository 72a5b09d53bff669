//! The commit: everything that was written appears in one step.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flowc_platform::{FileStamp, rename_new};

use crate::error::{At, SinkError};
use crate::manifest;
use crate::prepare::{Preparation, is_folder};
use crate::state::{SinkState, WrittenFile, file_path};
use crate::swap;
use crate::writer::{Finished, StagedOutput};

/// Puts the files in place and gives the state to remember.
pub(crate) fn commit(sink: &Preparation, written: Vec<Finished>) -> Result<SinkState, SinkError> {
    let files = collect(sink, written)?;
    let mut state = state(sink, &files)?;
    let moved = if is_folder(&sink.spec) { commit_folder(sink, &files, &state)? } else { commit_file(sink, &files)? };
    let written: BTreeSet<&str> = files.iter().map(|(output, _)| output.path.as_str()).collect();
    let is_stale = |file: &&mut WrittenFile| moved == Moved::All || written.contains(file.path.as_str());
    for file in state.files.iter_mut().filter(is_stale) {
        let path = file_path(&sink.spec, &sink.target, &file.path);
        file.stamp = FileStamp::of(&path).at(&path, "looking at it")?;
    }
    Ok(state)
}

/// A file that waits, with what the state will say of it.
type Placed = (StagedOutput, Vec<[u8; 32]>);

fn collect(sink: &Preparation, written: Vec<Finished>) -> Result<Vec<Placed>, SinkError> {
    let mut missing: BTreeSet<usize> = (0..sink.jobs.len()).collect();
    let mut files = Vec::new();
    for Finished { job, files: outputs } in written {
        if !missing.remove(&job) {
            return Err(SinkError::Incomplete { job });
        }
        let segments: Vec<_> = sink.jobs[job].segments.iter().map(|&i| sink.digests[i]).collect();
        files.extend(outputs.into_iter().map(|output| (output, segments.clone())));
    }
    match missing.first() {
        Some(&job) => Err(SinkError::Incomplete { job }),
        None => Ok(files),
    }
}

/// The state after the commit, with stamps from before it.
fn state(sink: &Preparation, files: &[Placed]) -> Result<SinkState, SinkError> {
    let mut all = sink.kept.clone();
    for (output, segments) in files {
        all.push(WrittenFile {
            path: output.path.clone(),
            stamp: FileStamp::of(&output.staged).at(&output.staged, "looking at it")?,
            segments: segments.clone(),
            rows: output.rows,
            bytes_digest: output.bytes_digest,
        });
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(SinkState { result: sink.result, form: sink.form_digest, files: all })
}

/// The files whose stamps a commit changes.
#[derive(PartialEq, Eq)]
enum Moved {
    /// Those that were written.
    Written,
    /// All: they lie in a new folder.
    All,
}

fn commit_file(sink: &Preparation, files: &[Placed]) -> Result<Moved, SinkError> {
    let (target, Some((output, _))) = (&sink.target, files.first()) else { return Ok(Moved::Written) };
    if let Ok(metadata) = fs::metadata(target) {
        fs::set_permissions(&output.staged, metadata.permissions()).at(target, "writing")?;
    }
    fs::rename(&output.staged, target).at(target, "writing")?;
    Ok(Moved::Written)
}

fn commit_folder(sink: &Preparation, files: &[Placed], state: &SinkState) -> Result<Moved, SinkError> {
    let removed = removed(sink, state);
    match files {
        [(output, _)] if sink.target.is_dir() && !removed => place_one(sink, output, state)?,
        [] if sink.target.is_dir() && !removed => manifest::write(&sink.target, &sink.staging.fresh(), state)?,
        _ => {
            swap::swap(sink, files.iter().map(|(output, _)| output), state)?;
            return Ok(Moved::All);
        }
    }
    Ok(Moved::Written)
}

/// Whether files of ours lie there that the new state does not have.
fn removed(sink: &Preparation, state: &SinkState) -> bool {
    let stays: BTreeSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
    let goes = |path: &&String| !stays.contains(path.as_str());
    sink.ours.iter().filter(goes).any(|path| sink.target.join(path).symlink_metadata().is_ok())
}

/// One file changes or is added and nothing else: one rename does it.
///
/// The manifest goes first. If the run is killed between the two, it lists a file that is not there or holds something
/// else, which the next run sees by its stamp and bytes; the other way round the file would seem to be somebody else's.
fn place_one(sink: &Preparation, output: &StagedOutput, state: &SinkState) -> Result<(), SinkError> {
    let path = sink.target.join(&output.path);
    let replaces = sink.ours.contains(&output.path);
    if !replaces && path.symlink_metadata().is_ok() {
        return Err(SinkError::Foreign { path });
    }
    swap::make_parents(&sink.target, &output.path)?;
    manifest::write(&sink.target, &sink.staging.fresh(), state)?;
    let place: fn(&Path, &Path) -> std::io::Result<()> =
        if replaces { |from, to| fs::rename(from, to) } else { rename_new };
    place(&output.staged, &path).at(&path, "writing")
}
