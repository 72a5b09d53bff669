//! The segments of a stream, as a tree of keys.
//!
//! The segments are the leaves, in order; every [`FAN_OUT`] neighbours have a node above them, and so on up to one root. A
//! node has the keys that a segment has: one for the rows below it and one per column. So a formula that makes the keys of a
//! segment out of those of another makes the keys of a node out of a node's, and the keys of a derived stream are known from
//! its root down, without those of any segment. Two datasets are compared in the same way: what lies below equal keys is
//! equal, and is not visited. Where one segment of n differs, or was appended, that leaves log n nodes.
//!
//! A node's place depends on the segments' numbers alone, never on their keys: merges of partials have the shape of the tree,
//! and what they give must not depend on columns that nobody reads.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::Fields;
use flowc_planner::key::{ColumnKey, KeyHasher, RowsKey, SegmentKeys};

/// Nodes that have one node above them. Merges take so many partials, so it is part of what results depend on.
pub const FAN_OUT: usize = 16;

/// The domain of the keys of nodes.
const DATASET: &str = "flowc dataset 1";

/// A place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// 0 for a segment.
    pub level: usize,
    /// Position within the level.
    pub index: usize,
}

impl Node {
    /// The node that it is below.
    pub fn above(self) -> Self {
        Self { level: self.level + 1, index: self.index / FAN_OUT }
    }
}

/// The places of a tree over so many segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    len: usize,
}

impl Shape {
    /// The shape over so many segments.
    pub fn new(len: usize) -> Self {
        Self { len }
    }

    /// The number of segments.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no segments.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node above all others. Of one segment, that segment.
    pub fn root(&self) -> Node {
        let mut root = Node { level: usize::from(self.is_empty()), index: 0 };
        while self.width(root.level) > 1 {
            root.level += 1;
        }
        root
    }

    /// The nodes just below a node; none below a segment.
    pub fn children(&self, node: Node) -> impl Iterator<Item = Node> {
        let level = node.level.saturating_sub(1);
        let places = if node.level == 0 { 0..0 } else { within(node.index, FAN_OUT, self.width(level)) };
        places.map(move |index| Node { level, index })
    }

    /// The segments below a node, or the segment that it is.
    pub fn below(&self, node: Node) -> Range<usize> {
        within(node.index, span(node.level), self.len())
    }

    /// The number of nodes of a level.
    pub fn width(&self, level: usize) -> usize {
        self.len().div_ceil(span(level))
    }
}

/// The segments of a stream. Clones share them.
#[derive(Clone)]
pub struct Segments(Arc<Tree>);

struct Tree {
    shape: Shape,
    keys: Keys,
}

enum Keys {
    /// Level by level; the last one has the root alone.
    Listed(Vec<Vec<SegmentKeys>>),
    /// Made from another tree's keys when they are asked for.
    Derived { above: Segments, formula: Box<Formula>, known: Mutex<HashMap<Node, SegmentKeys>> },
}

/// Makes the keys of a segment or a node out of those of the segment or node above.
type Formula = dyn Fn(&SegmentKeys) -> SegmentKeys + Send + Sync;

