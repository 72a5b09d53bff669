//! Writes the files or objects of one job, where nobody sees them yet.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;

use crate::error::{At, SinkError};
use crate::files::layout::Layout;
use crate::files::partition;
use crate::formats::conform::conform;
use crate::formats::encode::{Encoder, Framing};
use crate::sink::{Job, RowWriter};

/// Partitions that one segment may have; more are taken for a mistake in the text.
const MOST_PARTITIONS: usize = 10_000;

/// Where files are written before they appear.
pub(crate) trait Stage: Send + Sync {
    /// A file that is being written.
    type File: Write + Send;
    /// A file that waits to appear.
    type Output: Send;

    /// How rows are laid out in files.
    fn layout(&self) -> &Layout;

    /// Begins a file. `path` is where it will lie in the target.
    fn create(&self, path: &str) -> Self::File;

    /// Ends a file with this many rows.
    fn finish(&self, file: Self::File, path: String, rows: u64) -> io::Result<Self::Output>;

    /// Takes in the files of a job.
    fn take(&self, finished: Finished<Self::Output>);
}

/// The files of one job, written and waiting to appear.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) job: usize,
    pub(crate) files: Vec<T>,
}

/// A file, and the digests of the segments whose rows it holds.
pub(crate) type OfSegments<T> = (T, Vec<[u8; 32]>);

/// The files of all jobs.
pub(crate) fn all_files<T>(
    jobs: &[Job],
    digests: &[[u8; 32]],
    written: Vec<Finished<T>>,
) -> Result<Vec<OfSegments<T>>, SinkError> {
    let mut missing: BTreeSet<usize> = (0..jobs.len()).collect();
    let mut files = Vec::new();
    for Finished { job, files: outputs } in written {
        if !missing.remove(&job) {
            return Err(SinkError::Incomplete { job });
        }
        let segments: Vec<_> = jobs[job].segments.iter().map(|&i| digests[i]).collect();
        files.extend(outputs.into_iter().map(|output| (output, segments.clone())));
    }
    match missing.first() {
        Some(&job) => Err(SinkError::Incomplete { job }),
        None => Ok(files),
    }
}

/// Writes the rows of one job.
pub(crate) struct FileWriter<'a, S: Stage> {
    sink: &'a S,
    job: usize,
    name: String,
    /// Where the files will lie, for messages.
    shown: PathBuf,
    /// By folder; the folder is empty where there are no partitions.
    files: BTreeMap<String, OpenFile<S::File>>,
}

struct OpenFile<F: Write + Send> {
    encoder: Encoder<F>,
    path: String,
}

impl<'a, S: Stage> FileWriter<'a, S> {
    /// `name` is the file's path in the target, `shown` the whole path.
    pub(crate) fn new(sink: &'a S, job: usize, name: &str, shown: PathBuf) -> Result<Self, SinkError> {
        let mut writer = Self { sink, job, name: name.to_owned(), shown, files: BTreeMap::new() };
        // Without partitions there is a file even if no row comes.
        if sink.layout().partition.is_empty() {
            writer.file("")?;
        }
        Ok(writer)
    }

    fn write_into(&mut self, folder: &str, rows: &RecordBatch) -> Result<(), SinkError> {
        let shown = self.shown.clone();
        self.file(folder)?.encoder.write(rows, &shown)
    }

    fn file(&mut self, folder: &str) -> Result<&mut OpenFile<S::File>, SinkError> {
        if !self.files.contains_key(folder) {
            if self.files.len() >= MOST_PARTITIONS {
                return Err(SinkError::TooManyPartitions { limit: MOST_PARTITIONS });
            }
            let file = self.open(folder)?;
            self.files.insert(folder.to_owned(), file);
        }
        let gone = || SinkError::Incomplete { job: self.job };
        self.files.get_mut(folder).ok_or_else(gone)
    }

    fn open(&self, folder: &str) -> Result<OpenFile<S::File>, SinkError> {
        let Layout { format, compression, written, .. } = self.sink.layout();
        let path = if folder.is_empty() { self.name.clone() } else { format!("{folder}/{}", self.name) };
        let staged = self.sink.create(&path);
        let encoder = Encoder::new(format, *compression, Framing::File, written, &self.shown, staged)?;
        Ok(OpenFile { encoder, path })
    }
}

impl<S: Stage> RowWriter for FileWriter<'_, S> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let layout = self.sink.layout();
        let batch = conform(batch, &layout.schema, &self.shown)?;
        if layout.partition.is_empty() {
            return self.write_into("", &batch);
        }
        let parts = partition::split(&batch, &layout.partition, &self.shown)?;
        parts.iter().try_for_each(|(folder, rows)| self.write_into(folder, rows))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let shown = self.shown;
        let close = |file: OpenFile<S::File>| {
            let rows = file.encoder.rows();
            let staged = file.encoder.finish(&shown)?;
            self.sink.finish(staged, file.path, rows).at(&shown, "writing")
        };
        let files = self.files.into_values().map(close).collect::<Result<_, SinkError>>()?;
        self.sink.take(Finished { job: self.job, files });
        Ok(())
    }
}
