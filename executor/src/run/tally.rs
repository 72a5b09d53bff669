//! What stages did in a run so far.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard};

use flowc_demand::{Root, Task, Work};
use flowc_planner::key::RowsKey;
use flowc_planner::plan::OnFailure;
use flowc_platform::lock;

use crate::chain::Ran;
use crate::run::distance::Distance;
use crate::{AssertReport, Other, OutputReport, Reason};

/// Whether a stage was called for a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// It was.
    Yes,
    /// It only passes columns on.
    No,
    /// For another task of the same pass, which counts it.
    WithAnother,
}

/// What was found of an assert.
#[derive(Clone)]
pub(crate) struct Checked {
    /// What the run tells of it.
    pub report: AssertReport,
    /// The rows in words, if there are some.
    pub broken: Option<String>,
}

impl Checked {
    /// Whether it keeps the run from going well.
    pub(crate) fn fails(&self) -> bool {
        self.broken.is_some() && self.report.on_failure == OnFailure::Fail
    }
}

/// What stages did in a run, counted by all threads.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counted>);

/// The counts.
#[derive(Default)]
pub(crate) struct Counted {
    /// Per stage, over how many segments it ran.
    pub ran: BTreeMap<usize, u64>,
    /// Per stage, the rows that it gave there.
    pub rows: BTreeMap<usize, u64>,
    /// Per stage, seconds of thread time.
    pub seconds: BTreeMap<usize, f64>,
    /// Per stage, over how many segments it gave again what it gave before.
    pub verified: BTreeMap<usize, u64>,
    /// Per stage, what it was compared with, and column, how far that is from what it gave; without a column, the rows that it keeps.
    pub compared: BTreeMap<(usize, Other, Option<String>), Distance>,
    /// Stages with a merge or finish phase that ran.
    pub merged: BTreeSet<usize>,
    /// Stages whose merges are better given rows, as far as it was found.
    pub unreduced: BTreeSet<usize>,
    /// Stages that failed.
    pub failed: BTreeSet<usize>,
    /// Per stage, the tasks that are still to be done.
    pub open: BTreeMap<usize, usize>,
    /// Tasks that were done before all sources were known, and per stage those that it had a part in.
    pub early: (usize, BTreeMap<usize, usize>),
    /// Tasks that failed before all sources were known, by the keys of their rows. They are tried again, and were told of.
    pub failed_early: HashSet<RowsKey>,
    /// Per stage that runs, why.
    pub reasons: BTreeMap<usize, Vec<Reason>>,
    /// What sinks hold that stand, by their index.
    pub outputs: BTreeMap<usize, OutputReport>,
    /// Asserts that were checked, by their stages.
    pub asserts: BTreeMap<usize, Checked>,
    /// Per stage, lines of its log: segment, level, message.
    pub logs: BTreeMap<usize, Vec<(usize, String, String)>>,
}

impl Counted {
    /// Counts a task that was done before all sources were known.
    pub(crate) fn add_early(&mut self, task: &Task) {
        let (tasks, of_stages) = &mut self.early;
        *tasks += 1;
        task.chain.iter().for_each(|link| *of_stages.entry(link.stage).or_default() += 1);
    }

    /// Why a stage ran.
    pub(crate) fn reasons_of(&self, stage: usize) -> Vec<Reason> {
        self.reasons.get(&stage).cloned().unwrap_or_default()
    }

    /// Stages that ran, or tried to.
    pub(crate) fn worked(&self) -> BTreeSet<usize> {
        self.ran.keys().chain(&self.merged).chain(self.logs.keys()).chain(&self.failed).copied().collect()
    }
}

impl Tally {
    /// The counts, for reading or adding.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counted> {
        lock(&self.0)
    }

    /// Counts a task. `called` says of each stage of its chain whether it was called, `gives_partials` whether the rows of the
    /// last one are partials, which are no rows of the stage.
    pub(crate) fn add(&self, task: &Task, called: &[Called], gives_partials: bool, seconds: f64, ran: &Ran) {
        let mut counted = self.lock();
        let share = seconds / called.iter().filter(|called| **called == Called::Yes).count() as f64;
        for (place, (link, ports)) in task.chain.iter().zip(&ran.rows).enumerate() {
            if called[place] == Called::WithAnother {
                continue;
            }
            if place + 1 < task.chain.len() || !gives_partials {
                *counted.rows.entry(link.stage).or_default() += ports.iter().sum::<u64>();
            }
            if called[place] == Called::No {
                continue;
            }
            *counted.seconds.entry(link.stage).or_default() += share;
            if let Root::Segments { lacking, .. } = &task.root {
                *counted.ran.entry(link.stage).or_default() += *lacking as u64;
            }
            match task.id.work {
                Work::Segment(_) => {
                    *counted.ran.entry(link.stage).or_default() += 1;
                }
                Work::Slices(_) | Work::Merge { .. } | Work::Finish => {
                    counted.merged.insert(link.stage);
                }
            }
        }
    }
}
