//! The parts of an open store that its clones, writers and readers have in common.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::{fs, io};

use flowc_planner::key::ContentDigest;
use flowc_platform::lock;

use crate::damage::Extent;
use crate::error::io_at;
use crate::files::remove;
use crate::folder::is_read_only;
use crate::group::{Pack, Uncommitted};
use crate::index::{Index, is_damaged};
use crate::lease::{Lease, Need};
use crate::objects::Objects;
use crate::segment::{Reason, Segment, structure};
use crate::spill::{Spill, Spilled};
use crate::{Area, Location, ObjectId, StoreError, StoredColumn};

/// Bytes of a segment file that take less time to keep twice than to look for. What the index says of it takes as much room.
const SHORT: u64 = 4 << 10;

/// What all clones, writers and readers of a store have in common.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) objects: Objects,
    pub(crate) read_only: bool,
    pub(crate) lease: Lease,
    pub(crate) uncommitted: Mutex<Uncommitted>,
    index: Mutex<Option<Index>>,
    /// One flush at a time.
    flush: Mutex<()>,
}

impl Shared {
    /// A store in this folder.
    pub(crate) fn new(dir: &Path, lease: Lease) -> Self {
        Self {
            dir: dir.to_owned(),
            objects: Objects::new(dir),
            read_only: is_read_only(dir),
            lease,
            uncommitted: Mutex::default(),
            index: Mutex::default(),
            flush: Mutex::default(),
        }
    }

    /// Runs a query. `None` where there is no index yet, in a store that can't be written. A damaged index gives way to an
    /// empty one: what it knew is made again.
    pub(crate) fn with_index<T>(
        &self,
        query: impl Fn(&Index) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let path = self.dir.join("index.sqlite");
        let mut index = lock(&self.index);
        let answer = self.open_index(&mut index, &path).and_then(|index| index.map(&query).transpose());
        match answer {
            Err(error) if !self.read_only && is_damaged(&error) => {
                tracing::warn!(%error, "the index is damaged; it is made again");
                *index = None;
                *index = Some(Index::replace(&path)?);
                self.forget_found()?;
                index.as_ref().map(&query).transpose()
            }
            answer => answer,
        }
    }

    fn open_index<'i>(&self, index: &'i mut Option<Index>, path: &Path) -> Result<Option<&'i Index>, StoreError> {
        if index.is_none() {
            *index = if self.read_only { Index::open_read_only(path)? } else { Some(Index::open(path)?) };
        }
        Ok(index.as_ref())
    }

    /// Looks up what is not known yet.
    pub(crate) fn complete<K, V>(
        &self,
        keys: &[K],
        mut known: Vec<Option<V>>,
        look_up: impl FnOnce(&[&K]) -> Result<Vec<Option<V>>, StoreError>,
    ) -> Result<Vec<Option<V>>, StoreError> {
        let missing: Vec<usize> = (0..keys.len()).filter(|&i| known[i].is_none()).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        let asked: Vec<&K> = missing.iter().map(|&i| &keys[i]).collect();
        for (i, found) in missing.into_iter().zip(look_up(&asked)?) {
            known[i] = found;
        }
        Ok(known)
    }

    /// An error if the store is read-only.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        if self.read_only { Err(StoreError::ReadOnly(self.dir.clone())) } else { Ok(()) }
    }

    /// Commits the open group.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let _one = lock(&self.flush);
        let start = Instant::now();
        let (group, packs, objects) = {
            let mut uncommitted = lock(&self.uncommitted);
            if uncommitted.open.is_empty() {
                return Ok(());
            }
            self.writable()?;
            let packs: Vec<_> = uncommitted.packs.iter().map(|(id, pack)| (*id, pack.clone())).collect();
            let objects = uncommitted.unsynced.clone();
            (uncommitted.begin_flush(), packs, objects)
        };
        // Of what another process made too, this one relies on what the index speaks of.
        let needs = |earlier: &Vec<ObjectId>| earlier.iter().copied().map(Need::Object).collect::<Vec<_>>();
        let commit = || Ok(self.with_index(|index| index.commit(&group))?.unwrap_or_default());
        let done = self.write_packs(packs, objects).and_then(|()| self.lease.look_up(commit, needs));
        let mut uncommitted = lock(&self.uncommitted);
        uncommitted.commit_took = start.elapsed();
        match done {
            Ok(_) => uncommitted.end_flush(),
            Err(_) => uncommitted.fail_flush(group),
        }
        done.map(|_| ())
    }

    /// Writes packs, and syncs them and the objects.
    fn write_packs(&self, packs: Vec<(ObjectId, Pack)>, objects: Vec<ObjectId>) -> Result<(), StoreError> {
        let mut objects = objects;
        for (id, pack) in packs {
            self.objects.write_pack(id, &pack)?;
            let mut uncommitted = lock(&self.uncommitted);
            uncommitted.packs.remove(&id);
            uncommitted.unsynced.push(id);
            objects.push(id);
        }
        self.objects.sync(&objects)?;
        lock(&self.uncommitted).unsynced.retain(|id| !objects.contains(id));
        Ok(())
    }

    /// Gives a complete segment file its place; gives the columns' places. Bytes that the store has are not kept twice.
    pub(crate) fn stage(
        &self,
        spill: Spill,
        contents: Vec<ContentDigest>,
        rows: u64,
    ) -> Result<Vec<StoredColumn>, StoreError> {
        if let Ok(Some(known)) = self.known(&contents, spill.length()) {
            return Ok(known);
        }
        let (object, offset, length, check) = match spill.finish()? {
            Spilled::Memory(bytes) => {
                let check = structure(&bytes).map_err(unreadable)?;
                let length = bytes.len() as u64;
                let (object, offset) = lock(&self.uncommitted).pack(bytes, || self.lease.object());
                (object, offset, length, check)
            }
            Spilled::File { id, path, file, length } => {
                self.objects.publish(id, &file, &path).inspect_err(|_| {
                    let _ = std::fs::remove_file(&path);
                })?;
                let mut uncommitted = lock(&self.uncommitted);
                uncommitted.unsynced.push(id);
                uncommitted.bytes += length;
                drop(uncommitted);
                let place = Location { object: id, offset: 0, length, column: 0, check: 0 };
                (id, 0, length, structure(&self.objects.bytes(&place)?).map_err(unreadable)?)
            }
        };
        let place = |column: usize| Location { object, offset, length, column: column as u32, check };
        let columns = contents.into_iter().enumerate();
        let columns: Vec<_> = columns.map(|(i, content)| StoredColumn { content, rows, location: place(i) }).collect();
        lock(&self.uncommitted).stage(&columns);
        Ok(columns)
    }

    /// Columns of these contents, if the store has all of them. Of a short segment file only what this process has just made is known.
    fn known(&self, contents: &[ContentDigest], length: u64) -> Result<Option<Vec<StoredColumn>>, StoreError> {
        let mut known = Vec::with_capacity(contents.len());
        for content in contents {
            let staged = lock(&self.uncommitted).by_content(content);
            let found = match staged {
                Some(column) => Some(column),
                None if length <= SHORT => None,
                None => {
                    let look_up = || Ok(self.with_index(|index| index.by_content(content))?.flatten());
                    self.lease.look_up(look_up, |found| found.as_ref().map(StoredColumn::need))?
                }
            };
            match found.filter(|column| self.exists(&column.location)) {
                Some(column) => known.push(column),
                None => return Ok(None),
            }
        }
        Ok(Some(known))
    }

    fn exists(&self, place: &Location) -> bool {
        lock(&self.uncommitted).part(place).is_some() || self.objects.path(place.object).exists()
    }

    /// The file of a segment that is on disk, with no other in the same object.
    pub(crate) fn object(&self, place: &Location) -> Option<PathBuf> {
        let path = self.objects.path(place.object);
        let length = (place.offset == 0).then(|| std::fs::metadata(&path).ok())??.len();
        (length == place.length).then_some(path)
    }

    /// Opens the segment file that holds a column.
    pub(crate) fn segment(&self, place: &Location) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = self.objects.open_segment(place) {
            return Ok(segment);
        }
        let part = lock(&self.uncommitted).part(place);
        let bytes = match part.map_or_else(|| self.objects.bytes(place), Ok) {
            Err(StoreError::Damaged { reason, .. }) => return Err(self.damaged(Extent::Object, place, reason)),
            bytes => bytes?,
        };
        let unreadable = |reason| self.damaged(Extent::Segment, place, reason);
        let segment = Segment::open(bytes, place.check).map_err(unreadable)?;
        let segment = Arc::new(segment);
        self.objects.keep_segment(place, segment.clone());
        Ok(segment)
    }
}

