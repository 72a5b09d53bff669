//! Where the columns of a segment can be had from: the store, or the source file that they come from.

use flowc_planner::key::{ColumnKey, RowsKey, SegmentKeys};
use flowc_planner::plan::{OutputColumn, Plan, Producer, Rows, StreamId};
use flowc_store::{StoreError, StoredColumn};

use crate::inventory::Inventory;
use crate::keys::Datasets;
use crate::known::Known;

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
        let made = columns.iter().filter(|&&column| source_home(self.plan, stream, 0, column).is_none());
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
            columns.iter().map(|&column| source_home(self.plan, stream, segment, column)).collect();
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
        match self.keys(stream, segment) {
            Some(keys) => self.known_rows(stream, segment, &keys.rows),
            None => Ok(None),
        }
    }

    /// As [`Homes::rows`], for every segment of a stream.
    pub(crate) fn rows_of_all(&self, stream: StreamId) -> Result<Vec<Option<u64>>, StoreError> {
        if let Producer::Source { source } = self.plan.stream(stream).producer {
            return Ok(self.inventory.source(source).segments.iter().map(|segment| Some(segment.rows)).collect());
        }
        let Some(segments) = self.datasets.streams.get(&stream) else { return Ok(Vec::new()) };
        let keys: Vec<RowsKey> = segments.iter().map(|keys| keys.rows).collect();
        let mut rows = self.store.find_rows(&keys)?;
        if let Some(above) = row_origin(self.plan, stream).filter(|_| rows.contains(&None)) {
            let above = self.rows_of_all(above)?;
            rows.iter_mut().zip(above).for_each(|(rows, above)| *rows = rows.or(above));
        }
        Ok(rows)
    }

    fn known_rows(&self, stream: StreamId, segment: usize, key: &RowsKey) -> Result<Option<u64>, StoreError> {
        if let Some(rows) = self.store.find_rows(&[*key])?.into_iter().next().flatten() {
            return Ok(Some(rows));
        }
        match row_origin(self.plan, stream) {
            Some(above) => self.rows(above, segment),
            None => Ok(None),
        }
    }
}

/// The source column that a column is, unchanged and row for row, if it is one.
pub(crate) fn source_home(plan: &Plan, stream: StreamId, segment: usize, column: usize) -> Option<Home> {
    match plan.stream(stream).producer {
        Producer::Source { source } => Some(Home::Source { source, segment, column }),
        Producer::Rejects { .. } => None,
        Producer::Stage { stage, port } => match plan.stages[stage].outputs[port].columns[column] {
            OutputColumn::Passed { column } => source_home(plan, row_origin(plan, stream)?, segment, column),
            OutputColumn::Written => None,
        },
    }
}

/// The stream whose rows, segment by segment, are exactly this stream's rows.
pub(crate) fn row_origin(plan: &Plan, stream: StreamId) -> Option<StreamId> {
    let (stage, port) = plan.producing_stage(stream)?;
    let (driving, input) = plan.stages[stage].driving()?;
    (plan.stages[stage].outputs[port].rows == Rows::Same { input: driving }).then_some(input.stream)
}
