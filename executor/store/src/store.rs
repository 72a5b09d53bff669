//! The store's calls.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_platform::{lock, read_sealed, seal, sync_directory};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::damage::Extent;
use crate::error::io_at;
use crate::folder::prepare;
use crate::lease::{Lease, Need};
use crate::memo::Entry;
use crate::objects::create;
use crate::shared::Shared;
use crate::{Area, ColumnReader, Memo, Place, Record, SegmentWriter, StoreError, StoredColumn};

/// A group is committed when it is this old ...
const GROUP_AGE: Duration = Duration::from_secs(2);
/// ... but so many times as old as the last commit took: keys are digests, so a commit to a large index touches pages all over it ...
const COMMITS_SHARE: u32 = 6;
/// ... up to this ...
const MOST_AGE: Duration = Duration::from_secs(15);
/// ... or has staged this much ...
const GROUP_BYTES: u64 = 256 << 20;
/// ... or keeps this much in memory.
const PACKED_BYTES: u64 = 64 << 20;

/// An open store. Clones share it. What is recorded lasts from the next [`Store::flush`] on; dropping does not flush.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

/// How old a group gets where the last commit took so long.
fn group_age(commit_took: Duration) -> Duration {
    (commit_took * COMMITS_SHARE).clamp(GROUP_AGE, MOST_AGE)
}

/// Reliance on all code, until it is dropped.
struct AllCode(Arc<Shared>);

impl Drop for AllCode {
    fn drop(&mut self) {
        self.0.lease.release_all_code();
    }
}

