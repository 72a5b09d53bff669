//! Runs a task: a chain of stage instances in one thread, batches passing by handle.
//!
//! May use `inputs` and `runners`; knows nothing of the run that its tasks are part of.

pub(crate) mod budget;
mod failure_site;
mod invocation;
pub(crate) mod messages;
pub(crate) mod output;
mod pass;
pub(crate) mod secrets;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use flowc_demand::{ChainStage, Root, StoredOutput, Task, Work, fused_groups, input_columns, passthrough};
use flowc_planner::key::Phase;
use flowc_planner::plan::Stage;
use flowc_runner::{
    Batch, Edge, EdgeObserver, Instance, Invocation, LONGEST_CHAIN, Outlet, StageError, StageFault, open_stages,
};
use flowc_store::{SegmentWriter, StagedSegment};

use crate::chain::budget::Budget;
use crate::chain::failure_site::failure_site;
use crate::chain::output::{Said, Shared};
use crate::chain::pass::Pass;
use crate::chain::secrets::Held;
use crate::inputs::full_input::FullInput;
use crate::inputs::read::Reading;
use crate::runners::Runners;
use crate::{Cancel, Error};

/// What a task gave.
pub(crate) struct Ran {
    /// Per output port of the last stage: the kept columns, staged in the store.
    pub outputs: Vec<StagedSegment>,
    /// Per stage of the chain: rows of each output port.
    pub rows: Vec<Vec<u64>>,
}

/// How long to wait before a task is tried again, each time that what ran a stage was lost.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// Runs chains of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Chains<'a> {
    /// Where inputs come from.
    pub reading: Reading<'a>,
    /// What runs stages.
    pub runners: &'a Runners,
    /// Stops the run.
    pub cancel: &'a Cancel,
    /// Bytes of memory of an instance where the pipeline does not say.
    pub memory: u64,
    /// What stages are given that must not be seen.
    pub secrets: &'a Held,
    /// Bytes of memory for all tasks that run at once.
    pub budget: &'a Budget,
}

