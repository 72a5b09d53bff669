//! What all parts of a run share.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use flowc_demand::{KeyDeriver, Selection, is_never_called};
use flowc_planner::plan::Plan;
use flowc_planner::stored_edges;
use flowc_sinks::Sinks;
use flowc_store::Store;

use crate::chain::budget::Budget;
use crate::chain::invocation::limits;
use crate::chain::secrets::Held;
use crate::intake::files::OpenFiles;
use crate::plan::Planned;
use crate::run::progress::{Current, Underway};
use crate::runners::Runners;
use crate::schedule::{Limits, Tokens};
use crate::{Cancel, Error, Event, Observer, Options, RunRequest};

/// What a session gives a run.
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

    /// Tells of something that happened.
    pub(crate) fn tell(&self, event: Event) {
        self.observer.observe(event);
    }

    /// How the run's jobs are run.
    pub(crate) fn limits(&self) -> Limits {
        let tokens = Tokens { processors: self.options.jobs };
        Limits { tokens, stack: self.stack(), keep_going: self.request.keep_going }
    }

    /// Whether nothing else is to run once something has failed so.
    pub(crate) fn ends_with(&self, error: &Error) -> bool {
        !self.request.keep_going || matches!(error, Error::Cancelled)
    }

    /// Has a program started of each of these stages, one after the other, while they are wanted.
    pub(crate) fn start_ahead(&self, stages: &BTreeSet<usize>, is_wanted: &dyn Fn(usize) -> bool) {
        for &number in stages {
            let is_wanted = || !self.cancel.is_cancelled() && is_wanted(number);
            if is_wanted() {
                let stage = &self.plan().stages[number];
                self.runners.of(stage).prepare(&stage.digest, &limits(stage, self.options.memory), &is_wanted);
            }
        }
    }

    /// Bytes of stack for a thread that runs chains: each instance of a chain runs on top of the one before. A stage that only
    /// passes columns on has no instance.
    fn stack(&self) -> usize {
        const OWN: usize = (4 << 20) + flowc_wasm::STACK_PER_INSTANCE;
        const PASSED: usize = 16 << 10;
        let of_stage = |&stage: &usize| match is_never_called(self.plan(), stage) {
            true => PASSED,
            false => flowc_wasm::STACK_PER_INSTANCE,
        };
        let of_units = self.planned.units.iter().map(|unit| unit.stages.iter().map(of_stage).sum::<usize>());
        OWN + of_units.max().unwrap_or(0)
    }
}

/// One run of one plan.
pub(crate) struct Run<'a> {
    context: RunContext<'a>,
    /// What was asked for.
    pub selection: Arc<Selection>,
    /// The formulas of keys.
    pub deriver: KeyDeriver<'a>,
    /// Per stream, whether its edge is stored.
    pub stored: Vec<bool>,
    /// Source files that are open.
    pub files: OpenFiles,
    /// Makes the sink of each specification, which rows are written to.
    pub sinks: Sinks,
    /// How far it is.
    pub underway: Arc<Underway>,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub(crate) fn new(context: RunContext<'a>, selection: Selection) -> Self {
        let selection = Arc::new(selection);
        Self {
            deriver: context.planned.deriver(),
            stored: stored_edges(&context.planned.plan).iter().map(Option::is_some).collect(),
            files: OpenFiles::new(&context.planned.plan, &context.planned.base, context.store),
            sinks: Sinks::new(&context.planned.base),
            underway: Arc::new(Underway::new(Arc::clone(context.planned), Arc::clone(&selection))),
            context,
            selection,
        }
    }
}

impl<'a> Deref for Run<'a> {
    type Target = RunContext<'a>;

    fn deref(&self) -> &RunContext<'a> {
        &self.context
    }
}
