//! What stands around the stages of windows: the bounds that their rows begin with, the two halves of a combining stage, and what picks
//! the rows that came too late.

use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, SchemaRef};
use flowc_demand::{Beginning, Grid, is_late};
use flowc_planner::plan::{RowPosition, WINDOW_COLUMNS, Window};
use flowc_platform::lock;
use flowc_runner::{Batch, DeviceUse, Instance, Outlet, PerBatch, Selection, StageError, StageFault};

use crate::chain::output::Shared;
use crate::inputs::ranges::latest_before;
use crate::inputs::times::{bounds, times};

/// Puts the bounds of a window before the columns of the rows that a stage gives for it.
pub(crate) struct WindowBounds {
    start: i64,
    end: i64,
    /// Of the bounds.
    data_type: DataType,
    outlet: Box<dyn Outlet>,
}

impl WindowBounds {
    /// Those of a window, in columns of this type.
    pub(crate) fn new((start, end): (i64, i64), data_type: DataType, outlet: Box<dyn Outlet>) -> Self {
        Self { start, end, data_type, outlet }
    }
}

impl Outlet for WindowBounds {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let rows = batch.rows();
        let column = |time: i64| Some(bounds(std::iter::repeat_n(Some(time), rows), &self.data_type));
        let columns = [column(self.start), column(self.end)].into_iter().chain(batch.columns().iter().cloned());
        self.outlet.emit(port, Batch::new(rows, columns.collect::<Vec<_>>()))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.outlet.boundary()
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        self.outlet.close()
    }

    fn log(&mut self, level: &str, message: &str) {
        self.outlet.log(level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.outlet.used(device);
    }
}

/// In the place of a stage that is not called, since its window has no rows.
pub(crate) struct NoRows;

impl PerBatch for NoRows {
    fn push(&mut self, _: usize, _: Batch, _: &mut dyn Outlet) -> Result<(), StageError> {
        Ok(())
    }
}

/// An outlet that the instances of several windows give to, one after the other. It is closed after the last.
#[derive(Clone)]
pub(crate) struct SharedOutlet(Arc<Mutex<Option<Box<dyn Outlet>>>>);

impl SharedOutlet {
    /// In front of an outlet.
    pub(crate) fn new(outlet: Box<dyn Outlet>) -> Self {
        Self(Arc::new(Mutex::new(Some(outlet))))
    }

    /// The outlet behind it, for whoever closes it.
    pub(crate) fn take(&self) -> Option<Box<dyn Outlet>> {
        lock(&self.0).take()
    }
}

impl Outlet for SharedOutlet {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        lock(&self.0).as_mut().map_or(Ok(()), |outlet| outlet.emit(port, batch))
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        if let Some(outlet) = lock(&self.0).as_mut() {
            outlet.log(level, message);
        }
    }

    fn used(&mut self, device: DeviceUse) {
        if let Some(outlet) = lock(&self.0).as_mut() {
            outlet.used(device);
        }
    }
}

/// A combining stage over one window: its rows to a partial, and that to the outputs.
pub(crate) struct Combined {
    partial: Box<dyn Instance>,
    partials: Partials,
    finish: Box<dyn Instance>,
}

/// Takes the partial of a window.
#[derive(Clone)]
pub(crate) struct Partials {
    batches: Arc<Mutex<Vec<Batch>>>,
    /// Takes the lines of the stage's log, and what it had a device do.
    shared: Shared,
    stage: usize,
}

impl Partials {
    /// Of a stage.
    pub(crate) fn new(stage: usize, shared: Shared) -> Self {
        Self { batches: Arc::default(), shared, stage }
    }
}

impl Combined {
    /// Of both halves: the first one gives to `partials`.
    pub(crate) fn new(partial: Box<dyn Instance>, partials: Partials, finish: Box<dyn Instance>) -> Self {
        Self { partial, partials, finish }
    }
}

impl Instance for Combined {
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.partial.push(port, batch)
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.partial.boundary()
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        self.partial.end_of_input(port)
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        let Self { partial, partials, mut finish } = *self;
        partial.finish()?;
        let partials = std::mem::take(&mut *lock(&partials.batches));
        partials.into_iter().try_for_each(|batch| finish.push(0, batch))?;
        finish.end_of_input(0)?;
        finish.finish()
    }
}

impl Outlet for Partials {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        lock(&self.batches).push(batch);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.shared.log(self.stage, level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.shared.used(self.stage, device);
    }
}

/// Picks the rows of a segment that came too late for a window, or have no time at all.
pub(crate) struct LateRows {
    window: Window,
    partition: Arc<str>,
    /// The latest time before the segment.
    before: Option<i64>,
    /// The latest time so far.
    latest: Option<i64>,
    /// The number of the next row in the file.
    next_row: u64,
    /// Of the window's end.
    data_type: DataType,
}

impl LateRows {
    /// Over a segment that begins there. `schema` is that of the late rows.
    pub(crate) fn new(window: Window, beginning: &Beginning, schema: &SchemaRef) -> Self {
        let Beginning { latest, partition, first_row } = beginning.clone();
        let end = schema.fields().iter().rev().find(|field| field.name() == WINDOW_COLUMNS[1]);
        let data_type = end.map_or(DataType::Null, |field| field.data_type().clone());
        Self { window, partition, before: latest, latest, next_row: first_row, data_type }
    }

