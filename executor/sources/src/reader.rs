//! The rows of one segment, whatever its format.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnsError, Recut};

use crate::error::SourceError;
use crate::ipc::IpcRows;
use crate::parquet::ParquetRows;
use crate::sift::Sift;

/// What a format gives: batches of any size.
pub(crate) enum Rows {
    /// Lines, CSV, JSON lines.
    Text(Box<Sift>),
    /// A row group.
    Parquet(Box<ParquetRows>),
    /// Record batches of an IPC file or stream.
    Ipc(Box<IpcRows>),
    /// One batch: format `bytes`.
    One(Option<RecordBatch>),
}

impl Rows {
    fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self {
            Rows::Text(sift) => sift.batch(),
            Rows::Parquet(rows) => rows.batch(),
            Rows::Ipc(rows) => rows.batch(),
            Rows::One(batch) => Ok(batch.take()),
        }
    }
}

/// The batches of a segment: [`BATCH_ROWS`](crate::BATCH_ROWS) rows each, but for the last. A segment without rows has
/// no batch. After an error it is at its end.
pub struct SegmentReader {
    file: String,
    schema: SchemaRef,
    rows: Rows,
    ready: VecDeque<RecordBatch>,
    /// `None` once the rows are at their end.
    recut: Option<Recut>,
}

impl SegmentReader {
    pub(crate) fn new(file: &str, schema: SchemaRef, rows: Rows) -> Self {
        let recut = Some(Recut::new(schema.clone()));
        Self { file: file.to_owned(), schema, rows, ready: VecDeque::new(), recut }
    }

    /// The columns that were asked for, in that order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows were left out so far because they do not fit.
    pub fn rejected(&self) -> u64 {
        match &self.rows {
            Rows::Text(sift) => sift.rejected(),
            _ => 0,
        }
    }

    /// Takes the rows that were left out so far, in the columns of [`flowc_planner::rejects_schema`]; all of
    /// them after the last batch. Only under `bad-rows "stream"`, otherwise there are none.
    pub fn rejects(&mut self) -> Result<Vec<RecordBatch>, SourceError> {
        match &mut self.rows {
            Rows::Text(sift) => sift.take_rejects(),
            _ => Ok(Vec::new()),
        }
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(recut) = &mut self.recut else { return Ok(None) };
            match self.rows.batch()? {
                Some(batch) => self.ready.extend(recut.push(batch).map_err(refused(&self.file))?),
                None => {
                    let rest = self.recut.take().map_or(Ok(None), Recut::finish).map_err(refused(&self.file))?;
                    self.ready.extend(rest);
                }
            }
        }
    }
}

fn refused(file: &str) -> impl Fn(ColumnsError) -> SourceError {
    let file = file.to_owned();
    move |error| SourceError::Arrow { file: file.clone(), reason: error.to_string() }
}

impl Iterator for SegmentReader {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            self.recut = None;
            self.ready.clear();
        }
        next
    }
}
