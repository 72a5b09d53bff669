//! The file that is kept of what a server gave.

use std::io::{self, BufWriter};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use flowc_columns::Rechunk;
use flowc_platform::SealedWriter;

/// Writes rows in batches of one size, however they come, so that equal rows make equal files.
pub(super) struct KeptWriter {
    writer: FileWriter<BufWriter<SealedWriter>>,
    rechunk: Rechunk,
}

impl KeptWriter {
    /// Begins the file of rows with these columns.
    ///
    /// # Errors
    /// If it can't be written, or a type has no place in it.
    pub(super) fn create(path: &Path, schema: &SchemaRef) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, SealedWriter::create(path)?);
        let writer = FileWriter::try_new(file, schema).map_err(io::Error::other)?;
        Ok(Self { writer, rechunk: Rechunk::new(schema.clone()) })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// If they can't be written.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> io::Result<()> {
        let chunks = self.rechunk.push(rows.clone()).map_err(io::Error::other)?;
        chunks.iter().try_for_each(|chunk| self.writer.write(chunk)).map_err(io::Error::other)
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Some(last) = self.rechunk.finish().map_err(io::Error::other)? {
            self.writer.write(&last).map_err(io::Error::other)?;
        }
        let file = self.writer.into_inner().map_err(io::Error::other)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
    }
}
