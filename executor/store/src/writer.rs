//! Writes a segment: batches of any cut to a segment file of canonical cuts, digested on the way.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnDigest, Recut, Unifier, canonical};

use crate::error::writing;
use crate::segment::{LEAVES, ROWS};
use crate::shared::Shared;
use crate::spill::Spill;
use crate::{StagedSegment, StoreError};

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves nothing behind.
pub struct SegmentWriter {
    shared: Arc<Shared>,
    schema: SchemaRef,
    recut: Recut,
    columns: Vec<Column>,
    leaves: String,
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
        let recut = Recut::new(schema.clone());
        Self { shared, schema, recut, columns, leaves: String::new(), rows: 0, file: None }
    }

    /// Adds rows, cut as they may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.rows += batch.num_rows() as u64;
        if self.columns.is_empty() {
            return Ok(());
        }
        for cut in self.recut.push(batch.clone())? {
            self.write_cut(&cut)?;
        }
        Ok(())
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the segment. Its columns can be read at once, but last only once they are recorded and flushed.
    pub fn finish(mut self) -> Result<StagedSegment, StoreError> {
        let recut = std::mem::replace(&mut self.recut, Recut::new(self.schema.clone()));
        if let Some(cut) = recut.finish()? {
            self.write_cut(&cut)?;
        }
        if self.columns.is_empty() {
            return Ok(StagedSegment { rows: self.rows, columns: Vec::new() });
        }
        let mut file = self.file()?;
        file.write_metadata(LEAVES, std::mem::take(&mut self.leaves));
        file.write_metadata(ROWS, self.rows.to_string());
        let path = file.get_ref().path();
        let spill = file.into_inner().map_err(|e| writing(e, &path))?;
        let contents = self.columns.into_iter().map(|column| column.digest.finish()).collect();
        let columns = self.shared.stage(spill, contents, self.rows)?;
        Ok(StagedSegment { rows: self.rows, columns })
    }

    fn write_cut(&mut self, cut: &RecordBatch) -> Result<(), StoreError> {
        let columns = self.columns.iter_mut().zip(cut.columns());
        let columns = columns.map(|(column, array)| column.add(array, &mut self.leaves)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(cut.num_rows()));
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
        Ok(FileWriter::try_new_with_options(Spill::new(&self.shared.objects), &self.schema, options)?)
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef, leaves: &mut String) -> Result<ArrayRef, StoreError> {
        let cut = canonical(array)?;
        let leaf = self.digest.update(&cut);
        leaves.push_str(&blake3::Hash::from_bytes(leaf).to_hex());
        Ok(self.unifier.push(&cut)?)
    }
}
