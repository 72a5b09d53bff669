//! A host in memory, for tests of stages: it keeps the same rules as the real one.

use std::cell::RefCell;
use std::sync::Arc;

use crate::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use crate::arrow::buffer::{BooleanBuffer, Buffer};
use crate::arrow::datatypes::{DataType, FieldRef};
use flowc_arrays::{Flat, Trust, check_types, flatten, rebuild};

use crate::description::{Origin, Output, Rows};
use crate::log::Level;
use crate::problem::{Problem, Result};

#[path = "pick.rs"]
pub(crate) mod pick;

thread_local! {
    static WORLD: RefCell<World> = const { RefCell::new(World { outputs: Vec::new(), emitted: Vec::new() }) };
}

/// What an invocation in this thread may write, and what it wrote.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) outputs: Vec<Output>,
    pub(crate) emitted: Vec<(usize, RecordBatch)>,
}

/// Starts an invocation with these outputs.
pub(crate) fn start(outputs: Vec<Output>) {
    WORLD.set(World { outputs, emitted: Vec::new() });
}

/// What was emitted since the start, with port numbers.
pub(crate) fn emitted() -> Vec<(usize, RecordBatch)> {
    WORLD.take().emitted
}

/// A batch with all its columns, or one of an output port.
#[derive(Clone)]
pub(crate) struct Handle {
    batch: RecordBatch,
    reads: Arc<[usize]>,
    input: usize,
    port: Option<usize>,
    picked: bool,
}

impl Handle {
    pub(crate) fn of_input(batch: RecordBatch, input: usize, reads: &[usize]) -> Self {
        Self { batch, reads: reads.into(), input, port: None, picked: false }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    pub(crate) fn read(&self, columns: &[u32], fields: &[FieldRef]) -> Result<Vec<ArrayRef>> {
        let column = |&i: &u32| self.batch.column(self.reads[i as usize]).clone();
        round_trip(&columns.iter().map(column).collect::<Vec<_>>(), fields, self.rows(), Trust::Trusted)
    }

    pub(crate) fn filter(&self, mask: &[u8]) -> Self {
        let mask = BooleanBuffer::new(Buffer::from(mask), 0, self.rows());
        self.pick(pick::filter(&self.batch, &mask).expect("the mask has the batch's length"))
    }

    pub(crate) fn take(&self, indices: &[u32]) -> Self {
        self.pick(pick::take(&self.batch, indices).expect("row numbers within the batch"))
    }

    pub(crate) fn slice(&self, offset: u64, rows: u64) -> Self {
        self.pick(self.batch.slice(offset as usize, rows as usize))
    }

    fn pick(&self, batch: RecordBatch) -> Self {
        Self { batch, picked: true, ..self.clone() }
    }

    pub(crate) fn derive(&self, port: u32, written: &[ArrayRef]) -> Result<Self> {
        let output = output(port)?;
        self.check_rows(&output)?;
        let written = round_trip(written, &output.written(), self.rows(), Trust::Checked)?;
        let mut written = written.into_iter();
        let column = |origin: &Origin| match origin {
            Origin::Passed(i) => Some(self.batch.column(*i).clone()),
            Origin::Written => written.next(),
        };
        let columns = output.columns.iter().filter_map(column).collect();
        Ok(Self { batch: record_batch(&output, columns, self.rows())?, port: Some(port as usize), ..self.clone() })
    }

    fn check_rows(&self, output: &Output) -> Result<()> {
        match output.rows {
            Rows::Same(input) if input == self.input && !self.picked => Ok(()),
            Rows::Subset(input) if input == self.input => Ok(()),
            _ => Err(Problem::new("a batch with other rows than the output's description says")),
        }
    }
}

pub(crate) fn make(port: u32, rows: u64, written: &[ArrayRef]) -> Result<Handle> {
    let output = output(port)?;
    if output.rows != Rows::New {
        return Err(Problem::new("a made batch for an output that takes an input's rows"));
    }
    let columns = round_trip(written, &output.written(), rows as usize, Trust::Checked)?;
    let batch = record_batch(&output, columns, rows as usize)?;
    Ok(Handle { batch, reads: [].into(), input: usize::MAX, port: Some(port as usize), picked: false })
}

pub(crate) fn emit(port: u32, handle: Handle) -> Result<()> {
    let handle = if handle.port.is_none() { handle.derive(port, &[])? } else { handle };
    if handle.port != Some(port as usize) {
        return Err(Problem::new("a batch of another output port"));
    }
    WORLD.with_borrow_mut(|world| world.emitted.push((port as usize, handle.batch)));
    Ok(())
}

#[allow(clippy::print_stderr, reason = "where a native test shows its output")]
pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

fn output(port: u32) -> Result<Output> {
    let output = WORLD.with_borrow(|world| world.outputs.get(port as usize).cloned());
    output.ok_or_else(|| Problem::new(format!("there is no output port number {port}")))
}

fn record_batch(output: &Output, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(output.schema(), columns, &options)?)
}

/// Columns as they arrive after crossing the component's boundary.
fn round_trip(columns: &[ArrayRef], fields: &[FieldRef], rows: usize, trust: Trust) -> Result<Vec<ArrayRef>> {
    let given: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    check_types(fields, &given)?;
    let Flat { nodes, buffers, variadic_counts } = flatten(columns)?;
    Ok(rebuild(fields, &nodes, buffers, &variadic_counts, rows, trust)?)
}
