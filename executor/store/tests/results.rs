//! Results: staged, recorded, found, read, by this process and by the next.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_store::{Memo, Record, StagedSegment, Store};

fn table(rows: i64) -> RecordBatch {
    let numbers = Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
    let words = Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 7 > 0).then(|| format!("word {i}"))))) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("w", words, true)]).unwrap()
}

fn stage(store: &Store, batch: &RecordBatch) -> StagedSegment {
    let mut writer = store.segment_writer(batch.schema());
    for start in (0..batch.num_rows()).step_by(1000) {
        writer.write(&batch.slice(start, 1000.min(batch.num_rows() - start))).unwrap();
    }
    assert_eq!(writer.rows(), batch.num_rows() as u64);
    writer.finish().unwrap()
}

fn key(number: u8) -> ColumnKey {
    ColumnKey::new([number; 32])
}

fn record(staged: &StagedSegment) -> Record {
    let columns = staged.columns.iter().enumerate().map(|(i, column)| (key(i as u8), *column)).collect();
    Record { rows: vec![(RowsKey::new([1; 32]), staged.rows)], columns }
}

fn assert_holds(store: &Store, batch: &RecordBatch) {
    let found = store.find_columns(&[key(0), key(1), key(9)]).unwrap();
    assert_eq!(found[2], None);
    assert_eq!(store.find_rows(&[RowsKey::new([1; 32])]).unwrap(), [Some(batch.num_rows() as u64)]);
    let found: Vec<_> = found.into_iter().flatten().collect();
    let mut start = 0;
    for cut in store.read(&found).unwrap() {
        let cut = RecordBatch::try_new(batch.schema(), cut.unwrap()).unwrap();
        assert_eq!(cut, batch.slice(start, cut.num_rows()));
        start += cut.num_rows();
    }
    assert_eq!(start, batch.num_rows());
}

#[test]
fn results_are_found_at_once_and_by_the_next_process() {
    for rows in [0, 1, 20_000, 200_000] {
        let folder = tempfile::tempdir().unwrap();
        let batch = table(rows);
        let store = Store::open(folder.path()).unwrap();
        store.record(record(&stage(&store, &batch)));
        assert_holds(&store, &batch);
        store.flush().unwrap();
        assert_holds(&store, &batch);
        drop(store);
        assert_holds(&Store::open(folder.path()).unwrap(), &batch);
    }
}

#[test]
fn what_is_not_flushed_is_not_found_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.record(record(&stage(&store, &table(10))));
    let other = Store::open(folder.path()).unwrap();
    assert_eq!(other.find_columns(&[key(0)]).unwrap(), [None]);
    store.flush().unwrap();
    assert!(other.find_columns(&[key(0)]).unwrap()[0].is_some());
}

#[test]
fn facts_are_remembered_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.remember(Memo::Run, &[1; 32], &("one".to_string(), 1u64)).unwrap();
    store.remember(Memo::Run, &[2; 32], &("two".to_string(), 2u64)).unwrap();
    store.flush().unwrap();
    store.forget(Memo::Run, &[1; 32]);
    assert_eq!(store.memo::<(String, u64)>(Memo::Run, &[1; 32]).unwrap(), None);
    store.flush().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.memos::<(String, u64)>(Memo::Run).unwrap(), [([2; 32], ("two".to_string(), 2))]);
    assert_eq!(store.memo::<(String, u64)>(Memo::Plan, &[2; 32]).unwrap(), None);
    assert_eq!(store.memo::<Vec<String>>(Memo::Run, &[2; 32]).unwrap(), None, "undecodable is not found");
}
