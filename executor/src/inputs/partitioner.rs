//! Inputs whose rows are divided among invocations: by their key into a fixed number of groups, or by their time into windows. The rows
//! of all segments that are in one group, or in one window, are one invocation.
//!
//! Partitions are results like any others: they have keys, and are put into the store once, so that an invocation reads
//! its own rows alone. Their content shows which groups a changed segment touches: early cutoff stops at the others.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use flowc_demand::{Beginning, Grid, Part, PartitionedInputs, StoredPartition, WindowPart, groups_of_keys, is_late};
use flowc_planner::key::{ColumnKey, SegmentKeys};
use flowc_planner::plan::{Input, KeyGroups, Stage, StreamId, Window};
use flowc_platform::lock;
use flowc_runner::{Batch, Selection};
use flowc_store::{Record, SegmentWriter, StoredColumn};

use crate::inputs::ranges::SegmentRows;
use crate::inputs::read::Reading;
use crate::{Cause, Error};

/// The group of a key, from its bytes in Arrow's row format, equal floats having equal bytes: FNV-1a, folded and multiplied once more, since the low bits
/// of FNV know the low bits of each byte alone. It decides which rows meet in an invocation: the name that
/// [`KeyGroups::hash`] has for it is to change with it.
fn group(key: &[u8], groups: u64) -> u64 {
    let fnv = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    ((hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % groups
}

/// Divides the segments of one input into a partition for each group of keys, or for each window.
#[derive(Clone, Copy)]
pub(crate) struct Partitioner<'a> {
    /// Reads the segments of the input.
    pub reading: Reading<'a>,
    /// The stream that the input reads.
    pub stream: StreamId,
    /// The part that is asked for; the others are made with it.
    pub part: Part<'a>,
    /// The columns that are wanted, ascending.
    pub columns: &'a [usize],
}

impl PartitionedInputs for Reading<'_> {
    type Column = StoredColumn;
    type Error = Error;

    fn partition(
        &self,
        stream: StreamId,
        segment: usize,
        columns: &[usize],
        part: Part<'_>,
    ) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        Partitioner { reading: *self, stream, part, columns }.partition(segment)
    }
}

