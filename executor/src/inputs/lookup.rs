//! Answers the questions of `flowc_demand` from the store and the sources' segments.

use flowc_demand::{Lookup, NodeKey};
use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey};
use flowc_store::{StoreError, StoredColumn};

use crate::inputs::lookup_cache::LookupCache;
use crate::intake::inventory::Inventory;

/// Results in the store, and segments of sources.
#[derive(Clone, Copy)]
pub(crate) struct Lookups<'a> {
    /// The store, with what was found in it.
    pub store: &'a LookupCache<'a>,
    /// The sources' segments.
    pub inventory: &'a Inventory,
}

/// Finds the columns of a plan in the store and in source files.
pub(crate) type Locator<'a> = flowc_demand::Locator<'a, Lookups<'a>>;

/// Where a column lies in the store, or in which source.
pub(crate) type ColumnLocation = flowc_demand::ColumnLocation<StoredColumn>;

impl Lookup for Lookups<'_> {
    type Column = StoredColumn;
    type Error = StoreError;

    fn columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        self.store.find_columns(keys)
    }

    fn rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        self.store.find_rows(keys)
    }

    fn source_rows(&self, source: usize, segment: usize) -> Option<u64> {
        self.inventory.source(source).segments.get(segment).map(|segment| segment.rows)
    }

    fn noted(&self, node: &NodeKey) -> Option<u64> {
        self.store.noted(node)
    }

    fn note(&self, node: NodeKey, rows: u64) {
        self.store.note(node, rows);
    }

    fn content(column: &StoredColumn) -> ContentDigest {
        column.content
    }

    fn length(column: &StoredColumn) -> u64 {
        column.rows
    }
}
