//! Runs a task: a chain of stage instances in one thread, batches passing by handle.
//!
//! May use `inputs` and `runners`; knows nothing of the run that its tasks are part of.

pub(crate) mod budget;
mod failure_site;
mod invocation;
pub(crate) mod messages;
mod outlets;
pub(crate) mod output;
mod pass;
mod running;
pub(crate) mod secrets;

use std::ops::Range;
use std::time::Duration;

use flowc_demand::{ChainStage, Root, Task, Work, fused_groups, input_columns, passthrough};
use flowc_planner::key::Phase;
use flowc_planner::plan::Stage;
use flowc_runner::{
    Batch, Edge, EdgeObserver, Instance, Invocation, LONGEST_CHAIN, Outlet, StageError, StageFault, open_stages,
};
use flowc_store::StagedSegment;

use crate::chain::budget::Budget;
use crate::chain::failure_site::failure_site;
use crate::chain::outlets::{Counts, EdgeCounter, StoreWriter};
use crate::chain::output::{Said, Shared};
use crate::chain::pass::Pass;
use crate::chain::running::{Running, check, push_counted};
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
            check(self.cancel).map_err(|error| self.error(error, task))?;
            said.push((lost.unwrap_or(task.id.stage), "warn".to_owned(), format!("{fault}; trying again")));
        }
        self.attempt(task, said).map_err(|error| self.error(error, task))
    }

    fn attempt(&self, task: &Task, said: &mut Vec<Said>) -> Result<Ran, ChainError> {
        let shared = Shared::default();
        let result = self.drive(task, &shared);
        let (failure, outputs, log) = shared.take();
        said.extend(log);
        match (failure, result) {
            (Some(failure), _) => Err(failure.into()),
            (None, Err(error)) => Err(error),
            (None, Ok(rows)) => Ok(Ran { outputs, rows }),
        }
    }

    /// Drives a task through its chain in one pass. Gives the rows of each output port of each stage.
    fn drive(&self, task: &Task, shared: &Shared) -> Result<Vec<Vec<u64>>, ChainError> {
        let mut running = self.open(task, shared)?;
        self.each_batch(&task.root, &mut |batch| running.push(batch))?;
        running.boundary()?;
        running.finish()
    }

    /// Opens the stages of a task, and gives them the inputs that do not drive them.
    fn open(&self, task: &Task, shared: &Shared) -> Result<Running<'_>, ChainError> {
        let counts: Vec<Counts> = task.chain.iter().map(|link| Counts::new(link.needed.len())).collect();
        let last = counts[counts.len() - 1].clone();
        let writer = StoreWriter::new(&self.reading, task, shared.clone(), last, self.cancel);
        let groups = self.fused_groups(task);
        let open = |number: usize, outlet| self.open_group(task, groups[number].clone(), shared, &counts, outlet);
        let edge = |number: usize| {
            let (above, below) = (groups[number].end - 1, groups[number + 1].start);
            let driving = self.plan_stage(task.chain[below].stage).driving();
            let observer = Box::new(self.edge_counter(task, above, shared, &counts));
            Edge { port: driving.map_or(0, |(port, _)| port), observer }
        };
        let first = open_stages(groups.len(), Box::new(writer), open, edge)?;
        Ok(Running::new(first, self.driven_port(task), counts, self.cancel))
    }

    /// The input of a task's first stage that its root is pushed into.
    fn driven_port(&self, task: &Task) -> Option<usize> {
        match &task.root {
            Root::Nothing => None,
            Root::Segment { .. } => self.plan_stage(task.chain[0].stage).driving().map(|(port, _)| port),
            Root::Partials(_) => Some(0),
        }
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
            let mut rows = 0;
            whole.each(&mut |batch| -> Result<(), ChainError> {
                check(self.cancel)?;
                Ok(push_counted(instance, port, batch, &mut rows)?)
            })?;
            instance.end_of_input(port)?;
        }
        Ok(())
    }

    /// Reads what a task takes in.
    fn each_batch(&self, root: &Root, take: &mut dyn FnMut(Batch) -> Result<(), ChainError>) -> Result<(), ChainError> {
        match root {
            Root::Nothing => Ok(()),
            Root::Segment { stream, segment, columns } => {
                self.reading.segment(*stream, *segment, columns)?.try_for_each(|batch| take(batch?))
            }
            Root::Partials(partials) => {
                let mut partials = partials.iter();
                partials.try_for_each(|keys| self.reading.partial(keys)?.try_for_each(|batch| take(batch?)))
            }
        }
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
