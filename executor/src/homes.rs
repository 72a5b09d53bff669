//! Where the columns of a segment can be had from: the store, or the source file that they come from.

use flowc_planner::key::{ColumnKey, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, Producer, StreamId};
use flowc_store::{StoreError, StoredColumn};

use crate::inventory::Inventory;
use crate::keys::Datasets;
use crate::known::Known;
use crate::lineage::{Lineage, SourceColumn};

/// Where a column can be had from.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// In the store.
    Stored(StoredColumn),
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

/// Finds columns, for one plan over given sources.
#[derive(Clone, Copy)]
pub(crate) struct Homes<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where its streams come from.
    pub lineage: &'a Lineage,
    /// The sources' segments.
    pub inventory: &'a Inventory,
    /// All keys.
    pub datasets: &'a Datasets,
    /// The store.
    pub store: &'a Known<'a>,
}

impl Homes<'_> {
    /// Whether each segment's rows and these columns of it can be had without running anything. Looks all of them up in
    /// one go.
    pub(crate) fn are_there(&self, stream: StreamId, columns: &[usize]) -> Result<Vec<bool>, StoreError> {
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        let made = columns.iter().filter(|&&column| self.lineage.source_column(stream, column).is_none());
        let made: Vec<usize> = made.copied().collect();
        let keys = segments.iter().flat_map(|keys| made.iter().map(|&column| keys.columns[column]));
        let mut found = self.store.find_columns(&keys.collect::<Vec<_>>())?.into_iter();
        let rows = self.rows_of_all(stream)?.into_iter();
        let are_there = rows.map(|rows| {
            found.by_ref().take(made.len()).filter(Option::is_some).count() == made.len() && rows.is_some()
        });
        Ok(are_there.collect())
    }

    /// The keys of a segment, if its dataset is known that far.
    pub(crate) fn keys(&self, stream: StreamId, segment: usize) -> Option<&SegmentKeys> {
        self.datasets.streams.get(&stream)?.get(segment)
    }

    /// How many segments a stream has; 0 where that is not known.
    pub(crate) fn segments(&self, stream: StreamId) -> usize {
        self.datasets.streams.get(&stream).map_or(0, Vec::len)
    }

    /// Where each of these columns of a segment is; `None` where it would have to be made.
    pub(crate) fn locate(
        &self,
        stream: StreamId,
        segment: usize,
        columns: &[usize],
    ) -> Result<Vec<Option<Home>>, StoreError> {
        let Some(keys) = self.keys(stream, segment) else { return Ok(vec![None; columns.len()]) };
        let mut homes: Vec<Option<Home>> =
            columns.iter().map(|&column| self.source_home(stream, segment, column)).collect();
        let open: Vec<usize> = (0..columns.len()).filter(|&i| homes[i].is_none()).collect();
        let wanted: Vec<ColumnKey> = open.iter().map(|&i| keys.columns[columns[i]]).collect();
        if wanted.is_empty() {
            return Ok(homes);
        }
        for (i, found) in open.into_iter().zip(self.store.find_columns(&wanted)?) {
            homes[i] = found.map(Home::Stored);
        }
        Ok(homes)
    }

    /// The number of rows of a segment, if it is known without running anything.
    pub(crate) fn rows(&self, stream: StreamId, segment: usize) -> Result<Option<u64>, StoreError> {
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(self.inventory.source(source).segments.get(segment).map(|segment| segment.rows));
        }
        let Some(keys) = self.keys(stream, segment) else { return Ok(None) };
        let found = self.store.find_rows(&[keys.rows])?.into_iter().next().flatten();
        // A stream with the same rows has the same key for them: only a source knows more.
        Ok(found.or_else(|| self.source_rows(stream)?.nth(segment)))
    }

    /// As [`Homes::rows`], for every segment of a stream.
    pub(crate) fn rows_of_all(&self, stream: StreamId) -> Result<Vec<Option<u64>>, StoreError> {
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(self.inventory.source(source).segments.iter().map(|segment| Some(segment.rows)).collect());
        }
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        let keys: Vec<RowsKey> = segments.iter().map(|keys| keys.rows).collect();
        let mut rows = self.store.find_rows(&keys)?;
        if rows.contains(&None)
            && let Some(above) = self.source_rows(stream)
        {
            rows.iter_mut().zip(above).for_each(|(rows, above)| *rows = rows.or(Some(above)));
        }
        Ok(rows)
    }

    /// The rows of each segment, if they are exactly those of a source.
    fn source_rows(&self, stream: StreamId) -> Option<impl Iterator<Item = u64>> {
        let Producer::Source { source } = self.plan.stream(self.lineage.rows(stream)).producer else { return None };
        Some(self.inventory.source(source).segments.iter().map(|segment| segment.rows))
    }

    fn source_home(&self, stream: StreamId, segment: usize, column: usize) -> Option<Home> {
        let SourceColumn { source, column } = self.lineage.source_column(stream, column)?;
        Some(Home::Source { source, segment, column })
    }
}
