//! What is to be written: the files that changed, and those that are kept.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowc_planner::plan::SinkSpec;
use flowc_platform::{FileStamp, lock};

use crate::error::{At, SinkError};
use crate::files::layout::Layout;
use crate::files::place::Place;
use crate::files::staging::{Staging, Stagings};
use crate::files::{manifest, names};
use crate::formats::check::check;
use crate::sink::{Dataset, Job};
use crate::state::{SinkSegment, SinkState, WrittenFile, layout_digest, result_digest};

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
    pub(crate) staging: Arc<Staging>,
    pub(crate) layout: Layout,
    written: Mutex<Vec<Finished>>,
}

/// The files of one job, written and waiting to be finalized.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) job: usize,
    pub(crate) files: Vec<StagedOutput>,
}

/// One file that waits to be finalized.
#[derive(Debug)]
pub(crate) struct StagedOutput {
    pub(crate) staged: PathBuf,
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes_digest: [u8; 32],
}

impl FileTransaction {
    /// Compares what is to be written with what is there. Where no previous state is remembered, a folder's own manifest
    /// says what is there. `stagings` are those of all sinks of the run.
    pub(crate) fn new(
        place: &Place,
        spec: &SinkSpec,
        dataset: &Dataset<'_>,
        previous: Option<&SinkState>,
        stagings: &Stagings,
    ) -> Result<Self, SinkError> {
        let Dataset { schema, segments } = dataset;
        check(spec, schema)?;
        let target = place.resolve()?;
        let listed = if place.is_folder && previous.is_none() { manifest::read(&target)? } else { None };
        let layout_digest = layout_digest(spec, schema);
        let known = previous.or(listed.as_ref()).filter(|state| state.layout == layout_digest);
        let (kept, jobs) = compare(place, spec, &target, segments, known)?;
        let manifest = previous.and_then(|state| state.manifest).filter(|stamp| manifest::is_intact(&target, stamp));
        let listed = match previous {
            Some(state) if manifest.is_some() => Some(paths(state)),
            _ if place.is_folder => manifest::paths(&target)?,
            _ => Some(BTreeSet::new()),
        };
        let (ours, unlisted) = match (listed, previous) {
            (None, Some(state)) => {
                let unlisted = still_there(&target, state)?;
                (paths(&unlisted), Some(unlisted))
            }
            (listed, _) => (listed.unwrap_or_default(), None),
        };
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
            staging: if place.is_folder { stagings.of_folder(&target)? } else { stagings.of_file(&target)? },
            layout: Layout::new(spec, schema.clone())?,
            written: Mutex::default(),
            target,
        };
        transaction.refuse_foreign()?;
        Ok(transaction)
    }

    /// Takes in the files of a job.
    pub(crate) fn take(&self, finished: Finished) {
        lock(&self.written).push(finished);
    }

    /// The files of all jobs that were written, in any order.
    pub(crate) fn written(&self) -> Vec<Finished> {
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

/// Sorts the files to write into those that are kept and those that are not.
fn compare(
    place: &Place,
    spec: &SinkSpec,
    target: &Path,
    segments: &[SinkSegment],
    known: Option<&SinkState>,
) -> Result<(Vec<WrittenFile>, Vec<Job>), SinkError> {
    let (mut kept, mut jobs) = (Vec::new(), Vec::new());
    let mut earlier = Earlier::new(place, known);
    for job in all_jobs(place, spec, segments) {
        let name = if place.is_folder { job.name.as_str() } else { "" };
        match kept_files(place, target, segments, &job, earlier.of(name))? {
            Some(files) => kept.extend(files),
            None => jobs.push(job),
        }
    }
    Ok((kept, jobs))
}

/// The files that are known, sorted by the names of their jobs.
struct Earlier<'a> {
    files: Vec<(&'a str, &'a WrittenFile)>,
    /// Where the files of the next job probably are: jobs mostly come in the order of their names.
    next: usize,
}

