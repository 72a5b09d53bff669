//! Inputs that a stage takes whole: all segments in order, in cuts of fixed size, whatever the segments are.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use flowc_columns::Recut;
use flowc_planner::plan::StreamId;
use flowc_runner::{Batch, Selection};

use crate::Error;
use crate::chain::ChainError;
use crate::keys::KEY_GROUPS;
use crate::read::Reading;

/// An input that is read from its first segment to its last.
pub(crate) struct WholeInput<'a> {
    reading: Reading<'a>,
    stream: StreamId,
    columns: Vec<usize>,
    /// Key columns and the group to keep, for a keyed input.
    group: Option<(&'a [usize], u64)>,
    schema: SchemaRef,
}

impl<'a> WholeInput<'a> {
    /// Reads these columns; of a keyed input the rows of one group, whose key columns are read too.
    pub(crate) fn new(
        reading: Reading<'a>,
        stream: StreamId,
        mut columns: Vec<usize>,
        group: Option<(&'a [usize], u64)>,
    ) -> Self {
        columns.extend(group.iter().flat_map(|(keys, _)| keys.iter()));
        columns.sort_unstable();
        columns.dedup();
        let all = &reading.homes.plan.stream(stream).schema;
        let fields: Vec<_> = columns.iter().map(|&column| all.fields()[column].clone()).collect();
        Self { reading, stream, columns, group, schema: Arc::new(Schema::new(fields)) }
    }

    /// Gives every batch in turn.
    pub(crate) fn each(&self, take: &mut dyn FnMut(Batch) -> Result<(), ChainError>) -> Result<(), ChainError> {
        let mut recut = Recut::new(self.schema.clone());
        for segment in 0..self.reading.homes.segments(self.stream) {
            for batch in self.reading.segment(self.stream, segment, &self.columns)? {
                let batch = self.of_group(batch?)?;
                let flat = batch.project(self.schema.clone(), &self.columns).map_err(misfit)?;
                for cut in recut.push(flat).map_err(misfit)? {
                    take(self.widened(&cut))?;
                }
            }
        }
        match recut.finish().map_err(misfit)? {
            Some(last) => take(self.widened(&last)),
            None => Ok(()),
        }
    }

    fn widened(&self, batch: &RecordBatch) -> Batch {
        let mut columns = vec![None; self.reading.homes.plan.stream(self.stream).schema.fields().len()];
        self.columns.iter().zip(batch.columns()).for_each(|(&place, array)| columns[place] = Some(array.clone()));
        Batch::new(batch.num_rows(), columns)
    }

    fn of_group(&self, batch: Batch) -> Result<Batch, Error> {
        let Some((keys, group)) = self.group else { return Ok(batch) };
        let mask = group_mask(&batch, keys, group).map_err(misfit)?;
        batch.select(&Selection::Mask(mask)).map_err(misfit)
    }
}

/// Rows whose key falls into a group: FNV-1a over Arrow's row format of the key columns, modulo the number of groups.
fn group_mask(batch: &Batch, keys: &[usize], group: u64) -> Result<BooleanArray, ArrowError> {
    let columns: Vec<_> = keys.iter().filter_map(|&key| batch.column(key).cloned()).collect();
    let converter = RowConverter::new(columns.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
    let rows = converter.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| Some(fnv(row.as_ref()) % KEY_GROUPS == group)).collect())
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn misfit(error: impl std::fmt::Display) -> Error {
    Error::Request(format!("an input does not fit its schema: {error}"))
}
