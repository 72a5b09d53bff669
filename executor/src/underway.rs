//! How far a run is: what its report is made of, at its end or when it is abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowc_store::Store;

use crate::demand::Demand;
use crate::execute::{Counted, Tally};
use crate::history::{now, save_logs, save_ran};
use crate::homes::Homes;
use crate::inventory::Inventory;
use crate::keys::Datasets;
use crate::known::Known;
use crate::lineage::Lineage;
use crate::planning::Planned;
use crate::reach::{Goal, makers};
use crate::reasons::{LastRun, Reasons};
use crate::task::Task;
use crate::{Error, RunReport, StageRan, StageReport, StageStatus};

/// The run of a session, where whoever ends the process in the middle of it finds it.
#[derive(Default)]
pub(crate) struct Current(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Running(Arc<Underway>),
    Abandoned,
}

impl Current {
    /// A run begins.
    pub(crate) fn begin(&self, run: &Arc<Underway>) {
        let mut state = lock(&self.0);
        if !matches!(*state, State::Abandoned) {
            *state = State::Running(run.clone());
        }
    }

    /// The run that goes on, if one does.
    pub(crate) fn running(&self) -> Option<Arc<Underway>> {
        match &*lock(&self.0) {
            State::Running(run) => Some(run.clone()),
            State::Idle | State::Abandoned => None,
        }
    }

    /// The run ends, unless it was abandoned: then whoever did so tells of its end. Says whether it ends.
    pub(crate) fn end(&self) -> bool {
        let mut state = lock(&self.0);
        let ends = !matches!(*state, State::Abandoned);
        if ends {
            *state = State::Idle;
        }
        ends
    }

    /// Gives up the run, if there is one.
    pub(crate) fn abandon(&self) -> Option<Arc<Underway>> {
        match std::mem::replace(&mut *lock(&self.0), State::Abandoned) {
            State::Running(run) => Some(run),
            State::Idle | State::Abandoned => None,
        }
    }
}

/// A run that has begun.
pub(crate) struct Underway {
    planned: Arc<Planned>,
    /// What has been done.
    pub tally: Tally,
    known: Mutex<Found>,
}

/// What the run has found out of its inputs.
#[derive(Clone)]
struct Found {
    goal: Arc<Goal>,
    inventory: Arc<Inventory>,
    datasets: Arc<Datasets>,
}

impl Underway {
    /// A run that has read nothing yet: every stage that it may need is still to be done.
    pub(crate) fn new(planned: Arc<Planned>, goal: Arc<Goal>) -> Self {
        let tally = Tally::default();
        tally.lock().open = goal.stages.iter().map(|&stage| (stage, 1)).collect();
        let known = Found { goal, inventory: Arc::default(), datasets: Arc::default() };
        Self { planned, tally, known: Mutex::new(known) }
    }

    /// Takes in what the sources hold.
    pub(crate) fn found(&self, goal: &Arc<Goal>, inventory: &Arc<Inventory>, datasets: &Arc<Datasets>) {
        *lock(&self.known) = Found { goal: goal.clone(), inventory: inventory.clone(), datasets: datasets.clone() };
    }

    /// Takes in what is to be done: these tasks and nothing else.
    pub(crate) fn plan_tasks(&self, demand: &Demand) {
        let mut open = BTreeMap::new();
        for link in demand.tasks.iter().flat_map(|task| &task.chain) {
            *open.entry(link.stage).or_default() += 1;
        }
        self.tally.lock().open = open;
    }

    /// Takes in that a task was done, or why it was not.
    pub(crate) fn settle(&self, task: &Task, result: &Result<(), Error>) {
        let mut counted = self.tally.lock();
        match result {
            Ok(()) => task.chain.iter().for_each(|link| {
                if let Some(open) = counted.open.get_mut(&link.stage) {
                    *open -= 1;
                }
            }),
            Err(Error::Internal { .. }) => drop(counted.failed.insert(task.id.stage)),
            Err(error) => counted.failed.extend(self.failed_stage(error)),
        }
    }

    /// The stage that an error is about, if it is about one.
    pub(crate) fn failed_stage(&self, error: &Error) -> Option<usize> {
        let Error::Stage { stage, .. } = error else { return None };
        self.planned.plan.stages.iter().position(|candidate| candidate.name == *stage)
    }

