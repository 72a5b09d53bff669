//! Batches to records.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType};
use arrow_array::{Array, LargeBinaryArray, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use flowc_kafka::NewRecord;
use flowc_planner::plan::{Compression, Format, RecordParts};

use super::parts::{Headers, bytes};
use crate::error::SinkError;
use crate::formats::encode::{Encoder, Framing};
use crate::formats::handover::Handover;
use crate::formats::misfit::Misfit;

/// Makes records of the rows of one segment.
pub(super) struct RecordEncoder<'a> {
    parts: &'a RecordParts,
    /// The topic's number of partitions.
    partitions: usize,
    /// Indices of the columns of the values.
    value: Vec<usize>,
    /// How objects are written; the value's one column is the value where there is none.
    json: Option<(Encoder<Handover>, Handover)>,
    /// For messages.
    shown: &'a Path,
    rows: u64,
}

impl<'a> RecordEncoder<'a> {
    pub(super) fn new(
        format: &Format,
        parts: &'a RecordParts,
        schema: &SchemaRef,
        partitions: usize,
        shown: &'a Path,
    ) -> Result<Self, SinkError> {
        let value = parts.value_columns(format, schema);
        let json = match format {
            Format::JsonLines => {
                let (schema, out) = (schema.project(&value), Handover::default());
                let schema = Arc::new(schema.map_err(|error| SinkError::batch(shown, &error))?);
                let encoder = Encoder::new(format, Compression::None, Framing::Stream, &schema, shown, out.clone())?;
                Some((encoder, out))
            }
            _ => None,
        };
        Ok(Self { parts, partitions, value, json, shown, rows: 0 })
    }

    /// Gives the record of each row, in order.
    pub(super) fn encode(
        &mut self,
        batch: &RecordBatch,
        take: &mut dyn FnMut(&NewRecord<'_>),
    ) -> Result<(), SinkError> {
        let columns = Columns::new(self.parts, self.partitions, batch);
        let columns = columns.map_err(|error| SinkError::encode(self.shown, self.rows, &*error))?;
        let batch_of_values = batch.project(&self.value).map_err(|error| SinkError::batch(self.shown, &error))?;
        match &mut self.json {
            Some((encoder, out)) => {
                encoder.write(&batch_of_values, self.shown)?;
                // A line end within a text is escaped.
                let lines = out.take();
                let values = lines.split(|byte| *byte == b'\n');
                (0..batch.num_rows()).zip(values).for_each(|(row, value)| take(&columns.record(row, Some(value))));
            }
            None => {
                let values = bytes(batch_of_values.column(0));
                let values = values.map_err(|error| SinkError::batch(self.shown, &error))?;
                for row in 0..batch.num_rows() {
                    take(&columns.record(row, values.is_valid(row).then(|| values.value(row))));
                }
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}

/// The columns of a batch that are other parts than the value.
struct Columns {
    key: Option<LargeBinaryArray>,
    headers: Vec<Headers>,
    partition: Option<PrimitiveArray<Int32Type>>,
    timestamp: Option<PrimitiveArray<TimestampMillisecondType>>,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Columns {
    fn new(parts: &RecordParts, partitions: usize, batch: &RecordBatch) -> Result<Self, AnyError> {
        let column = |name: &Option<String>| name.as_ref().and_then(|name| batch.column_by_name(name));
        let key = column(&parts.key).map(bytes).transpose()?;
        let headers = parts.headers.iter().filter_map(|name| Headers::new(name, batch).transpose());
        let headers = headers.collect::<Result<_, _>>()?;
        let partition = match (column(&parts.partition), &parts.partition) {
            (Some(column), Some(name)) => {
                // A number that is no Int32 becomes null.
                let numbers = arrow_cast::cast(column, &DataType::Int32)?;
                let numbers = numbers.as_primitive::<Int32Type>().clone();
                let is_partition =
                    |number: Option<i32>| number.is_some_and(|number| (0..partitions as i64).contains(&number.into()));
                if let Some(row) = numbers.iter().position(|number| !is_partition(number)) {
                    let reason = format!("it names no partition: the topic has {partitions}, from 0 on");
                    return Err(Misfit::new(row, name, reason).into());
                }
                Some(numbers)
            }
            _ => None,
        };
        let timestamp = match (column(&parts.timestamp), &parts.timestamp) {
            (Some(column), Some(name)) => {
                let times = arrow_cast::cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                let times = times.as_primitive::<TimestampMillisecondType>().clone();
                if let Some(row) = times.iter().position(|time| time.is_some_and(|time| time <= 0)) {
                    return Err(Misfit::new(row, name, "records have no times of 1970 or before").into());
                }
                Some(times)
            }
            _ => None,
        };
        Ok(Self { key, headers, partition, timestamp })
    }

    fn record<'a>(&'a self, row: usize, value: Option<&'a [u8]>) -> NewRecord<'a> {
        let mut headers = Vec::new();
        self.headers.iter().for_each(|column| column.add(row, &mut headers));
        NewRecord {
            partition: self.partition.as_ref().map(|numbers| numbers.value(row)),
            timestamp: self.timestamp.as_ref().filter(|times| times.is_valid(row)).map(|times| times.value(row)),
            key: self.key.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row)),
            value,
            headers,
        }
    }
}
