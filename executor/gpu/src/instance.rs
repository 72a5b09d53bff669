//! Running kernels: batches are put together to blocks, and what comes of these is cut as the batches were.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use flowc_planner::key::Phase;
use flowc_planner::plan::OutputColumn;
use flowc_runner::{
    Batch, Edge, EdgeObserver, Instance, Invocation, Lineage, Origin, Outlet, OutputPort, Selection, StageError,
    StageFault, open_stages,
};

use crate::counted::Counted;
use crate::device::DeviceFault;
use crate::devices::Devices;
use crate::known::Known;
use crate::merging::{Merging, emit};
use crate::prepared::Prepared;
use crate::steps::{Block, BlockFault, Failed, Made, Step};
use crate::table::Table;
use crate::tables::TableKey;
use crate::work::Work;

/// Bytes of a block, of what kernels read.
const BLOCK_BYTES: u64 = 16 << 20;

/// Kernels that run over the same blocks.
struct KernelInstance {
    work: Work,
    outputs: Arc<[OutputPort]>,
    outlet: Box<dyn Outlet>,
    /// Hear of all kernels but the last.
    between: Vec<Box<dyn EdgeObserver>>,
    /// The input that rows come on.
    main: usize,
    /// The rows of the table, until it is whole.
    of_table: Vec<Batch>,
    /// By what the table is known again, and how much memory the stage may have for such.
    table: Option<TableKey>,
    memory: Option<u64>,
    /// What was counted, where the last kernel counts.
    counted: Option<Counted>,
    /// What was pushed and has not run.
    batches: Vec<Batch>,
    rows: usize,
    bytes: u64,
    /// Of each kernel, the number of the first row that has not run.
    firsts: Vec<u64>,
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

/// Opens adjacent kernels. Those that rows go through one by one share blocks; others are handed what comes of the blocks before.
///
/// # Errors
/// If a kernel can't run on the adapter.
pub(crate) fn open(
    known: &[Option<Arc<Known>>],
    devices: &Arc<Devices>,
    stages: &[Invocation],
    between: Vec<Box<dyn EdgeObserver>>,
    mut outlet: Box<dyn Outlet>,
) -> Result<Box<dyn Instance>, StageError> {
    let failed = |stage: &Invocation, message: String| {
        StageError::new(&*stage.stage, StageFault::Problem { message, config_path: None })
    };
    if let [stage @ Invocation { phase: Phase::Merge | Phase::Finish, .. }] = stages {
        let counted = Counted::of_partials(&stage.inputs[0].schema);
        let counted = counted.ok_or_else(|| failed(stage, "its partials do not say what they count".to_owned()))?;
        return Ok(Box::new(Merging::new(stage, counted, outlet)));
    }
    let adapter = devices.adapter().map_err(|message| failed(&stages[0], message))?;
    devices.warn_of_cpu(&adapter, &mut *outlet);
    let prepared = stages.iter().zip(known).map(|(stage, known)| {
        let prepared = known_of(stage, known).and_then(|known| Prepared::new(known, &adapter, stage));
        prepared.map_err(|message| failed(stage, message))
    });
    let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
    let groups = groups(stages, &prepared);
    let (mut prepared, mut between) = (prepared.into_iter(), between.into_iter());
    let mut start = 0;
    let mut parts: Vec<_> = groups
        .iter()
        .map(|&length| {
            let stages = &stages[start..start + length];
            start += length;
            let work = work(devices, adapter.clone(), stages, prepared.by_ref().take(length));
            let within: Vec<_> = between.by_ref().take(length - 1).collect();
            (Some((stages, work, within)), between.next())
        })
        .collect();
    let mut taken: Vec<_> = parts.iter_mut().map(|(_, observer)| observer.take()).collect();
    open_stages(
        groups.len(),
        outlet,
        |number, outlet| {
            let (stages, work, between) = parts[number].0.take().expect("a group is opened once");
            Ok(Box::new(KernelInstance::new(stages, work, between, outlet)) as _)
        },
        |number| Edge { port: 0, observer: taken[number].take().expect("each stage but the last has an observer") },
    )
}

/// The code of a stage.
fn known_of<'a>(stage: &Invocation, known: &'a Option<Arc<Known>>) -> Result<&'a Known, String> {
    known.as_deref().ok_or_else(|| format!("there is no kernel {}", stage.digest.short()))
}

