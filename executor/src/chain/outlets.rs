//! Where the batches of a task's stages go: to the next stage, and at the end into the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use flowc_demand::{StoredOutput, Task};
use flowc_runner::{Batch, DeviceUse, EdgeObserver, Outlet, StageError, StageFault};
use flowc_store::SegmentWriter;

use crate::chain::output::Shared;
use crate::inputs::read::Reading;
use crate::{Cancel, Error};

/// Rows per output port of one stage.
#[derive(Clone)]
pub(crate) struct Counts(Arc<[AtomicU64]>);

impl Counts {
    /// Nothing is counted yet.
    pub(crate) fn new(ports: usize) -> Self {
        Self((0..ports).map(|_| AtomicU64::new(0)).collect())
    }

    fn add(&self, port: usize, rows: u64) {
        if let Some(count) = self.0.get(port) {
            count.fetch_add(rows, Ordering::Relaxed);
        }
    }

    /// What was counted.
    pub(crate) fn read(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// Counts the rows that go from one stage to the next, and stops them when the run is stopped.
pub(crate) struct EdgeCounter {
    /// The stage that gives them.
    pub stage: usize,
    /// Where they are counted.
    pub rows: Counts,
    /// Says whether the run was stopped.
    pub cancel: Cancel,
    /// Takes the lines of the stage's log, and what it had a device do.
    pub shared: Shared,
}

impl EdgeObserver for EdgeCounter {
    fn gave(&mut self, rows: u64) {
        self.rows.add(0, rows);
    }

    fn log(&mut self, level: &str, message: &str) {
        self.shared.log(self.stage, level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.shared.used(self.stage, device);
    }

    fn pass(&mut self, batch: Batch) -> Result<Batch, StageError> {
        if self.cancel.is_cancelled() { Err(StageError::new("", StageFault::Cancelled)) } else { Ok(batch) }
    }
}

/// Writes what is kept of the last stage's outputs into the store.
pub(crate) struct StoreWriter {
    ports: Vec<WriterPort>,
    rows: Counts,
    cancel: Cancel,
    shared: Shared,
    stage: usize,
}

struct WriterPort {
    columns: Vec<usize>,
    schema: SchemaRef,
    writer: SegmentWriter,
}

impl StoreWriter {
    /// Of a task's last stage, whose rows are counted.
    pub(crate) fn new(reading: &Reading<'_>, task: &Task, shared: Shared, rows: Counts, cancel: &Cancel) -> Self {
        let port = |kept: &StoredOutput| {
            let fields: Vec<_> = kept.columns.iter().map(|&column| kept.schema.fields()[column].clone()).collect();
            let schema = Arc::new(Schema::new(fields));
            let writer = reading.locator.lookup.store.segment_writer(schema.clone());
            WriterPort { columns: kept.columns.clone(), schema, writer }
        };
        let ports = task.outputs.iter().map(port).collect();
        Self { ports, rows, cancel: cancel.clone(), shared, stage: task.id.stage }
    }

    fn fail(&self, error: Error) -> StageError {
        let fault = StageFault::Downstream(error.to_string());
        self.shared.fail(error);
        StageError::new("", fault)
    }

    fn write(&mut self, port: usize, batch: &Batch) -> Result<(), Error> {
        let port = &mut self.ports[port];
        let batch: RecordBatch = batch
            .project(port.schema.clone(), &port.columns)
            .map_err(Error::internal("fitting a stage's output to its schema"))?;
        Ok(port.writer.write(&batch)?)
    }
}

impl Outlet for StoreWriter {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.rows.add(port, batch.rows() as u64);
        if self.cancel.is_cancelled() {
            return Err(StageError::new("", StageFault::Cancelled));
        }
        if self.ports[port].columns.is_empty() {
            return Ok(());
        }
        self.write(port, &batch).map_err(|error| self.fail(error))
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        for port in std::mem::take(&mut self.ports) {
            match port.writer.finish() {
                Ok(staged) => self.shared.staged(staged),
                Err(error) => return Err(self.fail(error.into())),
            }
        }
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.shared.log(self.stage, level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.shared.used(self.stage, device);
    }
}
