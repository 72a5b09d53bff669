//! What the tests of Parquet share.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use flowc_planner::plan::Format;
use parquet::arrow::ArrowWriter;

use crate::testing::{Folder, Table, spec};
use crate::{SourceError, infer_schema};

pub(super) fn numbers(rows: i64) -> Vec<u8> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    written(&RecordBatch::try_from_iter([("n", column)]).unwrap())
}

pub(super) fn written(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Reads a file in the columns that it says it has.
pub(super) fn read(bytes: &[u8]) -> Result<Table, SourceError> {
    let (folder, spec) = (Folder::new(), spec(Format::Parquet));
    let input = folder.write("input", bytes);
    let schema = infer_schema(std::slice::from_ref(&input), &spec)?;
    Table::read(&folder.open(&input, &spec, &schema)?)
}

pub(super) fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}
