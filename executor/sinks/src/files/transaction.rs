//! What is to be written: the files that changed, and those that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowc_planner::plan::SinkSpec;
use flowc_platform::{FileStamp, lock};

use crate::error::{At, SinkError};
use crate::files::compare::{Earlier, compare, jobs};
use crate::files::layout::Layout;
use crate::files::manifest;
use crate::files::place::Place;
use crate::files::staging::{StagedFile, Staging, Stagings};
use crate::files::writer::{Finished, Stage};
use crate::formats::check::check;
use crate::sink::{Dataset, Job, Remembered};
use crate::state::{SinkState, WrittenFile, layout_digest, result_digest};

/// Files that are written beside their target. Dropping it before they are finalized leaves everything as it was.
#[derive(Debug)]
pub(crate) struct FileTransaction {
    pub(crate) place: Place,
    pub(crate) target: PathBuf,
    pub(crate) digests: Vec<[u8; 32]>,
    pub(crate) result: [u8; 32],
    pub(crate) layout_digest: [u8; 32],
    pub(crate) jobs: Vec<Job>,
    /// Files that stay, with their stamps of now.
    pub(crate) kept: Vec<WrittenFile>,
    /// Paths in the folder that this sink wrote earlier.
    pub(crate) ours: BTreeSet<String>,
    /// The stamp of the manifest, where it is known to list just these paths.
    pub(crate) manifest: Option<FileStamp>,
    /// What the manifest would list, where it is gone.
    pub(crate) unlisted: Option<SinkState>,
    /// Files that may be there, and that no finalized state names.
    pub(crate) unremembered: Vec<WrittenFile>,
    pub(crate) staging: Arc<Staging>,
    pub(crate) layout: Layout,
    pub(crate) written: Mutex<Vec<Finished<StagedOutput>>>,
}

/// One file that waits to be finalized.
#[derive(Debug)]
pub(crate) struct StagedOutput {
    pub(crate) staged: PathBuf,
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes_digest: [u8; 32],
}

impl StagedOutput {
    /// The file as a state tells it, with the stamp that it has while it waits.
    pub(crate) fn as_written(&self, segments: Vec<[u8; 32]>) -> Result<WrittenFile, SinkError> {
        Ok(WrittenFile {
            path: self.path.clone(),
            stamp: FileStamp::of(&self.staged).at(&self.staged, "reading its metadata")?,
            segments,
            rows: self.rows,
            bytes_digest: self.bytes_digest,
        })
    }
}

impl FileTransaction {
    /// Compares what is to be written with what is there. Where no previous state is remembered, a folder's own manifest
    /// says what is there. `stagings` are those of all sinks of the run.
    pub(crate) fn new(
        place: &Place,
        spec: &SinkSpec,
        dataset: &Dataset<'_>,
        earlier: Remembered<'_>,
        stagings: &Stagings,
    ) -> Result<Self, SinkError> {
        let Dataset { schema, segments } = dataset;
        let previous = earlier.finalized;
        check(spec, schema)?;
        let target = place.resolve()?;
        let listed = if place.is_folder && previous.is_none() { manifest::read(&target)? } else { None };
        let layout_digest = layout_digest(spec, schema);
        let known = previous.or(listed.as_ref()).filter(|state| state.layout == layout_digest);
        let name = |file| if place.is_folder { last_name(file) } else { place.path.as_str() };
        let kept_as = |file: &WrittenFile| verified(&place.file(&target, &file.path), file);
        let jobs = jobs(spec, &place.path, segments);
        let (kept, jobs) = compare(jobs, segments, Earlier::new(known, name), &|job| job.name.as_str(), &kept_as)?;
        let manifest = previous.and_then(|state| state.manifest).filter(|stamp| manifest::is_intact(&target, stamp));
        let listed = match previous {
            Some(state) if manifest.is_some() => Some(paths(state)),
            _ if place.is_folder => manifest::paths(&target)?,
            _ => Some(BTreeSet::new()),
        };
        let unlisted = if listed.is_none() { still_there(&target, earlier)? } else { None };
        let ours = listed.or_else(|| unlisted.as_ref().map(paths)).unwrap_or_default();
        let mut unremembered = earlier.announced.map(|state| state.files.clone()).unwrap_or_default();
        if previous.is_none() {
            unremembered.extend_from_slice(&kept);
        }
        let transaction = Self {
            place: place.clone(),
            digests: segments.iter().map(|segment| segment.digest).collect(),
            result: result_digest(spec, schema, segments),
            layout_digest,
            jobs,
            kept,
            ours,
            manifest,
            unlisted,
            unremembered,
            staging: if place.is_folder { stagings.of_folder(&target)? } else { stagings.of_file(&target)? },
            layout: Layout::new(spec, schema.clone())?,
            written: Mutex::default(),
            target,
        };
        transaction.refuse_foreign()?;
        Ok(transaction)
    }

