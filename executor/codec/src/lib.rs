//! Batches as bytes of other formats, one by one: a Parquet file or lines of JSON per batch ([`Codec`]). What guards
//! Parquet's decoders, whoever uses them ([`promise`]), and what JSON and text have no words for ([`find_odd`]), which
//! people see as counts ([`printable`]).
//!
//! What comes is not trusted: it is decoded within bounds, and has the columns that are due or is refused.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod exact;
mod json;
mod numbers;
mod parquet;
mod printable;
pub mod promise;
mod values;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeBinaryArray, RecordBatch};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::Serialization;

pub use numbers::JsonNumbers;
pub use printable::{printable, shown};
pub use values::{OddValue, find_odd, odd_time};

/// The one column of a stream of packed batches.
pub const COLUMN: &str = "batch";

/// Bytes of memory that the rows of one batch may take: nulls take next to none where they are packed.
const MOST: usize = 1 << 30;
/// Rows that are decoded at once.
const ROWS: usize = 8192;

/// Packs the batches of one stream, or unpacks them.
pub struct Codec {
    format: Format,
    /// The columns of the batches.
    due: SchemaRef,
    /// The columns of what travels.
    packed: SchemaRef,
    /// Rows that were packed so far.
    rows: u64,
}

enum Format {
    Parquet,
    Json(json::Lines),
}

/// Why a batch is not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A value that the format lacks.
    #[error(
        "column `{}`, row {row}: {}; name another `serialization`, or leave it out", .odd.column, .odd.reason
    )]
    Value {
        /// Which value.
        odd: OddValue,
        /// The row in the stream, counted from 1.
        row: u64,
    },
    /// The columns are not those of the stream, or of types that the format lacks.
    #[error("it can't be packed: {0}")]
    Columns(String),
}

impl Codec {
    /// For a stream of these columns. None where it travels as it is: in Arrow, or because there are no columns.
    pub fn new(serialization: Serialization, due: &SchemaRef) -> Option<Self> {
        let format = match serialization {
            _ if due.fields().is_empty() => return None,
            Serialization::Arrow => return None,
            Serialization::Parquet => Format::Parquet,
            Serialization::Json => Format::Json(json::Lines::new(due)),
        };
        let column = Field::new(COLUMN, DataType::LargeBinary, false);
        Some(Self { format, due: due.clone(), packed: Arc::new(Schema::new(vec![column])), rows: 0 })
    }

    /// The columns of what travels: [`COLUMN`] alone.
    pub fn packed(&self) -> &SchemaRef {
        &self.packed
    }

    /// A batch as one row of bytes.
    ///
    /// # Errors
    /// If it holds what the format lacks.
    pub fn pack(&mut self, batch: &RecordBatch) -> Result<RecordBatch, PackError> {
        let columns = |error: ArrowError| PackError::Columns(error.to_string());
        let bytes = match &self.format {
            Format::Parquet => parquet::write(batch).map_err(|error| PackError::Columns(error.to_string()))?,
            Format::Json(lines) => {
                if let Some((row, odd)) = values::find_odd(batch) {
                    return Err(PackError::Value { odd, row: self.rows + row as u64 + 1 });
                }
                lines.write(batch).map_err(columns)?
            }
        };
        self.rows += batch.num_rows() as u64;
        let lengths = OffsetBuffer::from_lengths([bytes.len()]);
        let bytes = LargeBinaryArray::try_new(lengths, Buffer::from_vec(bytes), None).map_err(columns)?;
        RecordBatch::try_new(self.packed.clone(), vec![Arc::new(bytes) as ArrayRef]).map_err(columns)
    }

    /// The batch in such a row.
    ///
    /// # Errors
    /// In words, if there is none in it, or one of other columns.
    pub fn unpack(&self, packed: &RecordBatch) -> Result<RecordBatch, String> {
        let bytes = packed.column_by_name(COLUMN).and_then(|column| column.as_binary_opt::<i64>());
        let bytes = bytes.filter(|bytes| bytes.len() == 1 && bytes.is_valid(0));
        let bytes = bytes.ok_or_else(|| format!("a message holds no one `{COLUMN}` of bytes"))?;
        let (first, last) = (bytes.value_offsets()[0] as usize, bytes.value_offsets()[1] as usize);
        let bytes = bytes.values().slice_with_length(first, last - first);
        // Decoders panic at some of what makes no sense.
        let read = flowc_platform::guarded(|| match &self.format {
            Format::Parquet => parquet::read(bytes, &self.due),
            Format::Json(lines) => lines.read(&bytes),
        });
        let name = if let Format::Parquet = self.format { "Parquet" } else { "JSON" };
        read.and_then(|batch| batch).map_err(|reason| format!("a batch can't be read as {name}: {reason}"))
    }
}

/// Puts the batches of one stream together.
fn joined(due: &SchemaRef, mut batches: Vec<RecordBatch>) -> Result<RecordBatch, ArrowError> {
    match batches.len() {
        0 => Ok(RecordBatch::new_empty(due.clone())),
        1 => Ok(batches.remove(0)),
        _ => arrow_select::concat::concat_batches(due, &batches),
    }
}