    /// What has become of the run so far.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn report(&self, store: &Known<'_>) -> Result<RunReport, Error> {
        let plan = &self.planned.plan;
        let Found { goal, inventory, datasets } = lock(&self.known).clone();
        let lineage = Lineage::of(plan);
        let homes = Homes { plan, lineage: &lineage, inventory: &inventory, datasets: &datasets, store };
        let counted = self.tally.lock();
        let makers = makers(plan, &goal);
        let stages = (0..plan.stages.len()).map(|index| stage_report(homes, &goal, &makers, &counted, index));
        Ok(RunReport {
            plan: self.planned.hash,
            stages: stages.collect::<Result<_, _>>()?,
            outputs: counted.outputs.values().cloned().collect(),
            streams: datasets.stream_reports(plan),
        })
    }

    /// Keeps what stages said and why they ran, for those that ran or tried to.
    ///
    /// # Errors
    /// If the store can't take it.
    pub(crate) fn save(&self, store: &Store) -> Result<(), Error> {
        let counted = self.tally.lock();
        let (pipeline, plan) = (&self.planned.texts[0], &self.planned.plan);
        let finished = now();
        for stage in counted.worked() {
            let segments = counted.ran.get(&stage).copied().unwrap_or(0);
            let failed = counted.failed.contains(&stage);
            let ran = StageRan { finished, segments, failed, reasons: counted.reasons_of(stage) };
            save_ran(store, pipeline, &plan.stages[stage].name, &ran)?;
        }
        save_logs(store, pipeline, plan, &counted.logs, counted.worked().into_iter())
    }

    /// Takes in why these stages run, and those that have run already.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn find_reasons(&self, homes: Homes<'_>, demand: &Demand, goal: &Goal) -> Result<(), Error> {
        let of_tasks = demand.tasks.iter().flat_map(|task| &task.chain).map(|link| link.stage);
        let working: BTreeSet<usize> = of_tasks.chain(self.tally.lock().worked()).collect();
        if working.is_empty() {
            return Ok(());
        }
        let last = LastRun::load(homes.store, &self.planned)?;
        let reasons = Reasons::new(homes, &self.planned, last.as_ref(), &working);
        for &stage in &working {
            let asked = goal.reasons(stage);
            let of_stage = if asked.is_empty() { reasons.of(stage)? } else { asked };
            self.tally.lock().reasons.insert(stage, of_stage);
        }
        Ok(())
    }
}

fn stage_report(
    homes: Homes<'_>,
    goal: &Goal,
    makers: &BTreeSet<usize>,
    counted: &Counted,
    index: usize,
) -> Result<StageReport, Error> {
    let ran = counted.ran.get(&index).copied().unwrap_or(0);
    let worked = ran > 0 || counted.merged.contains(&index);
    let is_open = counted.open.get(&index).is_some_and(|open| *open > 0);
    let status = match () {
        () if counted.failed.contains(&index) => StageStatus::Failed,
        () if is_open || !goal.stages.contains(&index) => StageStatus::Skipped,
        () if worked => StageStatus::Ran,
        () if !makers.contains(&index) => StageStatus::Passthrough,
        () => StageStatus::Cached,
    };
    let is_done = !matches!(status, StageStatus::Failed | StageStatus::Skipped);
    let is_stored = matches!(status, StageStatus::Ran | StageStatus::Cached);
    let part = counted.rows.get(&index).copied().unwrap_or(0);
    Ok(StageReport {
        name: homes.plan.stages[index].name.clone(),
        status,
        segments_ran: ran,
        segments_cached: if is_stored { invocations(homes, index).saturating_sub(ran) } else { 0 },
        // Of a stage that was not done, what it has done counts, and not what its results would be.
        rows_out: if is_done { rows_out(homes, index)? } else { part },
        seconds: counted.seconds.get(&index).copied().unwrap_or(0.0),
        reasons: if worked || status == StageStatus::Failed { counted.reasons_of(index) } else { Vec::new() },
    })
}

/// Over how many segments a stage runs in all, as far as is known.
pub(crate) fn invocations(homes: Homes<'_>, stage: usize) -> u64 {
    let of = &homes.plan.stages[stage];
    match of.driving() {
        Some((_, input)) => homes.segments(input.stream) as u64,
        None => of.outputs.first().map_or(0, |output| homes.segments(output.stream) as u64),
    }
}

fn rows_out(homes: Homes<'_>, stage: usize) -> Result<u64, Error> {
    let mut total = 0;
    for output in &homes.plan.stages[stage].outputs {
        total += homes.rows_of_all(output.stream)?.into_iter().flatten().sum::<u64>();
    }
    Ok(total)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
