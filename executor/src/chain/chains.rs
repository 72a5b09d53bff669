//! What runs chains, what they give, and why they stop.

use flowc_planner::plan::Stage;
use flowc_runner::StageError;
use flowc_store::StagedSegment;

use crate::chain::budget::Budget;
use crate::chain::output::Used;
use crate::chain::secrets::Held;
use crate::inputs::read::Reading;
use crate::runners::Runners;
use crate::{Cancel, Error};

/// What a task gave.
pub(crate) struct Ran {
    /// Per output port of the last stage: the kept columns, staged in the store.
    pub outputs: Vec<StagedSegment>,
    /// Per stage of the chain: rows of each output port.
    pub rows: Vec<Vec<u64>>,
    /// What stages had a device do, by their numbers in the plan. Of a stage of several tasks the first has it.
    pub used: Used,
}

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
    /// A stage of the plan.
    pub(crate) fn plan_stage(&self, stage: usize) -> &Stage {
        &self.reading.locator.plan.stages[stage]
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
