//! What all parts of a run share.

use std::sync::Arc;

use flowc_planner::plan::Plan;
use flowc_store::Store;

use crate::chain::budget::Budget;
use crate::chain::secrets::Held;
use crate::plan::Planned;
use crate::run::progress::Current;
use crate::runners::Runners;
use crate::{Cancel, Observer, Options, RunRequest};

/// One run of one plan.
#[derive(Clone, Copy)]
pub(crate) struct RunContext<'a> {
    /// Where and how.
    pub options: &'a Options,
    /// Which part.
    pub request: &'a RunRequest,
    /// The plan.
    pub planned: &'a Arc<Planned>,
    /// The store.
    pub store: &'a Store,
    /// What runs stages.
    pub runners: &'a Runners,
    /// Hears of it.
    pub observer: &'a dyn Observer,
    /// Stops it.
    pub cancel: &'a Cancel,
    /// What stages are given that must not be seen.
    pub secrets: &'a Held,
    /// Bytes of memory for all tasks that run at once.
    pub budget: &'a Budget,
    /// Where it is told of while it goes on.
    pub current: &'a Current,
}

impl RunContext<'_> {
    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        &self.planned.plan
    }
}
