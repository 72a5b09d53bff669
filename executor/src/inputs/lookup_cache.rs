//! The store as one run sees it: what was found once is not looked up again, nor what the last run found.
//!
//! What was found is kept in a file of the store beside its index. Garbage collection removes such files, and so does
//! whoever meets damage; a run that saves what it found at that moment keeps a damaged result in it, which the next one
//! meets again as soon as it reads it.
//!
//! Of datasets it is kept node by node of what all is there (`flowc_demand::Segments`), so that a run looks up what lies below
//! nodes that are new, and nothing else.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flowc_demand::NodeKey;
use flowc_planner::key::{ColumnKey, KeyHasher, RowsKey};
use flowc_planner::plan::StreamId;
use flowc_platform::lock;
use flowc_store::{Store, StoreError, StoredColumn};

use crate::remembered::FOUND;

/// Locked by whoever makes something of a segment that several tasks need, so that it is made once.
pub(crate) type Turn = Arc<Mutex<()>>;

/// A store, and what was found in it. Results that a process has found don't go away while it has the store open, unless they turn
/// out to be damaged; then the run starts over, with nothing known.
pub(crate) struct LookupCache<'a> {
    store: &'a Store,
    columns: Mutex<Found<ColumnKey, StoredColumn>>,
    rows: Mutex<Found<RowsKey, u64>>,
    /// The rows below nodes of which all was found.
    nodes: Mutex<Found<NodeKey, u64>>,
    turns: Mutex<HashMap<(StreamId, usize), Turn>>,
}

/// Entries of the index that were found.
struct Found<K, V> {
    /// By this run.
    now: HashMap<K, V>,
    /// By the last one.
    before: HashMap<K, V>,
}

impl<K, V> Default for Found<K, V> {
    fn default() -> Self {
        Self { now: HashMap::new(), before: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Found<K, V> {
    fn of_last_run(before: HashMap<K, V>) -> Mutex<Self> {
        Mutex::new(Self { now: HashMap::with_capacity(before.len()), before })
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.now.get(key) {
            return Some(*value);
        }
        let value = *self.before.get(key)?;
        self.now.insert(*key, value);
        Some(value)
    }

    /// Takes over what the last run knew and this one did not ask for, unless that is more than so much in all: some of it is
    /// of datasets that are not there any more.
    fn keep_unasked(&mut self, most: usize) {
        if self.before.len() <= most {
            for (key, value) in self.before.drain() {
                self.now.entry(key).or_insert(value);
            }
        }
    }
}

impl<'a> LookupCache<'a> {
    /// An empty cache.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            columns: Mutex::default(),
            rows: Mutex::default(),
            nodes: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// A cache that begins with what a pipeline's last good run found.
    pub(crate) fn of_last_run(store: &'a Store, pipeline: &Path) -> Self {
        type Kept = (HashMap<ColumnKey, StoredColumn>, HashMap<RowsKey, u64>, HashMap<NodeKey, u64>);
        let found = store.memo_relied_on(FOUND, &key(pipeline), |(columns, ..): &Kept| {
            columns.values().map(StoredColumn::need).collect()
        });
        let (columns, rows, nodes) = found.ok().flatten().unwrap_or_default();
        Self {
            columns: Found::of_last_run(columns),
            rows: Found::of_last_run(rows),
            nodes: Found::of_last_run(nodes),
            ..Self::new(store)
        }
    }

    /// Keeps what this run found for the next one of the pipeline, whose datasets have so many nodes.
    pub(crate) fn save(&self, pipeline: &Path, nodes_in_all: usize) {
        let (columns, rows, mut nodes) = (lock(&self.columns), lock(&self.rows), lock(&self.nodes));
        nodes.keep_unasked(2 * nodes_in_all);
        // Without it the next run asks the index.
        let _ = self.store.remember(FOUND, &key(pipeline), &(&columns.now, &rows.now, &nodes.now));
    }

    /// The rows below a node of which all was found.
    pub(crate) fn noted(&self, node: &NodeKey) -> Option<u64> {
        #[cfg(test)]
        lookups::add(1);
        lock(&self.nodes).get(node)
    }

    /// Takes in that all below a node was found.
    pub(crate) fn note(&self, node: NodeKey, rows: u64) {
        lock(&self.nodes).now.insert(node, rows);
    }

    /// As [`Store::find_columns`]. Asking for many at once is faster than asking for each.
    pub(crate) fn find_columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        find(&self.columns, keys, |missing| self.store.find_columns(missing))
    }

    /// The turn of a segment.
    pub(crate) fn turn(&self, stream: StreamId, segment: usize) -> Turn {
        lock(&self.turns).entry((stream, segment)).or_default().clone()
    }

    /// As [`Store::find_rows`].
    pub(crate) fn find_rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        find(&self.rows, keys, |missing| self.store.find_rows(missing))
    }
}

impl Deref for LookupCache<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

fn find<K: Copy + Eq + Hash, V: Copy>(
    known: &Mutex<Found<K, V>>,
    keys: &[K],
    look_up: impl Fn(&[K]) -> Result<Vec<Option<V>>, StoreError>,
) -> Result<Vec<Option<V>>, StoreError> {
    #[cfg(test)]
    lookups::add(keys.len());
    let mut found: Vec<Option<V>> = {
        let mut known = lock(known);
        keys.iter().map(|key| known.get(key)).collect()
    };
    let places: Vec<usize> = (0..keys.len()).filter(|&place| found[place].is_none()).collect();
    if places.is_empty() {
        return Ok(found);
    }
    let missing: Vec<K> = places.iter().map(|&place| keys[place]).collect();
    let answers = look_up(&missing)?;
    let mut known = lock(known);
    for (place, answer) in places.into_iter().zip(answers) {
        if let Some(value) = answer {
            known.now.insert(keys[place], value);
            found[place] = Some(value);
        }
    }
    Ok(found)
}

fn key(pipeline: &Path) -> [u8; 32] {
    KeyHasher::new("found").bytes(pipeline.as_os_str().as_encoded_bytes()).finish()
}

/// Keys that this thread has looked up, found or not.
#[cfg(test)]
pub(crate) mod lookups {
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn add(keys: usize) {
        COUNT.set(COUNT.get() + keys);
    }

