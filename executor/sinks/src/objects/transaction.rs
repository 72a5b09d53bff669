//! What all transactions that write objects have in common.

use std::io;
use std::sync::Mutex;

use flowc_objects::Object;
use flowc_planner::plan::SinkSpec;
use flowc_platform::lock;

use super::place::{Place, stamp};
use super::staging::{Held, StagedObject, StagedOutput};
use crate::error::SinkError;
use crate::files::layout::Layout;
use crate::files::writer::{FileWriter, Finished, Stage, all_files};
use crate::sink::{Dataset, Job, RowWriter};
use crate::state::{SinkState, WrittenFile, layout_digest, result_digest};

/// Objects that are being written, and those that are kept.
pub(super) struct Writing {
    pub(super) place: Place,
    /// What follows the names of jobs in the names of objects; empty for a single object.
    pub(super) suffix: String,
    pub(super) jobs: Vec<Job>,
    /// Objects that stay.
    pub(super) kept: Vec<WrittenFile>,
    pub(super) result: [u8; 32],
    pub(super) layout_digest: [u8; 32],
    layout: Layout,
    digests: Vec<[u8; 32]>,
    held: Held,
    written: Mutex<Vec<Finished<StagedOutput>>>,
}

/// An object that waits, and the digests of the segments whose rows it holds.
pub(super) type Waiting = (StagedOutput, Vec<[u8; 32]>);

impl Writing {
    /// Of a dataset, of which objects are kept and jobs are left. `shaping` is the specification without what shapes no bytes.
    pub(super) fn new(
        place: &Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        (kept, jobs): (Vec<WrittenFile>, Vec<Job>),
        suffix: String,
    ) -> Result<Self, SinkError> {
        let Dataset { schema, segments } = dataset;
        Ok(Self {
            place: place.clone(),
            suffix,
            jobs,
            kept,
            result: result_digest(shaping, schema, segments),
            layout_digest: layout_digest(shaping, schema),
            layout: Layout::new(shaping, schema.clone())?,
            digests: segments.iter().map(|segment| segment.digest).collect(),
            held: Held::default(),
            written: Mutex::default(),
        })
    }

    pub(super) fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        let Job { name, .. } = self.jobs.get(job).ok_or(SinkError::Incomplete { job })?;
        let name = self.object_name(name);
        let shown = self.place.shown(&name);
        Ok(Box::new(FileWriter::new(self, job, &name, shown)?))
    }

    /// The name of an object by that of its job: the suffix comes before the ending.
    fn object_name(&self, job: &str) -> String {
        match job.strip_suffix(&self.suffix_of_ending()) {
            Some(stem) if !self.suffix.is_empty() => format!("{stem}{}", self.suffix),
            _ => job.to_owned(),
        }
    }

    /// The ending of the suffix: `.csv` of `-5f0c9a31e2d4.csv`.
    fn suffix_of_ending(&self) -> String {
        self.suffix.find('.').map_or(String::new(), |at| self.suffix[at..].to_owned())
    }

    /// All objects that wait. Every job must have been written.
    pub(super) fn waiting(&self) -> Result<Vec<Waiting>, SinkError> {
        all_files(&self.jobs, &self.digests, std::mem::take(&mut *lock(&self.written)))
    }

    /// The state once these objects are there, beside those that are kept.
    pub(super) fn state(&self, written: Vec<WrittenFile>) -> SinkState {
        let mut files = [self.kept.clone(), written].concat();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        SinkState { result: self.result, layout: self.layout_digest, files, manifest: None }
    }
}

/// What the state says of an object that has appeared.
pub(super) fn written_file(
    path: String,
    rows: u64,
    digest: [u8; 32],
    segments: Vec<[u8; 32]>,
    object: &Object,
) -> WrittenFile {
    WrittenFile { path, stamp: stamp(object), segments, rows, bytes_digest: digest }
}

impl Stage for Writing {
    type File = StagedObject;
    type Output = StagedOutput;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn create(&self, path: &str) -> StagedObject {
        StagedObject::new(&self.place, path)
    }

    fn finish(&self, file: StagedObject, path: String, rows: u64) -> io::Result<StagedOutput> {
        file.finish(&self.held, path, rows)
    }

    fn take(&self, finished: Finished<StagedOutput>) {
        lock(&self.written).push(finished);
    }
}
