//! Leases as a store keeps them, and what a collector reads of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use flowc_planner::key::ColumnKey;

use super::*;
use crate::{Record, Store};

fn key(number: u8) -> ColumnKey {
    ColumnKey::new([number; 32])
}

/// Stores a column of one value as an object of its own.
fn put(store: &Store, number: u8) {
    let values = Arc::new(Int64Array::from(vec![i64::from(number)])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("n", values)]).unwrap();
    let mut writer = store.segment_writer(batch.schema());
    writer.write(&batch).unwrap();
    let staged = writer.finish().unwrap();
    store.record(Record { rows: vec![], columns: vec![(key(number), staged.columns[0])] });
    store.flush().unwrap();
}

/// The texts of all leases.
fn leases(store: &Path) -> Vec<String> {
    let entries = fs::read_dir(store.join(LEASES)).unwrap();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_lease_names_what_was_found_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path()).unwrap();
    (0..3).for_each(|number| put(&first, number));
    assert!(first.find_columns(&[key(0)]).unwrap()[0].is_some());
    assert_eq!(leases(folder.path()), [""], "its own objects have its name");
    drop(first);
    assert_eq!(leases(folder.path()), [""; 0], "a lease goes with its store");

    let second = Store::open(folder.path()).unwrap();
    assert_eq!(second.find_columns(&[key(7)]).unwrap(), [None]);
    assert_eq!(leases(folder.path()), [""], "nothing was found");
    let found = second.find_columns(&[key(0), key(1), key(1)]).unwrap();
    let named: BTreeSet<String> = found.iter().flatten().map(|column| column.need().to_string()).collect();
    assert_eq!(named.len(), 2);
    assert_eq!(leases(folder.path()).iter().map(|text| lines(text)).collect::<Vec<_>>(), [named]);
    let before = leases(folder.path());
    second.find_columns(&[key(1), key(0)]).unwrap();
    assert_eq!(leases(folder.path()), before, "it is not named twice");
    second.rely_on([Need::Build("b.wasm".into()), Need::Component("abc".into())]).unwrap();
    assert!(leases(folder.path())[0].ends_with("build b.wasm\ncomponent abc\n"));
}

#[test]
fn all_code_is_relied_on_by_the_same_lease_until_nobody_does_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let is_held = || Gate::seize(folder.path()).unwrap().leased(false).unwrap().holds_build("any");
    for _ in 0..2 {
        let first = store.rely_on_all_code().unwrap();
        let second = store.clone().rely_on_all_code().unwrap();
        store.rely_on([Need::Build("b".into())]).unwrap();
        drop(first);
        assert!(is_held());
        drop(second);
        assert!(!is_held());
    }
    assert_eq!(leases(folder.path()), ["code\nbuild b\nno code\ncode\nno code\n"]);
    let leased = Gate::seize(folder.path()).unwrap().leased(false).unwrap();
    assert!(leased.holds_build("b"));
}

#[test]
fn dead_leases_count_for_nothing_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.rely_on([Need::Build("b".into())]).unwrap();
    let dead = folder.path().join(LEASES).join("00000000000000aa");
    fs::write(&dead, "build dead\n").unwrap();
    fs::write(folder.path().join(LEASES).join("other"), "build other\n").unwrap();
    let gate = Gate::seize(folder.path()).unwrap();
    let leased = gate.leased(false).unwrap();
    assert!(leased.holds_build("b") && !leased.holds_build("dead") && !leased.holds_build("other"));
    assert!(!leased.is_alone() && dead.exists());
    gate.leased(true).unwrap();
    assert!(!dead.exists());
    drop((gate, store));
    assert!(Gate::seize(folder.path()).unwrap().leased(true).unwrap().is_alone());
}

#[test]
fn a_line_counts_once_it_is_whole() {
    let mut leased = Leased::default();
    leased.add(LeaseId([1; 8]), "build a\nsomething new\ncode\nbuild b");
    assert_eq!(leased.needs, [Need::Build("a".into()), Need::AllCode].into());
    assert!(leased.holds_component("any"), "all code is relied on");
    leased.add(LeaseId([2; 8]), "code\nno code\nbuild c\n");
    assert!(leased.holds_component("any"), "by another process");
}

#[test]
fn every_need_is_read_as_it_was_written() {
    let needs =
        [Need::Object(ObjectId::random()), Need::Build("a b.wasm".into()), Need::Component("0a".into()), Need::AllCode];
    for need in needs {
        assert_eq!(Need::parse(&need.to_string()), Some(need));
    }
}

#[test]
fn who_can_write_no_lease_holds_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    fs::remove_dir(folder.path().join(LEASES)).unwrap();
    fs::write(folder.path().join(LEASES), "").unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.find_columns(&[key(1)]).unwrap(), [None]);
    let gate = folder.path().join(GATE);
    let is_free = || flowc_platform::lock_exclusive(&gate, false).unwrap().is_some();
    assert!(!is_free());
    drop(store);
    assert!(is_free());
}
