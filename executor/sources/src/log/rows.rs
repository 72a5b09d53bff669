//! The rows of a segment of a block: batch by batch while all is well, and by halves down to the record where it is not.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int64Builder, StringBuilder};
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, PrimitiveArray, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::take::take;
use flowc_planner::plan::{BadRows, RecordField};

use crate::BATCH_ROWS;
use crate::columnar::ipc::IpcRows;
use crate::error::SourceError;
use crate::fields::project;
use crate::ignored::Ignored;
use crate::log::decode::{Decoded, as_text, is_no_fault_of_records};
use crate::log::decoder::Decoder;
use crate::log::reading::Reading;
use crate::log::records::Records;
use crate::text::parser::BadRecord;
use crate::values::texts::plain;

/// How much of a value an error message shows.
const SHOWN: usize = 200;

/// The records of one segment.
pub(super) enum SegmentRecords {
    /// In the file of their block.
    Kept(IpcRows),
    /// In memory.
    AtHand(Option<RecordBatch>),
}

impl SegmentRecords {
    fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self {
            Self::Kept(rows) => rows.batch(),
            Self::AtHand(batch) => Ok(batch.take()),
        }
    }
}

/// The rows of one segment of a block.
pub(crate) struct RecordRows {
    records: SegmentRecords,
    reading: Arc<Reading>,
    /// All columns, as they are read.
    schema: SchemaRef,
    decoder: Decoder,
    /// The columns that are read, of the source's.
    columns: Vec<usize>,
    /// What is to be taken of those.
    keep: Vec<usize>,
    /// Records that are being read, and the next one of them.
    pending: Option<(RecordBatch, usize)>,
    /// Good batches that were not given out yet, the next one last.
    ready: Vec<RecordBatch>,
    rejects: Rejects,
}

impl RecordRows {
    /// The rows of these records: the columns of the source that `projection` names, in its order.
    pub(super) fn new(
        records: SegmentRecords,
        reading: Arc<Reading>,
        projection: &[usize],
    ) -> Result<Self, SourceError> {
        let all: Vec<usize> = (0..reading.fields.len()).collect();
        // Which rows are left out must not depend on the columns that are read.
        let columns = if reading.bad_rows == BadRows::Fail { projection.to_vec() } else { all };
        let keep = match reading.bad_rows {
            BadRows::Fail => (0..projection.len()).collect(),
            BadRows::Skip | BadRows::Stream => projection.to_vec(),
        };
        let schema = plain(&reading.schema);
        let read: Vec<usize> = columns.iter().copied().filter(|column| reading.fields[*column].is_none()).collect();
        let of_values = plain(&reading.of_values());
        let decoder = Decoder::new(&reading.format, &of_values, &read, reading.schemas.clone())?;
        let (pending, ready, rejects) = (None, Vec::new(), Rejects::default());
        Ok(Self { records, reading, schema, decoder, columns, keep, pending, ready, rejects })
    }

