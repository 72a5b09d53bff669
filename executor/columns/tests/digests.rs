//! Golden content digests. One that changes here changes the keys of results in every user's store: they lose them all.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flowc_columns::testing::{Value, array, every_type, values};
use flowc_columns::{BATCH_ROWS, ColumnDigest, Rechunk, canonical};

/// Physical layouts in which each content is digested: slices, prefixes of buffers, orders of dictionaries, splits of runs.
const LAYOUTS: u64 = 6;

/// The digest of a column that comes in pieces of so many rows.
fn digest(column: &ArrayRef, piece: usize) -> String {
    let field = Field::new("c", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let mut rechunk = Rechunk::new(schema.clone());
    let mut digest = ColumnDigest::new(&field);
    let mut add = |batch: RecordBatch| digest.update(&canonical(batch.column(0)).unwrap());
    for start in (0..column.len()).step_by(piece) {
        let rows = column.slice(start, piece.min(column.len() - start));
        for batch in rechunk.push(RecordBatch::try_new(schema.clone(), vec![rows]).unwrap()).unwrap() {
            add(batch);
        }
    }
    rechunk.finish().unwrap().map(&mut add);
    digest.finish().to_string()
}

/// A value in a word: bytes in hex, `-` for null.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bytes(bytes) => format!("x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Value::Many(items) => format!("[{}]", items.iter().map(word).collect::<Vec<_>>().join(" ")),
        Value::One(id, value) => format!("{id}:{}", word(value)),
    }
}

/// A type with a few contents and their digests. Every layout of a content has the same one.
fn of_type(data_type: &DataType, told: &mut String) {
    writeln!(told, "{data_type:?}").unwrap();
    for (content, rows) in [(1, 0), (2, 4), (3, 6)] {
        let column = array(data_type, rows, content, 0);
        let digested = digest(&column, 100);
        for layout in 1..LAYOUTS {
            let other = array(data_type, rows, content, layout);
            assert_eq!(digest(&other, 1 + layout as usize), digested, "layout {layout} of {data_type:?}");
        }
        let values: Vec<String> = values(&column).iter().map(word).collect();
        writeln!(told, "  {} = {digested}", values.join(" ")).unwrap();
    }
}

/// Columns of several chunks.
fn long(told: &mut String) {
    let rows = 2 * BATCH_ROWS as i64 + 5;
    let text = |row: i64| (row % 5 > 0).then(|| format!("text {row}"));
    let numbers = Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
    let texts = Arc::new(StringArray::from_iter((0..rows).map(text))) as ArrayRef;
    for (name, column) in [("numbers", numbers), ("texts", texts)] {
        let digested = digest(&column, 1000);
        assert_eq!(digest(&column, BATCH_ROWS), digested, "{name}");
        writeln!(told, "{rows} {name} = {digested}").unwrap();
    }
}

#[test]
fn content_digests_are_as_ever() {
    let mut told = String::new();
    every_type().iter().for_each(|data_type| of_type(data_type, &mut told));
    long(&mut told);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digests.txt");
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&golden, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let wrong: Vec<&str> = told.lines().filter(|line| !expected.lines().any(|known| known == *line)).collect();
    assert!(told == expected, "digests that changed (FLOWC_BLESS=1 rewrites all):\n{}", wrong.join("\n"));
}
