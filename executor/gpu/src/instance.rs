//! A running kernel: batches are put together to blocks, and what comes of these is cut as the batches were.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef};
use arrow_schema::Schema;
use flowc_kernel::Build;
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{Class, OutputColumn};
use flowc_planner::quantity::size;
use flowc_runner::{Batch, Instance, Invocation, Outlet, OutputPort, Selection, StageError, StageFault};

use crate::adapter::{Adapter, Sort};
use crate::block::{Block, BlockFault, Made, Work};
use crate::device::DeviceFault;
use crate::devices::Devices;
use crate::kind::Known;

/// Bytes of a block, of what the kernel reads.
const BLOCK_BYTES: u64 = 16 << 20;

/// Rows of a block.
const BLOCK_ROWS: usize = 1 << 20;

/// Iterations of an invocation where the driver has no limit of its own.
const ITERATIONS: u32 = 1 << 26;

/// Bytes of the largest variable of an invocation on CPU drivers, which compile larger ones for minutes.
const LARGEST_ON_CPU: u32 = 1024;

/// A running kernel.
pub(crate) struct KernelInstance {
    stage: Arc<str>,
    work: Work,
    outputs: Arc<[OutputPort]>,
    outlet: Box<dyn Outlet>,
    /// What was pushed and has not run.
    batches: Vec<Batch>,
    rows: usize,
    bytes: u64,
    /// The number of the first row of these.
    first: u64,
    clock: Clock,
}

/// The time that an invocation may take.
struct Clock {
    milliseconds: Option<u64>,
    spent: Duration,
}

impl Clock {
    fn left(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.milliseconds?).saturating_sub(self.spent))
    }

    /// Does something, and counts the time.
    fn counted<T>(&mut self, act: impl FnOnce(Option<Duration>) -> T) -> T {
        let (start, left) = (Instant::now(), self.left());
        let done = act(left);
        self.spent += start.elapsed();
        done
    }
}

impl KernelInstance {
    pub(crate) fn open(
        known: Option<&Known>,
        devices: &Arc<Devices>,
        invocation: &Invocation,
        mut outlet: Box<dyn Outlet>,
    ) -> Result<Self, StageFault> {
        let problem = |message: String| StageFault::Problem { message, config_path: None };
        let known = known.ok_or_else(|| problem(format!("there is no kernel {}", invocation.digest.short())))?;
        let adapter = devices.adapter().map_err(problem)?;
        devices.warn_of_cpu(&adapter, &mut *outlet);
        let work = work(known, devices, adapter, invocation).map_err(problem)?;
        Ok(Self {
            stage: invocation.stage.clone(),
            work,
            outputs: invocation.outputs.clone(),
            outlet,
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
            first: 0,
            clock: Clock { milliseconds: invocation.limits.timeout_ms, spent: Duration::ZERO },
        })
    }

    fn is_row_wise(&self) -> bool {
        self.work.bound.class == Class::RowWise
    }

    /// Adds rows, and runs them where they are enough.
    fn add(&mut self, mut batch: Batch) -> Result<(), StageError> {
        while self.is_row_wise() && self.rows + batch.rows() > BLOCK_ROWS {
            let room = BLOCK_ROWS - self.rows;
            let rest = batch.slice(room, batch.rows() - room);
            self.keep(batch.slice(0, room));
            self.flush()?;
            batch = rest;
        }
        self.keep(batch);
        if self.is_row_wise() && self.bytes >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn keep(&mut self, batch: Batch) {
        self.rows += batch.rows();
        self.bytes += batch.bytes(&self.work.bound.reads);
        self.batches.push(batch);
    }

    /// Runs what was kept, and hands on what comes of it.
    fn flush(&mut self) -> Result<(), StageError> {
        let batches = std::mem::take(&mut self.batches);
        let (rows, first) = (self.rows, self.first);
        (self.rows, self.bytes) = (0, 0);
        self.first += rows as u64;
        if rows == 0 {
            return Ok(());
        }
        let block = self.block(&batches, rows, first)?;
        let made = self.clock.counted(|left| self.work.run(&block, left));
        let made = made.map_err(|fault| self.failed(fault))?;
        let mut start = 0;
        for batch in batches.iter().filter(|batch| batch.rows() > 0) {
            let output = self.output(batch, &made, start).map_err(|message| self.error(message))?;
            start += batch.rows();
            self.outlet.emit(0, output)?;
        }
        Ok(())
    }

    /// The rows of some batches.
    fn block(&self, batches: &[Batch], rows: usize, first: u64) -> Result<Block, StageError> {
        let column = |column: &usize| {
            let parts: Option<Vec<&ArrayRef>> = batches.iter().map(|batch| batch.column(*column)).collect();
            let parts = parts.ok_or_else(|| self.error(format!("column {column} was not handed over")))?;
            let parts: Vec<&dyn Array> = parts.into_iter().map(|part| &**part).collect();
            arrow_select::concat::concat(&parts).map_err(|error| self.error(error.to_string()))
        };
        let columns = self.work.bound.reads.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Block { columns, rows, first })
    }

    /// What comes of a batch, whose rows begin there in what was made of its block.
    fn output(&self, batch: &Batch, made: &Made, start: usize) -> Result<Batch, String> {
        let rows = batch.rows();
        let port = &self.outputs[0];
        let mut written = made.columns.iter();
        let columns = port.columns.iter().zip(&port.needed).map(|(column, needed)| {
            let column = match column {
                OutputColumn::Written => written.next().map(|column| column.slice(start, rows)),
                OutputColumn::Passed { column } => batch.column(*column).cloned(),
            };
            column.filter(|_| *needed)
        });
        let all = Batch::new(rows, columns.collect::<Vec<_>>());
        match &made.mask {
            Some(mask) => all.select(&Selection::Mask(mask.slice(start, rows))).map_err(|error| error.to_string()),
            None => Ok(all),
        }
    }