/// How many kernels share blocks, group by group. Rows go through them one by one, in whatever pieces; time is measured where each has its
/// own; and what may be no value comes back, to be checked.
fn groups(stages: &[Invocation], prepared: &[Prepared]) -> Vec<usize> {
    let is_free = |place: usize| prepared[place].can_share() && stages[place].limits.timeout_ms.is_none();
    let mut groups = vec![1];
    for place in 1..stages.len() {
        let shares = prepared[place - 1].is_row_wise()
            && is_free(place - 1)
            && is_free(place)
            && prepared[place - 1].is_always_valid()
            && stages[place].inputs.len() == 1;
        match groups.last_mut() {
            Some(group) if shares => *group += 1,
            _ => groups.push(1),
        }
    }
    groups
}

/// Kernels of a group, with where their columns come from.
fn work(
    devices: &Arc<Devices>,
    adapter: crate::adapter::Adapter,
    stages: &[Invocation],
    prepared: impl Iterator<Item = Prepared>,
) -> Work {
    let lineage = Lineage::of(stages);
    let steps = stages.iter().zip(prepared).enumerate().map(|(number, (stage, prepared))| {
        let Prepared { bound, names, of_table, least, build, key, config } = prepared;
        let reads = bound.reads.iter().map(|column| lineage.streams[number][*column]).collect();
        let live = lineage.live[number + 1].clone();
        Step { stage: stage.stage.clone(), bound, names, of_table, least, reads, live, build, key, config }
    });
    let reads = lineage.live[0].iter().filter_map(|origin| match origin {
        Origin::Input(column) => Some(*column),
        Origin::Written { .. } => None,
    });
    Work::new(Arc::clone(devices), adapter, steps.collect(), reads.collect())
}

impl KernelInstance {
    fn new(
        stages: &[Invocation],
        mut work: Work,
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Self {
        let invocation = Lineage::of(stages).invocation(stages);
        let milliseconds = if let [stage] = stages { stage.limits.timeout_ms } else { None };
        let table = TableKey::of(&stages[0]);
        work.steps.table = table.as_ref().and_then(|key| work.devices().tables.get(key));
        Self {
            firsts: vec![0; work.steps.all.len()],
            counted: work.steps.all.last().and_then(|step| Counted::new(&step.bound)),
            work,
            outputs: invocation.outputs,
            outlet,
            between,
            main: invocation.main_input.unwrap_or(0),
            of_table: Vec::new(),
            table,
            memory: stages[0].limits.memory,
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
            clock: Clock { milliseconds, spent: Duration::ZERO },
        }
    }

    /// Adds rows, and runs them where they are enough.
    fn add(&mut self, mut batch: Batch) -> Result<(), StageError> {
        let most = self.work.steps.most_rows().ok_or_else(|| {
            let told = "the table has too many pieces for sums of 64 bits: make `PIECE` larger".to_owned();
            self.failed(BlockFault::Stage(told).in_step(0), 0)
        })?;
        while self.work.steps.can_be_cut() && self.rows + batch.rows() > most {
            let room = most - self.rows;
            let rest = batch.slice(room, batch.rows() - room);
            self.keep(batch.slice(0, room));
            self.flush()?;
            batch = rest;
        }
        self.keep(batch);
        if self.work.steps.can_be_cut() && self.bytes >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn keep(&mut self, batch: Batch) {
        self.rows += batch.rows();
        self.bytes += batch.bytes(&self.work.steps.reads);
        self.batches.push(batch);
    }

    /// Runs what was kept, and hands on what comes of it.
    fn flush(&mut self) -> Result<(), StageError> {
        let batches = std::mem::take(&mut self.batches);
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(());
        }
        let block = self.block(&batches, rows)?;
        let made = self.clock.counted(|left| self.work.run(&block, left));
        let made = made.map_err(|failed| self.failed(failed, rows))?;
        let given = std::iter::once(rows as u64).chain(made.given.iter().copied());
        self.firsts.iter_mut().zip(given).for_each(|(first, given)| *first += given);
        if let Some(counted) = &mut self.counted {
            let added = counted.add(&made.columns);
            return added
                .map_err(|message| self.failed(BlockFault::Stage(message).in_step(self.firsts.len() - 1), rows));
        }
        let (mut start, mut taken) = (0, 0);
        for batch in batches.iter().filter(|batch| batch.rows() > 0) {
            let mask = made.mask.as_ref().map(|mask| mask.slice(start, batch.rows()));
            start += batch.rows();
            let kept = mask.as_ref().map_or(batch.rows(), BooleanBuffer::count_set_bits);
            let output = self.output(batch, mask, &made, taken..taken + kept).map_err(|message| self.error(message))?;
            taken += kept;
            self.outlet.emit(0, output)?;
        }
        Ok(())
    }

    /// The rows of some batches.
    fn block(&self, batches: &[Batch], rows: usize) -> Result<Block, StageError> {
        let column = |column: &usize| {
            let parts: Option<Vec<&ArrayRef>> = batches.iter().map(|batch| batch.column(*column)).collect();
            let parts = parts.ok_or_else(|| self.error(format!("column {column} was not handed over")))?;
            let parts: Vec<&dyn Array> = parts.into_iter().map(|part| &**part).collect();
            arrow_select::concat::concat(&parts).map_err(|error| self.error(error.to_string()))
        };
        let columns = self.work.steps.reads.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Block { columns, rows, firsts: self.firsts.clone(), is_reversed: false })
    }