impl Chains<'_> {
    /// Runs a task to its end, anew where what ran a stage crashed or was lost: that says nothing of the data. On an error
    /// nothing of it is kept but what the stages said. All words of stages come through here, and leave without secrets.
    pub(crate) fn run(&self, task: &Task, said: &mut Vec<Said>) -> Result<Ran, Error> {
        let room = self.budget.take(self.memory_of(task), self.cancel)?;
        let result = flowc_wasm::within(room.bytes, || self.patiently(task, said));
        // Files have the names that their author gave them.
        let told = |text: String| self.secrets.mask(self.runners.shown(text));
        said.iter_mut().for_each(|(_, _, message)| *message = told(std::mem::take(message)));
        match result {
            Err(Error::Stage { stage, place, message }) => Err(Error::Stage { stage, place, message: told(message) }),
            other => other,
        }
    }

    fn patiently(&self, task: &Task, said: &mut Vec<Said>) -> Result<Ran, Error> {
        for pause in PAUSES {
            let (stage, fault) = match self.attempt(task, said) {
                Err(ChainError::Stage(StageError { stage, fault, .. })) if fault.is_loss() => (stage, fault),
                other => return other.map_err(|error| self.error(error, task)),
            };
            let lost = task.chain.iter().map(|link| link.stage).find(|&s| self.plan_stage(s).name == stage);
            // Whoever stops a run may end its programs too, and be heard of later.
            std::thread::sleep(pause);
            self.check_cancel().map_err(|error| self.error(error, task))?;
            said.push((lost.unwrap_or(task.id.stage), "warn".to_owned(), format!("{fault}; trying again")));
        }
        self.attempt(task, said).map_err(|error| self.error(error, task))
    }

    fn attempt(&self, task: &Task, said: &mut Vec<Said>) -> Result<Ran, ChainError> {
        let shared = Shared::default();
        let counts: Vec<Counts> = task.chain.iter().map(|link| Counts::new(link.needed.len())).collect();
        let result = self.drive(task, &shared, &counts);
        let (failure, outputs, log) = shared.take();
        said.extend(log);
        match (failure, result) {
            (Some(failure), _) => Err(failure.into()),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Ok(Ran { outputs, rows: counts.iter().map(Counts::read).collect() }),
        }
    }

    fn drive(&self, task: &Task, shared: &Shared, counts: &[Counts]) -> Result<(), ChainError> {
        let leaf = Leaf::new(&self.reading, task, shared.clone(), counts[counts.len() - 1].clone(), self.cancel);
        let groups = self.fused_groups(task);
        let open = |number: usize, outlet| self.open_group(task, groups[number].clone(), shared, counts, outlet);
        let edge = |number: usize| {
            let (above, below) = (groups[number].end - 1, groups[number + 1].start);
            let driving = self.plan_stage(task.chain[below].stage).driving();
            let observer = Box::new(self.edge_counter(task, above, shared, counts));
            Edge { port: driving.map_or(0, |(port, _)| port), observer }
        };
        let first = open_stages(groups.len(), Box::new(leaf), open, edge)?;
        self.feed(task, first)
    }

    /// What counts the rows between the stage at a place of the chain and the next.
    fn edge_counter(&self, task: &Task, place: usize, shared: &Shared, counts: &[Counts]) -> EdgeCounter {
        let (stage, rows) = (task.chain[place].stage, counts[place].clone());
        EdgeCounter { stage, rows, cancel: self.cancel.clone(), shared: shared.clone() }
    }

    /// A stage of the plan.
    pub(crate) fn plan_stage(&self, stage: usize) -> &Stage {
        &self.reading.locator.plan.stages[stage]
    }

    /// Opens stages that run in one instance, and gives it the inputs that do not drive it.
    fn open_group(
        &self,
        task: &Task,
        group: Range<usize>,
        shared: &Shared,
        counts: &[Counts],
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, ChainError> {
        let (first, last) = (&task.chain[group.start], task.chain.len() - 1);
        if let (1, Some(ports)) = (group.len(), passthrough(self.reading.locator.plan, first)) {
            return Ok(Box::new(Pass::new(ports, outlet)));
        }
        let invocation = |place: usize| {
            let link = &task.chain[place];
            let phase = if place == last { task.id.work.phase(self.plan_stage(link.stage)) } else { Phase::Run };
            self.invocation(task, link, phase)
        };
        let invocations: Vec<Invocation> = group.clone().map(invocation).collect();
        let stage = self.plan_stage(first.stage);
        let mut instance = match (&invocations[..], self.runners.chained(stage)) {
            ([_, _, ..], Some(runner)) => {
                let observer =
                    |place| Box::new(self.edge_counter(task, place, shared, counts)) as Box<dyn EdgeObserver>;
                let between = (group.start..group.end - 1).map(observer).collect();
                runner.open_chain(&invocations, between, outlet)?
            }
            _ => self.runners.of(stage).open(&invocations[0], outlet)?,
        };
        let phase = invocations[0].phase;
        if matches!(phase, Phase::Run | Phase::Partial) {
            self.feed_whole(task, first, phase, instance.as_mut())?;
        }
        Ok(instance)
    }

    /// The stages of a task in groups, each for one instance. In flowc's process each stage has its own, and batches pass by
    /// handle; where they would travel, neighbours share one (`docs/flight-protocol.md`, Chains).
    pub(crate) fn fused_groups(&self, task: &Task) -> Vec<Range<usize>> {
        let has_chains = |stage: &Stage| self.runners.chained(stage).is_some();
        fused_groups(self.reading.locator.plan, &task.chain, LONGEST_CHAIN, has_chains)
    }

    fn feed_whole(
        &self,
        task: &Task,
        link: &ChainStage,
        phase: Phase,
        instance: &mut dyn Instance,
    ) -> Result<(), ChainError> {
        let passes = if phase == Phase::Partial { &[][..] } else { &link.needed[..] };
        let plan = self.reading.locator.plan;
        for (port, input) in plan.stages[link.stage].inputs.iter().enumerate() {
            if input.class.is_driving() {
                continue;
            }
            let columns = input_columns(plan, link.stage, port, passes);
            let group = match (&input.key, task.id.work) {
                (Some(key), Work::Segment(group)) => Some((key, group as u64)),
                _ => None,
            };
            let whole = FullInput::new(self.reading, input.stream, &columns, group);
            let mut feed = Feed { instance, port, rows: 0 };
            whole.each(&mut |batch| -> Result<(), ChainError> {
                self.check_cancel()?;
                Ok(feed.push(batch)?)
            })?;
            instance.end_of_input(port)?;
        }
        Ok(())
    }

    /// Feeds the first stage of the chain, which feeds the rest.
    fn feed(&self, task: &Task, mut instance: Box<dyn Instance>) -> Result<(), ChainError> {
        match &task.root {
            Root::Nothing => {}
            Root::Segment { stream, segment, columns } => {
                let port = self.plan_stage(task.chain[0].stage).driving().map_or(0, |(port, _)| port);
                let mut feed = Feed { instance: instance.as_mut(), port, rows: 0 };
                for batch in self.reading.segment(*stream, *segment, columns)? {
                    self.check_cancel()?;
                    feed.push(batch?)?;
                }
                instance.end_of_input(port)?;
            }
            Root::Partials(partials) => {
                for keys in partials {
                    for batch in self.reading.partial(keys)? {
                        self.check_cancel()?;
                        instance.push(0, batch?)?;
                    }
                }
                instance.end_of_input(0)?;
            }
        }
        Ok(instance.finish()?)
    }

    fn error(&self, error: ChainError, task: &Task) -> Error {
        match error {
            ChainError::Stage(error) => self.stage_error(error, task),
            ChainError::Other(error) => error,
        }
    }

    /// That a stage gave something else in these columns than it did before, from the same inputs.
    pub(crate) fn unlike(&self, task: &Task, stage: usize, columns: &[&str]) -> Error {
        let names = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        let differing =
            if columns.len() == 1 { format!("column {names} differs") } else { format!("columns {names} differ") };
        let message = format!(
            "non-deterministic: {differing} from the stored result for identical inputs; the stored result was kept (`flowc log` \
             shows the stage's log)"
        );
        self.stage_error(
            StageError::new(&*self.plan_stage(stage).name, StageFault::Problem { message, config_path: None }),
            task,
        )
    }

    fn stage_error(&self, error: StageError, task: &Task) -> Error {
        let place = Box::new(failure_site(&error, task, &self.reading));
        match error.fault {
            // What becomes of a stage's process then says nothing of the stage.
            fault if fault.is_loss() && self.cancel.is_cancelled() => Error::Cancelled,
            StageFault::Cancelled => Error::Cancelled,
            fault => Error::Stage { stage: error.stage, place, message: fault.to_string() },
        }
    }

    fn check_cancel(&self) -> Result<(), ChainError> {
        if self.cancel.is_cancelled() { Err(ChainError::Other(Error::Cancelled)) } else { Ok(()) }
    }
}

