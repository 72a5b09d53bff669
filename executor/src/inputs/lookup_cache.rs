//! The store as one run sees it: what was found once is not looked up again, nor what the last run found.
//!
//! What was found is kept in a file of the store beside its index. Garbage collection removes such files, and so does
//! whoever meets damage; a run that saves what it found at that moment keeps a damaged result in it, which the next one
//! meets again as soon as it reads it.
//!
//! Of datasets it is kept node by node of what all is there (`flowc_demand::Segments`), so that a run looks up what lies below
//! nodes that are new, and nothing else.
//!
//! What was not found is not looked up again either, until this run records it: so what was asked for in one go, as the windows of a
//! stage are, costs nothing where it is asked for one by one. What other processes make meanwhile is made here once more, at worst.
//! What this run records it need not look up.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::Hash;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flowc_demand::{Datasets, NodeKey, node_keys};
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::StreamId;
use flowc_platform::lock;
use flowc_store::{Record, Store, StoreError, StoredColumn};
use serde::{Deserialize, Serialize};

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
    /// What the segments below nodes hold.
    contents: Mutex<Found<[u8; 32], Arc<[SegmentContent]>>>,
    turns: Mutex<HashMap<(StreamId, usize), Turn>>,
}

/// What a segment holds that is all there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SegmentContent {
    /// The number of rows.
    pub rows: u64,
    /// What tells it from other segments of a sink.
    #[serde(with = "flowc_planner::digest_form")]
    pub digest: [u8; 32],
    /// The content of each column.
    pub columns: Vec<ContentDigest>,
}

/// Entries of the index that were found.
struct Found<K, V> {
    /// By this run.
    now: HashMap<K, V>,
    /// By the last one.
    before: HashMap<K, V>,
    /// Recorded by this run, and not asked for yet.
    made: HashMap<K, V>,
    /// What was not found, and not recorded since.
    absent: HashSet<K>,
}

