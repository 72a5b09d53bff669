//! What tests of formats share.

use arrow_array::{BinaryArray, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// Rows as text: a value is what Arrow prints, a null is `~`.
pub(crate) fn text(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("~");
    let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// Records that another tool wrote, with their rows as text.
pub(crate) fn written(told: &Value) -> (Vec<Vec<u8>>, Vec<String>) {
    let of = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let records = told.as_array().unwrap().iter();
    records.map(|record| (bytes(&of(record, "bytes")), of(record, "row"))).unzip()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

pub(crate) fn values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> BinaryArray {
    BinaryArray::from_iter_values(values)
}