    fn error(&self, message: String) -> StageError {
        StageError::new(&*self.stage, StageFault::Contract(message))
    }

    fn failed(&self, fault: BlockFault) -> StageError {
        let problem = |message: String| StageFault::Problem { message, config_path: None };
        let name = &self.work.adapter.name;
        let fault = match fault {
            BlockFault::At(row, diagnostic) => {
                return StageError::new(&*self.stage, problem(diagnostic.to_string())).at(0, row..row + 1);
            }
            BlockFault::Stage(message) => problem(message),
            BlockFault::Device(DeviceFault::Memory) => {
                problem(format!("`{name}` has not enough memory for the rows that go together"))
            }
            BlockFault::Device(DeviceFault::Refused(why)) => {
                problem(format!("`{name}` does not run the kernel: {why}"))
            }
            BlockFault::Device(DeviceFault::Lost(why)) => {
                StageFault::Unreachable(format!("`{name}` was lost again and again: {why}"))
            }
            BlockFault::Device(DeviceFault::Timeout) => match self.clock.milliseconds {
                Some(milliseconds) if self.clock.left() == Some(Duration::ZERO) => StageFault::Timeout { milliseconds },
                _ => problem(format!("`{name}` did not compile the kernel in a minute")),
            },
        };
        StageError::new(&*self.stage, fault)
    }
}

/// A kernel on an adapter, for an invocation.
fn work(known: &Known, devices: &Arc<Devices>, adapter: Adapter, invocation: &Invocation) -> Result<Work, String> {
    let schema = &invocation.inputs[0].schema;
    let told = |problems: Vec<flowc_kernel::Diagnostic>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let bound = known.kernel.bind(schema, &known.columns).map_err(told)?;
    check_needs(known, &adapter)?;
    let config: serde_json::Value = serde_json::from_str(&invocation.config).map_err(|error| error.to_string())?;
    let mut config = known.kernel.encode_config(&config).map_err(|wrong| wrong.to_string())?;
    config.resize(config.len().next_multiple_of(4).max(4), 0);
    let iterations = adapter.limits.iterations.unwrap_or(ITERATIONS);
    let build = known.kernel.build(&bound, iterations);
    check_build(&build, &adapter)?;
    let names = bound.reads.iter().map(|column| schema.field(*column).name().clone()).collect();
    let key = key(invocation, schema, iterations);
    Ok(Work { devices: Arc::clone(devices), adapter, bound, names, build: Arc::new(build), key, config })
}

/// What tells a build from others: the kernel, and the columns that it is bound to.
fn key(invocation: &Invocation, schema: &Schema, iterations: u32) -> [u8; 32] {
    let mut hasher = KeyHasher::new("kernel build");
    hasher.digest(invocation.digest.as_bytes()).number(iterations.into());
    for field in schema.fields() {
        hasher.field(field);
    }
    hasher.finish()
}

/// Checks that an adapter has what a kernel needs.
fn check_needs(known: &Known, adapter: &Adapter) -> Result<(), String> {
    let needs = known.kernel.needs();
    let Adapter { name, limits, .. } = adapter;
    let lacking = [
        (needs.int64 && !limits.int64, "64-bit integers; declare the column as `array<vec2<u32>>`"),
        (needs.f16 && !limits.f16, "half floats"),
        (needs.subgroups && !limits.subgroups, "operations among a subgroup"),
    ];
    if let Some((_, what)) = lacking.iter().find(|(lacks, _)| *lacks) {
        return Err(format!("`{name}` has no {what}"));
    }
    if adapter.sort == Sort::Cpu && needs.largest_variable > LARGEST_ON_CPU {
        let [has, most] = [needs.largest_variable, LARGEST_ON_CPU].map(|bytes| size(bytes.into()));
        return Err(format!(
            "a variable of the kernel has {has}; CPU drivers as `{name}` compile more than {most} for minutes"
        ));
    }
    Ok(())
}

/// Checks that an adapter takes a build.
fn check_build(build: &Build, adapter: &Adapter) -> Result<(), String> {
    let Adapter { name, limits, .. } = adapter;
    if build.workgroup > limits.invocations {
        return Err(format!("`{name}` takes workgroups of {} at most, not of {}", limits.invocations, build.workgroup));
    }
    let buffers = build.buffers.iter().filter(|buffer| buffer.access != flowc_kernel::Access::Uniform).count();
    if buffers > limits.buffers as usize {
        return Err(format!(
            "the kernel has {buffers} buffers with that for faults, and `{name}` takes {}: read or write fewer columns",
            limits.buffers
        ));
    }
    Ok(())
}

impl Instance for KernelInstance {
    fn push(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        if !self.is_row_wise() {
            self.keep(batch);
            return Ok(());
        }
        let reads = self.work.bound.reads.clone();
        batch.each_piece(&reads, BLOCK_BYTES, &mut |piece| self.add(piece))
    }

    /// A kernel over whole segments keeps its rows until the last one has come.
    fn boundary(&mut self) -> Result<(), StageError> {
        if self.is_row_wise() {
            self.flush()?;
        }
        self.clock.spent = Duration::ZERO;
        self.outlet.boundary()
    }

    fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        self.flush()?;
        self.outlet.close()
    }
}
