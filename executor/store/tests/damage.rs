//! What must not go wrong does not: flipped bits, other versions, foreign folders, read-only stores, full disks.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::*;
use flowc_store::{Memo, Place, Store, StoreError};
use proptest::prelude::*;

const RUN: Memo = Memo { number: 1, version: 1, build: None, place: Place::Index };

/// A store with one small segment, and one that has an object of its own.
fn filled(folder: &Path, rows: i64) -> Store {
    let store = Store::open(folder).unwrap();
    put(&store, 1, &table(0, rows)).unwrap();
    store.flush().unwrap();
    store
}

fn flip(path: &Path, byte: usize, bit: u8) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    std::fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_is_never_served(place: prop::sample::Index, bit in 0..8u8) {
        let folder = tempfile::tempdir().unwrap();
        let batch = table(0, 700);
        let path = only_object(&filled(folder.path(), 700));
        flip(&path, place.index(std::fs::metadata(&path).unwrap().len() as usize), bit);
        let store = Store::open(folder.path()).unwrap();
        match get(&store, 1, &batch) {
            Ok(Some(_)) => assert_holds(&store, 1, &batch),
            Ok(None) => prop_assert!(false, "it was recorded"),
            Err(error) => {
                prop_assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                prop_assert!(get(&store, 1, &batch).unwrap().is_none(), "damage is forgotten");
                put(&store, 1, &batch).unwrap();
                store.flush().unwrap();
                assert_holds(&Store::open(folder.path()).unwrap(), 1, &batch);
            }
        }
    }
}

#[test]
fn verify_finds_and_repairs() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), 300_000);
    assert_eq!(store.verify(false).unwrap(), []);
    flip(&only_object(&store), 100_000, 3);
    let damages = store.verify(false).unwrap();
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert_eq!(store.verify(true).unwrap(), damages);
    assert_eq!(store.verify(false).unwrap(), []);
    assert_eq!(store.info().unwrap().columns, 1);
}

#[test]
fn an_object_that_is_gone_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), 10);
    put(&store, 2, &table(10, 10)).unwrap();
    store.flush().unwrap();
    drop(store);
    for object in std::fs::read_dir(folder.path().join("objects")).unwrap() {
        std::fs::remove_file(object.unwrap().path()).unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.verify(false).unwrap().len(), 4);
    assert!(matches!(get(&store, 1, &table(0, 10)), Err(StoreError::Damaged { .. })));
    assert!(get(&store, 1, &table(0, 10)).unwrap().is_none());
    assert_eq!(store.verify(false).unwrap().len(), 2, "what lies in the other object was not touched");
}

#[test]
fn damage_is_forgotten_as_far_as_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let tables = [0, 10, 20].map(|first| table(first, 10));
    let staged: Vec<_> = (0..).zip(&tables).map(|(segment, table)| put(&store, segment, table).unwrap()).collect();
    store.flush().unwrap();
    drop(store);
    let object = only_object(&Store::open(folder.path()).unwrap());
    let end = staged[0].columns[0].location.offset + staged[0].columns[0].location.length;
    flip(&object, end as usize - 1, 0);

    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(get(&store, 0, &tables[0]), Err(StoreError::Damaged { .. })));
    assert_eq!(store.find_columns(&[key(0, 0), key(0, 1)]).unwrap(), [None, None], "a segment file");
    assert_holds(&store, 1, &tables[1]);
    drop(store);

    std::fs::remove_file(object).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(get(&store, 1, &tables[1]), Err(StoreError::Damaged { .. })));
    assert_eq!(store.info().unwrap().columns, 0, "a whole object");
}

#[test]
fn another_version_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 10);
    std::fs::write(folder.path().join("version"), "99\n").unwrap();
    let error = Store::open(folder.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Version { found, .. } if found == "99"), "{error}");
    assert!(error.to_string().contains("delete"), "{error}");
}

#[test]
fn a_folder_with_other_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
    assert!(matches!(Store::open(folder.path()).err(), Some(StoreError::NotAStore(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Runs one test of this binary in a process of its own, as a user without rights where that can be. A write beyond the
/// file size limit is an error there, not a signal that kills.
fn as_nobody(test: &str, folder: &Path) {
    let program = folder.join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program).args(["--exact", test, "--nocapture"]);
    command.env("FLOWC_TEST_STORE", folder.join("store")).current_dir(folder);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&said));
}

#[test]
fn a_read_only_store_answers_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    filled(&store, 10);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let folders = ["", "objects", "tmp", "cwasm", "builds", "noop"].map(|name| store.join(name));
    let allow = |mode| {
        folders.iter().for_each(|path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap())
    };
    let file_mode =
        |name: &str| std::fs::set_permissions(store.join(name), std::fs::Permissions::from_mode(0o444)).unwrap();
    ["version", "live.lock", "index.sqlite"].iter().for_each(|name| file_mode(name));
    allow(0o555);
    as_nobody("read_only_child", folder.path());
    allow(0o755);
}

/// The other half of the test above; without its variable there is nothing to do.
#[test]
fn read_only_child() {
    let Some(folder) = std::env::var_os("FLOWC_TEST_STORE") else { return };
    let store = Store::open(Path::new(&folder)).unwrap();
    assert!(store.is_read_only());
    assert_holds(&store, 1, &table(0, 10));
    assert_eq!(store.memo::<u8>(RUN, &[1; 32]).unwrap(), None);
    put(&store, 2, &table(5, 10)).unwrap();
    let error = store.flush().unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
}

/// A file size limit stands for a full disk: the writes fail half-way.
#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    as_nobody("full_disk_child", folder.path());
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert_holds(&store, 1, &table(0, 10));
    assert!(get(&store, 2, &table(0, 10)).unwrap().is_none());
    assert_eq!(store.verify(false).unwrap(), []);
}

/// The other half of the test above; without its variable there is nothing to do.
#[test]
fn full_disk_child() {
    let Some(folder) = std::env::var_os("FLOWC_TEST_STORE") else { return };
    let store = filled(Path::new(&folder), 10);
    let limit = rustix::process::Rlimit { current: Some(2 << 20), maximum: Some(2 << 20) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = put(&store, 2, &table(0, 500_000)).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
    for segment in 3..60 {
        put(&store, segment, &table(segment as i64 * 10_000, 5_000)).unwrap();
    }
    let error = store.flush().unwrap_err();
    assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
    assert_holds(&store, 3, &table(30_000, 5_000));
    assert_eq!(store.info().unwrap().temporary.files, 0);
}
