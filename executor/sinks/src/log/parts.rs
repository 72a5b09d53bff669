//! Columns as parts of records: which types they may have, and their bytes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, LargeBinaryArray, ListArray, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use flowc_planner::plan::{Format, KafkaSink, RecordField};

use super::bytes::{bytes, is_binary};
use super::values;
use crate::error::SinkError;
use crate::formats::types::is_scalar;

/// Says whether columns can be the parts of records that they are to be.
pub(crate) fn check(format: &Format, kafka: &KafkaSink, schema: &Schema) -> Result<(), SinkError> {
    let value = schema.project(&kafka.parts.value_columns(format, schema));
    values::check(format, &Arc::new(value.map_err(|error| SinkError::Spec(error.to_string()))?))?;
    let parts = &kafka.parts;
    let all = parts.key.iter().map(|name| ("a key", name, is_bytes as fn(&DataType) -> bool, BYTES));
    let all = all.chain(parts.headers.iter().map(|name| ("a header", name, is_header as _, BYTES)));
    let all =
        all.chain(parts.partition.iter().map(|name| ("a partition", name, DataType::is_integer as _, "an integer")));
    let all = all.chain(parts.timestamp.iter().map(|name| ("a time", name, is_time as _, "a timestamp")));
    for (part, name, fits, advice) in all {
        let data_type = schema.field_with_name(name).map(Field::data_type);
        match data_type {
            Ok(data_type) if fits(data_type) => {}
            Ok(other) => {
                let message = format!("column `{name}` has type {other}, which {part} can't be; it is {advice}");
                return Err(SinkError::Spec(message));
            }
            Err(_) => return Err(SinkError::Spec(format!("there is no column `{name}`"))),
        }
    }
    Ok(())
}

const BYTES: &str = "text, bytes, an integer, a decimal or a time";

/// Whether a value is bytes, or has a text that says all of it and is the same everywhere.
fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_bytes(value),
        other => is_binary(other) || (is_scalar(other) && !other.is_floating() && !other.is_null()),
    }
}

fn is_header(data_type: &DataType) -> bool {
    is_bytes(data_type) || is_headers(data_type)
}

/// Whether it is the type that a source's column `headers` has.
fn is_headers(data_type: &DataType) -> bool {
    let headers = RecordField::Headers.data_type();
    match (data_type, headers) {
        (DataType::List(item), DataType::List(expected)) => item.data_type() == expected.data_type(),
        _ => false,
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}

/// A column with headers.
pub(super) enum Headers {
    /// One, of this name.
    One(String, LargeBinaryArray),
    /// As many as there are.
    Several(ListArray),
}

impl Headers {
    /// The headers in a column of this name.
    pub(super) fn new(name: &str, batch: &RecordBatch) -> Result<Option<Self>, ArrowError> {
        let Some(column) = batch.column_by_name(name) else { return Ok(None) };
        Ok(Some(match column.as_list_opt() {
            Some(lists) => Self::Several(lists.clone()),
            None => Self::One(name.to_owned(), bytes(column)?),
        }))
    }

    /// Adds those of a row. A null in a column of its own is no header.
    pub(super) fn add<'a>(&'a self, row: usize, all: &mut Vec<(&'a str, Option<&'a [u8]>)>) {
        match self {
            Self::One(name, values) if values.is_valid(row) => all.push((name, Some(values.value(row)))),
            Self::One(..) => {}
            Self::Several(lists) if lists.is_null(row) => {}
            Self::Several(lists) => {
                let pairs = lists.values().as_struct();
                let (names, values) = (pairs.column(0).as_string::<i32>(), pairs.column(1).as_binary::<i32>());
                let offsets = lists.value_offsets();
                for i in offsets[row] as usize..offsets[row + 1] as usize {
                    all.push((names.value(i), values.is_valid(i).then(|| values.value(i))));
                }
            }
        }
    }
}
