//! Results: staged, recorded, found, read, by this process and by the next.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use common::*;
use flowc_columns::BATCH_ROWS;
use flowc_columns::testing::{array, data_types, every_type, values};
use flowc_store::{Area, Collection, Memo, Place, StagedSegment, Store};
use proptest::prelude::*;

const RUN: Memo = Memo { number: 1, version: 1, build: None, place: Place::Index };
const PLAN: Memo = Memo { number: 2, version: 1, build: Some("build"), place: Place::Index };
const SINK: Memo = Memo { number: 3, version: 1, build: None, place: Place::IndexOrFile };

#[test]
fn results_are_found_at_once_and_by_the_next_process() {
    for rows in [0, 1, 20_000, 200_000] {
        let folder = tempfile::tempdir().unwrap();
        let batch = table(0, rows);
        let store = Store::open(folder.path()).unwrap();
        put(&store, 1, &batch).unwrap();
        assert_holds(&store, 1, &batch);
        store.flush().unwrap();
        assert_holds(&store, 1, &batch);
        drop(store);
        assert_holds(&Store::open(folder.path()).unwrap(), 1, &batch);
    }
}

#[test]
fn a_long_log_of_the_index_is_moved_when_the_index_is_closed_and_a_short_one_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let log = || std::fs::metadata(folder.path().join("index.sqlite-wal")).map_or(0, |log| log.len());
    let fill = |facts: std::ops::Range<u8>| {
        let store = Store::open(folder.path()).unwrap();
        facts.for_each(|fact| store.remember(RUN, &[fact; 32], &vec![fact; 8 << 10]).unwrap());
        store.flush().unwrap();
        store
    };
    drop(fill(0..2));
    assert!(log() > 0, "syncs are put off");
    drop(fill(2..255));
    assert_eq!(log(), 0);
    let store = Store::open(folder.path()).unwrap();
    assert!((0..255).all(|fact| store.memo(RUN, &[fact; 32]).unwrap() == Some(vec![fact; 8 << 10])));
}

#[test]
fn what_is_not_flushed_is_not_found_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    put(&store, 1, &table(0, 10)).unwrap();
    let other = Store::open(folder.path()).unwrap();
    assert_eq!(other.find_columns(&[key(1, 0)]).unwrap(), [None]);
    store.flush().unwrap();
    assert!(other.find_columns(&[key(1, 0)]).unwrap()[0].is_some());
}

#[test]
fn columns_of_several_segment_files_are_read_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rows = BATCH_ROWS as i64 + 10;
    let (one, two) = (table(0, rows), table(5, rows));
    let (a, b) = (stage(&store, &one).unwrap(), stage(&store, &two).unwrap());
    let mut reader = store.read(&[b.columns[1], a.columns[0], b.columns[0]]).unwrap();
    assert_eq!((reader.chunks(), reader.len()), (2, 2));
    let last = reader.nth(1).unwrap().unwrap();
    assert_eq!(&last[1], &one.column(0).slice(BATCH_ROWS, 10));
    assert_eq!(&last[2], &two.column(0).slice(BATCH_ROWS, 10));
    assert!(reader.next().is_none());
    let short = stage(&store, &table(0, 3)).unwrap();
    assert!(store.read(&[a.columns[0], short.columns[0]]).is_err(), "different numbers of rows");
}

#[test]
fn equal_content_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = put(&store, 1, &table(0, 300_000)).unwrap();
    assert_eq!(put(&store, 2, &table(0, 300_000)).unwrap(), first);
    store.flush().unwrap();
    assert_eq!(put(&store, 3, &table(0, 300_000)).unwrap(), first);
    only_object(&store);
    std::fs::remove_file(only_object(&store)).unwrap();
    assert_ne!(put(&store, 4, &table(0, 300_000)).unwrap(), first, "what is gone is written again");
}

#[test]
fn a_few_bytes_are_looked_for_among_those_that_wait_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = put(&store, 1, &table(0, 10)).unwrap();
    assert_eq!(put(&store, 2, &table(0, 10)).unwrap(), first);
    store.flush().unwrap();
    let again = put(&store, 3, &table(0, 10)).unwrap();
    let contents = |staged: &StagedSegment| staged.columns.iter().map(|column| column.content).collect::<Vec<_>>();
    assert_eq!(contents(&again), contents(&first));
    store.flush().unwrap();
    for segment in 1..=3 {
        assert_holds(&Store::open(folder.path()).unwrap(), segment, &table(0, 10));
    }
}