    /// How many there were since this was asked last.
    pub(crate) fn take() -> usize {
        COUNT.take()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::sync::Arc;

    use super::lookups;
    use crate::{Cancel, Event, Options, RunRequest, Session};

    /// Keys that are looked up for a run of so many stages that each pass all columns on, and for a look at what a second one
    /// would do.
    fn lookups_of_a_chain(stages: usize) -> [usize; 2] {
        let folder = tempfile::tempdir().unwrap();
        let mut flow = "source \"s0\" { files \"in.csv\" }\n".to_owned();
        for stage in 1..=stages {
            let above = stage - 1;
            writeln!(flow, "stage \"s{stage}\" {{ in \"s{above}\"; std \"select@1\"; config {{ keep \"x\" }} }}")
                .unwrap();
        }
        writeln!(flow, "sink \"o\" {{ in \"s{stages}\"; file \"out.csv\" }}").unwrap();
        std::fs::write(folder.path().join("flow.kdl"), flow).unwrap();
        std::fs::write(folder.path().join("in.csv"), "x\n1\n").unwrap();
        let session = Session::new(Options {
            pipeline: folder.path().join("flow.kdl"),
            store: folder.path().join("store"),
            jobs: 1,
            params: Default::default(),
            ambient: Default::default(),
            locked: false,
            build: true,
            update_lock: false,
            memory: 512 << 20,
            budget: 8 << 30,
            require_isolation: false,
            workers: Vec::new(),
        });
        lookups::take();
        session.run(&RunRequest::default(), Arc::new(|_: Event| ()), Cancel::new()).unwrap();
        let of_run = lookups::take();
        let planned = session.plan(Arc::new(|_: Event| ())).unwrap();
        session.status(&planned, &RunRequest::default()).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).unwrap(), "x\n1\n");
        [of_run, lookups::take()]
    }

    #[test]
    fn work_grows_with_the_length_of_a_chain_and_not_with_its_square() {
        let (short, long) = (lookups_of_a_chain(20), lookups_of_a_chain(80));
        for (short, long) in short.into_iter().zip(long) {
            assert!(long <= 4 * short + 16, "{short} keys for 20 stages, {long} for 80");
        }
    }
}
