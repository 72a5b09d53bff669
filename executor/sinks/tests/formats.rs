//! Each format read back, and what a format refuses before anything is written.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use arrow_select::concat::concat_batches;
use common::*;
use flowc_planner::plan::{Compression, CsvDialect, Format, Target};
use flowc_sinks::{SinkError, check, write_stdout};
use proptest::prelude::*;

type Row = (Option<i64>, Option<f64>, Option<bool>, String);

/// Texts are never empty, since CSV can't tell them from nulls.
fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, Arc<dyn Array>, bool); 4] = [
        ("i", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()), true),
        ("f", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()), true),
        ("b", Arc::new(rows.iter().map(|row| row.2).collect::<BooleanArray>()), true),
        ("t", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.3))), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn read(path: &std::path::Path, format: &Format, schema: &Arc<Schema>) -> RecordBatch {
    let file = File::open(path).unwrap();
    let batches: Vec<RecordBatch> = match format {
        Format::Csv(_) => {
            let text: Box<dyn Read> = match path.extension().unwrap().to_str() {
                Some("gz") => Box::new(flate2::read::GzDecoder::new(file)),
                _ => Box::new(file),
            };
            let reader = arrow_csv::ReaderBuilder::new(schema.clone()).with_header(true).build(text).unwrap();
            reader.map(Result::unwrap).collect()
        }
        Format::JsonLines => {
            let text = BufReader::new(zstd::Decoder::new(file).unwrap());
            let reader = arrow_json::ReaderBuilder::new(schema.clone()).build(text).unwrap();
            reader.map(Result::unwrap).collect()
        }
        Format::Parquet => {
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).unwrap();
            reader.map(Result::unwrap).collect()
        }
        _ => arrow_ipc::reader::FileReader::try_new(file, None).unwrap().map(Result::unwrap).collect(),
    };
    concat_batches(schema, &batches).unwrap()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let finite = proptest::num::f64::NORMAL | proptest::num::f64::ZERO;
    let text = "[ -~\n\"é]{1,8}";
    prop::collection::vec((any::<Option<i64>>(), prop::option::of(finite), any::<Option<bool>>(), text), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_written_is_read_back(rows in rows()) {
        let (dir, batch) = (tempfile::tempdir().unwrap(), batch(&rows));
        let formats = [
            ("x.csv.gz", csv()),
            ("x.jsonl.zst", Format::JsonLines),
            ("x.parquet", Format::Parquet),
            ("x.arrow", Format::Arrow),
        ];
        for (name, format) in formats {
            write(&file(name, format.clone()), dir.path(), &[("a", std::slice::from_ref(&batch))], None).unwrap();
            prop_assert_eq!(&read(&dir.path().join(name), &format, &batch.schema()), &batch, "{}", name);
        }
    }
}

#[test]
fn a_file_without_rows_still_names_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    write(&file("x.csv", csv()), dir.path(), &[("a", &[numbers(0..0)])], None).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("x.csv")).unwrap(), "n,t\n");
}

