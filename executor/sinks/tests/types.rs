//! Every type through every format: refused before anything is written, or written, read back by a source, and the same.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, make_array, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::concat::{concat, concat_batches};
use common::unfit::unfit_rows;
use common::*;
use flowc_columns::testing::{Value, array, every_type, rare, values};
use flowc_planner::plan::{BadRows, Compression, Format, Location, SourceSpec, Target};
use flowc_sinks::{SinkError, check, write_stdout};
use flowc_sources::{OpenFile, SourceFile, infer_schema};
use proptest::prelude::*;

fn formats() -> Vec<Format> {
    let mut formats = vec![csv(), Format::JsonLines, Format::Parquet, Format::Arrow];
    formats.extend(cfg!(feature = "avro").then(|| Format::Avro(Box::default())));
    formats
}

fn schema(data_type: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("x", data_type.clone(), true)]))
}

/// Rows with a second column, so that a null does not make an empty line.
fn batch(column: &ArrayRef) -> RecordBatch {
    let numbers = numbers(0..column.len() as i64).column(0).clone();
    RecordBatch::try_new(schema(column.data_type()), vec![numbers, column.clone()]).unwrap()
}

/// Reads a file as a source does: Parquet and Arrow say what they hold, text is read as the plain type of the column.
fn read(path: &Path, format: &Format, written: &DataType) -> Result<ArrayRef, String> {
    let spec = SourceSpec {
        location: Location::Stdin,
        format: format.clone(),
        compression: Compression::None,
        bad_rows: BadRows::Fail,
        declared: None,
        partitions: None,
    };
    let file = SourceFile { path: path.to_owned(), name: "x".to_owned() };
    let text = |error: flowc_sources::SourceError| error.to_string();
    let schema = match (format, written) {
        (Format::Parquet | Format::Arrow | Format::Avro(_), _) => {
            infer_schema(std::slice::from_ref(&file), &spec).map_err(text)?
        }
        (_, DataType::Dictionary(_, value)) => schema(value),
        _ => schema(written),
    };
    let open = OpenFile::open(&file, &spec, &schema, &std::env::temp_dir()).map_err(text)?;
    let mut batches = Vec::new();
    for segment in open.segments() {
        let (segment, bytes) = segment.map_err(text)?;
        let rows = open.read(&segment, bytes, &[0, 1]).map_err(text)?;
        batches.extend(rows.collect::<Result<Vec<_>, _>>().map_err(text)?);
    }
    Ok(concat_batches(&schema, &batches).unwrap().column(1).clone())
}

/// Decimals are made of any bytes: whether they have no more digits than their type allows.
fn has_its_digits(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Decimal32(digits, _) => column.as_primitive::<Decimal32Type>().validate_decimal_precision(*digits),
        DataType::Decimal64(digits, _) => column.as_primitive::<Decimal64Type>().validate_decimal_precision(*digits),
        DataType::Decimal128(digits, _) => column.as_primitive::<Decimal128Type>().validate_decimal_precision(*digits),
        DataType::Decimal256(digits, _) => column.as_primitive::<Decimal256Type>().validate_decimal_precision(*digits),
        _ => Ok(()),
    }
    .is_ok()
}

/// The content of a column, whatever the bits of what is not a number.
fn content(column: &ArrayRef) -> Vec<Value> {
    let column = match column.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            arrow_cast::cast(column, &DataType::Float64).unwrap()
        }
        _ => return values(column),
    };
    let floats = column.as_primitive::<Float64Type>().iter();
    floats.map(|float| float.map_or(Value::Null, |float| Value::Bytes(float.to_string().into_bytes()))).collect()
}

