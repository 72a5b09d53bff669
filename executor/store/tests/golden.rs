//! A store that flowc wrote earlier is read: a change of its files that this version can't read would lose all results of every user.
//!
//! `tests/golden` is that store; the tables of its index are there as statements of SQL. `FLOWC_BLESS=1` writes it anew, which
//! is right only with a new [`flowc_store::STORE_VERSION`].

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use common::*;
use flowc_columns::testing::values;
use flowc_store::{Area, Memo, Place, Store};
use rusqlite::Connection;

const FACT: Memo = Memo { number: 1, version: 1, build: None, place: Place::Index };
const BIG_FACT: Memo = Memo { number: 2, version: 3, build: Some("build"), place: Place::IndexOrFile };
const FILE: Memo = Memo { number: 3, version: 1, build: None, place: Place::File(Area::Noop) };

const TABLES: [&str; 4] = ["columns", "row_counts", "tombstones", "memos"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn colours() -> RecordBatch {
    let colours: DictionaryArray<Int32Type> = [Some("red"), None, Some("blue"), Some("red")].into_iter().collect();
    RecordBatch::try_from_iter_with_nullable([("colour", Arc::new(colours) as ArrayRef, true)]).unwrap()
}

fn big_fact() -> Vec<u64> {
    (0..10_000).collect()
}

/// What the golden store holds: two segments, a tombstone of a third, facts in all places, a sealed file.
fn write(folder: &Path) {
    let store = Store::open(folder).unwrap();
    put(&store, 1, &table(0, 10)).unwrap();
    put(&store, 2, &colours()).unwrap();
    put(&store, 3, &table(100, 10)).unwrap();
    store.remember(FACT, &[1; 32], &"a fact").unwrap();
    store.remember(BIG_FACT, &[2; 32], &big_fact()).unwrap();
    store.remember(FILE, &[3; 32], &("in a file", 7u64)).unwrap();
    store.put_sealed(Area::Builds, "component", b"sealed").unwrap();
    store.flush().unwrap();
    drop(store);
    let columns = HashSet::from([key(1, 0), key(1, 1), key(2, 0)]);
    gc(folder, &columns, &HashSet::from([rows_key(1), rows_key(2)]), false);
}

/// The files of a store beside its index, by their paths in it.
fn files(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![store.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true => open.push(path),
                false if name.starts_with("index.") || name.ends_with(".lock") => {}
                false => found.push(path.strip_prefix(store).unwrap().to_owned()),
            }
        }
    }
    found
}

fn copy_files(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
        std::fs::write(to.join(&file), std::fs::read(from.join(&file)).unwrap()).unwrap();
    }
}

/// The statements that make the tables of an index.
fn layout(index: &Connection) -> String {
    let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
    let mut statements = index.prepare(sql).unwrap();
    let all = statements.query_map([], |row| row.get::<_, String>(0)).unwrap();
    all.map(|sql| format!("{};\n", sql.unwrap())).collect()
}

/// The statements that make an index and its rows.
fn dump(index: &Connection) -> String {
    let version: i64 = index.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let mut sql = format!("PRAGMA user_version = {version};\n{}", layout(index));
    for table in TABLES {
        let all = index.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let names: Vec<String> = all.column_names().map(|name| format!("quote({name})")).collect();
        let mut all = index.prepare(&format!("SELECT {} FROM {table}", names.join(", "))).unwrap();
        let columns = names.len();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get::<_, String>(column)).collect();
        for values in all.query_map([], row).unwrap() {
            let values: Vec<String> = values.unwrap();
            writeln!(sql, "INSERT INTO {table} VALUES ({});", values.join(", ")).unwrap();
        }
    }
    sql
}

fn bless() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let _ = std::fs::remove_dir_all(golden());
    copy_files(folder.path(), &golden());
    let index = Connection::open(folder.path().join("index.sqlite")).unwrap();
    std::fs::write(golden().join("index.sql"), dump(&index)).unwrap();
}

/// The golden store, in a folder where it may be written.
fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    copy_files(&golden(), folder.path());
    let sql = std::fs::read_to_string(golden().join("index.sql")).unwrap();
    Connection::open(folder.path().join("index.sqlite")).unwrap().execute_batch(&sql).unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn a_store_of_earlier_can_be_read() {
    if std::env::var_os("FLOWC_BLESS").is_some() {
        bless();
    }
    let (_folder, store) = opened();
    assert_holds(&store, 1, &table(0, 10));
    let colours = colours();
    let read = get(&store, 2, &colours).unwrap().unwrap();
    let colour = |batch: &RecordBatch| values(batch.column(0));
    assert_eq!(read.iter().flat_map(colour).collect::<Vec<_>>(), colour(&colours));
    assert_eq!(store.find_columns(&[key(3, 0)]).unwrap(), [None]);
    assert!(store.was_evicted(&key(3, 0)).unwrap());
    assert_eq!(store.memo::<String>(FACT, &[1; 32]).unwrap().as_deref(), Some("a fact"));
    assert_eq!(store.memo(BIG_FACT, &[2; 32]).unwrap(), Some(big_fact()));
    assert_eq!(store.memo(FILE, &[3; 32]).unwrap(), Some(("in a file".to_owned(), 7u64)));
    assert_eq!(store.sealed(Area::Builds, "component").as_deref(), Some(&b"sealed"[..]));
    assert_eq!(store.verify(false).unwrap(), []);
}

#[test]
fn a_new_index_has_the_tables_of_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    put(&store, 1, &table(0, 1)).unwrap();
    store.flush().unwrap();
    let new = layout(&Connection::open(folder.path().join("index.sqlite")).unwrap());
    let before = std::fs::read_to_string(golden().join("index.sql")).unwrap();
    assert!(before.contains(&new), "{new}");
}
