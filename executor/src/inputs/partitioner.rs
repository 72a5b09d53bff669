//! Keyed inputs: the rows of every segment are partitioned by their key into a fixed number of groups, and each group of all
//! segments is one invocation.
//!
//! Partitions are results like any others: they have keys, and are put into the store once, so that an invocation reads
//! its own rows alone. Their content shows which groups a changed segment touches: early cutoff stops at the others.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use flowc_demand::{PartitionedInputs, StoredPartition, group_keys};
use flowc_planner::key::{ColumnKey, SegmentKeys};
use flowc_planner::plan::{KeyGroups, StreamId};
use flowc_platform::lock;
use flowc_runner::{Batch, Selection};
use flowc_store::{Record, SegmentWriter, StoredColumn};

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

/// Divides the segments of one keyed input into a partition for each group of keys.
#[derive(Clone, Copy)]
pub(crate) struct Partitioner<'a> {
    /// Reads the segments of the input.
    pub reading: Reading<'a>,
    /// The stream that the input reads.
    pub stream: StreamId,
    /// The columns of the key, and the number of groups.
    pub key: &'a KeyGroups,
    /// The columns that are wanted, ascending; those of the key are among them.
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
        key: &KeyGroups,
        group: u64,
    ) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        Partitioner { reading: *self, stream, key, columns }.partition(segment, group)
    }
}

impl Partitioner<'_> {
    /// The partition of a segment for one group; the segment is partitioned first, if it was not yet. `None` if the segment is not there.
    pub(crate) fn partition(&self, segment: usize, group: u64) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        let Some(keys) = self.reading.locator.keys(self.stream, segment) else { return Ok(None) };
        if let Some(partition) = self.stored(&keys, group)? {
            return Ok(Some(partition));
        }
        // One thread partitions it, the others wait for that.
        let alone = self.reading.locator.lookup.store.turn(self.stream, segment);
        let _turn = lock(&alone);
        if let Some(partition) = self.stored(&keys, group)? {
            return Ok(Some(partition));
        }
        if self.reading.locator.locate(self.stream, segment, self.columns)?.iter().any(Option::is_none) {
            return Ok(None);
        }
        self.split_segment(segment, &keys)?;
        self.stored(&keys, group)
    }

    fn stored(&self, keys: &SegmentKeys, group: u64) -> Result<Option<StoredPartition<StoredColumn>>, Error> {
        let keys = group_keys(keys, self.key, group);
        let columns: Vec<ColumnKey> = self.columns.iter().map(|&column| keys.columns[column]).collect();
        let columns: Option<Vec<_>> = self.reading.locator.lookup.store.find_columns(&columns)?.into_iter().collect();
        let rows = self.reading.locator.lookup.store.find_rows(&[keys.rows])?.into_iter().next().flatten();
        Ok(columns.zip(rows).map(|(columns, rows)| StoredPartition { rows, columns }))
    }

    /// Puts the partitions of a segment into the store.
    fn split_segment(&self, segment: usize, keys: &SegmentKeys) -> Result<(), Error> {
        let schema = self.schema();
        let store = self.reading.locator.lookup.store;
        let mut writers: Vec<SegmentWriter> =
            (0..self.key.groups).map(|_| store.segment_writer(schema.clone())).collect();
        for batch in self.reading.segment(self.stream, segment, self.columns)? {
            for (writer, rows) in writers.iter_mut().zip(self.split(&batch?, &schema).map_err(misfit)?) {
                writer.write(&rows)?;
            }
        }
        self.reading.verify(self.stream, segment, self.columns)?;
        let mut record = Record::default();
        for (group, writer) in (0..).zip(writers) {
            let (keys, staged) = (group_keys(keys, self.key, group), writer.finish()?);
            record.rows.push((keys.rows, staged.rows));
            let columns = self.columns.iter().map(|&column| keys.columns[column]);
            record.columns.extend(columns.zip(staged.columns));
        }
        store.record(record);
        Ok(())
    }

    /// The rows of each group.
    fn split(&self, batch: &Batch, schema: &SchemaRef) -> Result<Vec<RecordBatch>, ArrowError> {
        let keys: Vec<_> = self.key.columns.iter().filter_map(|&key| batch.column(key).cloned()).collect();
        let keys = keys.iter().map(flowc_arrays::comparable).collect::<Result<Vec<_>, _>>()?;
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let keys = RowConverter::new(fields)?.convert_columns(&keys)?;
        let groups: Vec<u64> = keys.iter().map(|key| group(key.as_ref(), self.key.groups)).collect();
        let rows = |wanted: u64| {
            let mask: BooleanArray = groups.iter().map(|&group| Some(group == wanted)).collect();
            batch.select(&Selection::Mask(mask))?.project(schema.clone(), self.columns)
        };
        (0..self.key.groups).map(rows).collect()
    }

    /// The columns that are wanted.
    pub(crate) fn schema(&self) -> SchemaRef {
        let all = &self.reading.locator.plan.stream(self.stream).schema;
        Arc::new(Schema::new(self.columns.iter().map(|&column| all.fields()[column].clone()).collect::<Vec<_>>()))
    }
}

fn misfit(error: impl Into<Cause>) -> Error {
    Error::internal("dividing an input by its key")(error)
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