/// A column that was read in the type that was written: Parquet has no seconds, and a day is a whole one; Avro has two widths of integers,
/// one kind of text, and one of lists.
fn in_type(column: &ArrayRef, format: &Format, written: &DataType) -> ArrayRef {
    let is_converted = written.is_temporal() || matches!(format, Format::Avro(_));
    let written = match written {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    match column.data_type() == written || !is_converted {
        true => column.clone(),
        false => arrow_cast::cast(column, written).unwrap(),
    }
}

#[test]
fn a_column_of_nulls_of_every_type_is_refused_at_once_or_comes_back() {
    for data_type in every_type() {
        let column = new_null_array(&data_type, 3);
        for format in formats() {
            let spec = file("x", format.clone());
            match check(&spec, &schema(&data_type)) {
                Err(SinkError::Type { .. }) => {}
                Err(other) => panic!("{format:?} {data_type}: {other}"),
                Ok(()) => {
                    let dir = tempfile::tempdir().unwrap();
                    write(&spec, dir.path(), &[("a", &[batch(&column)])], None).unwrap();
                    let back = read(&dir.path().join("x"), &format, &data_type);
                    let back = back.unwrap_or_else(|error| panic!("{format:?} {data_type}: {error}"));
                    assert_eq!(values(&in_type(&back, &format, &data_type)), values(&column), "{format:?} {data_type}");
                }
            }
        }
    }
}

#[test]
fn a_table_shows_every_type_or_refuses_it_at_once() {
    for data_type in every_type() {
        let spec = spec(Target::Stdout, Format::Table);
        if check(&spec, &schema(&data_type)).is_ok() {
            let rows = batch(&array(&data_type, 20, 5, 5));
            write_stdout(&spec, rows.schema(), [rows], Vec::new()).unwrap_or_else(|e| panic!("{data_type}: {e}"));
        }
    }
}

#[test]
fn zoned_times_are_text_that_is_read_back() {
    for zone in ["UTC", "+02:00", "Europe/Berlin"] {
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let plain = arrow_array::Int64Array::from(vec![Some(1_700_000_000), None, Some(0), Some(-1)]);
            let column = arrow_cast::cast(&plain, &DataType::Timestamp(unit, Some(zone.into()))).unwrap();
            for format in formats() {
                let dir = tempfile::tempdir().unwrap();
                write(&file("x", format.clone()), dir.path(), &[("a", &[batch(&column)])], None).unwrap();
                let back = read(&dir.path().join("x"), &format, column.data_type()).unwrap();
                assert_eq!(&in_type(&back, &format, column.data_type()), &column, "{format:?} {zone}");
            }
        }
    }
    let unknown = DataType::Timestamp(TimeUnit::Second, Some("Nowhere/Atlantis".into()));
    for format in &formats()[..2] {
        assert!(matches!(check(&file("x", format.clone()), &schema(&unknown)), Err(SinkError::Type { .. })));
    }
}

/// Counts of a type of times, as its values.
fn times(counts: [i64; 3], data_type: &DataType) -> ArrayRef {
    let number = if data_type.primitive_width() == Some(4) { DataType::Int32 } else { DataType::Int64 };
    let counts = arrow_cast::cast(&arrow_array::Int64Array::from(counts.to_vec()), &number).unwrap();
    make_array(counts.to_data().into_builder().data_type(data_type.clone()).build().unwrap())
}