    /// Those of rows with these times. `before` has the latest times before them, where stages above left out rows.
    fn late_rows(&mut self, column: &ArrayRef, before: Option<Vec<i64>>) -> Vec<LateRow> {
        let grid = Grid::new(&self.window.kind);
        let delay_ms = self.window.time.map_or(0, |time| time.delay_ms) as i64;
        let mut late = Vec::new();
        for (row, time) in (0..).zip(times(column)) {
            let marked = before.as_ref().map(|before| Some(before[row as usize]).filter(|then| *then > i64::MIN));
            let latest = marked.map_or(self.latest, |then| self.before.max(then));
            let Some(time) = time else {
                late.push(LateRow { row, end: None, by: None });
                continue;
            };
            for (_, end) in grid.of_row(time) {
                if is_late(&self.window, latest, || end) {
                    let by = latest.map(|latest| latest - delay_ms - end);
                    late.push(LateRow { row, end: Some(end), by });
                }
            }
            self.latest = self.latest.max(Some(time));
        }
        late
    }
}

/// A row that came too late for a window.
struct LateRow {
    /// Its number in the batch.
    row: u32,
    /// Where the window ends.
    end: Option<i64>,
    /// How far the watermark was past that.
    by: Option<i64>,
}

impl PerBatch for LateRows {
    fn push(&mut self, _: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError> {
        let failed = |message: String| StageError::new("", StageFault::Downstream(message));
        let time = self.window.time.ok_or_else(|| failed("the windows have no event time".into()))?;
        let column = batch.column(time.column).ok_or_else(|| failed("the event time is absent".into()))?;
        let before = time.marks.and_then(|marks| latest_before(&batch, marks.before));
        let numbers = time.marks.and_then(|marks| batch.column(marks.row)?.as_primitive_opt::<UInt64Type>());
        if time.marks.is_some() && (before.is_none() || numbers.is_none()) {
            return Err(failed("the times before the rows are absent".into()));
        }
        let late = self.late_rows(column, before);
        let first = self.next_row;
        self.next_row += if time.marks.is_some() { 0 } else { batch.rows() as u64 };
        if late.is_empty() {
            return Ok(());
        }
        let positions = match time.position {
            RowPosition::Offset(column) => {
                let offsets = batch.column(column).and_then(|column| column.as_primitive_opt::<Int64Type>());
                let offsets = offsets.ok_or_else(|| failed("the offsets are absent".into()))?;
                UInt64Array::from_iter_values(late.iter().map(|late| offsets.value(late.row as usize).unsigned_abs()))
            }
            RowPosition::Number | RowPosition::Absent => {
                let number = |row: u32| numbers.map_or(u64::from(row), |numbers| numbers.value(row as usize));
                UInt64Array::from_iter_values(late.iter().map(|late| first + number(late.row)))
            }
        };
        let rows: UInt32Array = late.iter().map(|late| late.row).collect::<Vec<_>>().into();
        let picked = batch.select(&Selection::Take(rows)).map_err(|error| failed(error.to_string()))?;
        let partitions = StringArray::from_iter_values(std::iter::repeat_n(&*self.partition, late.len()));
        let why: [ArrayRef; 4] = [
            bounds(late.iter().map(|late| late.end), &self.data_type),
            Arc::new(late.iter().map(|late| late.by).collect::<Int64Array>()),
            Arc::new(partitions),
            Arc::new(positions),
        ];
        // Marks come behind the columns that are seen.
        let shown = time.marks.map_or(picked.columns().len(), |marks| marks.before);
        let columns: Vec<_> = picked.columns()[..shown].iter().cloned().chain(why.map(Some)).collect();
        outlet.emit(0, Batch::new(late.len(), columns))
    }
}

/// Says of the rows of a segment how they are in it ([`flowc_planner::plan::Marks`]), for windows below stages that leave out some.
pub(crate) struct MarkRows {
    /// The column that holds the times.
    time: usize,
    latest: Option<i64>,
    next_row: u64,
}

impl MarkRows {
    /// Over a segment, by a column of times.
    pub(crate) fn new(time: usize) -> Self {
        Self { time, latest: None, next_row: 0 }
    }
}

impl PerBatch for MarkRows {
    fn push(&mut self, _: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError> {
        let absent = || StageError::new("", StageFault::Downstream("the event time is absent".into()));
        let times = times(batch.column(self.time).ok_or_else(absent)?);
        let before = |time: Option<i64>| {
            let before = self.latest;
            self.latest = before.max(time);
            before
        };
        let before: Int64Array = times.into_iter().map(before).collect();
        let rows = self.next_row..self.next_row + batch.rows() as u64;
        self.next_row = rows.end;
        let marks: [ArrayRef; 2] = [Arc::new(before), Arc::new(UInt64Array::from_iter_values(rows))];
        let columns: Vec<_> = batch.columns().iter().cloned().chain(marks.map(Some)).collect();
        outlet.emit(0, Batch::new(batch.rows(), columns))
    }
}
