//! Batches to records.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType};
use arrow_array::{Array, LargeBinaryArray, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use flowc_kafka::NewRecord;
use flowc_planner::plan::{Format, RecordParts};

use super::bytes::bytes;
use super::parts::Headers;
use super::values::ValueEncoder;
use crate::error::SinkError;
use crate::formats::misfit::Misfit;

/// Makes records of the rows of one segment.
pub(super) struct RecordEncoder<'a> {
    parts: &'a RecordParts,
    /// The topic's number of partitions.
    partitions: usize,
    /// Indices of the columns of the values.
    value: Vec<usize>,
    values: ValueEncoder,
    /// For messages.
    shown: &'a Path,
    rows: u64,
}

impl<'a> RecordEncoder<'a> {
    /// `id` is that of the schema in a registry, where records begin with it.
    pub(super) fn new(
        format: &Format,
        id: Option<u32>,
        parts: &'a RecordParts,
        schema: &SchemaRef,
        partitions: usize,
        shown: &'a Path,
    ) -> Result<Self, SinkError> {
        let value = parts.value_columns(format, schema);
        let of_value = schema.project(&value).map_err(|error| SinkError::batch(shown, &error))?;
        let values = ValueEncoder::new(format, id, &Arc::new(of_value), shown)?;
        Ok(Self { parts, partitions, value, values, shown, rows: 0 })
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
        let (shown, before, mut row) = (self.shown, self.rows, 0);
        let mut each = |value: Option<&[u8]>| {
            take(&columns.record(row, value));
            row += 1;
        };
        self.values.encode(&batch_of_values, shown, before, &mut each)?;
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
