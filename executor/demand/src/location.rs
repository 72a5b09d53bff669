//! Where the columns of a segment can be had: in the store, or in the source file that they come from.

use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, Producer, StreamId};

use crate::keys::Datasets;
use crate::lineage::{Lineage, SourceColumn};

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

type Located<L> = Option<ColumnLocation<<L as Lookup>::Column>>;

impl<L: Lookup> Locator<'_, L> {
    /// Per segment of a stream, whether its rows and these columns of it can be had without running anything. Looks all of
    /// them up in one go.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn available(&self, stream: StreamId, columns: &[usize]) -> Result<Vec<bool>, L::Error> {
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        let made = columns.iter().filter(|&&column| self.lineage.source_column(stream, column).is_none());
        let made: Vec<usize> = made.copied().collect();
        let keys = segments.iter().flat_map(|keys| made.iter().map(|&column| keys.columns[column]));
        let mut found = self.lookup.columns(&keys.collect::<Vec<_>>())?.into_iter();
        let rows = self.rows_of_all(stream)?.into_iter();
        let available = rows.map(|rows| {
            found.by_ref().take(made.len()).filter(Option::is_some).count() == made.len() && rows.is_some()
        });
        Ok(available.collect())
    }

    /// The keys of a segment, if its dataset is known that far.
    pub fn keys(&self, stream: StreamId, segment: usize) -> Option<&SegmentKeys> {
        self.datasets.streams.get(&stream)?.get(segment)
    }

    /// The number of segments of a stream; 0 where it is not known.
    pub fn segments(&self, stream: StreamId) -> usize {
        self.datasets.streams.get(&stream).map_or(0, Vec::len)
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
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(self.lookup.source_rows(source, segment));
        }
        let Some(keys) = self.keys(stream, segment) else { return Ok(None) };
        let found = self.lookup.rows(&[keys.rows])?.into_iter().next().flatten();
        // A stream with the same rows has the same key for them: only a source knows more.
        Ok(found.or_else(|| self.lookup.source_rows(self.source_of_rows(stream)?, segment)))
    }

    /// As [`Locator::rows`], for every segment of a stream.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn rows_of_all(&self, stream: StreamId) -> Result<Vec<Option<u64>>, L::Error> {
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(self.all_source_rows(source).map(Some).collect());
        }
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        let keys: Vec<RowsKey> = segments.iter().map(|keys| keys.rows).collect();
        let mut rows = self.lookup.rows(&keys)?;
        if rows.contains(&None)
            && let Some(source) = self.source_of_rows(stream)
        {
            rows.iter_mut().zip(self.all_source_rows(source)).for_each(|(rows, above)| *rows = rows.or(Some(above)));
        }
        Ok(rows)
    }

    fn all_source_rows(&self, source: usize) -> impl Iterator<Item = u64> {
        (0..).map_while(move |segment| self.lookup.source_rows(source, segment))
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
