//! What is to be written: the files that changed, and those that are kept.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_planner::plan::{SinkSpec, Target};
use flowc_platform::{FileStamp, sync_filesystem};

use crate::check::{check, resolved_compression};
use crate::error::{At, SinkError};
use crate::staging::{Staging, Stagings};
use crate::state::{SinkSegment, SinkState, WrittenFile, file_path, form_digest, result_digest, target_path};
use crate::writer::{FileWriter, Finished, Form};
use crate::{commit, manifest, names, partition};

/// A file to write, or the files of one segment where there are partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileJob {
    /// Indices of the segments whose rows go into it, in order.
    pub segments: Vec<usize>,
    /// The file's name in the folder, or in each partition's folder; for a single file, its path in the specification.
    pub name: String,
}

/// A sink about to be written. Dropping it before [`Preparation::commit`] leaves everything as it was.
#[derive(Debug)]
pub struct Preparation {
    pub(crate) spec: SinkSpec,
    pub(crate) target: PathBuf,
    pub(crate) digests: Vec<[u8; 32]>,
    pub(crate) result: [u8; 32],
    pub(crate) form_digest: [u8; 32],
    pub(crate) jobs: Vec<FileJob>,
    /// Files that stay, with their stamps of now.
    pub(crate) kept: Vec<WrittenFile>,
    /// Paths in the folder that this sink wrote earlier.
    pub(crate) ours: BTreeSet<String>,
    /// The stamp of the manifest, where it is known to list just these paths.
    pub(crate) manifest: Option<FileStamp>,
    pub(crate) staging: Arc<Staging>,
    form: Arc<Form>,
}

impl Preparation {
    /// Compares what is to be written with what is there. `base` is the pipeline's folder; `previous` what the last
    /// commit gave, if it is remembered; else a folder's own manifest says what is there. `stagings` are those of all
    /// sinks of the run.
    ///
    /// # Errors
    /// Whatever [`check`] finds, and targets that can't be written, before any work is done.
    pub fn new(
        spec: &SinkSpec,
        schema: SchemaRef,
        base: &Path,
        segments: &[SinkSegment],
        previous: Option<&SinkState>,
        stagings: &Stagings,
    ) -> Result<Self, SinkError> {
        check(spec, &schema)?;
        let target = resolve(spec, base)?;
        let listed = if is_folder(spec) && previous.is_none() { manifest::read(&target)? } else { None };
        let form_digest = form_digest(spec, &schema);
        let known = previous.or(listed.as_ref()).filter(|state| state.form == form_digest);
        let (kept, jobs) = compare(spec, &target, segments, known)?;
        let manifest = previous.and_then(|state| state.manifest).filter(|stamp| manifest::is_intact(&target, stamp));
        let ours = match previous {
            Some(state) if manifest.is_some() => state.files.iter().map(|file| file.path.clone()).collect(),
            _ if is_folder(spec) => ours(&target, previous)?,
            _ => BTreeSet::new(),
        };
        let preparation = Self {
            target: target.clone(),
            digests: segments.iter().map(|segment| segment.digest).collect(),
            result: result_digest(spec, &schema, segments),
            form_digest,
            jobs,
            kept,
            ours,
            manifest,
            staging: if is_folder(spec) { stagings.of_folder(&target)? } else { stagings.of_file(&target)? },
            form: Arc::new(form(spec, schema)?),
            spec: spec.clone(),
        };
        preparation.refuse_foreign()?;
        Ok(preparation)
    }

    /// The files to write. Files whose segments are unchanged and that are intact are not among them.
    pub fn jobs(&self) -> &[FileJob] {
        &self.jobs
    }

    /// Opens the writer of a job. Writers are independent of each other and may be used by several threads at once.
    ///
    /// # Errors
    /// If there is no such job, or a file can't be made beside the target.
    pub fn writer(&self, job: usize) -> Result<FileWriter, SinkError> {
        let FileJob { name, .. } = self.jobs.get(job).ok_or(SinkError::Incomplete { job })?;
        let shown = file_path(&self.spec, &self.target, name);
        FileWriter::new(self.form.clone(), self.staging.clone(), job, name, shown)
    }

