//! Whether values, and tables, hold what a stream has.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_schema::{DataType, Schema};
use flowc_adbc::Vendor;
use flowc_planner::plan::DatabaseSink;

use crate::formats::misfit::Misfit;

/// What is wrong with a stream's columns for a sink, whatever its database is.
pub(crate) fn check(sink: &DatabaseSink, schema: &Schema) -> Result<(), String> {
    match sink.key.iter().find(|column| schema.field_with_name(column).is_err()) {
        Some(column) => Err(format!("there is no column `{column}`")),
        None => Ok(()),
    }
}

/// Says which value is none that a database holds: it would be another one there.
pub(super) fn check_values(batch: &RecordBatch, key: &[String], vendor: &Vendor) -> Result<(), Misfit> {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let misfit = |row: usize, reason: &str| Err(Misfit::new(row, field.name(), reason));
        if key.contains(field.name())
            && let Some(row) = (0..column.len()).find(|&row| column.is_null(row))
        {
            return misfit(
                row,
                "a key can't be null: rows would not be told apart; leave such rows out in a stage before",
            );
        }
        let nan = match (vendor, field.data_type()) {
            (Vendor::Sqlite, DataType::Float64) => {
                column.as_primitive::<Float64Type>().iter().position(|value| value.is_some_and(f64::is_nan))
            }
            (Vendor::Sqlite, DataType::Float32) => {
                column.as_primitive::<Float32Type>().iter().position(|value| value.is_some_and(f32::is_nan))
            }
            _ => None,
        };
        if let Some(row) = nan {
            return misfit(
                row,
                "SQLite holds no NaN and would make it null; do so in a stage before, if that is meant",
            );
        }
    }
    Ok(())
}

/// Says what a table lacks for a stream's columns.
pub(super) fn check_table(found: &Schema, wanted: &Schema) -> Result<(), String> {
    let lacking: Vec<String> = wanted
        .fields()
        .iter()
        .filter(|field| found.field_with_name(field.name()).is_err())
        .map(|field| format!("`{}`", field.name()))
        .collect();
    match lacking.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the table has no column {}; add it there, or select the columns of the table in a stage before",
            lacking.join(", ")
        )),
    }
}
