//! Several writers at once, killed at any instant; garbage collection among them.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::*;
use flowc_store::Store;

fn batch_of(segment: u64) -> arrow_array::RecordBatch {
    table(segment as i64, 20 + (segment as i64 % 5) * 20_000)
}

/// Segments that are found are whole.
fn check_all(folder: &Path, segments: u64) -> usize {
    let store = Store::open(folder).unwrap();
    assert_eq!(store.verify(false).unwrap(), []);
    let found = (0..segments).filter(|&segment| get(&store, segment, &batch_of(segment)).unwrap().is_some());
    found.inspect(|&segment| assert_holds(&store, segment, &batch_of(segment))).count()
}

#[test]
fn threads_and_stores_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let folder = folder.path();
            scope.spawn(move || {
                let store = Store::open(folder).unwrap();
                for segment in 0..12 {
                    put(&store, segment, &batch_of(segment)).unwrap();
                    if (segment + worker) % 3 == 0 {
                        store.flush().unwrap();
                    }
                }
                store.flush().unwrap();
            });
        }
    });
    assert_eq!(check_all(folder.path(), 12), 12);
}

/// Writes until it is killed; without its variable there is nothing to do.
#[test]
fn killed_child() {
    let Some(folder) = std::env::var_os("FLOWC_TEST_STORE") else { return };
    let store = Store::open(Path::new(&folder)).unwrap();
    for segment in 0.. {
        put(&store, segment, &batch_of(segment)).unwrap();
        store.flush().unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_whole_results_only() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var("FLOWC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10u64);
    for kill in 0..kills {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed_child", "--nocapture"]).env("FLOWC_TEST_STORE", folder.path());
        let mut children = [command.spawn().unwrap(), command.spawn().unwrap()];
        std::thread::sleep(Duration::from_millis(10 + kill * 37 % 150));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        check_all(folder.path(), 200);
    }
    let report = gc(folder.path(), &HashSet::new(), &HashSet::new(), false);
    assert_eq!(report.kept, 0);
    let info = Store::open(folder.path()).unwrap().info().unwrap();
    assert_eq!((info.objects.files, info.temporary.files, info.columns, info.rows), (0, 0, 0, 0));
}

/// Collects garbage until it is killed; without its variable there is nothing to do.
#[test]
fn killed_collector() {
    let Some(folder) = std::env::var_os("FLOWC_TEST_STORE_TO_COLLECT") else { return };
    loop {
        gc(Path::new(&folder), &HashSet::new(), &HashSet::new(), false);
    }
}

/// Finds a segment, or makes it, and reads it.
fn read_or_make(store: &Store, segment: u64, batch: &arrow_array::RecordBatch) {
    if get(store, segment, batch).unwrap().is_none() {
        put(store, segment, batch).unwrap();
    }
    assert_holds(store, segment, batch);
}

/// Nothing is ever to be kept, so whatever is not in use may go at any time.
#[test]
fn what_a_process_uses_stays_whoever_collects_and_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let collected = |folder: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed_collector", "--nocapture"]).env("FLOWC_TEST_STORE_TO_COLLECT", folder);
        command.spawn().unwrap()
    };
    let kills = std::env::var("FLOWC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5u64);
    let segments: Vec<_> = (0..10).map(|segment| (segment, batch_of(segment))).collect();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..2u64 {
            let (folder, segments, is_over) = (folder.path(), &segments, &is_over);
            scope.spawn(move || {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let store = Store::open(folder).unwrap();
                    for (segment, batch) in segments {
                        read_or_make(&store, *segment, batch);
                        if (segment + worker) % 3 == 0 {
                            store.flush().unwrap();
                        }
                    }
                    store.flush().unwrap();
                    segments.iter().for_each(|(segment, batch)| assert_holds(&store, *segment, batch));
                }
            });
        }
        for kill in 0..kills {
            let mut children = [collected(folder.path()), collected(folder.path())];
            std::thread::sleep(Duration::from_millis(50 + kill * 37 % 150));
            for child in &mut children {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(Store::open(folder.path()).unwrap().verify(false).unwrap(), []);
    let report = gc(folder.path(), &HashSet::new(), &HashSet::new(), false);
    assert_eq!(report.kept, 0);
    let info = Store::open(folder.path()).unwrap().info().unwrap();
    assert_eq!((info.objects.files, info.temporary.files, info.columns, info.rows), (0, 0, 0, 0));
}

#[test]
fn garbage_collection_keeps_what_it_is_told_and_remembers_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let segments = 20;
    for segment in 0..segments {
        put(&store, segment, &table(segment as i64, 100)).unwrap();
    }
    put(&store, segments, &table(0, 300_000)).unwrap();
    store.flush().unwrap();
    drop(store);

    let keep: HashSet<_> = [key(3, 0), key(3, 1), key(7, 0)].into();
    let keep_rows: HashSet<_> = [rows_key(3), rows_key(7)].into();
    let foreseen = gc(folder.path(), &keep, &keep_rows, true);
    assert_eq!(Store::open(folder.path()).unwrap().info().unwrap().columns, 2 * segments + 2);
    let report = gc(folder.path(), &keep, &keep_rows, false);
    assert_eq!(report, foreseen);
    assert_eq!((report.kept, report.removed, report.objects, report.repacked), (3, 2 * segments - 1, 1, 1));

    let store = Store::open(folder.path()).unwrap();
    assert_holds(&store, 3, &table(3, 100));
    assert_eq!(store.verify(false).unwrap(), []);
    assert!(store.find_columns(&[key(7, 0)]).unwrap()[0].is_some());
    assert_eq!(store.find_rows(&[rows_key(4), rows_key(7)]).unwrap(), [None, Some(100)]);
    assert!(store.was_evicted(&key(7, 1)).unwrap());
    assert!(!store.was_evicted(&key(7, 0)).unwrap());
    assert!(!store.was_evicted(&key(99, 0)).unwrap(), "never seen");

    put(&store, 7, &table(7, 100)).unwrap();
    store.flush().unwrap();
    assert!(!store.was_evicted(&key(7, 1)).unwrap(), "computed again");
}
