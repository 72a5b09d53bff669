//! Delta tables as sinks: whatever the moment of a kill, and whoever writes meanwhile, each row is there once.

#![cfg(feature = "delta")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array};
use common::*;
use flowc_delta::{Added, Change, NewFile, Table};
use flowc_planner::plan::{ChangedRows, DeltaSink, DeltaTable, Format, SinkSpec, TablePlace, Target, WriteMode};
use flowc_sinks::{Finalized, Intact, Remembered, Written};

fn delta(mode: WriteMode, id: &str) -> SinkSpec {
    let place = TablePlace::Folder("table".to_owned());
    let table = DeltaTable { place, region: None, endpoint: None, anonymous: false };
    let sink = DeltaSink { table, mode, id: id.to_owned(), changed: ChangedRows::Fail };
    spec(Target::Delta(Box::new(sink)), Format::Parquet)
}

fn append() -> SinkSpec {
    delta(WriteMode::Append, "test")
}

fn table(base: &Path) -> Table {
    Table::in_folder(&base.join("table")).unwrap()
}

/// The files of the newest version, and how many it has.
fn files(base: &Path) -> usize {
    table(base).version(None).unwrap().files.len()
}

/// Rows that a transaction has yet to make appear, without anything that is remembered.
fn prepared(spec: &SinkSpec, base: &Path, rows: &[(&str, &[RecordBatch])]) -> Box<dyn flowc_sinks::Transaction> {
    prepare(spec, base, rows, Remembered::default()).unwrap()
}

fn finished(spec: &SinkSpec, base: &Path, rows: &[(&str, &[RecordBatch])]) -> Finalized {
    prepared(spec, base, rows).finalize().unwrap()
}

fn parquet_files(base: &Path) -> usize {
    if !base.join("table").exists() {
        return 0;
    }
    names(&base.join("table")).iter().filter(|name| name.ends_with(".parquet")).count()
}

/// A version that somebody else adds.
fn add_other(base: &Path) {
    let other = NewFile { path: "other.parquet".to_owned(), partition: [].into(), size: 1, rows: 1 };
    let head = table(base).head("other").unwrap().unwrap();
    let number = head.applied.unwrap_or(0) + 1;
    assert_eq!(
        head.add(&Change { app: ("other", number), files: &[other], replaces: false }).unwrap(),
        Added::Yes(None)
    );
}

#[test]
fn a_rerun_adds_what_is_new_whatever_it_remembers() {
    let base = tempfile::tempdir().unwrap();
    let (a, b) = ([numbers(0..3)], [numbers(3..5)]);
    let first = finished(&append(), base.path(), &[("a", &a)]);
    assert_eq!((first.written, files(base.path())), (Written::Records(3), 1));
    assert_eq!(finished(&append(), base.path(), &[("a", &a)]).written, Written::Records(0));
    assert_eq!(sink(&append(), base.path()).is_intact(&first.state), Intact::Yes);
    assert_eq!(finished(&append(), base.path(), &[("b", &b), ("a", &a)]).written, Written::Records(2));
    assert_ne!(sink(&append(), base.path()).is_intact(&first.state), Intact::Yes);
    assert_eq!((files(base.path()), table(base.path()).version(None).unwrap().number), (2, 1));
    // The rows of a segment that has grown are there but for the last ones.
    let grown = [numbers(0..7)];
    assert_eq!(finished(&append(), base.path(), &[("b", &b), ("a", &grown)]).written, Written::Records(4));
    let refused = prepare(&append(), base.path(), &[("a", &b)], Remembered::default()).err().unwrap().to_string();
    assert!(refused.contains("rows have changed or are gone, and appending takes nothing back"), "{refused}");
}

#[test]
fn what_a_killed_run_left_is_no_part_of_the_table() {
    let base = tempfile::tempdir().unwrap();
    let rows = [numbers(0..3)];
    // Killed with the data files written.
    std::mem::forget(prepared(&append(), base.path(), &[("a", &rows)]));
    assert!(!table(base.path()).exists().unwrap() && parquet_files(base.path()) == 1);
    // Killed with the note written, before the commit.
    let note = base.path().join("table/_flowc/test/00000000000000000001.json");
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(&note, "{}").unwrap();
    assert_eq!(finished(&append(), base.path(), &[("a", &rows)]).written, Written::Records(3));
    assert_eq!((files(base.path()), parquet_files(base.path())), (1, 2));
    assert_eq!(table(base.path()).head("flowc/test").unwrap().unwrap().applied, Some(2));
    // Killed after the commit: nothing is remembered.
    assert_eq!(finished(&append(), base.path(), &[("a", &rows)]).written, Written::Records(0));
    // Given up, a run removes what it has written.
    drop(prepared(&append(), base.path(), &[("a", &rows), ("b", &[numbers(5..6)])]));
    assert_eq!(parquet_files(base.path()), 2);
    // Without its note the table does not tell what it has.
    std::fs::remove_file(base.path().join("table/_flowc/test/00000000000000000002.json")).unwrap();
    let refused = prepare(&append(), base.path(), &[("a", &rows)], Remembered::default()).err().unwrap().to_string();
    assert!(refused.contains("which is not there; without it rows could be written twice"), "{refused}");
}

