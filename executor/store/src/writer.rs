//! Writes a segment: batches of any size to a segment file of canonical chunks, digested on the way.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnDigest, Rechunk, Unifier, canonical};

use crate::error::writing;
use crate::segment::{CHUNK_DIGESTS, ROWS};
use crate::shared::Shared;
use crate::spill::Spill;
use crate::{StagedSegment, StoreError};

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves nothing behind.
pub struct SegmentWriter {
    shared: Arc<Shared>,
    schema: SchemaRef,
    rechunk: Rechunk,
    columns: Vec<Column>,
    digests: String,
    rows: u64,
    file: Option<FileWriter<Spill>>,
}

struct Column {
    digest: ColumnDigest,
    unifier: Unifier,
}

impl SegmentWriter {
    pub(crate) fn new(shared: Arc<Shared>, schema: SchemaRef) -> Self {
        let column = |field: &Arc<_>| Column { digest: ColumnDigest::new(field), unifier: Unifier::default() };
        let columns = schema.fields().iter().map(column).collect();
        let rechunk = Rechunk::new(schema.clone());
        Self { shared, schema, rechunk, columns, digests: String::new(), rows: 0, file: None }
    }

    /// Adds the rows of a batch of any size.
    ///
    /// # Errors
    /// If the batch has another schema, if its values do not fit their types' offsets or keys, or if the disk is full.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.rows += batch.num_rows() as u64;
        if self.columns.is_empty() {
            return Ok(());
        }
        for chunk in self.rechunk.push(batch.clone())? {
            self.write_chunk(&chunk)?;
        }
        Ok(())
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the segment. Its columns can be read at once, but last only once they are recorded and flushed.
    ///
    /// # Errors
    /// As [`SegmentWriter::write`], or if the store can't look up whether it has the content already.
    pub fn finish(mut self) -> Result<StagedSegment, StoreError> {
        let rechunk = std::mem::replace(&mut self.rechunk, Rechunk::new(self.schema.clone()));
        if let Some(chunk) = rechunk.finish()? {
            self.write_chunk(&chunk)?;
        }
        if self.columns.is_empty() {
            return Ok(StagedSegment { rows: self.rows, columns: Vec::new() });
        }
        let mut file = self.file()?;
        file.write_metadata(CHUNK_DIGESTS, std::mem::take(&mut self.digests));
        file.write_metadata(ROWS, self.rows.to_string());
        let path = file.get_ref().path();
        let spill = file.into_inner().map_err(|e| writing(e, &path))?;
        let contents = self.columns.into_iter().map(|column| column.digest.finish()).collect();
        let columns = self.shared.stage(spill, contents, self.rows)?;
        Ok(StagedSegment { rows: self.rows, columns })
    }

    fn write_chunk(&mut self, chunk: &RecordBatch) -> Result<(), StoreError> {
        let columns = self.columns.iter_mut().zip(chunk.columns());
        let columns = columns.map(|(column, array)| column.add(array, &mut self.digests)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let mut file = self.file()?;
        let written = file.write(&batch).map_err(|e| writing(e, &file.get_ref().path()));
        self.file = Some(file);
        written
    }

    fn file(&mut self) -> Result<FileWriter<Spill>, StoreError> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
        let options = options.with_dictionary_handling(DictionaryHandling::Delta);
        let spill = Spill::new(&self.shared.objects, self.shared.lease.object());
        Ok(FileWriter::try_new_with_options(spill, &self.schema, options)?)
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef, digests: &mut String) -> Result<ArrayRef, StoreError> {
        let chunk = canonical(array)?;
        let digest = self.digest.update(&chunk);
        digests.push_str(&blake3::Hash::from_bytes(digest).to_hex());
        Ok(self.unifier.push(&chunk)?)
    }
}