impl<K, V> Default for Found<K, V> {
    fn default() -> Self {
        Self { now: HashMap::new(), before: HashMap::new(), made: HashMap::new(), absent: HashSet::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Found<K, V> {
    fn of_last_run(before: HashMap<K, V>) -> Mutex<Self> {
        Mutex::new(Self { now: HashMap::with_capacity(before.len()), before, ..Self::default() })
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.now.get(key) {
            return Some(value.clone());
        }
        let value = self.before.get(key).cloned().or_else(|| self.made.remove(key))?;
        self.now.insert(*key, value.clone());
        Some(value)
    }

    /// What is known of keys, and the places of those that are to be looked up.
    fn known(&mut self, keys: &[K]) -> (Vec<Option<V>>, Vec<usize>) {
        let known: Vec<Option<V>> = keys.iter().map(|key| self.get(key)).collect();
        let is_open = |place: &usize| known[*place].is_none() && !self.absent.contains(&keys[*place]);
        let open = (0..keys.len()).filter(is_open).collect();
        (known, open)
    }

    /// Takes in what a look-up gave, and says what is known then: it may have missed what was recorded meanwhile.
    fn learn(&mut self, key: K, value: Option<V>) -> Option<V> {
        if let Some(value) = value {
            self.now.insert(key, value);
        }
        let known = self.get(&key);
        if known.is_none() {
            self.absent.insert(key);
        }
        known
    }

    /// Takes in that these were recorded. Of a key the first result counts.
    fn recorded(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.absent.remove(&key);
            if !self.now.contains_key(&key) {
                self.made.entry(key).or_insert(value);
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
            contents: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// A cache that begins with what a pipeline's last good run found.
    pub(crate) fn of_last_run(store: &'a Store, pipeline: &Path) -> Self {
        type Kept = (
            HashMap<ColumnKey, StoredColumn>,
            HashMap<RowsKey, u64>,
            HashMap<NodeKey, u64>,
            HashMap<[u8; 32], Arc<[SegmentContent]>>,
        );
        let found = store.memo_relied_on(FOUND, &key(pipeline), |(columns, ..): &Kept| {
            columns.values().map(StoredColumn::need).collect()
        });
        let (columns, rows, nodes, contents) = found.ok().flatten().unwrap_or_default();
        Self {
            columns: Found::of_last_run(columns),
            rows: Found::of_last_run(rows),
            nodes: Found::of_last_run(nodes),
            contents: Found::of_last_run(contents),
            ..Self::new(store)
        }
    }

    /// Keeps what this run found for the next one of the pipeline. What the last run knew of nodes of these datasets is taken over:
    /// this run did not ask for what lies below nodes that it knew.
    pub(crate) fn save(&self, pipeline: &Path, datasets: &Datasets) {
        let (columns, rows, contents) = (lock(&self.columns), lock(&self.rows), lock(&self.contents));
        let nodes = self.noted_of(datasets);
        // Without it the next run asks the index.
        let _ = self.store.remember(FOUND, &key(pipeline), &(&columns.now, &rows.now, &nodes, &contents.now));
    }

    fn noted_of(&self, datasets: &Datasets) -> HashMap<NodeKey, u64> {
        let (mut nodes, mut kept) = (lock(&self.nodes), HashMap::new());
        for segments in datasets.streams.values() {
            let Ok(()) = segments.visit(|node, keys| {
                if node.level > 0 {
                    kept.extend(node_keys(keys).filter_map(|key| Some((*key, nodes.get(key)?))));
                }
                Ok::<_, Infallible>(node.level > 1)
            });
        }
        kept
    }

    /// The rows below a node of which all was found.
    pub(crate) fn noted(&self, node: &NodeKey) -> Option<u64> {
        #[cfg(test)]
        lookups::add(self.dir(), 1);
        lock(&self.nodes).get(node)
    }

    /// What the segments below a node hold, if it was noted.
    pub(crate) fn contents(&self, node: &SegmentKeys) -> Option<Arc<[SegmentContent]>> {
        #[cfg(test)]
        lookups::add(self.dir(), 1);
        lock(&self.contents).get(&key_of_contents(node))
    }

    /// Takes in what the segments below a node hold.
    pub(crate) fn note_contents(&self, node: &SegmentKeys, contents: Arc<[SegmentContent]>) {
        lock(&self.contents).now.insert(key_of_contents(node), contents);
    }

    /// Takes in that all below a node was found.
    pub(crate) fn note(&self, node: NodeKey, rows: u64) {
        lock(&self.nodes).now.insert(node, rows);
    }

    /// As [`Store::find_columns`]. Asking for many at once is faster than asking for each.
    pub(crate) fn find_columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        self.find(&self.columns, keys, |missing| self.store.find_columns(missing))
    }

    /// As [`Store::record`]: what is recorded is found from now on.
    pub(crate) fn record(&self, record: Record) {
        let (columns, rows) = (record.columns.clone(), record.rows.clone());
        self.store.record(record);
        lock(&self.columns).recorded(columns);
        lock(&self.rows).recorded(rows);
    }

    /// The turn of a segment.
    pub(crate) fn turn(&self, stream: StreamId, segment: usize) -> Turn {
        lock(&self.turns).entry((stream, segment)).or_default().clone()
    }

    /// As [`Store::find_rows`].
    pub(crate) fn find_rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        self.find(&self.rows, keys, |missing| self.store.find_rows(missing))
    }

    fn find<K: Copy + Eq + Hash, V: Copy>(
        &self,
        known: &Mutex<Found<K, V>>,
        keys: &[K],
        look_up: impl Fn(&[K]) -> Result<Vec<Option<V>>, StoreError>,
    ) -> Result<Vec<Option<V>>, StoreError> {
        #[cfg(test)]
        lookups::add(self.dir(), keys.len());
        let (mut found, open) = lock(known).known(keys);
        if open.is_empty() {
            return Ok(found);
        }
        let asked: Vec<K> = open.iter().map(|&place| keys[place]).collect();
        let answers = look_up(&asked)?;
        let mut known = lock(known);
        for (place, answer) in open.into_iter().zip(answers) {
            found[place] = known.learn(keys[place], answer);
        }
        Ok(found)
    }
}

impl Deref for LookupCache<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

/// What the segments below a node hold depends on the keys of all columns.
fn key_of_contents(node: &SegmentKeys) -> [u8; 32] {
    let mut hasher = KeyHasher::new("contents");
    node_keys(node).for_each(|key| {
        hasher.digest(key);
    });
    hasher.finish()
}

fn key(pipeline: &Path) -> [u8; 32] {
    KeyHasher::new("found").bytes(pipeline.as_os_str().as_encoded_bytes()).finish()
}

/// Keys that were looked up, found or not, by the stores' folders.
#[cfg(test)]
pub(crate) mod lookups {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    static COUNTS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

    pub(super) fn add(store: &Path, keys: usize) {
        *super::lock(&COUNTS).entry(store.to_owned()).or_default() += keys;
    }

    /// How many there were since this was asked last.
    pub(crate) fn take(store: &Path) -> usize {
        super::lock(&COUNTS).remove(store).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;
    use std::sync::Arc;

    use super::{Found, lookups};
    use crate::{Cancel, Event, Options, RunRequest, Session};

    fn session(folder: &Path) -> Session {
        Session::new(Options {
            pipeline: folder.join("flow.kdl"),
            store: folder.join("store"),
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
            gpu: None,
        })
    }

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
        let session = session(folder.path());
        session.run(&RunRequest::default(), Arc::new(|_: Event| ()), Cancel::new()).unwrap();
        let of_run = lookups::take(&folder.path().join("store"));
        let planned = session.plan(Arc::new(|_: Event| ())).unwrap();
        session.status(&planned, &RunRequest::default()).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).unwrap(), "x\n1\n");
        [of_run, lookups::take(&folder.path().join("store"))]
    }

    #[test]
    fn what_was_absent_is_found_once_it_is_recorded_and_never_noted_as_absent_by_a_look_up_from_before() {
        let mut found: Found<u8, u64> = Found::default();
        assert_eq!(found.learn(1, None), None);
        assert_eq!(found.known(&[1, 2]), (vec![None, None], vec![1]));
        // The look-up began before the record, and ends after it.
        found.recorded([(3, 30)]);
        assert_eq!(found.learn(3, None), Some(30));
        found.recorded([(1, 10), (4, 40)]);
        assert_eq!(found.known(&[1, 2, 3, 4]), (vec![Some(10), None, Some(30), Some(40)], vec![1]));
        assert!(found.absent.is_empty());
    }

    #[test]
    fn what_was_found_stays_what_it_is_whatever_is_recorded_later() {
        let mut found: Found<u8, u64> = Found { before: [(2, 20)].into(), ..Found::default() };
        assert_eq!(found.learn(1, Some(10)), Some(10));
        found.recorded([(1, 11), (2, 21), (3, 31)]);
        found.recorded([(3, 32)]);
        assert_eq!(found.known(&[1, 2, 3]), (vec![Some(10), Some(20), Some(31)], vec![]));
    }

    #[test]
    fn work_grows_with_the_length_of_a_chain_and_not_with_its_square() {
        let (short, long) = (lookups_of_a_chain(20), lookups_of_a_chain(80));
        for (short, long) in short.into_iter().zip(long) {
            assert!(long <= 4 * short + 16, "{short} keys for 20 stages, {long} for 80");
        }
    }

    /// Keys that are looked up for a run over so many files of which one has changed, and for a look at what the next one would do.
    fn lookups_of_a_change(files: usize) -> [usize; 2] {
        let folder = tempfile::tempdir().unwrap();
        let flow = "source \"in\" { files \"in/*.txt\" }\n\
             stage \"words\" { in \"in\"; std \"tokenize@1\"; config { column \"line\" } }\n\
             stage \"counts\" { in \"words\"; std \"count@1\"; config { by \"word\" } }\n\
             sink \"o\" { in \"counts\"; file \"out.csv\" }\n";
        std::fs::write(folder.path().join("flow.kdl"), flow).unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let file = |number: usize| folder.path().join(format!("in/{number:04}.txt"));
        (0..files).for_each(|number| std::fs::write(file(number), format!("a b {number}\n")).unwrap());
        let (session, store) = (session(folder.path()), folder.path().join("store"));
        let run = || session.run(&RunRequest::default(), Arc::new(|_: Event| ()), Cancel::new()).unwrap();
        run();
        std::fs::write(file(files / 2), "a b changed\n").unwrap();
        lookups::take(&store);
        let report = run();
        let of_run = lookups::take(&store);
        assert_eq!(report.stages.iter().map(|stage| stage.segments_ran).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).unwrap().lines().count(), files + 3);
        let planned = session.plan(Arc::new(|_: Event| ())).unwrap();
        session.status(&planned, &RunRequest::default()).unwrap();
        [of_run, lookups::take(&store)]
    }

    #[test]
    fn look_ups_for_a_segment_that_changed_do_not_grow_with_the_number_of_segments() {
        let (few, many) = (lookups_of_a_change(40), lookups_of_a_change(640));
        for (few, many) in few.into_iter().zip(many) {
            assert!(many <= few + 150, "{few} keys for 40 segments, {many} for 640");
        }
    }
}
