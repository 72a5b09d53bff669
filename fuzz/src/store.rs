//! A store whose files were overwritten as the bytes say: what is read is what was written, or an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use flowc_columns::testing::array;
use flowc_columns::{ChunkDigest, canonical, chunk_digest};
use flowc_planner::key::ColumnKey;
use flowc_store::{Memo, Place, Record, Store, StoreError};
use tempfile::TempDir;

use crate::bytes::Choices;

/// A store, and what is in it.
static MADE: LazyLock<(TempDir, RecordBatch)> = LazyLock::new(make);

const RUN: Memo = Memo { number: 7, version: 1, build: None, place: Place::Index };
const MEMO: [u8; 32] = [9; 32];

pub(crate) fn damage(bytes: &[u8]) {
    let (made, batch) = &*MADE;
    let folder = tempfile::tempdir().unwrap();
    let mut choices = Choices(bytes);
    let files = copy(made.path(), folder.path());
    while choices.more() {
        overwrite(&mut choices, &files);
    }
    if let Ok(store) = Store::open(folder.path()) {
        if let Ok(Some(columns)) = read(&store, batch.num_columns()) {
            assert!(columns.iter().map(content).eq(batch.columns().iter().map(content)));
        }
        let _ = store.memo::<Vec<String>>(RUN, &MEMO);
        let _ = store.verify(true);
        let _ = store.info();
    }
}

fn make() -> (TempDir, RecordBatch) {
    let folder = tempfile::tempdir().unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    let types = [DataType::Int64, DataType::Utf8, dictionary, DataType::new_list(DataType::Utf8View, true)];
    let columns = types.iter().enumerate().map(|(i, of)| (i.to_string(), array(of, 50, 1, 1), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut writer = store.segment_writer(batch.schema());
    writer.write(&batch).unwrap();
    let staged = writer.finish().unwrap();
    let columns = staged.columns.iter().enumerate().map(|(i, column)| (key(i), *column)).collect();
    store.record(Record { rows: Vec::new(), columns });
    store.remember(RUN, &MEMO, &vec!["a fact"; 3]).unwrap();
    store.flush().unwrap();
    (folder, batch)
}

fn key(column: usize) -> ColumnKey {
    ColumnKey::new([column as u8; 32])
}

fn read(store: &Store, columns: usize) -> Result<Option<Vec<ArrayRef>>, StoreError> {
    let keys: Vec<_> = (0..columns).map(key).collect();
    let Some(found) = store.find_columns(&keys)?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut chunks = store.read(&found)?;
    assert_eq!(chunks.chunks(), 1);
    chunks.next().transpose()
}

fn content(column: &ArrayRef) -> ChunkDigest {
    chunk_digest(&canonical(column).unwrap())
}

/// Copies a folder; gives the files.
fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            files.extend(copy(&entry.path(), &target));
        } else {
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
            files.push(target);
        }
    }
    files
}

fn overwrite(choices: &mut Choices, files: &[PathBuf]) {
    let file = &files[choices.below(files.len())];
    let mut bytes = fs::read(file).unwrap();
    let at = choices.below(bytes.len().max(1));
    match choices.byte() % 4 {
        0 => bytes.truncate(at),
        _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte = choices.byte()),
    }
    fs::write(file, bytes).unwrap();
}
