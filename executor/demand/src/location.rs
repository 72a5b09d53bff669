//! Where the columns of a segment can be had: in the store, or in the source file that they come from.

use std::collections::HashMap;

use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, Producer, StreamId};

use crate::keys::Datasets;
use crate::lineage::{Lineage, SourceColumn};
use crate::segments::{Node, Segments};

/// Names a node of a stream, with some of its columns: a hash of their keys.
pub type NodeKey = [u8; 32];

/// What is known of results and sources.
pub trait Lookup {
    /// A column that is stored.
    type Column: Copy;
    /// Why nothing can be said.
    type Error;

    /// The stored columns of these keys, in order. Asking for many at once is faster than asking for each.
    ///
    /// # Errors
    /// If what is stored can't be read.
    fn columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<Self::Column>>, Self::Error>;

    /// The numbers of rows that are known of these keys, in order.
    ///
    /// # Errors
    /// If what is stored can't be read.
    fn rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, Self::Error>;

    /// The number of rows of a segment of a source; none after its last segment.
    fn source_rows(&self, source: usize, segment: usize) -> Option<u64>;

    /// The number of rows below a node of which it was found, and told by [`Lookup::note`], that all is at hand.
    fn noted(&self, node: &NodeKey) -> Option<u64>;

    /// Takes in that all below a node is at hand, and how many rows.
    fn note(&self, node: NodeKey, rows: u64);

    /// The digest of a stored column's content.
    fn content(column: &Self::Column) -> ContentDigest;

    /// The number of rows of a stored column.
    fn length(column: &Self::Column) -> u64;
}

/// Where a column can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnLocation<C> {
    /// In the store.
    Stored(C),
    /// In a source file: column `column` of the source's segment.
    Source {
        /// Index of the source.
        source: usize,
        /// Index of the segment in the source's dataset.
        segment: usize,
        /// Index of the column in the source's schema.
        column: usize,
    },
}

/// Finds the columns of one plan over given sources.
#[derive(Clone, Copy)]
pub struct Locator<'a, L> {
    /// The plan whose streams have the columns.
    pub plan: &'a Plan,
    /// Where its streams come from.
    pub lineage: &'a Lineage,
    /// The keys of all streams.
    pub datasets: &'a Datasets,
    /// Answers what the store and the sources have.
    pub lookup: L,
}

/// What of a stream can be had without running anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtHand {
    /// The rows of segments of which all is at hand.
    pub rows: u64,
    /// The other segments, in order.
    pub lacking: Vec<usize>,
}

type Located<L> = Option<ColumnLocation<<L as Lookup>::Column>>;