impl Segments {
    /// Segments with these keys. Where there are none, the types of the columns are in the key of the stream.
    pub fn listed(columns: &Fields, segments: Vec<SegmentKeys>) -> Self {
        let len = segments.len();
        let above = |below: &[SegmentKeys]| match below {
            [only] => only.clone(),
            several => joined(DATASET, several),
        };
        let mut levels = vec![segments];
        if len == 0 {
            levels.push(vec![nothing(columns)]);
        }
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = last.chunks(FAN_OUT).map(above).collect();
            levels.push(next);
        }
        Self(Arc::new(Tree { shape: Shape { len }, keys: Keys::Listed(levels) }))
    }

    /// Segments that are made one by one of these.
    pub fn derived(above: &Segments, formula: impl Fn(&SegmentKeys) -> SegmentKeys + Send + Sync + 'static) -> Self {
        let keys = Keys::Derived { above: above.clone(), formula: Box::new(formula), known: Mutex::default() };
        Self(Arc::new(Tree { shape: **above, keys }))
    }

    /// The keys of a node or a segment. What is above the root has those of the root.
    pub fn keys(&self, node: Node) -> SegmentKeys {
        let node = if node.level > self.root().level { self.root() } else { node };
        let mut open = Vec::new();
        let mut tree = self;
        let mut keys = loop {
            match &tree.0.keys {
                Keys::Listed(levels) => break levels[node.level][node.index].clone(),
                Keys::Derived { above, known, .. } => match lock(known).get(&node) {
                    Some(found) => break found.clone(),
                    None => {
                        open.push(tree);
                        tree = above;
                    }
                },
            }
        };
        while let Some(Self(tree)) = open.pop() {
            if let Keys::Derived { formula, known, .. } = &tree.keys {
                keys = formula(&keys);
                lock(known).insert(node, keys.clone());
            }
        }
        keys
    }

    /// The keys of a segment; none if there is none of this number.
    pub fn segment(&self, index: usize) -> Option<SegmentKeys> {
        (index < self.len()).then(|| self.keys(Node { level: 0, index }))
    }

    /// The keys of all segments, in order.
    pub fn iter(&self) -> impl Iterator<Item = SegmentKeys> + '_ {
        (0..self.len()).map(|index| self.keys(Node { level: 0, index }))
    }

    /// The keys of the dataset: those of its root.
    pub fn key(&self) -> SegmentKeys {
        self.keys(self.root())
    }

    /// The keys of one segment that has the rows of all these.
    pub fn concatenated(&self) -> SegmentKeys {
        match self.len() {
            1 => self.key(),
            _ => joined("flowc concatenation 2", &[self.key()]),
        }
    }

    /// Visits nodes from the root down, in order: below a node only where `enters` says so.
    ///
    /// # Errors
    /// That of `enters`.
    pub fn visit<E>(&self, mut enters: impl FnMut(Node, &SegmentKeys) -> Result<bool, E>) -> Result<(), E> {
        let mut open = vec![self.root()];
        while let Some(node) = open.pop() {
            if enters(node, &self.keys(node))? {
                let first = open.len();
                open.extend(self.children(node));
                open[first..].reverse();
            }
        }
        Ok(())
    }
}

impl Deref for Segments {
    type Target = Shape;

    fn deref(&self) -> &Shape {
        &self.0.shape
    }
}

impl Default for Segments {
    fn default() -> Self {
        Self::listed(&Fields::empty(), Vec::new())
    }
}

/// How many segments lie below a full node of a level.
fn span(level: usize) -> usize {
    FAN_OUT.saturating_pow(u32::try_from(level).unwrap_or(u32::MAX))
}

/// The places of a run of so many, as far as there are some.
fn within(index: usize, many: usize, end: usize) -> Range<usize> {
    let first = index.saturating_mul(many).min(end);
    first..first.saturating_add(many).min(end)
}

/// The keys of a stream without segments. The key of a column holds its type: a stage may pass the column on, and what is stored
/// under a key is of one type.
fn nothing(columns: &Fields) -> SegmentKeys {
    SegmentKeys {
        rows: RowsKey::new(KeyHasher::new(DATASET).finish()),
        columns: columns.iter().map(|column| ColumnKey::of_nothing(column.data_type())).collect(),
    }
}

