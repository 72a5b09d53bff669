//! What garbage collection decides, from what is there, what is to be kept, and what living processes rely on.

use std::collections::{BTreeMap, HashSet};

use flowc_planner::key::ColumnKey;

use crate::lease::Leased;
use crate::{Location, ObjectId, StoredColumn};

/// Segment files of an object that are kept: offset to length.
pub(crate) type Parts = BTreeMap<u64, u64>;

/// The results that stay, and those that go.
pub(crate) struct Verdict {
    pub(crate) kept: Vec<(ColumnKey, StoredColumn)>,
    pub(crate) removed: Vec<(ColumnKey, StoredColumn)>,
}

impl Verdict {
    /// Results stay whose keys are to be kept, whatever keys they are known under: equal inputs find them by others. So do all
    /// results in objects that living processes rely on.
    pub(crate) fn of(all: Vec<(ColumnKey, StoredColumn)>, keep: &HashSet<ColumnKey>, leased: &Leased) -> Self {
        let named = all.iter().filter(|(key, _)| keep.contains(key));
        let places: HashSet<Location> = named.map(|(_, column)| column.location).collect();
        let stays = |(_, column): &(ColumnKey, StoredColumn)| {
            places.contains(&column.location) || leased.holds(column.location.object)
        };
        let (kept, removed) = all.into_iter().partition(stays);
        Self { kept, removed }
    }

    /// What is kept of each object.
    pub(crate) fn parts(&self) -> BTreeMap<ObjectId, Parts> {
        let mut parts: BTreeMap<ObjectId, Parts> = BTreeMap::new();
        for (_, column) in &self.kept {
            let Location { object, offset, length, .. } = column.location;
            parts.entry(object).or_default().insert(offset, length);
        }
        parts
    }
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// Little of it is kept: it is copied without the rest.
    Shrinks,
    Goes,
}

impl Fate {
    /// Of an object of so many bytes, of which so many are kept.
    pub(crate) fn of(object: ObjectId, bytes: u64, kept: u64, leased: &Leased) -> Self {
        match kept {
            _ if leased.holds(object) => Self::Stays,
            0 => Self::Goes,
            _ if kept >= bytes / 2 => Self::Stays,
            _ => Self::Shrinks,
        }
    }
}