impl Partitioner<'_> {
    /// The partition of a segment; the segment is partitioned first, if it was not yet. `None` if the segment is not there.
    pub(crate) fn partition(&self, segment: usize) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        let Some(keys) = self.reading.locator.keys(self.stream, segment) else { return Ok(None) };
        if let Some(partition) = self.stored(segment, &keys)? {
            return Ok(Some(partition));
        }
        // One thread partitions it, the others wait for that.
        let alone = self.reading.locator.lookup.store.turn(self.stream, segment);
        let _turn = lock(&alone);
        if let Some(partition) = self.stored(segment, &keys)? {
            return Ok(Some(partition));
        }
        if self.reading.locator.locate(self.stream, segment, &self.read_columns())?.iter().any(Option::is_none) {
            return Ok(None);
        }
        match self.part {
            Part::Group { key, .. } => self.split_groups(segment, &keys, key)?,
            Part::Window { window, .. } => self.split_rows(
                segment,
                &keys,
                |rows| Ok(self.rows_of_windows(segment, rows, window)),
                |number| Part::Window { window, number },
            )?,
            Part::Sessions { window, beginnings, .. } => self.split_rows(
                segment,
                &keys,
                |rows| rows_of_sessions(rows, window, &beginnings[segment]),
                |number| Part::Sessions { window, group: number as u64, beginnings },
            )?,
        }
        self.stored(segment, &keys)
    }

    /// The columns that are wanted, and those that decide about rows.
    fn read_columns(&self) -> Vec<usize> {
        let mut columns = [self.columns, &self.part.columns()].concat();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn stored(&self, segment: usize, keys: &SegmentKeys) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        let keys = self.part.keys(segment, keys);
        let columns: Vec<ColumnKey> = self.columns.iter().map(|&column| keys.columns[column]).collect();
        let columns: Option<Vec<_>> = self.reading.locator.lookup.store.find_columns(&columns)?.into_iter().collect();
        let rows = self.reading.locator.lookup.store.find_rows(&[keys.rows])?.into_iter().next().flatten();
        Ok(columns.zip(rows).map(|(columns, rows)| StoredPartition { rows, columns }))
    }

    /// Puts the groups of a segment into the store.
    fn split_groups(&self, segment: usize, keys: &SegmentKeys, key: &KeyGroups) -> Result<(), Error> {
        let schema = self.schema();
        let store = self.reading.locator.lookup.store;
        let mut writers: Vec<SegmentWriter> = (0..key.groups).map(|_| store.segment_writer(schema.clone())).collect();
        for batch in self.reading.segment(self.stream, segment, &self.read_columns())? {
            for (writer, rows) in writers.iter_mut().zip(self.split(&batch?, key, &schema).map_err(misfit)?) {
                writer.write(&rows)?;
            }
        }
        self.reading.verify(self.stream, segment, &self.read_columns())?;
        let mut record = Record::default();
        for (group, writer) in (0..).zip(writers) {
            self.add(&Part::Group { key, group }.keys(segment, keys), writer, &mut record)?;
        }
        store.record(record);
        Ok(())
    }

    /// Puts the rows of a segment into the store, part by part, as `divide` says. Also parts are kept of which no row is left.
    fn split_rows<'p>(
        &self,
        segment: usize,
        keys: &SegmentKeys,
        divide: impl Fn(&SegmentRows) -> Result<BTreeMap<i64, PickedRows>, ArrowError>,
        part: impl Fn(i64) -> Part<'p>,
    ) -> Result<(), Error> {
        let (schema, store) = (self.schema(), self.reading.locator.lookup.store);
        let batches = self.reading.segment(self.stream, segment, &self.read_columns())?;
        let rows = SegmentRows::new(batches.collect::<Result<_, _>>()?);
        self.reading.verify(self.stream, segment, &self.read_columns())?;
        let mut record = Record::default();
        for (number, of_part) in divide(&rows).map_err(misfit)? {
            let mut writer = store.segment_writer(schema.clone());
            for (_, picked) in rows.picked(&of_part).map_err(misfit)? {
                writer.write(&picked.project(schema.clone(), self.columns).map_err(misfit)?)?;
            }
            self.add(&part(number).keys(segment, keys), writer, &mut record)?;
        }
        store.record(record);
        Ok(())
    }

    /// The rows of every window that a segment has rows of. Those that are late by the rows before them are left out. Where stages above
    /// left out rows, there are windows whose rows are all among these.
    fn rows_of_windows(&self, segment: usize, rows: &SegmentRows, window: &Window) -> BTreeMap<i64, PickedRows> {
        let (grid, layout) = (Grid::new(&window.kind), rows.layout(window));
        let with_rows = layout.times.windows(grid).map(|number| (number, layout.rows_of_window(window, number)));
        let mut windows: BTreeMap<i64, PickedRows> = with_rows.collect();
        if window.marks().is_some() {
            for number in self.windows_of(segment, window) {
                windows.entry(number).or_default();
            }
        }
        windows
    }

    /// The windows of a segment, as its source's times tell them.
    fn windows_of(&self, segment: usize, window: &Window) -> impl Iterator<Item = i64> {
        let locator = &self.reading.locator;
        let of_stage = move |(stage, of): (usize, &Stage)| {
            let is_input = |input: &Input| input.stream == self.stream && input.window.as_ref() == Some(window);
            let windows = locator.datasets.windows.get(&stage)?;
            Some((of.inputs.iter().position(is_input)?, windows))
        };
        let windows = locator.plan.stages.iter().enumerate().filter_map(of_stage);
        windows.flat_map(move |(input, windows)| {
            let has_rows = move |of: &&WindowPart| of.segments[input].binary_search(&segment).is_ok();
            windows.iter().filter(has_rows).map(|of| of.number)
        })
    }

    /// Takes in what is known of a partition that was written.
    fn add(&self, keys: &SegmentKeys, writer: SegmentWriter, record: &mut Record) -> Result<(), Error> {
        let staged = writer.finish()?;
        record.rows.push((keys.rows, staged.rows));
        record.columns.extend(self.columns.iter().map(|&column| keys.columns[column]).zip(staged.columns));
        Ok(())
    }

    /// The rows of each group.
    fn split(&self, batch: &Batch, key: &KeyGroups, schema: &SchemaRef) -> Result<Vec<RecordBatch>, ArrowError> {
        let groups = groups(batch, key)?;
        let rows = |wanted: u64| {
            let mask: BooleanArray = groups.iter().map(|&group| Some(group == wanted)).collect();
            batch.select(&Selection::Mask(mask))?.project(schema.clone(), self.columns)
        };
        (0..key.groups).map(rows).collect()
    }

    /// The columns that are wanted.
    pub(crate) fn schema(&self) -> SchemaRef {
        let all = &self.reading.locator.plan.stream(self.stream).schema;
        Arc::new(Schema::new(self.columns.iter().map(|&column| all.fields()[column].clone()).collect::<Vec<_>>()))
    }
}

