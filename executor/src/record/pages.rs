//! The datasets of a run record, as pages in the store.
//!
//! A tree of keys (`flowc_demand::Segments`) has a page for each of its nodes, which lies under the node's place and holds the
//! keys just below it. A run rewrites the pages of nodes whose keys have changed and leaves the others, and what looks at a record
//! reads the pages that it needs. So both cost log n pages for a segment of n that was changed or appended.
//!
//! A page says which node it is of. One that is not the page of the node that the page above it names, since two runs of a pipeline ended
//! at once, counts as absent.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::rc::Rc;

use flowc_demand::{FAN_OUT, Node, Segments, Shape};
use flowc_planner::key::{KeyHasher, SegmentKeys};
use flowc_store::Store;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::remembered::PAGE;

/// What lies just below a node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The key of the record.
    pub record: [u8; 32],
    /// The keys of the node.
    node: SegmentKeys,
    /// The keys of its children.
    pub below: Vec<SegmentKeys>,
    /// The names of its children, where they are the segments of a source.
    names: Vec<String>,
}

/// The root of a tree, which a record names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// The number of segments.
    len: usize,
    /// The keys of the root.
    pub keys: SegmentKeys,
}

/// A tree of a record.
#[derive(Clone, Copy)]
pub(crate) enum Dataset {
    /// The segments of a stream, by its index.
    Stream(usize),
    /// The names of the files of a source's segments, by its index.
    Files(usize),
    /// Partials, by their place in the record.
    Partials(usize),
}

/// One tree of a record, as it lies in the store.
pub(crate) struct Recorded<'s> {
    store: &'s Store,
    record: [u8; 32],
    dataset: Dataset,
    root: Option<Root>,
    read: RefCell<HashMap<Node, Option<Rc<Page>>>>,
}

impl<'s> Recorded<'s> {
    /// The tree of this root; without one, a tree that is not there.
    pub(crate) fn new(store: &'s Store, record: [u8; 32], dataset: Dataset, root: Option<&Root>) -> Self {
        Self { store, record, dataset, root: root.cloned(), read: RefCell::default() }
    }

    /// Its nodes.
    pub(crate) fn shape(&self) -> Shape {
        Shape::new(self.root.as_ref().map_or(0, |root| root.len))
    }

    /// The keys of a node or a segment; none if they are not there.
    pub(crate) fn keys(&self, node: Node) -> Option<SegmentKeys> {
        let root = self.root.as_ref()?;
        let shape = self.shape();
        if node == shape.root() {
            return Some(root.keys.clone());
        }
        let above = node.above();
        if above.level > shape.root().level {
            return None;
        }
        self.page(above)?.below.get(node.index % FAN_OUT).cloned()
    }

    /// The name of a segment.
    pub(crate) fn name(&self, segment: usize) -> Option<String> {
        let node = Node { level: 0, index: segment };
        self.page(node.above())?.names.get(segment % FAN_OUT).cloned()
    }

    /// The keys of all segments; none if some are not there.
    pub(crate) fn segments(&self) -> Option<Vec<SegmentKeys>> {
        (0..self.shape().len()).map(|index| self.keys(Node { level: 0, index })).collect()
    }

    /// The keys of all nodes and segments; none if some are not there.
    pub(crate) fn all(&self) -> Option<Vec<SegmentKeys>> {
        let shape = self.shape();
        let levels = 0..=shape.root().level;
        let nodes = levels.flat_map(|level| (0..shape.width(level)).map(move |index| Node { level, index }));
        nodes.map(|node| self.keys(node)).collect()
    }

    /// The segments, by number, that another tree has not or has under other keys, and those that only this one has.
    pub(crate) fn differing(&self, now: &Segments) -> BTreeSet<usize> {
        let mut differing: BTreeSet<usize> = (now.len()..self.shape().len()).collect();
        let Ok(()) = now.visit(|node, keys| {
            let differs = self.keys(node).as_ref() != Some(keys);
            differing.extend((differs && node.level == 0).then_some(node.index));
            Ok::<_, Infallible>(differs)
        });
        differing
    }

    /// Puts another tree in its place. `names` are those of the segments, where they have some.
    pub(crate) fn replace(&self, now: &Segments, names: Option<&[String]>) -> Result<Root, Error> {
        let before = self.shape();
        let shape: Shape = **now;
        // Names lie in the page above, also where that is the only segment.
        let mut changed: Vec<Node> = Vec::new();
        changed.extend((names.is_some() && now.len() == 1).then_some(Node { level: 1, index: 0 }));
        let Ok(()) = now.visit(|node, keys| {
            let differs = node.level > 0 && !now.is_empty() && self.keys(node).as_ref() != Some(keys);
            changed.extend(differs.then_some(node));
            Ok::<_, Infallible>(differs)
        });
        changed.into_iter().try_for_each(|node| self.write(now, node, names))?;
        for level in 1..=before.root().level.max(1) {
            let there = if level > shape.root().level { 0 } else { shape.width(level) };
            let kept = if names.is_some() && level == 1 && now.len() == 1 { 1 } else { there };
            (kept..before.width(level)).for_each(|index| self.store.forget(PAGE, &self.key(Node { level, index })));
        }
        Ok(Root { len: now.len(), keys: now.key() })
    }

    fn write(&self, now: &Segments, node: Node, names: Option<&[String]>) -> Result<(), Error> {
        let names = names.filter(|_| node.level == 1);
        let page = Page {
            record: self.record,
            node: now.keys(node),
            below: now.children(node).map(|child| now.keys(child)).collect(),
            names: names.map_or_else(Vec::new, |names| names[now.below(node)].to_vec()),
        };
        Ok(self.store.remember(PAGE, &self.key(node), &page)?)
    }

