//! The tables of types in the docs of sinks, against what sinks take.

#![cfg(all(feature = "databases", feature = "delta"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit, Schema};
use common::spec;
use flowc_columns::testing::every_type;
use flowc_delta::table_type;
use flowc_planner::plan::{ChangedRows, Database, DatabaseSink, Format, TableName, Target, WriteMode};
use flowc_sinks::check;

/// The rows of the table of a document whose first column is headed so: what is in each of its cells.
fn table(document: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../../docs/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("| types of a stream |")).skip(2);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// The row of a type.
fn row<'t>(table: &'t [Vec<String>], data_type: &DataType) -> &'t [String] {
    let kinds = kinds(data_type);
    let has = |row: &&Vec<String>| row[0].split([',', '\n']).any(|kind| kinds.contains(&kind.trim().to_owned()));
    let found: Vec<_> = table.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{data_type}: one row of {kinds:?}");
    found[0]
}

/// What the tables may call a type.
fn kinds(data_type: &DataType) -> Vec<String> {
    use DataType::*;
    let debug = format!("{data_type:?}");
    let name = format!("`{}`", debug.split('(').next().unwrap());
    match data_type {
        Timestamp(_, Some(_)) => vec![format!("{name} with a zone")],
        Timestamp(_, None) => vec![format!("{name} without a zone")],
        Interval(IntervalUnit::MonthDayNano) => vec!["`Interval(MonthDayNano)`".to_owned(), "intervals".to_owned()],
        Interval(_) => vec!["other intervals".to_owned(), "intervals".to_owned()],
        Decimal32(_, ..0) | Decimal64(_, ..0) => {
            vec![
                "`Decimal32` or `Decimal64` with a negative scale".to_owned(),
                "decimals with a negative scale".to_owned(),
            ]
        }
        Decimal128(_, ..0) => {
            vec![format!("{name} with a negative scale"), "decimals with a negative scale".to_owned()]
        }
        Dictionary(_, value) if **value == Utf8 => vec![format!("{name} of `Utf8`"), name],
        Dictionary(..) => vec![format!("{name} of other values"), name],
        _ => vec![name],
    }
}

fn types() -> Vec<DataType> {
    let mut types = every_type();
    let list = |item: &DataType| DataType::List(Arc::new(Field::new("item", item.clone(), true)));
    types.extend([list(&list(&DataType::Int64)), list(&DataType::Date64), DataType::Decimal128(9, -2)]);
    types.extend([DataType::Decimal32(9, -2), DataType::Decimal64(12, 2)]);
    types
}

/// Whether a cell that says so holds for a type whose parts are as these say.
fn is_yes(cell: &str, data_type: &DataType, holds: &dyn Fn(&DataType) -> bool) -> bool {
    let parts: Vec<DataType> = match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            vec![item.data_type().clone()]
        }
        DataType::Map(item, _) => vec![item.data_type().clone()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type().clone()).collect(),
        DataType::Dictionary(_, value) => vec![value.as_ref().clone()],
        _ => Vec::new(),
    };
    // The table has a row of its own for these.
    let parts_hold = || parts.iter().all(|part| !matches!(part, DataType::Dictionary(..)) && holds(part));
    let is_flat = !parts.iter().any(DataType::is_nested);
    match cell {
        "yes, of types that it holds" => parts.iter().all(holds),
        "yes" if matches!(data_type, DataType::Dictionary(..)) => parts.iter().all(holds),
        "yes" => parts_hold(),
        "yes, of values that are not nested" => is_flat && parts_hold(),
        "no" => false,
        other => panic!("{other} is not known"),
    }
}

#[test]
fn the_docs_say_which_types_a_database_holds() {
    let table = table("databases.md");
    for (place, driver) in [(1, "sqlite"), (2, "postgresql"), (3, "duckdb")] {
        let (uri, options, secrets) = (Some("x".to_owned()), [].into(), [].into());
        let database = Database { driver: driver.to_owned(), uri, options, secrets, reads: Vec::new() };
        let sink = DatabaseSink {
            database,
            table: TableName { schema: None, table: "t".to_owned() },
            mode: WriteMode::Replace,
            key: Vec::new(),
            id: "x".to_owned(),
            changed: ChangedRows::Fail,
        };
        let sink = spec(Target::Database(Box::new(sink)), Format::Arrow);
        let holds =
            |data_type: &DataType| check(&sink, &Schema::new(vec![Field::new("x", data_type.clone(), true)])).is_ok();
        for data_type in types() {
            let cell = &row(&table, &data_type)[place];
            assert_eq!(is_yes(cell, &data_type, &holds), holds(&data_type), "{driver} {data_type}: {cell}");
        }
    }
}

#[test]
fn the_docs_say_which_type_a_delta_table_has() {
    let table = table("delta.md");
    for data_type in types() {
        let cell = row(&table, &data_type)[1].clone();
        let found = table_type(&data_type);
        let within_is_none = data_type.is_nested() && cell != "none" && found.is_err();
        if within_is_none {
            // A part of it has no type.
            continue;
        }
        let said = match &data_type {
            DataType::Dictionary(_, value) => said_of(table_type(value)),
            _ => cell,
        };
        assert_eq!(said_of(found), said, "{data_type}");
    }
}

/// What the docs call a type of a table.
fn said_of(found: Result<DataType, String>) -> String {
    use DataType::*;
    let name = match found {
        Err(_) => return "none".to_owned(),
        Ok(found) => match found {
            Boolean => "boolean",
            Int8 => "byte",
            Int16 => "short",
            Int32 => "integer",
            Int64 => "long",
            Float32 => "float",
            Float64 => "double",
            Utf8 => "string",
            Binary => "binary",
            Date32 => "date",
            Timestamp(_, Some(_)) => "timestamp",
            Timestamp(_, None) => "timestamp_ntz",
            Decimal128(..) => "decimal",
            List(_) => "array",
            Struct(_) => "struct",
            Map(..) => "map",
            other => panic!("{other} is no type of a table"),
        },
    };
    format!("`{name}`")
}