#[test]
fn types_that_a_format_cannot_hold_are_refused_by_name() {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let nested = DataType::List(Arc::new(Field::new_list_field(dictionary.clone(), true)));
    let cases = [
        (csv(), list.clone(), false),
        (csv(), dictionary.clone(), true),
        (Format::JsonLines, list, true),
        (Format::JsonLines, DataType::Binary, false),
        (Format::JsonLines, DataType::Duration(arrow_schema::TimeUnit::Second), false),
        (Format::Arrow, dictionary, true),
        (Format::Arrow, nested, false),
        (Format::Parquet, DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano), false),
        (Format::Lines, DataType::Int64, false),
        (Format::Lines, DataType::Utf8, true),
    ];
    for (format, data_type, fits) in cases {
        let schema = Schema::new(vec![Field::new("odd", data_type.clone(), true)]);
        match check(&file("x", format.clone()), &schema) {
            Ok(()) => assert!(fits, "{format:?} {data_type}"),
            Err(SinkError::Type { columns, .. }) => {
                assert!(!fits && columns == [("odd".to_owned(), data_type.clone())], "{format:?} {data_type}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn all_columns_that_a_format_cannot_hold_are_told_at_once() {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    let fields = [("a", list), ("b", DataType::Int64), ("c", DataType::Binary)];
    let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
    let error = check(&file("x", csv()), &schema).unwrap_err().to_string();
    let expected = "columns `a` (List(Int64)), `c` (Binary) have types that csv can't hold; write parquet or arrow, or turn \
                    the values into text in a stage before the sink";
    assert_eq!(error, expected);
}

#[test]
fn of_a_duration_it_is_said_how_its_seconds_are_written() {
    let field = Field::new("took", DataType::Duration(TimeUnit::Microsecond), true);
    let schema = Schema::new(vec![field]);
    for format in [csv(), Format::JsonLines, Format::Parquet] {
        let error = check(&file("x", format), &schema).unwrap_err().to_string();
        assert!(error.contains("write arrow, or turn") && error.contains("extract(epoch FROM ...)"), "{error}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let schema = numbers(0..1).schema();
    let mut specs = vec![
        file("x", Format::Lines),
        file("x", Format::Table),
        file("x", Format::Bytes),
        file("x.parquet.gz", Format::Parquet),
        file("x.csv", Format::Csv(CsvDialect { delimiter: 'é', ..CsvDialect::default() })),
        spec(Target::Stdout, Format::Parquet),
    ];
    specs.push(flowc_planner::plan::SinkSpec { compression: Compression::Zstd, ..file("x", Format::Arrow) });
    specs.push(flowc_planner::plan::SinkSpec { partition_by: vec!["n".to_owned()], ..file("x", csv()) });
    specs.push(flowc_planner::plan::SinkSpec { partition_by: vec!["none".to_owned()], ..folder("x", csv()) });
    specs.push(flowc_planner::plan::SinkSpec {
        partition_by: vec!["n".to_owned(), "t".to_owned()],
        ..folder("x", csv())
    });
    for spec in specs {
        assert!(check(&spec, &schema).is_err(), "{spec:?}");
    }
}

#[test]
fn a_line_break_in_a_line_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let texts = StringArray::from(vec!["one", "two\nthree"]);
    let batch = RecordBatch::try_from_iter([("line", Arc::new(texts) as Arc<dyn Array>)]).unwrap();
    let refused = write(&file("x.txt", Format::Lines), dir.path(), &[("a", &[batch])], None);
    assert!(matches!(refused, Err(SinkError::Value { row: 2, .. })), "{refused:?}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_table_names_its_columns_every_8192_rows() {
    let print = |batches: Vec<RecordBatch>| {
        let spec = spec(Target::Stdout, Format::Table);
        String::from_utf8(write_stdout(&spec, numbers(0..0).schema(), batches, Vec::new()).unwrap()).unwrap()
    };
    let heads = |table: &str| table.matches("| n ").count();
    assert_eq!((heads(&print(vec![])), print(vec![]).lines().count()), (1, 4));
    let cut = print((0..20).map(|i| numbers(i * 1000..(i + 1) * 1000)).collect());
    assert_eq!(cut, print(vec![numbers(0..20_000)]));
    assert_eq!((heads(&cut), cut.lines().count()), (3, 20_000 + 3 * 4));
}

#[test]
fn standard_output_gets_tables_and_formats() {
    let print = |format| {
        let (spec, batch) = (spec(Target::Stdout, format), numbers(0..2));
        String::from_utf8(write_stdout(&spec, batch.schema(), [batch], Vec::new()).unwrap()).unwrap()
    };
    assert_eq!(print(csv()), "n,t\n0,row 0\n1,row 1\n");
    assert_eq!(print(Format::JsonLines), "{\"n\":0,\"t\":\"row 0\"}\n{\"n\":1,\"t\":\"row 1\"}\n");
    assert!(print(Format::Table).contains("| 0 | row 0 |"));
    let binary = RecordBatch::try_from_iter([("b", Arc::new(BinaryArray::from(vec![&b"x"[..]])) as Arc<dyn Array>)]);
    let batch = binary.unwrap();
    let bytes = write_stdout(&spec(Target::Stdout, Format::Arrow), batch.schema(), [batch.clone()], Vec::new());
    let mut reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_deref().unwrap(), None).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), batch);
}