/// One for the rows of all, and one for each column of all, of which there is at least one.
fn joined(domain: &str, parts: &[SegmentKeys]) -> SegmentKeys {
    let columns = parts.first().map_or(0, |part| part.columns.len());
    let all = |key: &dyn Fn(&SegmentKeys) -> [u8; 32]| {
        let mut hasher = KeyHasher::new(domain);
        parts.iter().for_each(|part| {
            hasher.digest(&key(part));
        });
        hasher.finish()
    };
    SegmentKeys {
        rows: RowsKey::new(all(&|part| *part.rows.as_bytes())),
        columns: (0..columns).map(|c| ColumnKey::new(all(&|part| *part.columns[c].as_bytes()))).collect(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow_schema::{DataType, Field};

    use super::*;

    fn segment(seed: u64) -> SegmentKeys {
        let hash = |what: &str| KeyHasher::new(what).number(seed).finish();
        let columns = ["a", "b"].map(|column| ColumnKey::new(hash(column))).into();
        SegmentKeys { rows: RowsKey::new(hash("rows")), columns }
    }

    fn columns() -> Fields {
        ["a", "b"].map(|name| Field::new(name, DataType::Int64, true)).into_iter().collect()
    }

    fn listed(seeds: impl IntoIterator<Item = u64>) -> Segments {
        Segments::listed(&columns(), seeds.into_iter().map(segment).collect())
    }

    /// What lies below nodes of `now` whose keys the other one does not have in the same place, and the number of nodes visited.
    fn differing(now: &Segments, before: &Segments) -> (BTreeSet<usize>, usize) {
        let (mut segments, mut visited) = (BTreeSet::new(), 0);
        let Ok(()) = now.visit(|node, keys| {
            visited += 1;
            let is_there = node.level <= before.root().level && node.index < before.width(node.level);
            let differs = !is_there || before.keys(node) != *keys;
            segments.extend((differs && node.level == 0).then_some(node.index));
            Ok::<_, Infallible>(differs)
        });
        (segments, visited)
    }

    #[test]
    fn all_segments_lie_below_the_root_in_order() {
        for len in [0, 1, 2, 15, 16, 17, 255, 256, 257, 1000, 4097] {
            let segments = listed(0..len);
            let mut leaves = Vec::new();
            let Ok(()) = segments.visit(|node, keys| {
                let below = segments.below(node);
                leaves.extend((node.level == 0).then_some(node.index));
                assert!(below.len() <= FAN_OUT.pow(node.level as u32));
                let of_children: Vec<usize> = segments.children(node).flat_map(|child| segments.below(child)).collect();
                assert!(node.level == 0 || of_children.into_iter().eq(below));
                assert_eq!(*keys, segments.keys(node));
                Ok::<_, Infallible>(true)
            });
            assert!(leaves.into_iter().eq(0..len as usize), "{len}");
            assert_eq!(segments.below(segments.root()), 0..len as usize);
            assert!(segments.iter().eq((0..len).map(segment)));
        }
    }

    #[test]
    fn the_key_is_that_of_all_segments_in_their_order() {
        let key = |seeds: Vec<u64>| listed(seeds).key();
        let of: Vec<u64> = (0..300).collect();
        let mut keys = vec![key(of.clone()), key(vec![]), key(vec![7]), key(vec![7, 7]), key(of[..299].to_vec())];
        for place in [0, 15, 16, 299] {
            let mut changed = of.clone();
            changed[place] += 1000;
            keys.push(key(changed));
            let mut swapped = of.clone();
            swapped.swap(place, (place + 100) % 300);
            keys.push(key(swapped));
        }
        let unlike = |keys: &SegmentKeys| (keys.rows, keys.columns.to_vec());
        assert_eq!(keys.iter().map(unlike).collect::<BTreeSet<_>>().len(), keys.len());
        assert_eq!(key(of.clone()), keys[0]);
        assert_eq!(key(vec![7]), segment(7), "one segment stands for itself");
    }

    #[test]
    fn a_column_that_changes_leaves_the_keys_of_the_others() {
        let mut changed: Vec<SegmentKeys> = (0..40).map(segment).collect();
        changed[20].columns = vec![changed[20].columns[0], ColumnKey::new([9; 32])].into();
        let (before, now) = (listed(0..40).key(), Segments::listed(&columns(), changed).key());
        assert_eq!((before.rows, before.columns[0]), (now.rows, now.columns[0]));
        assert_ne!(before.columns[1], now.columns[1]);
    }

    #[test]
    fn columns_without_segments_have_one_key_for_each_type() {
        let column = |name: &str, data_type: DataType| Field::new(name, data_type, true);
        let fields = [
            column("a", DataType::Int64),
            column("b", DataType::Utf8),
            column("c", DataType::Decimal128(12, 2)),
            column("d", DataType::Decimal128(12, 3)),
            column("e", DataType::Int64),
        ];
        let none = Segments::listed(&Fields::from(fields.to_vec()), Vec::new());
        let passed = Segments::derived(&none, |keys| SegmentKeys {
            rows: keys.rows,
            columns: keys.columns.iter().map(|column| column.selected(&keys.rows)).collect(),
        });
        for keys in [none.key(), none.concatenated(), passed.key(), passed.concatenated()] {
            assert_eq!(keys.columns.iter().collect::<BTreeSet<_>>().len(), 4);
            assert_eq!(keys.columns[0], keys.columns[4], "names are in no key");
        }
    }

    #[test]
    fn rows_as_one_segment_are_not_the_segments() {
        assert_eq!(listed([1]).concatenated(), segment(1));
        for len in [0, 2, 40] {
            assert_ne!(listed(0..len).concatenated(), listed(0..len).key());
            assert_ne!(listed(0..len).concatenated(), listed(0..len + 2).concatenated());
        }
    }

    #[test]
    fn of_two_datasets_only_what_differs_is_visited() {
        let most = |len: u64, changes: usize| (changes + 1) * FAN_OUT * (len.ilog2() as usize / 4 + 1) + 1;
        for len in [1, 16, 100, 1000, 20_000] {
            let before = listed(0..len);
            assert_eq!(differing(&before, &listed(0..len)), (BTreeSet::new(), 1));
            for place in [0, len / 2, len - 1] {
                let changed = listed((0..len).map(|seed| if seed == place { seed + len } else { seed }));
                let (segments, visited) = differing(&changed, &before);
                assert_eq!(segments, BTreeSet::from([place as usize]));
                assert!(visited <= most(len, 1), "{visited} of {len}");
            }
            let (segments, visited) = differing(&listed(0..len + 1), &before);
            assert_eq!(segments, BTreeSet::from([len as usize]), "one was appended");
            assert!(visited <= most(len + 1, 1), "{visited} of {len}");
        }
    }

    #[test]
    fn what_is_derived_is_made_for_the_nodes_that_are_asked_for_alone_and_once() {
        let made = Arc::new(AtomicUsize::new(0));
        let derived = |above: &Segments, mark: u64| {
            let made = made.clone();
            Segments::derived(above, move |keys| {
                made.fetch_add(1, Ordering::Relaxed);
                let rows = KeyHasher::new("derived").number(mark).digest(keys.rows.as_bytes()).finish();
                SegmentKeys { rows: RowsKey::new(rows), columns: keys.columns.clone() }
            })
        };
        let taken = || made.swap(0, Ordering::Relaxed);
        let (before, now) = (listed(0..1000), listed((0..1000).map(|seed| if seed == 500 { 2000 } else { seed })));
        let (before, now) = (derived(&derived(&before, 1), 2), derived(&derived(&now, 1), 2));
        assert_ne!(before.key(), now.key());
        assert_eq!(taken(), 4, "two roots, two stages");
        assert_eq!(differing(&now, &before).0, BTreeSet::from([500]));
        assert!(taken() < 4 * 4 * FAN_OUT);
        assert_eq!(differing(&now, &before).0, BTreeSet::from([500]));
        assert_eq!(taken(), 0);
        assert!(before.iter().zip(now.iter()).enumerate().all(|(place, (a, b))| (a == b) == (place != 500)));
    }
}