#[test]
fn an_abandoned_segment_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut writer = store.segment_writer(table(0, 1).schema());
    writer.write(&table(0, 300_000)).unwrap();
    assert_eq!(store.info().unwrap().temporary.files, 1);
    drop(writer);
    assert_eq!(store.info().unwrap().temporary.files, 0);
}

#[test]
fn the_first_result_of_a_key_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
    let first = put(&one, 1, &table(0, 10)).unwrap();
    put(&two, 1, &table(1, 10)).unwrap();
    one.flush().unwrap();
    two.flush().unwrap();
    assert_eq!(two.find_columns(&[key(1, 0)]).unwrap(), [Some(first.columns[0])]);
}

#[test]
fn batches_that_do_not_fit_the_schema_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("n", arrow_schema::DataType::Utf8, false)]));
    let mut writer = store.segment_writer(schema);
    let wrong = table(0, 10).project(&[0]).unwrap();
    assert!(writer.write(&wrong).and_then(|()| writer.finish()).is_err());
}

#[test]
fn facts_are_remembered_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.remember(RUN, &[1; 32], &("one".to_string(), 1u64)).unwrap();
    store.remember(RUN, &[2; 32], &("two".to_string(), 2u64)).unwrap();
    store.flush().unwrap();
    store.forget(RUN, &[1; 32]);
    assert_eq!(store.memo::<(String, u64)>(RUN, &[1; 32]).unwrap(), None);
    store.flush().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.memos::<(String, u64)>(RUN).unwrap(), [([2; 32], ("two".to_string(), 2))]);
    assert_eq!(store.memo::<(String, u64)>(PLAN, &[2; 32]).unwrap(), None);
    assert_eq!(store.memo::<Vec<String>>(RUN, &[2; 32]).unwrap(), None, "undecodable is not found");
}

#[test]
fn a_big_fact_lies_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let facts = |store: &Store| std::fs::read_dir(store.cached_file(Area::Facts, "")).unwrap().count();
    let (small, big) = (vec![7u8; 10], vec![7u8; 100_000]);
    let store = Store::open(folder.path()).unwrap();
    for (fact, files) in [(&small, 0), (&big, 1), (&small, 1), (&big, 1)] {
        store.remember(SINK, &[1; 32], fact).unwrap();
        assert_eq!(store.memo(SINK, &[1; 32]).unwrap().as_ref(), Some(fact));
        store.flush().unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().memo(SINK, &[1; 32]).unwrap().as_ref(), Some(fact));
        assert_eq!(facts(&store), files);
    }
    let file = std::fs::read_dir(store.cached_file(Area::Facts, "")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[50_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(store.memo::<Vec<u8>>(SINK, &[1; 32]).unwrap(), None, "damage is no fact");
    store.remember(SINK, &[1; 32], &big).unwrap();
    store.forget(SINK, &[1; 32]);
    assert_eq!(store.memo::<Vec<u8>>(SINK, &[1; 32]).unwrap(), None);
    assert_eq!(facts(&store), 0);
}

#[test]
fn what_runs_found_goes_with_any_result() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let stored = put(&store, 1, &table(0, 10)).unwrap();
    store.flush().unwrap();
    store.put_sealed(Area::Found, "run", b"found").unwrap();
    store.discard(&stored.columns[0]).unwrap();
    assert_eq!(store.sealed(Area::Found, "run"), None);
    store.put_sealed(Area::Found, "run", b"found").unwrap();
    assert_eq!(store.sealed(Area::Found, "run").as_deref(), Some(&b"found"[..]));
    drop(store);
    gc(folder.path(), &Default::default(), &Default::default(), true);
    assert!(Store::open(folder.path()).unwrap().sealed(Area::Found, "run").is_some(), "a dry run leaves it");
    gc(folder.path(), &Default::default(), &Default::default(), false);
    assert_eq!(Store::open(folder.path()).unwrap().sealed(Area::Found, "run"), None);
}