#[test]
fn versions_of_others_are_kept_and_an_earlier_run_is_barred() {
    let base = tempfile::tempdir().unwrap();
    let (a, b) = ([numbers(0..3)], [numbers(3..5)]);
    finished(&append(), base.path(), &[("a", &a)]);
    let transaction = prepared(&append(), base.path(), &[("a", &a), ("b", &b)]);
    let earlier = prepared(&append(), base.path(), &[("a", &a), ("b", &b)]);
    add_other(base.path());
    assert_eq!(transaction.finalize().unwrap().written, Written::Records(2));
    assert_eq!(files(base.path()), 3);
    let refused = earlier.finalize().unwrap_err().to_string();
    assert!(refused.contains("another run writes there at the same time, and has taken over"), "{refused}");
    assert_eq!(files(base.path()), 3);
    // Each sink has rows of its own.
    assert_eq!(finished(&delta(WriteMode::Append, "second"), base.path(), &[("a", &a)]).written, Written::Records(3));
    assert_eq!(files(base.path()), 4);
}

#[test]
fn two_runs_that_make_a_table_make_it_once() {
    let base = tempfile::tempdir().unwrap();
    let (a, b) = ([numbers(0..3)], [numbers(3..5)]);
    let (first, second) = (
        prepared(&append(), base.path(), &[("a", &a)]),
        prepared(&delta(WriteMode::Append, "b"), base.path(), &[("b", &b)]),
    );
    first.finalize().unwrap();
    second.finalize().unwrap();
    assert_eq!((files(base.path()), table(base.path()).version(None).unwrap().number), (2, 1));
}

#[test]
fn what_is_replaced_has_these_rows_alone() {
    let (base, spec) = (tempfile::tempdir().unwrap(), delta(WriteMode::Replace, "all"));
    let (a, b) = ([numbers(0..3)], [numbers(3..5)]);
    finished(&spec, base.path(), &[("a", &a)]);
    let second = finished(&spec, base.path(), &[("b", &b)]);
    assert_eq!((second.written, files(base.path())), (Written::Records(2), 1));
    assert_eq!(sink(&spec, base.path()).is_intact(&second.state), Intact::Yes);
    assert_eq!(finished(&spec, base.path(), &[("b", &b)]).written, Written::Records(0));
    add_other(base.path());
    assert_ne!(sink(&spec, base.path()).is_intact(&second.state), Intact::Yes);
    assert_eq!((finished(&spec, base.path(), &[("b", &b)]).written, files(base.path())), (Written::Records(2), 1));
}

fn column(name: &str, column: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter([(name, Arc::new(column) as ArrayRef)]).unwrap()
}

#[test]
fn rows_that_a_table_can_not_take_are_refused() {
    let base = tempfile::tempdir().unwrap();
    finished(&append(), base.path(), &[("a", &[numbers(0..3)])]);
    let said = |batch: RecordBatch| {
        prepare(&delta(WriteMode::Append, "other"), base.path(), &[("a", &[batch])], Remembered::default())
            .err()
            .unwrap()
            .to_string()
    };
    for (batch, expected) in [
        (column("n", StringArray::from(vec!["x"])), "table `table`: its column `n` is Int64, and the rows have Utf8"),
        (column("m", Int64Array::from(vec![1])), "it has no column `m`, but n, t"),
        (
            column("n", arrow_array::Time64MicrosecondArray::from(vec![1])),
            "the column `n`: Delta tables have no type for Time64",
        ),
    ] {
        let said = said(batch);
        assert!(said.contains(expected), "{said}");
    }
    let partitioned = SinkSpec { partition_by: vec!["t".to_owned()], ..append() };
    let refused = prepare(&partitioned, base.path(), &[("a", &[numbers(0..3)])], Remembered::default());
    assert!(refused.err().unwrap().to_string().contains("it is partitioned by no column, which can't be changed"));
    let other = tempfile::tempdir().unwrap();
    let fine = column("at", TimestampNanosecondArray::from(vec![1000, 1001]));
    let refused = prepare(&append(), other.path(), &[("a", &[fine])], Remembered::default()).err().unwrap().to_string();
    assert!(
        refused.contains("row 2, column `at` can't be written") && refused.contains("to the microsecond"),
        "{refused}"
    );
    assert!(!table(other.path()).exists().unwrap() && parquet_files(other.path()) == 0);
    let wider = column("n", UInt32Array::from(vec![u32::MAX]));
    assert_eq!(finished(&append(), other.path(), &[("a", &[wider])]).written, Written::Records(1));
}