/// The numbers of rows in a segment, ascending.
type PickedRows = Vec<Range<usize>>;

/// The rows of every group of keys that are not late for a session of their own. Where rows are counted none is.
fn rows_of_sessions(
    rows: &SegmentRows,
    window: &Window,
    beginning: &Beginning,
) -> Result<BTreeMap<i64, PickedRows>, ArrowError> {
    let (key, grid) = (groups_of_keys(window), Grid::new(&window.kind));
    let mut of_groups: BTreeMap<i64, PickedRows> =
        (0..key.groups as i64).map(|group| (group, PickedRows::new())).collect();
    let mut latest = beginning.latest;
    let before = rows.latest_before(window);
    let mut groups_of_rows = Vec::new();
    for batch in rows.batches() {
        groups_of_rows.extend(groups(batch, &key)?);
    }
    for ((row, time), group) in rows.times(window).into_iter().enumerate().zip(groups_of_rows) {
        let then =
            before.as_ref().map(|before| beginning.latest.max(Some(before[row]).filter(|time| *time > i64::MIN)));
        let is_in_time = |time| grid.of_row(time).all(|(_, end)| !is_late(window, then.unwrap_or(latest), || end));
        if window.time.is_none() || time.is_some_and(is_in_time) {
            let picked = of_groups.entry(group as i64).or_default();
            match picked.last_mut() {
                Some(range) if range.end == row => range.end = row + 1,
                _ => picked.push(row..row + 1),
            }
        }
        latest = latest.max(time);
    }
    Ok(of_groups)
}

/// The group of each row.
fn groups(batch: &Batch, key: &KeyGroups) -> Result<Vec<u64>, ArrowError> {
    if key.columns.is_empty() {
        return Ok(vec![0; batch.rows()]);
    }
    let keys: Vec<_> = key.columns.iter().filter_map(|&key| batch.column(key).cloned()).collect();
    let keys = keys.iter().map(flowc_arrays::comparable).collect::<Result<Vec<_>, _>>()?;
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&keys)?;
    Ok(keys.iter().map(|bytes| group(bytes.as_ref(), key.groups)).collect())
}

fn misfit(error: impl Into<Cause>) -> Error {
    Error::internal("dividing an input among invocations")(error)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn keys_spread_over_all_groups_whatever_their_step() {
        for step in [1, 16, 256, 1000] {
            let keys = Arc::new(Int64Array::from_iter_values((0..1600).map(|i| i * step))) as ArrayRef;
            let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())]).unwrap();
            let mut counts = [0; 16];
            converter
                .convert_columns(&[keys])
                .unwrap()
                .iter()
                .for_each(|key| counts[group(key.as_ref(), 16) as usize] += 1);
            assert!(counts.iter().all(|&count| (50..200).contains(&count)), "step {step}: {counts:?}");
        }
    }

    #[test]
    fn groups_never_move() {
        assert_eq!(["", "a", "b", "key"].map(|key| group(key.as_bytes(), 16)), [4, 12, 3, 3]);
    }
}