#[test]
fn times_at_the_ends_of_their_types_are_told_by_count_or_come_back() {
    for data_type in every_type().into_iter().filter(|data_type| data_type.is_temporal()) {
        let (least, most) = match data_type.primitive_width() {
            Some(4) => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Some(8) => (i64::MIN, i64::MAX),
            _ => continue,
        };
        for end in [least, least + 1, most - 1, most] {
            let column = times([0, 1, end], &data_type);
            for format in &formats()[..2] {
                let (dir, spec) = (tempfile::tempdir().unwrap(), file("x", format.clone()));
                if check(&spec, &schema(&data_type)).is_err() {
                    continue;
                }
                let partitioned =
                    flowc_planner::plan::SinkSpec { partition_by: vec!["x".to_owned()], ..folder("f", format.clone()) };
                let in_folders = write(&partitioned, dir.path(), &[("a", &[batch(&column)])], None);
                match write(&spec, dir.path(), &[("a", &[batch(&column)])], None) {
                    Err(SinkError::Value { row, column, reason, .. }) => {
                        assert_eq!((row, column.as_str()), (3, "x"));
                        assert!(reason.starts_with(&format!("{end} ")), "{data_type}: {reason}");
                        let error = in_folders.unwrap_err().to_string();
                        assert!(error.contains(&format!("{end} ")), "{data_type}: {error}");
                    }
                    Err(other) => panic!("{format:?} {data_type} {end}: {other}"),
                    Ok(_) => {
                        let back = read(&dir.path().join("x"), format, &data_type).unwrap();
                        assert_eq!(&in_type(&back, format, &data_type), &column, "{format:?} {data_type} {end}");
                        assert!(in_folders.is_ok());
                    }
                }
            }
            let (table, rows) = (spec(Target::Stdout, Format::Table), batch(&column));
            let mut shown = Vec::new();
            write_stdout(&table, rows.schema(), [rows], &mut shown).unwrap();
            let shown = String::from_utf8(shown).unwrap();
            assert!(!shown.contains("ERROR") && !shown.contains("invalid"), "{data_type} {end}: {shown}");
        }
    }
}

/// Writes a column whose values have a place, and reads it.
fn assert_comes_back(format: &Format, column: &ArrayRef) {
    let (dir, data_type) = (tempfile::tempdir().unwrap(), column.data_type());
    write(&file("x", format.clone()), dir.path(), &[("a", &[batch(column)])], None)
        .unwrap_or_else(|error| panic!("{format:?} {data_type}: {error}"));
    let back = read(&dir.path().join("x"), format, data_type);
    let back = back.unwrap_or_else(|error| panic!("{format:?} {data_type}: {error}"));
    let (back, column) = (content(&in_type(&back, format, data_type)), content(column));
    assert!(back == column, "{format:?} {data_type}\n{back:?}\n{column:?}");
}

/// Writes a column with values that have none, the first of which is told.
fn assert_refused(format: &Format, column: &ArrayRef, first: usize) {
    let dir = tempfile::tempdir().unwrap();
    match write(&file("x", format.clone()), dir.path(), &[("a", &[batch(column)])], None) {
        Err(SinkError::Value { row, column: name, .. }) => {
            assert_eq!((row, name.as_str()), (first as u64 + 1, "x"), "{format:?} {}", column.data_type());
        }
        other => panic!("{format:?} {}: {:?}: {:?}", column.data_type(), values(column), other.err()),
    }
}

#[test]
fn rare_values_of_every_type_come_back_or_are_told_by_their_row() {
    for data_type in every_type() {
        let column = rare(&data_type);
        for format in formats() {
            if check(&file("x", format.clone()), &schema(&data_type)).is_err() {
                continue;
            }
            let unfit = unfit_rows(&format, &column);
            for &row in &unfit {
                assert_refused(&format, &column.slice(row, 1), 0);
            }
            let fit = (0..column.len()).filter(|row| !unfit.contains(row)).map(|row| column.slice(row, 1));
            let fit: Vec<ArrayRef> = fit.collect();
            let fit: Vec<&dyn Array> = fit.iter().map(AsRef::as_ref).collect();
            assert_comes_back(&format, &concat(&fit).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_sink_writes_a_source_reads(
        data_type in prop::sample::select(every_type()), rows in 0usize..30, seed: u64, layout: u64, at in 0usize..5,
    ) {
        let format = formats()[at % formats().len()].clone();
        let column = array(&data_type, rows, seed, layout);
        prop_assume!(has_its_digits(&column));
        prop_assume!(check(&file("x", format.clone()), &schema(&data_type)).is_ok());
        match unfit_rows(&format, &column).first() {
            None => assert_comes_back(&format, &column),
            Some(first) => assert_refused(&format, &column, *first),
        }
    }
}
