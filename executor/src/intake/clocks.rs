//! What is known of the times of sources' rows: found where a segment is decoded, and remembered by its content.

use std::cell::RefCell;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowc_demand::{Grid, Lineage, SegmentClock, SegmentTimes, SourceColumn};
use flowc_planner::key::{KeyHasher, SegmentKeys};
use flowc_planner::plan::{Location, Plan, WindowKind};
use flowc_sources::partition_of_block;
use flowc_store::Store;

use crate::Error;
use crate::inputs::times::times;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::Inventory;
use crate::remembered::TIMES;

/// A column of a source by which rows are put into windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClockColumn {
    /// The column.
    pub column: SourceColumn,
    /// The windows.
    pub kind: WindowKind,
}

/// All such columns of a plan.
pub(crate) fn clock_columns(plan: &Plan, lineage: &Lineage) -> Vec<ClockColumn> {
    let mut columns: Vec<ClockColumn> = Vec::new();
    for input in plan.stages.iter().flat_map(|stage| &stage.inputs) {
        let Some(window) = &input.window else { continue };
        let Some(column) = lineage.source_column(input.stream, window.time.column) else { continue };
        let clock = ClockColumn { column, kind: window.kind.clone() };
        if !columns.contains(&clock) {
            columns.push(clock);
        }
    }
    columns
}

impl ClockColumn {
    /// Takes in the times of a segment that is in memory.
    ///
    /// # Errors
    /// If they can't be remembered.
    pub(crate) fn note(&self, keys: &SegmentKeys, batches: &[RecordBatch], store: &Store) -> Result<(), Error> {
        let column = |batch: &RecordBatch| times(batch.column(self.column.column));
        let found = SegmentTimes::of(Grid::new(&self.kind), batches.iter().flat_map(column).flatten());
        Ok(store.remember(TIMES, &self.memo_key(keys), &found)?)
    }

    fn memo_key(&self, keys: &SegmentKeys) -> [u8; 32] {
        let mut hasher = KeyHasher::new("segment times 1");
        hasher.digest(keys.columns[self.column.column].as_bytes());
        self.kind.hash_into(&mut hasher);
        hasher.finish()
    }
}

/// The times of the rows of all sources.
pub(crate) struct SourceClocks<'a> {
    plan: &'a Plan,
    inventory: &'a Inventory,
    store: &'a Store,
    /// Reads what is not remembered any more; nothing is read without.
    files: Option<&'a OpenFiles>,
    failure: RefCell<Option<Error>>,
}

impl<'a> SourceClocks<'a> {
    /// Those of an inventory.
    pub(crate) fn new(
        plan: &'a Plan,
        inventory: &'a Inventory,
        store: &'a Store,
        files: Option<&'a OpenFiles>,
    ) -> Self {
        Self { plan, inventory, store, files, failure: RefCell::default() }
    }

    /// The segments of a source with their times; none while they are not known.
    pub(crate) fn of(&self, column: SourceColumn, kind: &WindowKind) -> Option<Vec<SegmentClock>> {
        let clock = ClockColumn { column, kind: kind.clone() };
        self.find(&clock).unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// Why something was not found.
    ///
    /// # Errors
    /// That of the first.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn find(&self, clock: &ClockColumn) -> Result<Option<Vec<SegmentClock>>, Error> {
        let Some(of) = self.inventory.sources.get(&clock.column.source) else { return Ok(None) };
        if of.unread().next().is_some() {
            return Ok(None);
        }
        let mut clocks = Vec::new();
        let (mut file, mut first_row) = (None, 0);
        let is_topic = matches!(self.plan.sources[clock.column.source].spec.location, Location::Kafka(_));
        for (number, segment) in of.segments.iter().enumerate() {
            let Some(times) = self.times(clock, number, &segment.scan.facts.keys)? else { return Ok(None) };
            let (name, times) = (of.files[segment.file].name(), Arc::new(times));
            if is_topic {
                clocks.push(SegmentClock { partition: partition_of_block(name).into(), first_row: 0, times });
                continue;
            }
            if file.replace(segment.file) != Some(segment.file) {
                first_row = 0;
            }
            clocks.push(SegmentClock { partition: name.into(), first_row, times });
            first_row += segment.rows;
        }
        Ok(Some(clocks))
    }

    fn times(&self, clock: &ClockColumn, segment: usize, keys: &SegmentKeys) -> Result<Option<SegmentTimes>, Error> {
        let known: Option<SegmentTimes> = self.store.memo(TIMES, &clock.memo_key(keys))?;
        let (None, Some(files)) = (&known, self.files) else { return Ok(known) };
        let SourceColumn { source, column } = clock.column;
        let failed = |error| files.source_error(self.plan, self.inventory, source, error);
        let reader = files.read(self.plan, self.inventory, source, segment, &[column])?;
        let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(failed)?;
        let of_batch = |batch: &RecordBatch| times(batch.column(0));
        let found = SegmentTimes::of(Grid::new(&clock.kind), batches.iter().flat_map(of_batch).flatten());
        self.store.remember(TIMES, &clock.memo_key(keys), &found)?;
        Ok(Some(found))
    }
}
