//! Garbage collection: removes what nobody wants to keep, and gives the room back.
//!
//! What earlier runs found is forgotten first, then the index lets go, then files are removed: killed in between, it leaves
//! files that nothing names, and the next collection removes them. A pack of which little is kept is copied anew: the copy
//! is complete and synced before the index speaks of it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use flowc_planner::key::{ColumnKey, RowsKey};

use crate::error::io_at;
use crate::files::{files, remove, usage_of};
use crate::group::Pack;
use crate::index::Moved;
use crate::{Location, ObjectId, Store, StoreError, Usage};

/// What garbage collection removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Results that are still known.
    pub kept: u64,
    /// Results that were removed.
    pub removed: u64,
    /// Objects that were removed.
    pub objects: u64,
    /// Packs copied without what is removed.
    pub repacked: u64,
    /// Files removed that killed processes left behind.
    pub temporary: u64,
    /// Bytes given back.
    pub bytes: u64,
}

/// Segment files of an object that are kept: offset to length.
type Parts = BTreeMap<u64, u64>;

/// A garbage collection under way: nobody else has the store open, so nothing is in use and nothing is added.
pub struct Collection {
    store: Store,
    dry_run: bool,
}

impl Collection {
    /// Waits until nobody else has the store open. With `dry_run` nothing is removed, and nobody is waited for.
    ///
    /// # Errors
    /// If the store can't be opened, or not written.
    pub fn begin(dir: &Path, dry_run: bool) -> Result<Self, StoreError> {
        let store = if dry_run { Store::open(dir)? } else { Store::open_alone(dir)? };
        if !dry_run {
            store.shared.writable()?;
        }
        Ok(Self { store, dry_run })
    }

    /// The store, to find out what is to be kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it only says what would be removed.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// Removes every result but those to keep, under whatever keys they are known: equal inputs find them by others. What
    /// is removed leaves a tombstone. Removes what killed processes left, too.
    ///
    /// # Errors
    /// If the index or a file can't be written.
    pub fn results(&self, keep: &HashSet<ColumnKey>, keep_rows: &HashSet<RowsKey>) -> Result<GcReport, StoreError> {
        let (store, dry_run) = (&self.store, self.dry_run);
        let all = store.shared.with_index(|index| index.all())?.unwrap_or_default();
        let named = all.iter().filter(|(key, _)| keep.contains(key));
        let places: HashSet<Location> = named.map(|(_, column)| column.location).collect();
        let (kept, removed): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, column)| places.contains(&column.location));
        let mut report = GcReport { kept: kept.len() as u64, removed: removed.len() as u64, ..GcReport::default() };
        if !dry_run {
            // Nobody else has the store open, so nothing is found anew before the index has let go.
            store.shared.forget_found()?;
            let keys: Vec<_> = removed.iter().map(|(key, _)| *key).collect();
            store.shared.with_index(|index| index.evict(&keys, keep_rows))?;
        }
        let mut parts: BTreeMap<ObjectId, Parts> = BTreeMap::new();
        for (_, column) in &kept {
            let Location { object, offset, length, .. } = column.location;
            parts.entry(object).or_default().insert(offset, length);
        }
        store.sweep_objects(&parts, dry_run, &mut report)?;
        store.sweep_temporary(dry_run, &mut report)?;
        if !dry_run {
            store.shared.with_index(|index| index.shrink())?;
        }
        Ok(report)
    }
}

impl Store {
    fn sweep_objects(
        &self,
        kept: &BTreeMap<ObjectId, Parts>,
        dry_run: bool,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        for (path, bytes) in files(&self.dir().join("objects"))? {
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<ObjectId>().ok());
            let parts = id.and_then(|id| Some((id, kept.get(&id)?)));
            let wanted: u64 = parts.map_or(0, |(_, parts)| parts.values().sum());
            if wanted >= bytes / 2 && wanted > 0 {
                continue;
            }
            report.bytes += bytes - wanted.min(bytes);
            match parts {
                Some(_) => report.repacked += 1,
                None => report.objects += 1,
            }
            if dry_run {
                continue;
            }
            if let Some((id, parts)) = parts {
                self.repack(id, parts)?;
            }
            fs::remove_file(&path).map_err(io_at("remove", &path))?;
        }
        Ok(())
    }

    /// Copies the kept segment files of an object into a new one.
    fn repack(&self, from: ObjectId, parts: &Parts) -> Result<(), StoreError> {
        let mut pack = Pack::default();
        let to = ObjectId::random();
        let mut moved = Vec::new();
        for (&offset, &length) in parts {
            let place = Location { object: from, offset, length, column: 0, check: 0 };
            match self.shared.objects.bytes(&place) {
                Ok(bytes) => moved.push(Moved { offset, to_offset: pack.add(bytes) }),
                // Damage is not carried along: whoever reads it will find that it is not there, and forget it.
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.shared.objects.write_pack(to, &pack)?;
        self.shared.objects.sync(&[to])?;
        self.shared.with_index(|index| index.relocate(from, to, &moved)).map(|_| ())
    }

    fn sweep_temporary(&self, dry_run: bool, report: &mut GcReport) -> Result<(), StoreError> {
        for (path, _) in files(&self.spool())? {
            let Usage { files, bytes } = usage_of(&path);
            report.temporary += files;
            report.bytes += bytes;
            if !dry_run {
                remove(&path)?;
            }
        }
        Ok(())
    }
}