impl Store {
    /// Opens the store in a folder, or makes one there. Waits while a garbage collection decides, which takes moments.
    ///
    /// # Errors
    /// If the folder is another version's store or holds other files, or if it can't be made or locked.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        prepare(dir)?;
        Ok(Self { shared: Arc::new(Shared::new(dir, Lease::new(dir)?)) })
    }

    /// Opens the store for a garbage collection.
    pub(crate) fn open_to_collect(dir: &Path) -> Result<Self, StoreError> {
        prepare(dir)?;
        Ok(Self { shared: Arc::new(Shared::new(dir, Lease::of_collector())) })
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Whether results can be looked up but not added.
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }

    /// Where the columns of these keys lie, in the order of the keys.
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn find_columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        let known = {
            let uncommitted = lock(&self.shared.uncommitted);
            let find = |key| uncommitted.groups().find_map(|group| group.columns.get(key).copied());
            keys.iter().map(find).collect()
        };
        let needs_of =
            |found: &Vec<Option<StoredColumn>>| found.iter().flatten().map(StoredColumn::need).collect::<Vec<_>>();
        self.shared.complete(keys, known, |missing| {
            let look_up = || Ok(self.shared.with_index(|index| index.columns(missing))?.unwrap_or_default());
            self.shared.lease.look_up(look_up, needs_of)
        })
    }

    /// How many rows these keys stand for, in the order of the keys.
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn find_rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        let known = {
            let uncommitted = lock(&self.shared.uncommitted);
            let find = |key| uncommitted.groups().find_map(|group| group.rows.get(key).copied());
            keys.iter().map(find).collect()
        };
        let look_up =
            |missing: &[&RowsKey]| Ok(self.shared.with_index(|index| index.rows(missing))?.unwrap_or_default());
        self.shared.complete(keys, known, look_up)
    }

    /// Whether there was a result of this key, which garbage collection removed.
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn was_evicted(&self, key: &ColumnKey) -> Result<bool, StoreError> {
        Ok(self.shared.with_index(|index| index.has_tombstone(key))?.unwrap_or(false))
    }

    /// Begins a segment.
    pub fn segment_writer(&self, schema: SchemaRef) -> SegmentWriter {
        SegmentWriter::new(self.shared.clone(), schema)
    }

    /// Adds results to the open group: seen at once by this process, and by others after the next flush.
    pub fn record(&self, record: Record) {
        lock(&self.shared.uncommitted).record(record);
    }

    /// Commits the open group: syncs its objects, then writes the index in one transaction.
    ///
    /// # Errors
    /// If the store is read-only, its disk is full, or a device reports that writing failed. What was recorded waits for the next flush.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shared.flush()
    }

    /// Commits the open group if it is two seconds old, or a few times as old as the last commit took, or has become big.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn flush_if_due(&self) -> Result<(), StoreError> {
        let due = {
            let uncommitted = lock(&self.shared.uncommitted);
            let due = group_age(uncommitted.commit_took);
            uncommitted.since.is_some_and(|since| since.elapsed() >= due)
                || uncommitted.bytes >= GROUP_BYTES
                || uncommitted.packed_bytes() >= PACKED_BYTES
        };
        if due { self.flush() } else { Ok(()) }
    }

    /// Reads columns side by side; all have the same number of rows.
    ///
    /// # Errors
    /// If the columns have different numbers of rows, or if one of them is damaged or gone; it is then forgotten.
    pub fn read(&self, columns: &[StoredColumn]) -> Result<ColumnReader, StoreError> {
        ColumnReader::open(self.shared.clone(), columns)
    }

    /// A remembered fact; `None` if there is none, or if it is not to be trusted ([`Memo`]).
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn memo<T: DeserializeOwned>(&self, memo: Memo, key: &[u8; 32]) -> Result<Option<T>, StoreError> {
        let known = {
            let uncommitted = lock(&self.shared.uncommitted);
            uncommitted.groups().find_map(|group| group.memos.get(&(memo.number, *key)).cloned())
        };
        let entry = match known {
            Some(entry) => entry.map(Entry::Sealed),
            None if matches!(memo.place, Place::File(_)) => None,
            None => self.shared.with_index(|index| index.memo(memo.number, key))?.flatten(),
        };
        match entry {
            Some(entry) => Ok(memo.decode_entry(key, entry)),
            None if memo.place == Place::Index => Ok(None),
            None => Ok(memo.read(self.dir(), key)),
        }
    }

    /// A remembered fact, as [`Store::memo`] gives it, and reliance on what it names.
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn memo_relied_on<T: DeserializeOwned>(
        &self,
        memo: Memo,
        key: &[u8; 32],
        needs: impl Fn(&T) -> Vec<Need>,
    ) -> Result<Option<T>, StoreError> {
        let needs = |fact: &Option<T>| fact.as_ref().map(&needs).unwrap_or_default();
        self.shared.lease.look_up(|| self.memo(memo, key), needs)
    }

    /// Relies on something that other processes may have made, before it is looked for.
    ///
    /// # Errors
    /// If the store can't be locked.
    pub fn rely_on(&self, needs: impl IntoIterator<Item = Need>) -> Result<(), StoreError> {
        self.shared.lease.look_up(|| Ok(()), |()| needs)
    }

    /// Relies on all code in the store until what is given is dropped: for as long as it is not known what of it is needed.
    ///
    /// # Errors
    /// If the store can't be locked.
    pub fn rely_on_all_code(&self) -> Result<impl Drop + use<>, StoreError> {
        self.shared.lease.hold_all_code()?;
        Ok(AllCode(self.shared.clone()))
    }

    /// Remembers a fact, from the next flush on for other processes too; at once if it lies in a file.
    ///
    /// # Errors
    /// If it can't be encoded, or its file not be written.
    pub fn remember<T: Serialize>(&self, memo: Memo, key: &[u8; 32], fact: &T) -> Result<(), StoreError> {
        let fact = memo.encode(key, fact)?;
        let in_file = memo.is_file(fact.len());
        if in_file {
            self.put(memo.area(), &memo.file_name(key), &[&fact])?;
        }
        if !matches!(memo.place, Place::File(_)) {
            lock(&self.shared.uncommitted).remember(memo.number, *key, Some(fact).filter(|_| !in_file));
        }
        Ok(())
    }

    /// All facts of a kind that lie in the index, in no particular order.
    ///
    /// # Errors
    /// If the index can't be read.
    pub fn memos<T: DeserializeOwned>(&self, memo: Memo) -> Result<Vec<([u8; 32], T)>, StoreError> {
        let committed = self.shared.with_index(|index| index.memos(memo.number))?.unwrap_or_default();
        let mut all: HashMap<_, _> = committed.into_iter().map(|(key, entry)| (key, Some(entry))).collect();
        let uncommitted = lock(&self.shared.uncommitted);
        for group in uncommitted.groups().collect::<Vec<_>>().into_iter().rev() {
            let own = group.memos.iter().filter(|((number, _), _)| *number == memo.number);
            all.extend(own.map(|((_, key), fact)| (*key, fact.clone().map(Entry::Sealed))));
        }
        let trusted = |(key, entry): ([u8; 32], Option<Entry>)| Some((key, memo.decode_entry(&key, entry?)?));
        Ok(all.into_iter().filter_map(trusted).collect())
    }

    /// Forgets a fact.
    pub fn forget(&self, memo: Memo, key: &[u8; 32]) {
        lock(&self.shared.uncommitted).remember(memo.number, *key, None);
        if memo.place != Place::Index {
            let _ = std::fs::remove_file(memo.file(self.dir(), key));
        }
    }

    /// Forgets what earlier runs found here: the next one looks at all of it anew.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn forget_found(&self) -> Result<(), StoreError> {
        self.shared.forget_found()
    }

    /// Forgets every result that lies where this column does. Reading does so by itself when it meets damage.
    ///
    /// # Errors
    /// If the index can't be written.
    pub fn discard(&self, column: &StoredColumn) -> Result<(), StoreError> {
        self.shared.forget(Extent::Column, &column.location)
    }

    /// Where a named file is, or would be.
    pub fn cached_file(&self, area: Area, name: &str) -> PathBuf {
        Self::area(&self.shared.dir, area).join(name)
    }

    /// Whether a folder holds a store of this version; it need not be open.
    pub fn is_current(dir: &Path) -> bool {
        crate::folder::is_current(dir)
    }

    /// The folder of an area, in a store that need not be open.
    pub fn area(dir: &Path, area: Area) -> PathBuf {
        area.path(dir)
    }

    /// The folder of objects, which never change.
    pub fn objects(&self) -> PathBuf {
        self.shared.dir.join("objects")
    }

    /// A folder for files that last no longer than this process.
    pub fn spool(&self) -> PathBuf {
        self.shared.dir.join("tmp")
    }

    /// Keeps bytes under a name: whole or not at all, replacing what was there. [`Store::sealed`] gives them just as they
    /// are, or none: it is safe to trust what is found. Code is synced too, since it takes long to make again; for the rest a sync
    /// would take longer than what it saves.
    ///
    /// # Errors
    /// If the store can't be written.
    pub fn put_sealed(&self, area: Area, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        self.put(area, name, &[bytes, &seal(name, bytes)])
    }

    fn put(&self, area: Area, name: &str, parts: &[&[u8]]) -> Result<PathBuf, StoreError> {
        self.shared.writable()?;
        let path = self.cached_file(area, name);
        // A store that an earlier flowc made lacks the areas that came later.
        let folder = Self::area(&self.shared.dir, area);
        std::fs::create_dir_all(&folder).map_err(io_at("create", &folder))?;
        let temporary = self.spool().join(self.shared.lease.object().to_string());
        let write = || {
            let mut file = create(&temporary)?;
            parts.iter().try_for_each(|part| file.write_all(part))?;
            if area.is_durable() { file.sync_all() } else { Ok(()) }
        };
        let written = write().map_err(io_at("write", &temporary));
        let placed = written.and_then(|()| std::fs::rename(&temporary, &path).map_err(io_at("rename", &path)));
        placed.inspect_err(|_| {
            let _ = std::fs::remove_file(&temporary);
        })?;
        if area.is_durable() {
            sync_directory(&folder).map_err(io_at("sync", &folder))?;
        }
        Ok(path)
    }

    /// The bytes that were put under a name; none if there are none, or if they are not as they were.
    pub fn sealed(&self, area: Area, name: &str) -> Option<Vec<u8>> {
        read_sealed(&self.cached_file(area, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_take_a_small_share_of_the_time_and_come_in_the_end() {
        let age = |milliseconds| group_age(Duration::from_millis(milliseconds)).as_millis();
        assert_eq!([0, 100, 500, 1_000, 60_000].map(age), [2_000, 2_000, 3_000, 6_000, 15_000]);
    }
}