    /// What comes of a batch, of which a mask keeps rows: these rows of what was made.
    fn output(
        &self,
        batch: &Batch,
        mask: Option<BooleanBuffer>,
        made: &Made,
        rows: std::ops::Range<usize>,
    ) -> Result<Batch, String> {
        let port = &self.outputs[0];
        let passed = port.columns.iter().zip(&port.needed).map(|(column, needed)| match column {
            OutputColumn::Passed { column } => batch.column(*column).filter(|_| *needed).cloned(),
            OutputColumn::Written => None,
        });
        let mut output = Batch::new(batch.rows(), passed.collect::<Vec<_>>());
        if let Some(mask) = mask {
            let mask = Selection::Mask(BooleanArray::new(mask, None));
            output = output.select(&mask).map_err(|error| error.to_string())?;
        }
        let mut written = made.columns.iter();
        let columns = port.columns.iter().enumerate().map(|(place, column)| match column {
            OutputColumn::Passed { .. } => output.column(place).cloned(),
            OutputColumn::Written => {
                let column = written.next().map(|column| column.slice(rows.start, rows.len()));
                column.filter(|_| port.needed[place])
            }
        });
        Ok(Batch::new(rows.len(), columns.collect::<Vec<_>>()))
    }

    fn error(&self, message: String) -> StageError {
        StageError::new(&*self.work.steps.all[0].stage, StageFault::Contract(message))
    }

    /// The failure of a block of so many rows.
    fn failed(&self, Failed { step, fault }: Failed, rows: usize) -> StageError {
        let problem = |message: String| StageFault::Problem { message, config_path: None };
        let stage = &*self.work.steps.all[step].stage;
        let name = &self.work.adapter().name;
        let fault = match fault {
            BlockFault::At(row, diagnostic) => {
                return StageError::new(stage, problem(diagnostic.to_string())).at(0, row..row + 1);
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
        let error = StageError::new(stage, fault);
        // Whoever pushes rows knows those of the first kernel.
        let first = self.firsts[step];
        if step == 0 { error } else { error.at(0, first..first + rows as u64) }
    }
}

impl Instance for KernelInstance {
    fn holds(&self, port: usize) -> bool {
        port != self.main && self.work.steps.table.is_some()
    }

    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        if port != self.main {
            self.of_table.push(batch);
            return Ok(());
        }
        if !self.work.steps.can_be_cut() {
            self.keep(batch);
            return Ok(());
        }
        let reads = self.work.steps.reads.clone();
        batch.each_piece(&reads, BLOCK_BYTES, &mut |piece| self.add(piece))
    }

    /// A kernel over whole segments keeps its rows until the last one has come.
    fn boundary(&mut self) -> Result<(), StageError> {
        if self.work.steps.can_be_cut() {
            self.flush()?;
        }
        self.clock.spent = Duration::ZERO;
        self.outlet.boundary()
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        if port == self.main {
            return self.flush();
        }
        if self.holds(port) {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.of_table);
        let wanted = self.work.steps.all[0].wanted_table();
        let table = wanted.map(|wanted| Table::new(&wanted, self.work.adapter(), &batches)).transpose();
        let table = table.map_err(|message| self.failed(BlockFault::Stage(message).in_step(0), 0))?;
        self.work.steps.table = table.map(Arc::new);
        if let (Some(key), Some(table)) = (self.table.take(), &self.work.steps.table) {
            self.work.devices().tables.put(key, table.clone(), self.memory);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        self.flush()?;
        let given = self.firsts[1..].iter();
        self.between.iter_mut().zip(given).for_each(|(observer, rows)| observer.gave(*rows));
        let used = self.work.steps.used.take();
        self.between.iter_mut().zip(&used).for_each(|(observer, used)| observer.used(*used));
        used.last().into_iter().for_each(|used| self.outlet.used(*used));
        if let Some(counted) = self.counted.take() {
            let columns = counted.partial().map_err(|error| self.error(error.to_string()))?;
            emit(&columns, &self.outputs[0].needed, &mut *self.outlet)?;
        }
        self.outlet.close()
    }
}
