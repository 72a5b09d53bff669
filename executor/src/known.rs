//! The store as one run sees it: what was found once is not looked up again.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_planner::plan::StreamId;
use flowc_store::{Store, StoreError, StoredColumn};

/// Locked by whoever makes something of a segment that several tasks need, so that it is made once.
pub(crate) type Turn = Arc<Mutex<()>>;

/// A store, and what was found in it. Results don't go away while a process has the store open, unless they turn out to
/// be damaged; then the run starts over, with nothing known.
pub(crate) struct Known<'a> {
    store: &'a Store,
    columns: Mutex<HashMap<ColumnKey, StoredColumn>>,
    rows: Mutex<HashMap<RowsKey, u64>>,
    turns: Mutex<HashMap<(StreamId, usize), Turn>>,
}

impl<'a> Known<'a> {
    /// Nothing is known yet.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, columns: Mutex::default(), rows: Mutex::default(), turns: Mutex::default() }
    }

    /// As [`Store::find_columns`]. Asking for many at once is faster than asking for each.
    pub(crate) fn find_columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        find(&self.columns, keys, |missing| self.store.find_columns(missing))
    }

    /// The turn of a segment.
    pub(crate) fn turn(&self, stream: StreamId, segment: usize) -> Turn {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry((stream, segment)).or_default().clone()
    }

    /// As [`Store::find_rows`].
    pub(crate) fn find_rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        find(&self.rows, keys, |missing| self.store.find_rows(missing))
    }
}

impl Deref for Known<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

fn find<K: Copy + Eq + Hash, V: Copy>(
    known: &Mutex<HashMap<K, V>>,
    keys: &[K],
    look_up: impl Fn(&[K]) -> Result<Vec<Option<V>>, StoreError>,
) -> Result<Vec<Option<V>>, StoreError> {
    let mut found: Vec<Option<V>> = {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| known.get(key).copied()).collect()
    };
    let places: Vec<usize> = (0..keys.len()).filter(|&place| found[place].is_none()).collect();
    if places.is_empty() {
        return Ok(found);
    }
    let missing: Vec<K> = places.iter().map(|&place| keys[place]).collect();
    let answers = look_up(&missing)?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    for (place, answer) in places.into_iter().zip(answers) {
        if let Some(value) = answer {
            known.insert(keys[place], value);
            found[place] = Some(value);
        }
    }
    Ok(found)
}
