//! Runs the tasks of a pass: a chain or a tree of stage instances in one thread, batches passing by handle.
//!
//! May use `inputs` and `runners`; knows nothing of the run that its tasks are part of.

pub(crate) mod budget;
mod chains;
mod failure_site;
mod fork;
pub(crate) mod invocation;
pub(crate) mod messages;
mod opening;
mod outlets;
pub(crate) mod output;
mod running;
pub(crate) mod secrets;
mod sessions;
mod slices;
mod stand_in;
mod windows;

use std::time::Duration;

use flowc_demand::{Root, Task, TaskTree, Work};
use flowc_runner::{Batch, StageError, StageFault};

use crate::Error;
use crate::chain::chains::ChainError;
use crate::chain::failure_site::failure_site;
use crate::chain::opening::Pass;
use crate::chain::output::Said;
use crate::chain::running::check;

pub(crate) use crate::chain::chains::{Chains, Ran};

/// How long to wait before a task is tried again, each time that what ran a stage was lost.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

impl Chains<'_> {
    /// Runs the tasks of a pass to their ends, anew where what ran a stage crashed or was lost: that says nothing of the data. A task
    /// may fail without the others. On an error nothing of it is kept but what the stages said. All words of stages come through here,
    /// and leave without secrets.
    ///
    /// # Errors
    /// If it fails for all: a stage that they share, or what they take in.
    pub(crate) fn run(&self, tasks: &[&Task], said: &mut Vec<Said>) -> Result<Vec<Result<Ran, Error>>, Error> {
        let tree = TaskTree::of(tasks);
        let room = self.budget.take(self.memory_of(&tree), self.cancel)?;
        let results = flowc_wasm::within(room.bytes, || self.patiently(tasks, tree, said));
        // Files have the names that their author gave them.
        let told = |text: String| self.secrets.mask(self.runners.shown(text));
        said.iter_mut().for_each(|(_, _, message)| *message = told(std::mem::take(message)));
        let masked = |error| match error {
            Error::Stage { stage, place, message } => Error::Stage { stage, place, message: told(message) },
            other => other,
        };
        let results = results.map_err(masked)?;
        Ok(results.into_iter().map(|result| result.map_err(masked)).collect())
    }

    fn patiently(
        &self,
        tasks: &[&Task],
        tree: TaskTree,
        said: &mut Vec<Said>,
    ) -> Result<Vec<Result<Ran, Error>>, Error> {
        let mut tree = Some(tree);
        let mut results: Vec<Option<Result<Ran, StageError>>> = tasks.iter().map(|_| None).collect();
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            let open: Vec<usize> = (0..tasks.len()).filter(|&task| is_open(&results[task])).collect();
            let pass: Vec<&Task> = open.iter().map(|&task| tasks[task]).collect();
            // The first attempt is for all tasks, those after it for what was lost.
            let tree = tree.take().unwrap_or_else(|| TaskTree::of(&pass));
            let lost = match self.attempt(&pass, tree, said) {
                Ok(ran) => {
                    open.iter().zip(ran).for_each(|(&task, ran)| results[task] = Some(ran));
                    results
                        .iter()
                        .find(|result| is_open(result))
                        .and_then(|lost| lost.as_ref()?.as_ref().err().cloned())
                }
                Err(ChainError::Stage(error)) if error.fault.is_loss() && pause.is_some() => Some(error),
                Err(error) => return Err(self.error(error, pass[0])),
            };
            let (Some(pause), Some(lost)) = (pause, lost) else { break };
            said.push(self.waited(pause, &lost, &pass)?);
        }
        let named = results.into_iter().flatten().zip(tasks);
        Ok(named.map(|(result, task)| result.map_err(|error| self.stage_error(error, task))).collect())
    }

    /// Waits before the tasks of a pass are tried again, unless the run was stopped. Gives what is said of that by the stage that was lost.
    fn waited(&self, pause: Duration, lost: &StageError, pass: &[&Task]) -> Result<Said, Error> {
        // Whoever stops a run may end its programs too, and be heard of later.
        std::thread::sleep(pause);
        check(self.cancel).map_err(|error| self.error(error, pass[0]))?;
        let mut stages = pass.iter().flat_map(|task| &task.chain).map(|link| link.stage);
        let stage = stages.find(|&stage| *self.plan_stage(stage).name == *lost.stage);
        Ok((stage.unwrap_or(pass[0].id.stage), "warn".to_owned(), format!("{}; trying again", lost.fault)))
    }

    /// Runs the tasks once.
    fn attempt(
        &self,
        tasks: &[&Task],
        tree: TaskTree,
        said: &mut Vec<Said>,
    ) -> Result<Vec<Result<Ran, StageError>>, ChainError> {
        let pass = Pass::new(tasks, tree);
        let driven = self.drive(&pass);
        pass.ended(driven, said)
    }

    /// Drives tasks through their stages in one pass.
    fn drive(&self, pass: &Pass<'_>) -> Result<(), ChainError> {
        let mut running = self.open(pass)?;
        if let Work::Slices(_) = pass.tasks[0].id.work {
            // They were made when the stage was opened.
            return running.finish();
        }
        self.each_batch(&pass.tree.root, &mut |batch| running.push(batch))?;
        running.boundary()?;
        running.finish()
    }

    /// Reads what a task takes in.
    fn each_batch(&self, root: &Root, take: &mut dyn FnMut(Batch) -> Result<(), ChainError>) -> Result<(), ChainError> {
        match root {
            Root::Nothing => Ok(()),
            Root::Segment { stream, segment, columns } => {
                self.reading.segment(*stream, *segment, columns)?.try_for_each(|batch| take(batch?))
            }
            Root::Segments { stream, segments, columns, .. } => segments.clone().try_for_each(|segment| {
                self.reading.segment(*stream, segment, columns)?.try_for_each(|batch| take(batch?))
            }),
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

/// Whether a task is still to be run: it was not yet, or what ran one of its stages was lost.
fn is_open(result: &Option<Result<Ran, StageError>>) -> bool {
    match result {
        None => true,
        Some(Ok(_)) => false,
        Some(Err(error)) => error.fault.is_loss(),
    }
}
