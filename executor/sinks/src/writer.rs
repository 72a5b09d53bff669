//! Writes the files of one job, where nobody sees them yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use flowc_planner::plan::{Compression, Format};

use crate::encode::{Encoder, Framing};
use crate::error::{At, SinkError};
use crate::partition;
use crate::staging::{StagedFile, Staging};

/// Partitions that one segment may have; more are taken for a mistake in the text.
const MOST_PARTITIONS: usize = 10_000;

/// What all files of a sink have in common.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) format: Format,
    /// Resolved.
    pub(crate) compression: Compression,
    /// The stream's columns.
    pub(crate) schema: SchemaRef,
    /// The columns that the files hold.
    pub(crate) written: SchemaRef,
    /// Indices of the partition columns.
    pub(crate) partition: Vec<usize>,
}

/// Writes the rows of one job. Dropping it abandons them.
pub struct FileWriter {
    form: Arc<Form>,
    staging: Arc<Staging>,
    job: usize,
    name: String,
    /// Where the files will lie, for messages.
    shown: PathBuf,
    /// By folder; the folder is empty where there are no partitions.
    files: BTreeMap<String, OpenFile>,
}

/// The files of one job, written and waiting for the commit.
#[derive(Debug)]
pub struct Finished {
    pub(crate) job: usize,
    pub(crate) files: Vec<StagedOutput>,
}

impl Finished {
    /// Number of files that the job wrote: one, or one for each partition.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Number of rows in the job's files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// One file that waits for the commit.
#[derive(Debug)]
pub(crate) struct StagedOutput {
    pub(crate) staged: PathBuf,
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes_digest: [u8; 32],
}

struct OpenFile {
    encoder: Encoder<StagedFile>,
    path: String,
}

impl FileWriter {
    /// `name` is the file's path in the target, `shown` the whole path.
    pub(crate) fn new(
        form: Arc<Form>,
        staging: Arc<Staging>,
        job: usize,
        name: &str,
        shown: PathBuf,
    ) -> Result<Self, SinkError> {
        let files = BTreeMap::new();
        let mut writer = Self { form, staging, job, name: name.to_owned(), shown, files };
        // Without partitions there is a file even if no row comes.
        if writer.form.partition.is_empty() {
            writer.file("")?;
        }
        Ok(writer)
    }

    /// Writes rows, in order. The batch has the columns that the sink was prepared for.
    ///
    /// # Errors
    /// If the format can't hold a value of the rows, if there are too many partitions, or if a file can't be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let batch = conform(batch, &self.form.schema, &self.shown)?;
        if self.form.partition.is_empty() {
            return self.write_into("", &batch);
        }
        let parts = partition::split(&batch, &self.form.partition, &self.shown)?;
        parts.iter().try_for_each(|(folder, rows)| self.write_into(folder, rows))
    }

    fn write_into(&mut self, folder: &str, rows: &RecordBatch) -> Result<(), SinkError> {
        let shown = self.shown.clone();
        self.file(folder)?.encoder.write(rows, &shown)
    }

    fn file(&mut self, folder: &str) -> Result<&mut OpenFile, SinkError> {
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

    fn open(&self, folder: &str) -> Result<OpenFile, SinkError> {
        let Form { format, compression, written, .. } = &*self.form;
        let staged = StagedFile::new(self.staging.fresh());
        let encoder = Encoder::new(format, *compression, Framing::File, written, &self.shown, staged)?;
        let path = if folder.is_empty() { self.name.clone() } else { format!("{folder}/{}", self.name) };
        Ok(OpenFile { encoder, path })
    }

    /// Writes what is still in memory. Nothing is visible before the commit.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn finish(self) -> Result<Finished, SinkError> {
        let shown = self.shown;
        let close = |file: OpenFile| {
            let rows = file.encoder.rows();
            let staged = file.encoder.finish(&shown)?;
            let (staged, bytes_digest) = staged.finish().at(&shown, "writing")?;
            Ok(StagedOutput { staged, path: file.path, rows, bytes_digest })
        };
        let files = self.files.into_values().map(close).collect::<Result<_, SinkError>>()?;
        Ok(Finished { job: self.job, files })
    }
}

/// The batch under the sink's own schema: another order of metadata must not reach the file.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, shown: &Path) -> Result<RecordBatch, SinkError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
        .map_err(|error| SinkError::batch(shown, &error))
}
