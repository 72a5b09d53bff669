//! The manifest that a folder holds: which of its files the sink wrote.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path};
use std::time::SystemTime;

pub use flowc_planner::plan::MANIFEST;
use flowc_platform::FileStamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{At, SinkError};
use crate::state::SinkState;

/// The version of the manifest's form.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Manifest<S> {
    version: u32,
    state: S,
}

/// The part of a state that says which files are the sink's. Thousands of digests need not be decoded for that.
#[derive(Deserialize)]
struct Listed {
    files: Vec<ListedFile>,
}

#[derive(Deserialize)]
struct ListedFile {
    path: String,
}

/// Reads a folder's manifest. What it says of digests and stamps may be older than the files: a commit that leaves the
/// list as it is leaves the manifest too. One that is absent, damaged or of another version gives none, and the folder's files
/// then count as somebody else's: nothing is lost by that.
pub(crate) fn read(folder: &Path) -> Result<Option<SinkState>, SinkError> {
    let state: Option<SinkState> = load(folder)?;
    Ok(state.filter(|state| state.files.iter().all(|file| is_inside(&file.path))))
}

/// The paths that a folder's manifest lists; none where [`read`] gives none.
pub(crate) fn paths(folder: &Path) -> Result<Option<BTreeSet<String>>, SinkError> {
    let listed: Option<Listed> = load(folder)?;
    let paths = listed.map(|listed| listed.files.into_iter().map(|file| file.path).collect::<BTreeSet<_>>());
    Ok(paths.filter(|paths| paths.iter().all(|path| is_inside(path))))
}

fn load<S: DeserializeOwned>(folder: &Path) -> Result<Option<S>, SinkError> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(SinkError::io(&path, "reading", error)),
    };
    let manifest = serde_json::from_slice::<Manifest<S>>(&text).ok().filter(|m| m.version == VERSION);
    if manifest.is_none() {
        tracing::warn!("{}: not a manifest of this version; the folder's files are left alone", path.display());
    }
    Ok(manifest.map(|manifest| manifest.state))
}

/// Whether a path stays within the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether a folder holds the manifest that has this stamp.
pub(crate) fn is_intact(folder: &Path, stamp: &FileStamp) -> bool {
    FileStamp::of(&folder.join(MANIFEST)).is_ok_and(|now| now == *stamp)
}

/// Writes a manifest into a folder, in one step: `scratch` is a free name on the same file system. Gives its stamp.
pub(crate) fn write(folder: &Path, scratch: &Path, state: &SinkState) -> Result<FileStamp, SinkError> {
    let path = folder.join(MANIFEST);
    let mut text = serde_json::to_vec_pretty(&Manifest { version: VERSION, state })
        .map_err(|error| SinkError::encode(&path, 0, &error))?;
    text.push(b'\n');
    let mut file = fs::File::create(scratch).at(&path, "writing")?;
    file.write_all(&text).at(&path, "writing")?;
    // As for every file of a sink: a time between two ticks, so that the stamp can be trusted at once.
    file.set_modified(SystemTime::now()).at(&path, "writing")?;
    fs::rename(scratch, &path).at(&path, "writing")?;
    FileStamp::of_file(&file).at(&path, "reading its metadata")
}
