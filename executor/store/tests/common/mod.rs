//! What the store's tests share.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_store::{Collection, GcReport, Record, StagedSegment, Store, StoreError};

/// Numbers from `first` on, and words with nulls.
pub fn table(first: i64, rows: i64) -> RecordBatch {
    let range = first..first + rows;
    let word = |i: i64| (i % 7 > 0).then(|| format!("word {i}"));
    let numbers = Arc::new(Int64Array::from_iter_values(range.clone())) as ArrayRef;
    let words = Arc::new(StringArray::from_iter(range.map(word))) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("w", words, true)]).unwrap()
}

/// Writes a segment in pieces.
pub fn stage(store: &Store, batch: &RecordBatch) -> Result<StagedSegment, StoreError> {
    let mut writer = store.segment_writer(batch.schema());
    for start in (0..batch.num_rows()).step_by(1000) {
        writer.write(&batch.slice(start, 1000.min(batch.num_rows() - start)))?;
    }
    assert_eq!(writer.rows(), batch.num_rows() as u64);
    writer.finish()
}

/// The key of a column of a numbered segment.
pub fn key(segment: u64, column: usize) -> ColumnKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&segment.to_le_bytes());
    bytes[8] = column as u8;
    ColumnKey::new(bytes)
}

/// The rows key of a numbered segment.
pub fn rows_key(segment: u64) -> RowsKey {
    RowsKey::new(*key(segment, 255).as_bytes())
}

/// Collects garbage among results.
pub fn gc(dir: &Path, keep: &HashSet<ColumnKey>, keep_rows: &HashSet<RowsKey>, dry_run: bool) -> GcReport {
    let collection = Collection::begin(dir, dry_run).unwrap();
    let mut decision = collection.decide().unwrap();
    decision.results(keep, keep_rows).unwrap();
    decision.carry_out().unwrap()
}

/// Writes and records a numbered segment.
pub fn put(store: &Store, segment: u64, batch: &RecordBatch) -> Result<StagedSegment, StoreError> {
    let staged = stage(store, batch)?;
    let columns = staged.columns.iter().enumerate().map(|(i, column)| (key(segment, i), *column)).collect();
    store.record(Record { rows: vec![(rows_key(segment), staged.rows)], columns });
    Ok(staged)
}

/// Reads a numbered segment; `None` if it is not there.
pub fn get(store: &Store, segment: u64, like: &RecordBatch) -> Result<Option<Vec<RecordBatch>>, StoreError> {
    let keys: Vec<_> = (0..like.num_columns()).map(|column| key(segment, column)).collect();
    let found: Option<Vec<_>> = store.find_columns(&keys)?.into_iter().collect();
    let Some(found) = found else { return Ok(None) };
    assert_eq!(store.find_rows(&[rows_key(segment)])?, [Some(found[0].rows)]);
    let chunk = |chunk: Result<Vec<ArrayRef>, _>| Ok(RecordBatch::try_new(like.schema(), chunk?).unwrap());
    store.read(&found)?.map(chunk).collect::<Result<Vec<_>, StoreError>>().map(Some)
}

/// Asserts that a numbered segment is there and whole.
pub fn assert_holds(store: &Store, segment: u64, batch: &RecordBatch) {
    let chunks = get(store, segment, batch).unwrap().expect("the segment is there");
    let mut start = 0;
    for chunk in chunks {
        assert_eq!(chunk, batch.slice(start, chunk.num_rows()));
        start += chunk.num_rows();
    }
    assert_eq!(start, batch.num_rows());
}

/// The only object of a store.
pub fn only_object(store: &Store) -> std::path::PathBuf {
    let mut objects: Vec<_> = std::fs::read_dir(store.dir().join("objects")).unwrap().collect();
    assert_eq!(objects.len(), 1);
    objects.pop().unwrap().unwrap().path()
}
