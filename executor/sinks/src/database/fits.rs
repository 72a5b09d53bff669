//! Whether values, and tables, hold what a stream has.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use flowc_adbc::Vendor;
use flowc_planner::plan::DatabaseSink;

use super::types;
use crate::formats::misfit::Misfit;

/// What is wrong with a stream's columns for a sink, as far as can be told before its database is asked.
pub(crate) fn check(sink: &DatabaseSink, schema: &Schema) -> Result<(), String> {
    if let Some(column) = sink.key.iter().find(|column| schema.field_with_name(column).is_err()) {
        return Err(format!("there is no column `{column}`"));
    }
    Vendor::of_driver(&sink.database.driver).map_or(Ok(()), |vendor| check_columns(&vendor, schema))
}

/// Says which value is none that a database holds: it would be another one there.
pub(super) fn check_values(batch: &RecordBatch, key: &[String], vendor: &Vendor) -> Result<(), Misfit> {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let misfit = |row: usize, reason: &str| Err(Misfit::new(row, field.name(), reason));
        if key.contains(field.name())
            && let Some(nulls) = column.logical_nulls()
            && let Some(row) = (0..column.len()).find(|&row| nulls.is_null(row))
        {
            return misfit(
                row,
                "a key can't be null: rows would not be told apart; leave such rows out in a stage before",
            );
        }
        if let Some((row, reason)) = types::misfit(vendor, column) {
            return misfit(row, reason);
        }
    }
    Ok(())
}

/// Says which column has a name or a type that a table of the database can't have.
pub(super) fn check_columns(vendor: &Vendor, schema: &Schema) -> Result<(), String> {
    check_names(vendor, schema)?;
    match schema.fields().iter().find(|field| !types::holds(vendor, field.data_type())) {
        None => Ok(()),
        Some(field) => Err(format!(
            "the column `{}` is {}, which {} has no type for; convert it in a stage before, such as to a text",
            field.name(),
            field.data_type(),
            vendor.name()
        )),
    }
}

/// Says which name a table would not have as it is: DuckDB gives a column another name without a word.
fn check_names(vendor: &Vendor, schema: &Schema) -> Result<(), String> {
    let is_caseless = matches!(vendor, Vendor::Sqlite | Vendor::DuckDb);
    let takes_empty = *vendor == Vendor::Sqlite;
    let mut seen = BTreeMap::new();
    for field in schema.fields() {
        let name = field.name();
        if name.is_empty() && !takes_empty {
            return Err(format!("a column has no name, and {} needs one; name it in a stage before", vendor.name()));
        }
        if name.contains('\0') {
            return Err(format!("the name {name:?} has a character of code zero; rename the column in a stage before"));
        }
        let known = if is_caseless { name.to_ascii_lowercase() } else { name.clone() };
        if let Some(other) = seen.insert(known, name) {
            return Err(format!(
                "the columns `{other}` and `{name}` have one name in {}; rename one of them in a stage before",
                vendor.name()
            ));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, DictionaryArray, StringArray, UInt8Array};
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn a_name_that_a_table_would_change_is_refused() {
        let said = |vendor: Vendor, names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
            check_columns(&vendor, &Schema::new(fields.collect::<Vec<_>>())).err().unwrap_or_default()
        };
        let odd = ["a.b", "q\"uote", "new\nline", " sp ", "\u{e9}", "x`y", "$z", "{k}"];
        for vendor in [Vendor::Sqlite, Vendor::PostgreSql, Vendor::DuckDb] {
            assert_eq!(said(vendor.clone(), &odd), "");
            assert!(said(vendor.clone(), &["a", "a"]).contains("`a` and `a` have one name"));
            assert!(said(vendor, &["a\0b"]).contains("code zero"));
        }
        assert!(said(Vendor::Sqlite, &["a", "A"]).contains("`a` and `A` have one name in SQLite"));
        assert!(said(Vendor::DuckDb, &["a", "A"]).contains("have one name in DuckDB"));
        assert_eq!(said(Vendor::DuckDb, &["\u{c9}", "\u{e9}"]), "");
        assert_eq!(said(Vendor::PostgreSql, &["a", "A"]), "");
        assert_eq!(said(Vendor::Sqlite, &["", "a"]), "");
        assert!(said(Vendor::DuckDb, &["", "a"]).contains("has no name, and DuckDB needs one"));
        assert!(said(Vendor::PostgreSql, &[""]).contains("PostgreSQL needs one"));
    }

    #[test]
    fn a_null_in_a_key_is_told_wherever_it_lies() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let within = DictionaryArray::new(UInt8Array::from(vec![0, 1]), texts.clone());
        let beside = DictionaryArray::new(UInt8Array::from(vec![Some(0), None]), texts.clone());
        for keys in [texts, Arc::new(within) as ArrayRef, Arc::new(beside)] {
            let batch = RecordBatch::try_from_iter_with_nullable([("k", keys, true)]).unwrap();
            assert!(check_values(&batch, &["k".to_owned()], &Vendor::Sqlite).is_err());
            assert!(check_values(&batch, &[], &Vendor::Sqlite).is_ok());
        }
    }
}