impl<'a> Earlier<'a> {
    fn new(place: &Place, known: Option<&'a SinkState>) -> Self {
        let name = |file: &'a WrittenFile| match place.is_folder {
            true => file.path.rsplit('/').next().unwrap_or_default(),
            false => "",
        };
        let files = known.into_iter().flat_map(|state| &state.files);
        let mut files: Vec<_> = files.map(|file| (name(file), file)).collect();
        files.sort_by_key(|(name, _)| *name);
        Self { files, next: 0 }
    }

    /// The files of the job of this name.
    fn of(&mut self, name: &str) -> &[(&'a str, &'a WrittenFile)] {
        let is_next = self.files.get(self.next).is_some_and(|(next, _)| *next == name)
            && self.files[..self.next].last().is_none_or(|(before, _)| *before != name);
        let from = if is_next { self.next } else { self.files.partition_point(|(other, _)| *other < name) };
        self.next = from + self.files[from..].iter().take_while(|(other, _)| *other == name).count();
        &self.files[from..self.next]
    }
}

fn all_jobs(place: &Place, spec: &SinkSpec, segments: &[SinkSegment]) -> Vec<Job> {
    if !place.is_folder {
        return vec![Job { segments: (0..segments.len()).collect(), name: place.path.clone() }];
    }
    let names = names::file_names(spec, segments).into_iter().enumerate();
    names.map(|(i, name)| Job { segments: vec![i], name }).collect()
}

/// The files of a job as they lie there, if they are what the job would write.
fn kept_files(
    place: &Place,
    target: &Path,
    segments: &[SinkSegment],
    job: &Job,
    earlier: &[(&str, &WrittenFile)],
) -> Result<Option<Vec<WrittenFile>>, SinkError> {
    let wanted = || job.segments.iter().map(|&i| &segments[i].digest);
    let mut kept = Vec::with_capacity(earlier.len());
    for &(_, file) in earlier {
        let unchanged = file.segments.iter().eq(wanted());
        match unchanged.then(|| verified(&place.file(target, &file.path), file)).transpose()?.flatten() {
            Some(stamp) => kept.push(WrittenFile { stamp, ..file.clone() }),
            None => return Ok(None),
        }
    }
    Ok(Some(kept).filter(|kept| !kept.is_empty()))
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

/// The state with those of its files that still hold what was written. Where the manifest is gone, they are this sink's.
fn still_there(target: &Path, state: &SinkState) -> Result<SinkState, SinkError> {
    let mut still = SinkState { files: Vec::new(), ..state.clone() };
    for file in &state.files {
        if verified(&target.join(&file.path), file)?.is_some() {
            still.files.push(file.clone());
        }
    }
    Ok(still)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_the_names_of_their_jobs_in_any_order() {
        let file = |path: &str| WrittenFile {
            path: path.to_owned(),
            stamp: FileStamp { size: 1, modified_ns: 1, changed_ns: 1, inode: 1, device: 1 },
            segments: Vec::new(),
            rows: 1,
            bytes_digest: [0; 32],
        };
        let files = ["k=1/a.csv", "k=1/b.csv", "k=2/a.csv", "k=2/c.csv"].map(file).to_vec();
        let state = SinkState { result: [0; 32], layout: [0; 32], files, manifest: None };
        let place = Place::of_folder(Path::new(""), "out");
        let found = |names: &[&str]| -> Vec<Vec<String>> {
            let mut earlier = Earlier::new(&place, Some(&state));
            let paths = |files: &[(&str, &WrittenFile)]| files.iter().map(|(_, file)| file.path.clone()).collect();
            names.iter().map(|name| paths(earlier.of(name))).collect()
        };
        let (a, b, c) = (["k=1/a.csv", "k=2/a.csv"], ["k=1/b.csv"], ["k=2/c.csv"]);
        assert_eq!(found(&["a.csv", "b.csv", "c.csv"]), [&a[..], &b, &c]);
        assert_eq!(found(&["a.csv", "new.csv", "c.csv", "c.csv"]), [&a[..], &[], &c, &c]);
        assert_eq!(found(&["c.csv", "b.csv", "a.csv", "a.csv", "b.csv"]), [&c[..], &b, &a, &a, &b]);
        assert!(Earlier::new(&place, None).of("a.csv").is_empty());
    }
}
