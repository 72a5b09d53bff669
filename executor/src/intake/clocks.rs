//! What is known of the times of sources' rows: found where a segment is decoded, and remembered by its content.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowc_demand::{Beginning, Grid, Lineage, SegmentClock, SegmentTimes, SourceColumn, beginnings, late_rows};
use flowc_planner::key::{KeyHasher, SegmentKeys};
use flowc_planner::plan::{Plan, Stage, Window, WindowKind};
use flowc_sources::partition_of_block;
use flowc_store::Store;

use crate::Error;
use crate::inputs::times::times;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::Inventory;
use crate::intake::notices::Notice;
use crate::remembered::{LATE, TIMES};

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
        let Some(time) = window.time else { continue };
        let Some(column) = lineage.picked_column(input.stream, time.column) else { continue };
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
        let found = SegmentTimes::of(Grid::new(&self.kind), batches.iter().flat_map(column));
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
        let is_partitioned = self.plan.sources[clock.column.source].spec.is_partitioned();
        for (number, segment) in of.segments.iter().enumerate() {
            let Some(times) = self.times(clock, number, &segment.scan.facts.keys)? else { return Ok(None) };
            let (name, times) = (of.files[segment.file].name(), Arc::new(times));
            if is_partitioned {
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
        let found = SegmentTimes::of(Grid::new(&clock.kind), self.read(clock.column, segment, files)?.into_iter());
        self.store.remember(TIMES, &clock.memo_key(keys), &found)?;
        Ok(Some(found))
    }

    fn read(&self, column: SourceColumn, segment: usize, files: &OpenFiles) -> Result<Vec<Option<i64>>, Error> {
        let SourceColumn { source, column } = column;
        let failed = |error| files.source_error(self.plan, self.inventory, source, error);
        let reader = files.read(self.plan, self.inventory, source, segment, &[column])?;
        let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(failed)?;
        Ok(batches.iter().flat_map(|batch| times(batch.column(0))).collect())
    }

    /// What there is to tell of rows that are late, or have no time, and that nothing reads.
    ///
    /// # Errors
    /// If times can't be read.
    pub(crate) fn dropped(&self, lineage: &Lineage, stages: &BTreeSet<usize>) -> Result<Vec<Notice>, Error> {
        let mut notices = Vec::new();
        for stage in stages.iter().map(|&stage| &self.plan.stages[stage]) {
            let windowed = stage.inputs.iter().filter(|input| input.window.is_some()).count();
            for input in &stage.inputs {
                let Some(window) = &input.window else { continue };
                let is_read = |other: &Stage| {
                    other.inputs.iter().any(|of| of.stream == input.stream)
                        && other.late_window().is_some_and(|late| late == *window)
                };
                let Some(time) = window.time.filter(|_| !self.plan.stages.iter().any(is_read)) else { continue };
                let Some(column) = lineage.picked_column(input.stream, time.column) else { continue };
                let rows = self.late_rows(column, window)?;
                if rows > 0 {
                    let (stage, input) = (stage.name.clone(), input.port.clone());
                    let stream = if windowed == 1 { format!("{stage}.late") } else { format!("{stage}.late-{input}") };
                    notices.push(Notice::LateRows { stage, input, rows, stream });
                }
            }
        }
        Ok(notices)
    }

    /// How many rows of a source are late for the first window that they are in, or have no time; 0 while its times are not known. Only
    /// segments that may have late rows are read, once.
    fn late_rows(&self, column: SourceColumn, window: &Window) -> Result<u64, Error> {
        let clock = ClockColumn { column, kind: window.kind.clone() };
        let Some(clocks) = self.find(&clock)? else { return Ok(0) };
        let of = self.inventory.source(column.source);
        let mut rows = 0;
        for (number, (clock, Beginning { latest, .. })) in clocks.iter().zip(beginnings(&clocks)).enumerate() {
            rows += clock.times.timeless;
            if !clock.times.may_be_late(window, latest) {
                continue;
            }
            let mut hasher = KeyHasher::new("late rows 1");
            hasher.digest(of.segments[number].scan.facts.keys.columns[column.column].as_bytes());
            window.hash_into(&mut hasher);
            hasher.number(u64::from(latest.is_some())).number(latest.unwrap_or(0) as u64);
            let key = hasher.finish();
            rows += match (self.store.memo(LATE, &key)?, self.files) {
                (Some(known), _) => known,
                (None, None) => 0,
                (None, Some(files)) => {
                    let times = self.read(column, number, files)?;
                    let late = late_rows(window, latest, times.into_iter().flatten());
                    self.store.remember(LATE, &key, &late)?;
                    late
                }
            };
        }
        Ok(rows)
    }
}