/// Pushes batches, and counts their rows for errors.
struct Feed<'a> {
    instance: &'a mut dyn Instance,
    port: usize,
    rows: u64,
}

impl Feed<'_> {
    fn push(&mut self, batch: Batch) -> Result<(), StageError> {
        let first = self.rows;
        self.rows += batch.rows() as u64;
        self.instance.push(self.port, batch).map_err(|error| error.at(self.port, first..self.rows))
    }
}

/// Why a chain stopped.
pub(crate) enum ChainError {
    /// A stage failed.
    Stage(StageError),
    /// A source, the store, or a stop from outside.
    Other(Error),
}

impl From<StageError> for ChainError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<Error> for ChainError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Rows per output port of one stage.
#[derive(Clone)]
struct Counts(Arc<[AtomicU64]>);

impl Counts {
    fn new(ports: usize) -> Self {
        Self((0..ports).map(|_| AtomicU64::new(0)).collect())
    }

    fn add(&self, port: usize, rows: u64) {
        if let Some(count) = self.0.get(port) {
            count.fetch_add(rows, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// Counts the rows that go from one stage to the next, and stops them when the run is stopped.
struct EdgeCounter {
    stage: usize,
    rows: Counts,
    cancel: Cancel,
    shared: Shared,
}

impl EdgeObserver for EdgeCounter {
    fn gave(&mut self, rows: u64) {
        self.rows.add(0, rows);
    }

    fn log(&mut self, level: &str, message: &str) {
        self.shared.log(self.stage, level, message);
    }

    fn pass(&mut self, batch: Batch) -> Result<Batch, StageError> {
        if self.cancel.is_cancelled() { Err(StageError::new("", StageFault::Cancelled)) } else { Ok(batch) }
    }
}

/// Writes what is kept of the last stage's outputs into the store.
struct Leaf {
    ports: Vec<LeafPort>,
    rows: Counts,
    cancel: Cancel,
    shared: Shared,
    stage: usize,
}

struct LeafPort {
    columns: Vec<usize>,
    schema: SchemaRef,
    writer: SegmentWriter,
}

impl Leaf {
    fn new(reading: &Reading<'_>, task: &Task, shared: Shared, rows: Counts, cancel: &Cancel) -> Self {
        let port = |kept: &StoredOutput| {
            let fields: Vec<_> = kept.columns.iter().map(|&column| kept.schema.fields()[column].clone()).collect();
            let schema = Arc::new(Schema::new(fields));
            let writer = reading.locator.lookup.store.segment_writer(schema.clone());
            LeafPort { columns: kept.columns.clone(), schema, writer }
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

impl Outlet for Leaf {
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
}