    fn page(&self, node: Node) -> Option<Rc<Page>> {
        if let Some(read) = self.read.borrow().get(&node) {
            return read.clone();
        }
        let page: Option<Page> = self.store.memo(PAGE, &self.key(node)).ok().flatten();
        let is_root_alone = node.level > self.shape().root().level;
        let keys = if is_root_alone { self.root.as_ref().map(|root| root.keys.clone()) } else { self.keys(node) };
        let page = page.filter(|page| Some(&page.node) == keys.as_ref()).map(Rc::new);
        self.read.borrow_mut().insert(node, page.clone());
        page
    }

    fn key(&self, node: Node) -> [u8; 32] {
        let (kind, number) = match self.dataset {
            Dataset::Stream(stream) => (0, stream),
            Dataset::Files(source) => (1, source),
            Dataset::Partials(place) => (2, place),
        };
        let mut hasher = KeyHasher::new("page 1");
        hasher.digest(&self.record).number(kind).number(number as u64);
        hasher.number(node.level as u64).number(node.index as u64).finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::Fields;
    use flowc_planner::key::{ColumnKey, RowsKey};

    use super::*;

    const RECORD: [u8; 32] = [7; 32];

    fn keys(seed: usize) -> SegmentKeys {
        let hash = |what: &str| KeyHasher::new(what).number(seed as u64).finish();
        SegmentKeys { rows: RowsKey::new(hash("rows")), columns: [ColumnKey::new(hash("column"))].into() }
    }

    fn tree(seeds: impl IntoIterator<Item = usize>) -> Segments {
        Segments::listed(&Fields::empty(), seeds.into_iter().map(keys).collect())
    }

    fn recorded<'s>(store: &'s Store, dataset: Dataset, root: Option<&Root>) -> Recorded<'s> {
        Recorded::new(store, RECORD, dataset, root)
    }

    fn pages(store: &Store) -> HashMap<[u8; 32], Page> {
        store.memos(PAGE).unwrap().into_iter().collect()
    }

    /// The number of nodes above segments.
    fn nodes(shape: Shape) -> usize {
        (1..=shape.root().level).map(|level| shape.width(level)).sum()
    }

    #[test]
    fn what_was_put_in_the_place_of_another_is_read_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut root = None;
        for len in [0, 1, 2, 1, 17, 16, 300, 299, 1, 40, 0] {
            let names: Vec<String> = (0..len).map(|segment| format!("{segment}.csv")).collect();
            root =
                Some(recorded(&store, Dataset::Files(0), root.as_ref()).replace(&tree(0..len), Some(&names)).unwrap());
            let read = recorded(&store, Dataset::Files(0), root.as_ref());
            assert_eq!(read.segments(), Some((0..len).map(keys).collect()), "{len}");
            assert_eq!(read.all().unwrap().len(), len + nodes(read.shape()));
            assert!((0..len).all(|segment| read.name(segment).as_ref() == Some(&names[segment])));
            assert_eq!(pages(&store).len(), nodes(read.shape()) + usize::from(len == 1), "{len}");
        }
    }

    #[test]
    fn names_are_those_that_were_put_with_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let names = |mark: &str| (0..40).map(|segment| format!("{mark}{segment}")).collect::<Vec<_>>();
        let put = |root, seeds: Segments, mark| {
            recorded(&store, Dataset::Files(0), root).replace(&seeds, Some(&names(mark))).unwrap()
        };
        let first = put(None, tree(0..40), "a");
        let second = put(Some(&first), tree((0..40).map(|seed| if seed == 20 { 99 } else { seed })), "b");
        let read = recorded(&store, Dataset::Files(0), Some(&second));
        let read: Vec<_> = [0, 15, 16, 20, 31, 32].map(|segment| read.name(segment).unwrap()).into();
        assert_eq!(read, ["a0", "a15", "b16", "b20", "b31", "a32"], "the page that differs was rewritten");
    }

    #[test]
    fn a_segment_that_changed_or_came_rewrites_the_pages_above_it_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stream = Dataset::Stream(3);
        let first = recorded(&store, stream, None).replace(&tree(0..1000), None).unwrap();
        for now in [tree((0..1000).map(|seed| if seed == 500 { 5000 } else { seed })), tree(0..1001)] {
            let (before, old) = (pages(&store), recorded(&store, stream, Some(&first)));
            let differing = old.differing(&now);
            assert_eq!(differing.len(), 1);
            assert!(old.read.borrow().len() <= 3, "{} pages read", old.read.borrow().len());
            let root = old.replace(&now, None).unwrap();
            let after = pages(&store);
            let written = after.iter().filter(|(key, page)| before.get(*key) != Some(page)).count();
            assert_eq!(written, 3);
            recorded(&store, stream, Some(&root)).replace(&tree(0..1000), None).unwrap();
            assert!(pages(&store) == before);
        }
    }

    #[test]
    fn pages_that_another_run_has_replaced_are_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stream = Dataset::Stream(0);
        let first = recorded(&store, stream, None).replace(&tree(0..40), None).unwrap();
        recorded(&store, stream, Some(&first)).replace(&tree(0..41), None).unwrap();
        let read = recorded(&store, stream, Some(&first));
        assert_eq!(read.segments(), None, "the page below the root is another one's");
        assert_eq!(read.differing(&tree(0..40)), BTreeSet::new(), "the roots are equal");
        assert_eq!(read.differing(&tree(0..39)), (0..40).collect());
    }
}