    /// Makes durable what was written for several sinks. To be called before their commits. A few files are synced one
    /// by one; many by one call for each file system, which then also waits for what others write there.
    ///
    /// # Errors
    /// If a staged file can't be opened, or a device reports that writing failed.
    pub fn sync<'a>(preparations: impl IntoIterator<Item = &'a Preparation>) -> Result<(), SinkError> {
        const FEW: usize = 16;
        let folders: BTreeSet<&Path> = preparations.into_iter().map(|one| one.staging.folder()).collect();
        let mut files = Vec::new();
        for folder in folders.iter().take(FEW) {
            for entry in fs::read_dir(folder).at(folder, "listing")? {
                files.push(entry.at(folder, "listing")?.path());
            }
        }
        files.retain(|file| file.file_name() != Some("lock".as_ref()));
        if folders.len() <= FEW && files.len() <= 2 * FEW {
            return files
                .iter()
                .try_for_each(|file| File::open(file).and_then(|open| open.sync_all()).at(file, "syncing"));
        }
        let mut synced = BTreeSet::new();
        for folder in folders {
            if synced.insert(FileStamp::of(folder).at(folder, "looking at it")?.device) {
                sync_filesystem(folder).at(folder, "syncing")?;
            }
        }
        Ok(())
    }

    /// Makes the files appear, all in one step; on an error, none. Takes what every job's writer gave, in any order.
    /// What was written must have been synced.
    ///
    /// # Errors
    /// If the output of a job is missing, if a name is taken by a file that no sink wrote, or if the file system refuses a rename.
    pub fn commit(self, written: Vec<Finished>) -> Result<SinkState, SinkError> {
        commit::commit(&self, written)
    }

    /// Refuses names that are taken, as far as they are known before the work. Partitions are known at the commit.
    fn refuse_foreign(&self) -> Result<(), SinkError> {
        if !is_folder(&self.spec) || !self.spec.partition_by.is_empty() {
            return Ok(());
        }
        let taken = |name: &String| !self.ours.contains(name) && self.target.join(name).symlink_metadata().is_ok();
        match self.jobs.iter().map(|job| &job.name).find(|name| taken(name)) {
            Some(name) => Err(SinkError::Foreign { path: self.target.join(name) }),
            None => Ok(()),
        }
    }
}

/// Whether the sink writes a folder.
pub(crate) fn is_folder(spec: &SinkSpec) -> bool {
    matches!(spec.target, Target::Directory(_))
}

fn form(spec: &SinkSpec, schema: SchemaRef) -> Result<Form, SinkError> {
    Ok(Form {
        format: spec.format.clone(),
        compression: resolved_compression(spec),
        written: partition::written_schema(spec, &schema)?,
        partition: partition::partition_columns(spec, &schema)?,
        schema,
    })
}

/// Where the target lies, with symbolic links followed: what a link leads to is replaced, not the link.
fn resolve(spec: &SinkSpec, base: &Path) -> Result<PathBuf, SinkError> {
    if spec.target == Target::Stdout {
        return Err(SinkError::Spec("standard output is not prepared; it is written by `StdoutWriter`".to_owned()));
    }
    let path = std::path::absolute(target_path(spec, base)).at(base, "finding the folder")?;
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
        Err(error) => return Err(SinkError::io(&path, "looking at it", error)),
    };
    match is_folder(spec) {
        true if !metadata.is_dir() => Err(SinkError::NotADirectory { path }),
        false if metadata.is_dir() => Err(SinkError::IsDirectory { path }),
        false if !metadata.is_file() => Err(SinkError::NotAFile { path }),
        _ => fs::canonicalize(&path).at(&path, "looking at it"),
    }
}

/// Sorts the files to write into those that are kept and those that are not.
fn compare(
    spec: &SinkSpec,
    target: &Path,
    segments: &[SinkSegment],
    known: Option<&SinkState>,
) -> Result<(Vec<WrittenFile>, Vec<FileJob>), SinkError> {
    let (mut kept, mut jobs) = (Vec::new(), Vec::new());
    let mut by_name: HashMap<&str, Vec<&WrittenFile>> = HashMap::new();
    for file in known.into_iter().flat_map(|state| &state.files) {
        let name = if is_folder(spec) { file.path.rsplit('/').next().unwrap_or_default() } else { "" };
        by_name.entry(name).or_default().push(file);
    }
    for job in all_jobs(spec, segments) {
        let name = if is_folder(spec) { job.name.as_str() } else { "" };
        let earlier = by_name.get(name).map_or(&[][..], Vec::as_slice);
        match kept_files(spec, target, segments, &job, earlier)? {
            Some(files) => kept.extend(files),
            None => jobs.push(job),
        }
    }
    Ok((kept, jobs))
}

fn all_jobs(spec: &SinkSpec, segments: &[SinkSegment]) -> Vec<FileJob> {
    match &spec.target {
        Target::File(path) => vec![FileJob { segments: (0..segments.len()).collect(), name: path.clone() }],
        _ => {
            let names = names::file_names(spec, segments).into_iter().enumerate();
            names.map(|(i, name)| FileJob { segments: vec![i], name }).collect()
        }
    }
}

/// The files of a job as they lie there, if they are what the job would write.
fn kept_files(
    spec: &SinkSpec,
    target: &Path,
    segments: &[SinkSegment],
    job: &FileJob,
    earlier: &[&WrittenFile],
) -> Result<Option<Vec<WrittenFile>>, SinkError> {
    let wanted = || job.segments.iter().map(|&i| &segments[i].digest);
    let mut kept = Vec::new();
    for &file in earlier {
        let unchanged = file.segments.iter().eq(wanted());
        match unchanged.then(|| verified(&file_path(spec, target, &file.path), file)).transpose()?.flatten() {
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

/// The paths in the folder that are this sink's: those that its manifest lists. Where the manifest is gone, those that
/// are remembered and still hold what was written.
fn ours(target: &Path, previous: Option<&SinkState>) -> Result<BTreeSet<String>, SinkError> {
    if let Some(paths) = manifest::paths(target)? {
        return Ok(paths);
    }
    let mut ours = BTreeSet::new();
    for file in previous.into_iter().flat_map(|state| &state.files) {
        if verified(&target.join(&file.path), file)?.is_some() {
            ours.insert(file.path.clone());
        }
    }
    Ok(ours)
}