/// Damage: whatever lies there is forgotten at once.
impl Shared {
    /// Checks that a segment file holds the column that the index promises.
    pub(crate) fn check_column(&self, segment: &Segment, column: &StoredColumn) -> Result<(), StoreError> {
        let place = &column.location;
        if segment.content(place.column as usize) == Some(&column.content) && segment.rows() == column.rows {
            return Ok(());
        }
        Err(self.damaged(Extent::Column, place, "its digests are not what was written".into()))
    }

    /// Forgets the results that damage reaches, and makes the error.
    pub(crate) fn damaged(&self, extent: Extent, place: &Location, reason: Reason) -> StoreError {
        tracing::warn!(object = %place.object, column = place.column, reason, "damaged result");
        if let Err(error) = self.forget(extent, place) {
            tracing::warn!(%error, "a damaged result can't be forgotten");
        }
        StoreError::Damaged { location: *place, reason }
    }

    /// Forgets some columns of one segment file that are damaged, and makes the error.
    pub(crate) fn damaged_columns(&self, place: &Location, columns: &[usize], reason: Reason) -> StoreError {
        for &column in columns {
            self.damaged(Extent::Column, &Location { column: column as u32, ..*place }, reason.clone());
        }
        StoreError::Damaged { location: *place, reason }
    }

    /// Forgets the results that lie there.
    pub(crate) fn forget(&self, extent: Extent, place: &Location) -> Result<(), StoreError> {
        lock(&self.uncommitted).forget(extent, place);
        if self.read_only {
            return Ok(());
        }
        self.with_index(|index| index.forget(extent, place))?;
        self.forget_found()
    }

    /// Forgets what earlier runs found here, since some of it is gone, or is not what they took it for.
    pub(crate) fn forget_found(&self) -> Result<(), StoreError> {
        let found = Area::Found.path(&self.dir);
        // In one step: others may put files into it meanwhile.
        let aside = self.dir.join("tmp").join(self.lease.object().to_string());
        match fs::rename(&found, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_at("rename", &found)(error)),
            Ok(()) => remove(&aside),
        }
    }
}

fn unreadable(reason: String) -> StoreError {
    StoreError::Columns(arrow_schema::ArrowError::IpcError(reason).into())
}
