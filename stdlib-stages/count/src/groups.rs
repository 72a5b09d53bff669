//! What was counted: the keys in the table, and null.

use crate::table::Table;

/// Counts by key, null being one.
pub(crate) struct Groups {
    pub(crate) table: Table,
    /// How often null came.
    pub(crate) nulls: u64,
}

/// A group: the number of its key, or none for null.
pub(crate) type Group = Option<u32>;

impl Groups {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), nulls: 0 }
    }

    /// All groups, in order of first appearance, null first.
    pub(crate) fn in_order_of_appearance(&self) -> Vec<Group> {
        self.with_null(0..self.table.len() as u32)
    }

    /// All groups by their keys' bytes, null first.
    pub(crate) fn sorted(&self) -> Vec<Group> {
        self.with_null(self.table.sorted())
    }

    fn with_null(&self, keys: impl IntoIterator<Item = u32>) -> Vec<Group> {
        let null = (self.nulls > 0).then_some(None);
        null.into_iter().chain(keys.into_iter().map(Some)).collect()
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
