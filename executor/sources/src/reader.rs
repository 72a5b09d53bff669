//! The rows of one segment, whatever its format.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_columns::{ColumnsError, Rechunk};

#[cfg(feature = "avro")]
use crate::columnar::avro::AvroRows;
use crate::columnar::ipc::IpcRows;
use crate::columnar::parquet::ParquetRows;
#[cfg(feature = "delta")]
use crate::delta::TableRows;
use crate::error::SourceError;
use crate::files::partitions::Filler;
use crate::ignored::Ignored;
#[cfg(feature = "kafka")]
use crate::log::RecordRows;
use crate::text::sift::Sift;
use crate::values::texts::{encode, plain};

/// What a format gives: batches of any size.
pub(crate) enum Rows {
    /// Lines, CSV, JSON lines.
    Text(Box<Sift>),
    /// A row group.
    Parquet(Box<ParquetRows>),
    /// Record batches of an IPC file or stream.
    Ipc(Box<IpcRows>),
    /// Blocks of a container file.
    #[cfg(feature = "avro")]
    Avro(Box<AvroRows>),
    /// One batch: format `bytes`.
    One(Option<RecordBatch>),
    /// Records of a topic.
    #[cfg(feature = "kafka")]
    Records(Box<RecordRows>),
    /// A row group, as a table has it.
    #[cfg(feature = "delta")]
    Table(Box<TableRows>),
}

impl Rows {
    fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self {
            Rows::Text(sift) => sift.batch(),
            Rows::Parquet(rows) => rows.batch(),
            Rows::Ipc(rows) => rows.batch(),
            #[cfg(feature = "avro")]
            Rows::Avro(rows) => rows.batch(),
            Rows::One(batch) => Ok(batch.take()),
            #[cfg(feature = "kafka")]
            Rows::Records(rows) => rows.batch(),
            #[cfg(feature = "delta")]
            Rows::Table(rows) => rows.batch(),
        }
    }
}

/// The batches of a segment: [`BATCH_ROWS`](crate::BATCH_ROWS) rows each, but for the last. A segment without rows has
/// no batch. After an error it is at its end.
pub struct SegmentReader {
    file: String,
    /// Of the rows.
    schema: SchemaRef,
    rows: Rows,
    ready: VecDeque<RecordBatch>,
    /// `None` once the rows are at their end.
    recut: Option<Rechunk>,
    /// Adds what the rows lack: the columns of the file's folders.
    filler: Option<Filler>,
}

impl SegmentReader {
    pub(crate) fn new(file: &str, schema: SchemaRef, rows: Rows, filler: Option<Filler>) -> Self {
        let batches = match &rows {
            Rows::Text(_) => plain(&schema),
            #[cfg(feature = "kafka")]
            Rows::Records(_) => plain(&schema),
            _ => schema.clone(),
        };
        let recut = Some(Rechunk::new(batches));
        Self { file: file.to_owned(), schema, rows, ready: VecDeque::new(), recut, filler }
    }

    /// The columns that were asked for, in that order.
    pub fn schema(&self) -> &SchemaRef {
        self.filler.as_ref().map_or(&self.schema, Filler::schema)
    }

    /// How many rows were left out so far because they do not fit.
    pub fn rejected(&self) -> u64 {
        match &self.rows {
            Rows::Text(sift) => sift.rejected(),
            #[cfg(feature = "kafka")]
            Rows::Records(rows) => rows.rejected(),
            _ => 0,
        }
    }

    /// Takes the rows that were left out so far, in the columns of [`flowc_planner::plan::SourceSpec::rejects_schema`]; all of
    /// them after the last batch. Only under `bad-rows "stream"`, otherwise there are none.
    ///
    /// # Errors
    /// If Arrow refuses the rows.
    pub fn rejects(&mut self) -> Result<Vec<RecordBatch>, SourceError> {
        match &mut self.rows {
            Rows::Text(sift) => sift.take_rejects(),
            #[cfg(feature = "kafka")]
            Rows::Records(rows) => rows.take_rejects(),
            _ => Ok(Vec::new()),
        }
    }

    /// Takes what the rows that were read so far have and no column takes, all of it after the last batch. Bad rows do not
    /// count. Formats whose files name their columns have none.
    pub fn take_ignored(&mut self) -> Ignored {
        match &mut self.rows {
            Rows::Text(sift) => sift.take_ignored(),
            #[cfg(feature = "kafka")]
            Rows::Records(rows) => rows.take_ignored(),
            _ => Ignored::default(),
        }
    }

    /// Adds what the rows lack.
    fn fill(&self, batch: RecordBatch) -> Result<RecordBatch, SourceError> {
        let Some(filler) = &self.filler else { return Ok(batch) };
        let refused = |error: ArrowError| SourceError::Arrow { file: self.file.clone(), reason: error.to_string() };
        filler.fill(&batch).map_err(refused)
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return self.fill(self.encode(&batch)?).map(Some);
            }
            let Some(recut) = &mut self.recut else { return Ok(None) };
            match self.rows.batch()? {
                Some(batch) => self.ready.extend(recut.push(batch).map_err(refused(&self.file))?),
                None => {
                    let rest = self.recut.take().map_or(Ok(None), Rechunk::finish).map_err(refused(&self.file))?;
                    self.ready.extend(rest);
                }
            }
        }
    }
}

impl SegmentReader {
    fn encode(&self, batch: &RecordBatch) -> Result<RecordBatch, SourceError> {
        encode(batch, &self.schema).map_err(|(column, error)| {
            let (file, reason) = (self.file.clone(), error.to_string());
            match self.schema.field_with_name(&column) {
                Ok(field) => {
                    let data_type = Box::new(field.data_type().clone());
                    SourceError::ColumnTooLarge { file, column, data_type, reason }
                }
                Err(_) => SourceError::Arrow { file, reason },
            }
        })
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