impl<L: Lookup> Locator<'_, L> {
    /// What can be had of a stream with these columns. Nodes of which all is known to be at hand are not looked into; the segments
    /// below the others are looked up in one go.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn at_hand(&self, stream: StreamId, columns: &[usize]) -> Result<AtHand, L::Error> {
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(AtHand::default()) };
        let made = columns.iter().copied().filter(|&column| self.lineage.source_column(stream, column).is_none());
        let made: Vec<usize> = made.collect();
        let (mut rows, mut open): (HashMap<Node, u64>, Vec<(Node, SegmentKeys)>) = Default::default();
        segments.visit(|node, keys| {
            let noted = (node.level > 0).then(|| self.lookup.noted(&node_key(keys, &made))).flatten();
            match noted {
                Some(noted) => drop(rows.insert(node, noted)),
                None => open.push((node, keys.clone())),
            }
            Ok(noted.is_none())
        })?;
        let lacking = self.look_up(stream, &made, &open, &mut rows)?;
        let at_hand = AtHand { rows: rows.values().sum(), lacking };
        self.note_nodes(segments, &made, &open, rows);
        Ok(at_hand)
    }

    /// Looks up the segments among these nodes: adds the rows of those that are at hand, and gives the others.
    fn look_up(
        &self,
        stream: StreamId,
        made: &[usize],
        open: &[(Node, SegmentKeys)],
        rows: &mut HashMap<Node, u64>,
    ) -> Result<Vec<usize>, L::Error> {
        let segments: Vec<&(Node, SegmentKeys)> = open.iter().filter(|(node, _)| node.level == 0).collect();
        let keys = segments.iter().flat_map(|(_, keys)| made.iter().map(|&column| keys.columns[column]));
        let mut found = self.lookup.columns(&keys.collect::<Vec<_>>())?.into_iter();
        let counts = self.rows_of(stream, segments.iter().map(|(node, keys)| (node.index, keys.rows)))?;
        let mut lacking = Vec::new();
        for ((node, _), count) in segments.into_iter().zip(counts) {
            let is_found = found.by_ref().take(made.len()).filter(Option::is_some).count() == made.len();
            match count.filter(|_| is_found) {
                Some(count) => drop(rows.insert(*node, count)),
                None => lacking.push(node.index),
            }
        }
        Ok(lacking)
    }

    /// Notes every node of these of which all is at hand.
    fn note_nodes(
        &self,
        segments: &Segments,
        made: &[usize],
        open: &[(Node, SegmentKeys)],
        mut rows: HashMap<Node, u64>,
    ) {
        // What lies below a node comes after it.
        for (node, keys) in open.iter().rev().filter(|(node, _)| node.level > 0) {
            let below = segments.children(*node).map(|child| rows.get(&child).copied()).sum::<Option<u64>>();
            if let Some(below) = below {
                self.lookup.note(node_key(keys, made), below);
                rows.insert(*node, below);
            }
        }
    }

    /// The keys of a segment, if its dataset is known that far.
    pub fn keys(&self, stream: StreamId, segment: usize) -> Option<SegmentKeys> {
        self.datasets.streams.get(&stream)?.segment(segment)
    }

    /// The number of segments of a stream; 0 where it is not known.
    pub fn segments(&self, stream: StreamId) -> usize {
        self.datasets.streams.get(&stream).map_or(0, Segments::len)
    }

    /// The number of invocations of a stage over segments or parts, as far as it is known.
    pub fn invocations(&self, stage: usize) -> usize {
        let of = &self.plan.stages[stage];
        match of.driving() {
            Some((_, input)) => self.segments(input.stream),
            None => of.outputs.first().map_or(0, |output| self.segments(output.stream)),
        }
    }

    /// Where each of these columns of a segment is; none where it has to be made.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn locate(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<Vec<Located<L>>, L::Error> {
        let Some(keys) = self.keys(stream, segment) else { return Ok(vec![None; columns.len()]) };
        let in_source = |&column: &usize| self.in_source(stream, segment, column);
        let mut located: Vec<Located<L>> = columns.iter().map(in_source).collect();
        let open: Vec<usize> = (0..columns.len()).filter(|&place| located[place].is_none()).collect();
        let wanted: Vec<ColumnKey> = open.iter().map(|&place| keys.columns[columns[place]]).collect();
        if wanted.is_empty() {
            return Ok(located);
        }
        for (place, found) in open.into_iter().zip(self.lookup.columns(&wanted)?) {
            located[place] = found.map(ColumnLocation::Stored);
        }
        Ok(located)
    }

    /// The number of rows of a segment, if it is known without running anything.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn rows(&self, stream: StreamId, segment: usize) -> Result<Option<u64>, L::Error> {
        let Some(keys) = self.keys(stream, segment) else { return Ok(None) };
        Ok(self.rows_of(stream, [(segment, keys.rows)].into_iter())?.pop().flatten())
    }

    /// As [`Locator::rows`], for every segment of a stream.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn rows_of_all(&self, stream: StreamId) -> Result<Vec<Option<u64>>, L::Error> {
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        self.rows_of(stream, segments.iter().map(|keys| keys.rows).enumerate())
    }

    /// The numbers of rows of some segments, which have these keys.
    fn rows_of(
        &self,
        stream: StreamId,
        segments: impl Iterator<Item = (usize, RowsKey)>,
    ) -> Result<Vec<Option<u64>>, L::Error> {
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(segments.map(|(segment, _)| self.lookup.source_rows(source, segment)).collect());
        }
        let (numbers, keys): (Vec<usize>, Vec<RowsKey>) = segments.unzip();
        let mut rows = self.lookup.rows(&keys)?;
        // A stream with the same rows has the same key for them: only a source knows more.
        if let Some(source) = self.source_of_rows(stream) {
            let all = rows.iter_mut().zip(numbers);
            all.for_each(|(rows, segment)| *rows = rows.or_else(|| self.lookup.source_rows(source, segment)));
        }
        Ok(rows)
    }

    /// The source whose rows a stream has, segment by segment.
    fn source_of_rows(&self, stream: StreamId) -> Option<usize> {
        match self.plan.stream(self.lineage.rows(stream)).producer {
            Producer::Source { source } => Some(source),
            _ => None,
        }
    }

    fn in_source(&self, stream: StreamId, segment: usize, column: usize) -> Located<L> {
        let SourceColumn { source, column } = self.lineage.source_column(stream, column)?;
        Some(ColumnLocation::Source { source, segment, column })
    }
}

fn node_key(keys: &SegmentKeys, columns: &[usize]) -> NodeKey {
    let mut hasher = KeyHasher::new("flowc node 1");
    hasher.digest(keys.rows.as_bytes());
    columns.iter().for_each(|&column| {
        hasher.digest(keys.columns[column].as_bytes());
    });
    hasher.finish()
}
