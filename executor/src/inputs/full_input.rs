//! Inputs that do not drive a stage: all segments in order, or the partitions of segments for one group of keys or one
//! window, in chunks of fixed size, whatever the segments are.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use flowc_columns::{ColumnsError, Rechunk};
use flowc_demand::Part;
use flowc_planner::plan::StreamId;
use flowc_runner::Batch;

use crate::inputs::ahead::{Give, read_ahead};
use crate::inputs::partitioner::Partitioner;
use crate::inputs::read::Reading;
use crate::{Cause, Error};

/// An input that is read from its first segment to its last.
pub(crate) struct FullInput<'a> {
    reading: Reading<'a>,
    stream: StreamId,
    columns: &'a [usize],
    segments: Vec<usize>,
    /// What is read of each segment, if it is not all.
    part: Option<Part<'a>>,
    schema: SchemaRef,
}

type Take<'t, E> = dyn FnMut(Batch) -> Result<(), E> + 't;

impl<'a> FullInput<'a> {
    /// Reads these columns of these segments, all rows or those of a part.
    pub(crate) fn new(
        reading: Reading<'a>,
        stream: StreamId,
        columns: &'a [usize],
        segments: Vec<usize>,
        part: Option<Part<'a>>,
    ) -> Self {
        let all = &reading.locator.plan.stream(stream).schema;
        let fields: Vec<_> = columns.iter().map(|&column| all.fields()[column].clone()).collect();
        Self { reading, stream, columns, segments, part, schema: Arc::new(Schema::new(fields)) }
    }

    /// Gives every batch in turn.
    pub(crate) fn each<E: From<Error>>(&self, take: &mut Take<'_, E>) -> Result<(), E> {
        let mut rechunk = Rechunk::new(self.schema.clone());
        match self.part {
            Some(part) => {
                let mut segments = self.segments.iter();
                segments.try_for_each(|&segment| self.partition(segment, part, &mut rechunk, take))?;
            }
            None => self.whole(&mut rechunk, take)?,
        }
        match rechunk.finish().map_err(columns())? {
            Some(last) => take(self.widened(&last)),
            None => Ok(()),
        }
    }

    /// All segments. Where there are several, they are decoded while the batches before are taken.
    fn whole<E: From<Error>>(&self, rechunk: &mut Rechunk, take: &mut Take<'_, E>) -> Result<(), E> {
        if let [segment] = self.segments[..] {
            return self.segment(segment, &mut |rows| self.push(rows, rechunk, take));
        }
        let read = |segment, give: &mut Give<'_, RecordBatch>| self.segment(segment, give);
        read_ahead(&self.segments, read, &mut |rows| self.push(rows, rechunk, take))
    }

    fn segment<E: From<Error>>(
        &self,
        segment: usize,
        take: &mut dyn FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        for batch in self.reading.segment(self.stream, segment, self.columns)? {
            take(batch?.project(self.schema.clone(), self.columns).map_err(misfit)?)?;
        }
        Ok(self.reading.verify(self.stream, segment, self.columns)?)
    }

    fn partition<E: From<Error>>(
        &self,
        segment: usize,
        part: Part<'_>,
        rechunk: &mut Rechunk,
        take: &mut Take<'_, E>,
    ) -> Result<(), E> {
        let partitioner = Partitioner { reading: self.reading, stream: self.stream, part, columns: self.columns };
        let partition = partitioner.partition(segment)?.ok_or_else(|| self.reading.lost(self.stream, segment))?;
        if partition.rows == 0 {
            return Ok(());
        }
        if self.columns.is_empty() {
            let rows = RecordBatchOptions::new().with_row_count(Some(partition.rows as usize));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &rows).map_err(misfit)?;
            return self.push(batch, rechunk, take);
        }
        for arrays in self.reading.locator.lookup.store.read(&partition.columns).map_err(Error::from)? {
            let arrays = arrays.map_err(Error::from)?;
            self.push(RecordBatch::try_new(self.schema.clone(), arrays).map_err(misfit)?, rechunk, take)?;
        }
        Ok(())
    }

    fn push<E: From<Error>>(&self, rows: RecordBatch, rechunk: &mut Rechunk, take: &mut Take<'_, E>) -> Result<(), E> {
        rechunk.push(rows).map_err(columns())?.iter().try_for_each(|chunk| take(self.widened(chunk)))
    }

    fn widened(&self, batch: &RecordBatch) -> Batch {
        let mut columns = vec![None; self.reading.locator.plan.stream(self.stream).schema.fields().len()];
        self.columns.iter().zip(batch.columns()).for_each(|(&place, array)| columns[place] = Some(array.clone()));
        Batch::new(batch.num_rows(), columns)
    }
}

fn columns() -> impl Fn(ColumnsError) -> Error {
    Error::columns("put the rows of an input together")
}

fn misfit(error: impl Into<Cause>) -> Error {
    Error::internal("fitting an input to its schema")(error)
}