#[test]
fn files_are_kept_under_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for area in [Area::Cwasm, Area::Builds, Area::Noop, Area::Facts, Area::Found] {
        store.put_sealed(area, "a", b"one").unwrap();
        let path = store.put_sealed(area, "a", b"two").unwrap();
        assert_eq!(path, store.cached_file(area, "a"));
        assert_eq!(store.sealed(area, "a").as_deref(), Some(&b"two"[..]));
        let whole = std::fs::read(&path).unwrap();
        let altered = whole.iter().map(|byte| byte ^ 1).collect();
        for other in [vec![], whole[..1].to_vec(), whole[..whole.len() - 1].to_vec(), altered] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(store.sealed(area, "a"), None);
        }
    }
    assert_eq!(store.info().unwrap().temporary.files, 0);
}

#[test]
fn what_nothing_needs_of_an_area_goes_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for name in ["wanted", "old"] {
        std::fs::create_dir_all(store.cached_file(Area::Environments, name).join("lib")).unwrap();
        std::fs::write(store.cached_file(Area::Environments, name).join("lib/module"), "12345").unwrap();
    }
    std::os::unix::fs::symlink("/", store.cached_file(Area::Environments, "old").join("outside")).unwrap();
    // What a kill between the renaming and the deleting leaves.
    std::fs::create_dir_all(store.spool().join("rest/lib")).unwrap();
    assert_eq!(store.info().unwrap().environments.files, 3);
    assert_eq!(store.info().unwrap().builds, Default::default(), "counted apart");
    drop(store);

    let swept = |dry_run| {
        let collection = Collection::begin(folder.path(), dry_run).unwrap();
        let mut decision = collection.decide().unwrap();
        let swept = decision.area(Area::Environments, |name| name == "wanted").unwrap();
        decision.carry_out().unwrap();
        swept
    };
    let foreseen = swept(true);
    assert_eq!((&foreseen.kept[..], &foreseen.removed[..]), (&["wanted".to_owned()][..], &["old".to_owned()][..]));
    assert_eq!(foreseen.bytes, 5 + 1, "a link is as long as its target's name");
    let store = Store::open(folder.path()).unwrap();
    assert!(store.cached_file(Area::Environments, "old/lib/module").exists(), "a dry run leaves it");
    drop(store);
    assert_eq!(swept(false), foreseen);
    let store = Store::open(folder.path()).unwrap();
    let left = |path: std::path::PathBuf| std::fs::read_dir(path).unwrap().count();
    assert_eq!((left(store.cached_file(Area::Environments, "")), left(store.spool())), (1, 0));
    assert!(store.cached_file(Area::Environments, "wanted/lib/module").exists());
}

/// Stores a column, reads it in this process and in the next, and compares the content.
fn assert_round_trip(store: &Store, column: &ArrayRef, segment: u64) {
    let schema = Arc::new(Schema::new(vec![Field::new("c", column.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![column.clone()]).unwrap();
    let mut writer = store.segment_writer(batch.schema());
    for start in (0..batch.num_rows()).step_by(100) {
        writer.write(&batch.slice(start, 100.min(batch.num_rows() - start))).unwrap();
    }
    let staged = writer.finish().unwrap();
    for _ in 0..2 {
        let read: Vec<_> = store.read(&staged.columns).unwrap().map(|chunk| chunk.unwrap().remove(0)).collect();
        let read: Vec<_> =
            read.iter().inspect(|chunk| assert_eq!(chunk.data_type(), column.data_type())).flat_map(values).collect();
        assert_eq!(read, values(column), "segment {segment} of {:?}", column.data_type());
    }
}

#[test]
fn every_type_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for (i, data_type) in every_type().iter().enumerate() {
        assert_round_trip(&store, &array(data_type, 300, i as u64, 1), i as u64);
        assert_round_trip(&store, &array(data_type, 0, i as u64, 2), i as u64);
    }
}

#[test]
fn dictionaries_grow_from_chunk_to_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let words = (0..3 * BATCH_ROWS).map(|i| Some(format!("w{}", i / 100)));
    let words: arrow_array::DictionaryArray<arrow_array::types::Int32Type> =
        words.collect::<Vec<_>>().iter().map(|word| word.as_deref()).collect();
    assert_round_trip(&store, &(Arc::new(words) as ArrayRef), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nested_types_come_back(data_type in data_types(), rows in 0..300usize, content: u64, layout: u64) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_round_trip(&store, &array(&data_type, rows, content, layout), content);
    }
}
