//! Where a stage's batches go.

use crate::arrow::array::{Array, ArrayRef, RecordBatch};

use crate::batch::Batch;
use crate::host;
use crate::problem::{Problem, Result};

/// Rows that a written batch has at most: what flows stays small enough for caches.
pub const MAX_ROWS: usize = 65_536;

/// The output ports of an invocation.
pub struct Outputs(());

impl Outputs {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Gives a batch that was derived from an input's; or one of the input itself, if the port only passes columns on.
    ///
    /// # Errors
    /// If the port does not take the batch: that ends the invocation.
    pub fn emit(&mut self, port: usize, batch: Batch) -> Result<()> {
        host::emit(port as u32, batch.into_handle())
    }

    /// Gives columns to a port that passes nothing on.
    ///
    /// # Errors
    /// If there are no columns, or a column nests too deep. What the port does not take ends the invocation.
    pub fn write(&mut self, port: usize, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map(|column| column.len());
        let rows = rows.ok_or_else(|| Problem::new("a batch without columns: use `write_rows`"))?;
        self.write_rows(port, rows, columns)
    }

    /// Gives that many rows to a port that passes nothing on; needed for rows without columns.
    ///
    /// # Errors
    /// If a column nests too deep. What the port does not take ends the invocation.
    pub fn write_rows(&mut self, port: usize, rows: usize, columns: &[ArrayRef]) -> Result<()> {
        host::emit(port as u32, host::make(port as u32, rows as u64, columns)?)
    }

    /// Gives a record batch of any length, in pieces.
    ///
    /// # Errors
    /// If a column nests too deep. What the port does not take ends the invocation.
    pub fn write_batch(&mut self, port: usize, batch: &RecordBatch) -> Result<()> {
        (0..batch.num_rows()).step_by(MAX_ROWS).try_for_each(|start| {
            let piece = batch.slice(start, MAX_ROWS.min(batch.num_rows() - start));
            self.write_rows(port, piece.num_rows(), piece.columns())
        })
    }
}
