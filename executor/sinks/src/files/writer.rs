//! Writes the files of one job, where nobody sees them yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow_array::RecordBatch;

use crate::error::{At, SinkError};
use crate::files::layout::Layout;
use crate::files::partition;
use crate::files::staging::StagedFile;
use crate::files::transaction::{FileTransaction, Finished, StagedOutput};
use crate::formats::conform::conform;
use crate::formats::encode::{Encoder, Framing};
use crate::sink::RowWriter;

/// Partitions that one segment may have; more are taken for a mistake in the text.
const MOST_PARTITIONS: usize = 10_000;

/// Writes the rows of one job.
pub(crate) struct FileWriter<'a> {
    sink: &'a FileTransaction,
    job: usize,
    name: String,
    /// Where the files will lie, for messages.
    shown: PathBuf,
    /// By folder; the folder is empty where there are no partitions.
    files: BTreeMap<String, OpenFile>,
}

struct OpenFile {
    encoder: Encoder<StagedFile>,
    path: String,
}

impl<'a> FileWriter<'a> {
    /// `name` is the file's path in the target, `shown` the whole path.
    pub(crate) fn new(sink: &'a FileTransaction, job: usize, name: &str, shown: PathBuf) -> Result<Self, SinkError> {
        let mut writer = Self { sink, job, name: name.to_owned(), shown, files: BTreeMap::new() };
        // Without partitions there is a file even if no row comes.
        if sink.layout.partition.is_empty() {
            writer.file("")?;
        }
        Ok(writer)
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
        let Layout { format, compression, written, .. } = &self.sink.layout;
        let staged = StagedFile::new(self.sink.staging.fresh());
        let encoder = Encoder::new(format, *compression, Framing::File, written, &self.shown, staged)?;
        let path = if folder.is_empty() { self.name.clone() } else { format!("{folder}/{}", self.name) };
        Ok(OpenFile { encoder, path })
    }
}

impl RowWriter for FileWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let layout = &self.sink.layout;
        let batch = conform(batch, &layout.schema, &self.shown)?;
        if layout.partition.is_empty() {
            return self.write_into("", &batch);
        }
        let parts = partition::split(&batch, &layout.partition, &self.shown)?;
        parts.iter().try_for_each(|(folder, rows)| self.write_into(folder, rows))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let shown = self.shown;
        let close = |file: OpenFile| {
            let rows = file.encoder.rows();
            let staged = file.encoder.finish(&shown)?;
            let (staged, bytes_digest) = staged.finish().at(&shown, "writing")?;
            Ok(StagedOutput { staged, path: file.path, rows, bytes_digest })
        };
        let files = self.files.into_values().map(close).collect::<Result<_, SinkError>>()?;
        self.sink.take(Finished { job: self.job, files });
        Ok(())
    }
}
