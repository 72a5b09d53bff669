//! What was counted: the keys in the table, and null.

use std::iter::once;

use crate::table::Table;

/// Counts by key, null being one.
pub(crate) struct Groups {
    pub(crate) table: Table,
    /// How often null came.
    nulls: u64,
    /// How many keys were there when it came first.
    null_at: u32,
}

/// A group: the number of its key, or none for null.
pub(crate) type Group = Option<u32>;

impl Groups {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), nulls: 0, null_at: 0 }
    }

    /// Adds null, so many times.
    pub(crate) fn add_null(&mut self, count: u64) {
        if self.nulls == 0 {
            self.null_at = self.table.len() as u32;
        }
        self.nulls += count;
    }

    /// All groups, in order of first appearance.
    pub(crate) fn in_order_of_appearance(&self) -> Vec<Group> {
        let keys = |range: std::ops::Range<u32>| range.map(Some);
        keys(0..self.null_at).chain(self.null()).chain(keys(self.null_at..self.table.len() as u32)).collect()
    }

    /// All groups by their keys' bytes, null first.
    pub(crate) fn sorted(&self) -> Vec<Group> {
        self.null().chain(self.table.sorted().into_iter().map(Some)).collect()
    }

    fn null(&self) -> impl Iterator<Item = Group> {
        once(None).filter(|_| self.nulls > 0)
    }

    /// The key of a group.
    pub(crate) fn key(&self, group: Group) -> Option<&[u8]> {
        group.map(|number| self.table.key(number as usize))
    }

    /// How often a group's key came.
    pub(crate) fn count(&self, group: Group) -> i64 {
        group.map_or(self.nulls, |number| self.table.count(number as usize)) as i64
    }
}
