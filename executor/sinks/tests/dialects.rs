//! CSV of every dialect: what a dialect writes it reads back as the same rows, or refuses.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_select::concat::concat_batches;
use common::*;
use flowc_planner::plan::{BadRows, Compression, CsvDialect, Format, Location, SourceSpec};
use flowc_sinks::{SinkError, check};
use flowc_sources::{OpenFile, SourceFile};
use proptest::prelude::*;

type Row = (Option<String>, Option<i64>, Option<String>, Option<i32>, Option<f64>);

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("first", Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>())),
        ("a,\"number\"", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("se\\cond;\n", Arc::new(rows.iter().map(|row| row.2.clone()).collect::<StringArray>())),
        ("day", Arc::new(rows.iter().map(|row| row.3).collect::<Date32Array>())),
        ("float", Arc::new(rows.iter().map(|row| row.4).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// What a source of the dialect reads, bad rows being errors.
fn read(path: &std::path::Path, dialect: &CsvDialect, like: &RecordBatch) -> RecordBatch {
    let spec = SourceSpec {
        location: Location::Stdin,
        format: Format::Csv(dialect.clone()),
        compression: Compression::None,
        bad_rows: BadRows::Fail,
        declared: None,
        partitions: None,
    };
    let (file, schema) = (SourceFile { path: path.to_owned(), name: "x".to_owned() }, like.schema());
    let open = OpenFile::open(&file, &spec, &schema, &std::env::temp_dir()).unwrap();
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let rows = open.segments().flat_map(|segment| {
        let (segment, bytes) = segment.unwrap();
        open.read(&segment, bytes, &all).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    });
    concat_batches(&schema, &rows.collect::<Vec<_>>()).unwrap()
}

/// Text that is hard: marks of dialects, line ends, white space, null texts, a byte order mark.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "", "\"", "\"\"", "'", "\\", "\\\\", ",", ";", "\t", "\n", "\r", "\r\n", " ", "NA", "\\N", "#", "\u{feff}",
        "é", "x", "\0", "0", "-",
    ]);
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let some = || prop::option::weighted(0.8, text());
    let floats = prop_oneof![any::<f64>(), prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY])];
    let row = (some(), any::<Option<i64>>(), some(), prop::option::of(-719_162..2_932_897), prop::option::of(floats));
    prop::collection::vec(row, 0..20)
}

fn dialects() -> impl Strategy<Value = CsvDialect> {
    let delimiters = prop::sample::select(vec![',', ';', '\t', '|', ' ', '-', 'x', '#']);
    let quotes = prop::sample::select(vec!['"', '\'', '#']);
    let escapes = prop::sample::select(vec![None, Some('\\'), Some('"'), Some('N')]);
    let nulls = prop::sample::select(vec!["", "NA", "\\N", "-", "0", "null", " ", "NaN", "\u{feff}", "a,b"]);
    (any::<bool>(), delimiters, quotes, escapes, nulls).prop_map(|(header, delimiter, quote, escape, null)| {
        CsvDialect { header, delimiter, quote, escape, comment: None, null: null.to_owned() }
    })
}

/// Rows as text, whatever the bits of what is not a number.
fn shown(batch: &RecordBatch) -> Vec<String> {
    let row = |row: usize| {
        let value = |column: &ArrayRef| match column.is_null(row) {
            true => "null".to_owned(),
            false => format!("{:?}", arrow_cast::display::array_value_to_string(column, row).unwrap()),
        };
        batch.columns().iter().map(value).collect::<Vec<_>>().join("|")
    };
    (0..batch.num_rows()).map(row).collect()
}

fn comes_back(dialect: &CsvDialect, batch: &RecordBatch) {
    let (dir, spec) = (tempfile::tempdir().unwrap(), file("x", Format::Csv(dialect.clone())));
    if check(&spec, &batch.schema()).is_err() {
        return;
    }
    match write(&spec, dir.path(), &[("a", std::slice::from_ref(batch))], None) {
        Ok(_) => assert_eq!(shown(&read(&dir.path().join("x"), dialect, batch)), shown(batch), "{dialect:?}"),
        Err(SinkError::Value { row, column, reason, .. }) => {
            let column = batch.column_by_name(&column).unwrap();
            let value = arrow_cast::display::array_value_to_string(column, row as usize - 1).unwrap();
            let alone = column.is_null(row as usize - 1) && batch.num_columns() == 1;
            assert!(alone || value == dialect.null, "{dialect:?} {value}: {reason}");
        }
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_dialect_reads_what_it_writes(rows in rows(), dialect in dialects()) {
        comes_back(&dialect, &batch(&rows));
    }

    #[test]
    fn so_it_does_with_one_column(rows in rows(), dialect in dialects(), column in 0usize..5) {
        comes_back(&dialect, &batch(&rows).project(&[column]).unwrap());
    }
}

#[test]
fn empty_text_null_and_the_null_text_are_kept_apart() {
    let texts = StringArray::from(vec![Some(""), None, Some("NA")]);
    let numbers = Int64Array::from(vec![1, 2, 3]);
    let batch = RecordBatch::try_from_iter([("a", Arc::new(texts) as ArrayRef), ("b", Arc::new(numbers))]).unwrap();
    for (null, expected) in [("", "a,b\n\"\",1\n,2\nNA,3\n"), ("NA", "a,b\n\"\",1\nNA,2\n\"NA\",3\n")] {
        let dialect = CsvDialect { null: null.to_owned(), ..CsvDialect::default() };
        assert_eq!(written(&dialect, &batch), expected);
        comes_back(&dialect, &batch);
    }
}

#[test]
fn the_escape_is_escaped() {
    let texts = StringArray::from(vec!["C:\\", "say \"hi\"", "a,\\", "\\\"", "end"]);
    let batch = RecordBatch::try_from_iter([("a", Arc::new(texts) as ArrayRef)]).unwrap();
    let dialect = CsvDialect { escape: Some('\\'), ..CsvDialect::default() };
    assert_eq!(written(&dialect, &batch), "a\n\"C:\\\\\"\n\"say \\\"hi\\\"\"\n\"a,\\\\\"\n\"\\\\\\\"\"\nend\n");
    comes_back(&dialect, &batch);
}

fn written(dialect: &CsvDialect, batch: &RecordBatch) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(&file("x", Format::Csv(dialect.clone())), dir.path(), &[("a", std::slice::from_ref(batch))], None).unwrap();
    std::fs::read_to_string(dir.path().join("x")).unwrap()
}