    /// The files of all jobs that were written, in any order.
    pub(crate) fn written(&self) -> Vec<Finished<StagedOutput>> {
        std::mem::take(&mut *lock(&self.written))
    }

    /// Refuses names that are taken, as far as they are known before the work. Partitions are known once all rows are written.
    fn refuse_foreign(&self) -> Result<(), SinkError> {
        if !self.place.is_folder || !self.layout.partition.is_empty() {
            return Ok(());
        }
        let taken = |name: &String| !self.ours.contains(name) && self.target.join(name).symlink_metadata().is_ok();
        match self.jobs.iter().map(|job| &job.name).find(|name| taken(name)) {
            Some(name) => Err(SinkError::Foreign { path: self.target.join(name) }),
            None => Ok(()),
        }
    }
}

/// The name of a file without the folders of its partitions: that of its job.
fn last_name(file: &WrittenFile) -> &str {
    file.path.rsplit('/').next().unwrap_or_default()
}

impl Stage for FileTransaction {
    type File = StagedFile;
    type Output = StagedOutput;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn create(&self, _path: &str) -> StagedFile {
        StagedFile::new(self.staging.fresh())
    }

    fn finish(&self, file: StagedFile, path: String, rows: u64) -> io::Result<StagedOutput> {
        let (staged, bytes_digest) = file.finish()?;
        Ok(StagedOutput { staged, path, rows, bytes_digest })
    }

    fn take(&self, finished: Finished<StagedOutput>) {
        lock(&self.written).push(finished);
    }
}

/// The stamp of a file that still holds what was written: by its stamp, else by its bytes.
fn verified(path: &Path, file: &WrittenFile) -> Result<Option<FileStamp>, SinkError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let stamp = FileStamp::from_metadata(&metadata);
            if stamp == file.stamp {
                return Ok(Some(stamp));
            }
        }
        _ => return Ok(None),
    }
    let mut open = File::open(path).at(path, "reading")?;
    let stamp = FileStamp::of_file(&open).at(path, "reading")?;
    if stamp.size != file.stamp.size {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut open, &mut hasher).at(path, "reading")?;
    Ok((*hasher.finalize().as_bytes() == file.bytes_digest).then_some(stamp))
}

/// The paths of a state's files.
fn paths(state: &SinkState) -> BTreeSet<String> {
    state.files.iter().map(|file| file.path.clone()).collect()
}

/// A state with those of the remembered files that still hold what was written. Where the manifest is gone, they are this sink's;
/// so are those of a run that was killed before it remembered what it had put in place.
fn still_there(target: &Path, earlier: Remembered<'_>) -> Result<Option<SinkState>, SinkError> {
    let states = || earlier.finalized.into_iter().chain(earlier.announced);
    let Some(SinkState { result, layout, .. }) = states().next() else { return Ok(None) };
    let mut still = BTreeMap::new();
    for file in states().flat_map(|state| &state.files) {
        if verified(&target.join(&file.path), file)?.is_some() {
            still.insert(&file.path, file);
        }
    }
    let files = still.into_values().cloned().collect();
    Ok(Some(SinkState { result: *result, layout: *layout, files, manifest: None }))
}