    /// The next batch, of any size up to [`BATCH_ROWS`].
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        while self.ready.is_empty() {
            let (batch, at) = match self.pending.take() {
                Some(pending) => pending,
                None => match self.records.batch()? {
                    Some(batch) => (batch, 0),
                    None => return Ok(None),
                },
            };
            let end = (at + BATCH_ROWS).min(batch.num_rows());
            self.halve(&batch, at..end)?;
            self.ready.reverse();
            if end < batch.num_rows() {
                self.pending = Some((batch, end));
            }
        }
        Ok(self.ready.pop())
    }

    /// How many records were left out so far.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejects.count
    }

    /// The records that were left out so far, under [`BadRows::Stream`].
    pub(crate) fn take_rejects(&mut self) -> Result<Vec<RecordBatch>, SourceError> {
        self.rejects.take(&self.reading).map_err(|error| self.refused(&error))
    }

    /// What the records so far have that no column takes.
    pub(crate) fn take_ignored(&mut self) -> Ignored {
        self.decoder.take_ignored()
    }

    /// Takes the good ones of these records, in order, and rejects the others.
    fn halve(&mut self, batch: &RecordBatch, rows: Range<usize>) -> Result<(), SourceError> {
        if rows.is_empty() {
            return Ok(());
        }
        let part = batch.slice(rows.start, rows.len());
        match self.read(&part) {
            Ok(read) => {
                self.ready.push(read);
                return Ok(());
            }
            Err(error) if is_no_fault_of_records(&error) => return Err(self.unanswered(&error)),
            Err(error) if rows.len() == 1 => return self.bad(&part, &error),
            Err(_) => {}
        }
        let middle = rows.start + rows.len() / 2;
        self.halve(batch, rows.start..middle)?;
        self.halve(batch, middle..rows.end)
    }

    /// The rows of records, all of which must fit.
    fn read(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let records = records(batch)?;
        let Decoded { batch: values, records: of } = self.decoder.decode(records.values)?;
        let mut decoded = values.columns().iter().cloned();
        let column = |&column: &usize| match self.reading.fields[column] {
            Some(field) => {
                let part = part(&records, field, self.reading.partition)?;
                of.as_ref().map_or(Ok(part.clone()), |of| take(&part, of, None))
            }
            None => decoded.next().ok_or_else(|| ArrowError::InvalidArgumentError("a column is missing".to_owned())),
        };
        let columns = self.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(values.num_rows()));
        let all = RecordBatch::try_new_with_options(project(&self.schema, &self.columns), columns, &options)?;
        let kept = self.keep.iter().map(|&column| all.column(column).clone()).collect();
        RecordBatch::try_new_with_options(project(&all.schema(), &self.keep), kept, &options)
    }

    fn bad(&mut self, batch: &RecordBatch, error: &ArrowError) -> Result<(), SourceError> {
        let found = records(batch).map_err(|error| self.refused(&error))?;
        // Where nobody hears the reason, it is not looked for.
        if self.reading.bad_rows == BadRows::Skip {
            self.rejects.count += 1;
            return Ok(());
        }
        let BadRecord { column, reason } = match self.key_fault(&found) {
            Some(fault) => fault,
            None => self.decoder.explain(found.value(0), error),
        };
        if self.reading.bad_rows == BadRows::Stream {
            let reason = column.map_or(reason.clone(), |name| format!("column `{name}`: {reason}"));
            self.rejects.push(&found, &reason);
            return Ok(());
        }
        let (topic, partition, offset) = (self.reading.topic.clone(), self.reading.partition, found.offsets.value(0));
        let text = shown(found.value(0).unwrap_or_default());
        Err(SourceError::BadRecord { topic, partition, offset, column, reason, text })
    }

    /// What is wrong with the key, where a column has it as text.
    fn key_fault(&self, records: &Records<'_>) -> Option<BadRecord> {
        let column = self.columns.iter().find(|column| self.reading.fields[**column] == Some(RecordField::KeyText))?;
        let name = self.reading.schema.field(*column).name().clone();
        let is_fault = records.key(0).is_some_and(|key| std::str::from_utf8(key).is_err());
        is_fault.then(|| BadRecord {
            column: Some(name),
            reason: "the key is not UTF-8; say `key as=\"bytes\"`".to_owned(),
        })
    }

    /// The registry of the records does not answer.
    fn unanswered(&self, error: &ArrowError) -> SourceError {
        let reason = match error {
            ArrowError::ExternalError(inner) => inner.to_string(),
            other => other.to_string(),
        };
        SourceError::Topic { topic: self.reading.topic.clone(), reason }
    }

    fn refused(&self, error: &ArrowError) -> SourceError {
        SourceError::Arrow { file: self.reading.topic.clone(), reason: error.to_string() }
    }
}

fn records(batch: &RecordBatch) -> Result<Records<'_>, ArrowError> {
    Records::of(batch).ok_or_else(|| ArrowError::SchemaError("these are not the columns of a block".to_owned()))
}

/// A part of records, as a column.
fn part(records: &Records<'_>, field: RecordField, partition: i32) -> Result<ArrayRef, ArrowError> {
    Ok(match field {
        RecordField::Key => Arc::new(records.keys.clone()),
        RecordField::KeyText => Arc::new(as_text(records.keys)?),
        RecordField::Headers => Arc::new(records.headers.clone()),
        RecordField::Partition => Arc::new(Int32Array::from_value(partition, records.offsets.len())),
        RecordField::Offset => Arc::new(records.offsets.clone()),
        RecordField::Timestamp => Arc::new(times(records.timestamps)),
    })
}

fn times(milliseconds: &Int64Array) -> TimestampMillisecondArray {
    let times: PrimitiveArray<TimestampMillisecondType> = milliseconds.reinterpret_cast();
    times.with_timezone("UTC")
}

fn shown(value: &[u8]) -> String {
    let visible = |c: char| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    let text: String = String::from_utf8_lossy(&value[..value.len().min(SHOWN)]).chars().map(visible).collect();
    if value.len() > SHOWN { format!("{text}...") } else { text }
}

/// Bad records, collected.
#[derive(Default)]
struct Rejects {
    count: u64,
    offsets: Int64Builder,
    times: Int64Builder,
    reasons: StringBuilder,
    keys: BinaryBuilder,
    values: BinaryBuilder,
}

impl Rejects {
    fn push(&mut self, records: &Records<'_>, reason: &str) {
        self.count += 1;
        self.offsets.append_value(records.offsets.value(0));
        self.times.append_option(records.timestamp(0));
        self.reasons.append_value(reason);
        self.keys.append_option(records.key(0));
        self.values.append_option(records.value(0));
    }

    fn take(&mut self, reading: &Reading) -> Result<Vec<RecordBatch>, ArrowError> {
        let offsets = self.offsets.finish();
        let rows = offsets.len();
        let topics = arrow_array::StringArray::from_iter_values(std::iter::repeat_n(&reading.topic, rows));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(topics),
            Arc::new(Int32Array::from_value(reading.partition, rows)),
            Arc::new(offsets),
            Arc::new(times(&self.times.finish())),
            Arc::new(self.reasons.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
        ];
        let all = RecordBatch::try_new(reading.rejects.clone(), columns)?;
        let starts = (0..rows).step_by(BATCH_ROWS);
        Ok(starts.map(|start| all.slice(start, BATCH_ROWS.min(rows - start))).collect())
    }
}
