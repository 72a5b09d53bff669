//! Everything that was written appears in one step.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flowc_platform::{FileStamp, lock, rename_new};

use crate::error::{At, SinkError};
use crate::files::retire::make_parents;
use crate::files::transaction::{FileTransaction, StagedOutput};
use crate::files::writer::{Finished, all_files};
use crate::files::{manifest, swap};
use crate::sink::{Finalized, Job, Written};
use crate::state::{SinkState, WrittenFile};

/// Puts the files in place and gives the state to remember.
pub(crate) fn commit(sink: &FileTransaction) -> Result<Finalized, SinkError> {
    let files = all_files(&sink.jobs, &sink.digests, sink.written())?;
    let mut state = state(sink, &files)?;
    let moved =
        if sink.place.is_folder { commit_folder(sink, &files, &mut state)? } else { commit_file(sink, &files)? };
    let written: BTreeSet<&str> = files.iter().map(|(output, _)| output.path.as_str()).collect();
    let is_stale = |file: &&mut WrittenFile| moved == Moved::All || written.contains(file.path.as_str());
    for file in state.files.iter_mut().filter(is_stale) {
        let path = sink.place.file(&sink.target, &file.path);
        file.stamp = FileStamp::of(&path).at(&path, "reading its metadata")?;
    }
    Ok(Finalized { state, written: Written::Files(files.len()), untidy: None })
}

/// A file that waits, with what the state will say of it.
type Placed = (StagedOutput, Vec<[u8; 32]>);

/// A state with the files that the folder will hold and that no finalized state names: those that were written, and what
/// was not remembered before. None without such files.
pub(crate) fn announcement(sink: &FileTransaction) -> Result<Option<SinkState>, SinkError> {
    let mut files = sink.unremembered.clone();
    for Finished { job, files: outputs } in lock(&sink.written).iter() {
        let Job { segments, .. } = sink.jobs.get(*job).ok_or(SinkError::Incomplete { job: *job })?;
        for output in outputs {
            files.push(output.as_written(segments.iter().map(|&segment| sink.digests[segment]).collect())?);
        }
    }
    let name = |file: &WrittenFile| (file.path.clone(), file.bytes_digest);
    files.sort_by_cached_key(name);
    files.dedup_by_key(|file| name(&*file));
    let state = SinkState { result: sink.result, layout: sink.layout_digest, files, manifest: None };
    Ok(Some(state).filter(|state| !state.files.is_empty()))
}

/// The state after the commit, with stamps from before it.
fn state(sink: &FileTransaction, files: &[Placed]) -> Result<SinkState, SinkError> {
    let mut all = sink.kept.clone();
    for (output, segments) in files {
        all.push(output.as_written(segments.clone())?);
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(SinkState { result: sink.result, layout: sink.layout_digest, files: all, manifest: None })
}

/// The files whose stamps a commit changes.
#[derive(PartialEq, Eq)]
enum Moved {
    /// Those that were written.
    Written,
    /// All: they lie in a new folder.
    All,
}

fn commit_file(sink: &FileTransaction, files: &[Placed]) -> Result<Moved, SinkError> {
    let (target, Some((output, _))) = (&sink.target, files.first()) else { return Ok(Moved::Written) };
    if let Ok(metadata) = fs::metadata(target) {
        fs::set_permissions(&output.staged, metadata.permissions()).at(target, "writing")?;
    }
    fs::rename(&output.staged, target).at(target, "writing")?;
    Ok(Moved::Written)
}

/// Gives the state the stamp of the manifest that lists its files.
fn commit_folder(sink: &FileTransaction, files: &[Placed], state: &mut SinkState) -> Result<Moved, SinkError> {
    let (manifest, moved) = match files {
        [] | [_] if sink.target.is_dir() && !removed(sink, state) => {
            let one = files.first().map(|(output, _)| output);
            (place(sink, one, state)?, Moved::Written)
        }
        _ => (swap::swap(sink, files.iter().map(|(output, _)| output), state)?, Moved::All),
    };
    state.manifest = Some(manifest);
    Ok(moved)
}

/// Whether files of ours lie there that the new state does not have.
fn removed(sink: &FileTransaction, state: &SinkState) -> bool {
    if lists(sink, state) {
        return false;
    }
    let stays: BTreeSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
    let goes = |path: &&String| !stays.contains(path.as_str());
    sink.ours.iter().filter(goes).any(|path| sink.target.join(path).symlink_metadata().is_ok())
}

/// At most one file changes or is added and nothing else: one rename does it. Gives the manifest's stamp.
///
/// The manifest goes first. If the run is killed between the two, it lists a file that is not there or holds something
/// else, which the next run sees by its stamp and bytes; the other way round the file would seem to be somebody else's.
fn place(sink: &FileTransaction, output: Option<&StagedOutput>, state: &SinkState) -> Result<FileStamp, SinkError> {
    let Some(output) = output else { return list(sink, state) };
    let path = sink.target.join(&output.path);
    let replaces = sink.ours.contains(&output.path);
    if !replaces && path.symlink_metadata().is_ok() {
        return Err(SinkError::Foreign { path });
    }
    make_parents(&sink.target, &output.path)?;
    let manifest = list(sink, state)?;
    let place: fn(&Path, &Path) -> std::io::Result<()> =
        if replaces { |from, to| fs::rename(from, to) } else { rename_new };
    place(&output.staged, &path).at(&path, "writing")?;
    Ok(manifest)
}

/// Whether the state has just the files that the sink wrote earlier.
fn lists(sink: &FileTransaction, state: &SinkState) -> bool {
    sink.ours.iter().eq(state.files.iter().map(|file| &file.path))
}

/// Sees to it that the manifest lists the state's files. It is left as it is where it does already: which files are the
/// sink's is what it is asked for, and what it says of their content is always held against the files.
fn list(sink: &FileTransaction, state: &SinkState) -> Result<FileStamp, SinkError> {
    match sink.manifest {
        Some(stamp) if lists(sink, state) => Ok(stamp),
        _ => manifest::write(&sink.target, &sink.staging.fresh(), state),
    }
}
