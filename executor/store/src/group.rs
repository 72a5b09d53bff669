//! The open group: what this process has made and not yet committed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use arrow_buffer::Buffer;
use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey};

use crate::damage::Extent;
use crate::{Location, ObjectId, Record, StoredColumn};

/// Segment files begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 64;

/// Results and facts that become visible to other processes in one transaction.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) columns: HashMap<ColumnKey, StoredColumn>,
    pub(crate) rows: HashMap<RowsKey, u64>,
    /// By kind and key, with their seals. `None` forgets.
    pub(crate) memos: HashMap<(u8, [u8; 32]), Option<Vec<u8>>>,
}

impl Group {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.rows.is_empty() && self.memos.is_empty()
    }

    /// Takes over an earlier group's entries; its own count where both have one.
    fn absorb(&mut self, earlier: Group) {
        for (key, column) in earlier.columns {
            self.columns.entry(key).or_insert(column);
        }
        self.rows.extend(earlier.rows);
        for (key, memo) in earlier.memos {
            self.memos.entry(key).or_insert(memo);
        }
    }
}

/// Small segment files that will be one object. Where they lie in it is settled when they are added.
#[derive(Clone, Default)]
pub(crate) struct Pack {
    pub(crate) parts: Vec<(u64, Buffer)>,
    pub(crate) length: u64,
}

impl Pack {
    /// Adds a segment file; gives its offset.
    pub(crate) fn add(&mut self, bytes: Buffer) -> u64 {
        let offset = self.length.next_multiple_of(ALIGNMENT);
        self.length = offset + bytes.len() as u64;
        self.parts.push((offset, bytes));
        offset
    }

    fn part(&self, offset: u64) -> Option<Buffer> {
        let place = self.parts.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        Some(self.parts[place].1.clone())
    }
}

/// Everything that is not committed.
#[derive(Default)]
pub(crate) struct Uncommitted {
    /// Grows until the next flush.
    pub(crate) open: Group,
    /// Being committed right now.
    pub(crate) flushing: Option<std::sync::Arc<Group>>,
    /// The pack that small segments are added to.
    current: Option<ObjectId>,
    /// All packs that are not on disk.
    pub(crate) packs: HashMap<ObjectId, Pack>,
    /// Objects on disk that are not synced.
    pub(crate) unsynced: Vec<ObjectId>,
    /// Staged columns by content, so that equal ones are stored once.
    by_content: HashMap<ContentDigest, StoredColumn>,
    /// Bytes staged since the last flush.
    pub(crate) bytes: u64,
    /// When the open group got its first entry.
    pub(crate) since: Option<Instant>,
    /// How long the last commit took.
    pub(crate) commit_took: Duration,
}

impl Uncommitted {
    /// Adds results; the first one of a key wins.
    pub(crate) fn record(&mut self, record: Record) {
        self.since.get_or_insert_with(Instant::now);
        for (key, column) in record.columns {
            self.open.columns.entry(key).or_insert(column);
        }
        self.open.rows.extend(record.rows);
    }

    /// Adds a fact, or its being forgotten.
    pub(crate) fn remember(&mut self, kind: u8, key: [u8; 32], value: Option<Vec<u8>>) {
        self.since.get_or_insert_with(Instant::now);
        self.open.memos.insert((kind, key), value);
    }

    /// The groups, latest first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        std::iter::once(&self.open).chain(self.flushing.as_deref())
    }

    /// Puts a small segment file into the current pack, or into a new one of this name.
    pub(crate) fn pack(&mut self, bytes: Buffer, name: impl FnOnce() -> ObjectId) -> (ObjectId, u64) {
        let id = *self.current.get_or_insert_with(name);
        self.bytes += bytes.len() as u64;
        (id, self.packs.entry(id).or_default().add(bytes))
    }

    /// Bytes that wait in memory.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.packs.values().map(|pack| pack.length).sum()
    }

    /// A segment file that is not on disk yet.
    pub(crate) fn part(&self, place: &Location) -> Option<Buffer> {
        self.packs.get(&place.object)?.part(place.offset)
    }

    /// Notes staged columns under their content.
    pub(crate) fn stage(&mut self, columns: &[StoredColumn]) {
        self.by_content.extend(columns.iter().map(|column| (column.content, *column)));
    }

    /// A staged column with this content.
    pub(crate) fn by_content(&self, content: &ContentDigest) -> Option<StoredColumn> {
        self.by_content.get(content).copied()
    }

    /// Begins a flush: closes the group and the current pack.
    pub(crate) fn begin_flush(&mut self) -> std::sync::Arc<Group> {
        self.current = None;
        self.since = None;
        self.bytes = 0;
        let group = std::sync::Arc::new(std::mem::take(&mut self.open));
        self.flushing = Some(group.clone());
        group
    }

    /// Ends a flush that went well.
    pub(crate) fn end_flush(&mut self) {
        self.flushing = None;
        self.by_content.clear();
    }

    /// Ends a flush that failed: its entries wait for the next one.
    pub(crate) fn fail_flush(&mut self, group: std::sync::Arc<Group>) {
        self.flushing = None;
        if let Ok(group) = std::sync::Arc::try_unwrap(group) {
            self.open.absorb(group);
        }
        self.since.get_or_insert_with(Instant::now);
    }

    /// Drops results that lie in a damaged place.
    pub(crate) fn forget(&mut self, extent: Extent, place: &Location) {
        self.open.columns.retain(|_, column| !extent.covers(place, &column.location));
        self.by_content.retain(|_, column| !extent.covers(place, &column.location));
    }
}
