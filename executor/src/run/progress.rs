//! How far a run is: what its report is made of, at its end or when it is abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use flowc_demand::{Datasets, Demand, Lineage, Selection, Task, makers};
use flowc_planner::plan::{Plan, Stream, StreamId};
use flowc_platform::lock;
use flowc_store::Store;

use crate::inputs::lookup::{Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inspect::reasons::{LastRun, Reasons};
use crate::intake::inventory::Inventory;
use crate::plan::Planned;
use crate::record::history::{save_logs, save_ran};
use crate::record::run::now;
use crate::run::tally::{Counted, Tally};
use crate::select::reasons_of_request;
use crate::{Error, RunReport, StageRan, StageReport, StageStatus, StreamReport};

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
    selection: Arc<Selection>,
    inventory: Arc<Inventory>,
    datasets: Arc<Datasets>,
}

impl Underway {
    /// A run that has read nothing yet: every stage that it may need is still to be done.
    pub(crate) fn new(planned: Arc<Planned>, selection: Arc<Selection>) -> Self {
        let tally = Tally::default();
        tally.lock().open = selection.stages.iter().map(|&stage| (stage, 1)).collect();
        let known = Found { selection, inventory: Arc::default(), datasets: Arc::default() };
        Self { planned, tally, known: Mutex::new(known) }
    }

    /// Takes in what the sources hold.
    pub(crate) fn found(&self, selection: &Arc<Selection>, inventory: &Arc<Inventory>, datasets: &Arc<Datasets>) {
        *lock(&self.known) =
            Found { selection: selection.clone(), inventory: inventory.clone(), datasets: datasets.clone() };
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
            Err(error) => counted.failed.extend(self.failed_of(task, error)),
        }
    }

    /// Takes in why none of the tasks of a pass was done, of which this is the first.
    pub(crate) fn fail(&self, task: &Task, error: &Error) {
        self.tally.lock().failed.extend(self.failed_of(task, error));
    }

    /// The stage that has failed where a task has.
    fn failed_of(&self, task: &Task, error: &Error) -> Option<usize> {
        if matches!(error, Error::Internal { .. }) { Some(task.id.stage) } else { self.failed_stage(error) }
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
    pub(crate) fn report(&self, store: &LookupCache<'_>) -> Result<RunReport, Error> {
        let plan = &self.planned.plan;
        let Found { selection, inventory, datasets } = lock(&self.known).clone();
        let lineage = Lineage::of(plan);
        let lookup = Lookups { store, inventory: &inventory };
        let locator = Locator { plan, lineage: &lineage, datasets: &datasets, lookup };
        let counted = self.tally.lock();
        let makers = makers(plan, &selection);
        let stages = (0..plan.stages.len()).map(|index| stage_report(locator, &selection, &makers, &counted, index));
        Ok(RunReport {
            plan: self.planned.hash,
            stages: stages.collect::<Result<_, _>>()?,
            outputs: counted.outputs.values().cloned().collect(),
            streams: stream_reports(plan, &datasets),
            asserts: counted.asserts.values().map(|checked| checked.report.clone()).collect(),
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
    pub(crate) fn find_reasons(
        &self,
        locator: Locator<'_>,
        demand: &Demand,
        selection: &Selection,
    ) -> Result<(), Error> {
        let of_tasks = demand.tasks.iter().flat_map(|task| &task.chain).map(|link| link.stage);
        let working: BTreeSet<usize> = of_tasks.chain(self.tally.lock().worked()).collect();
        if working.is_empty() {
            return Ok(());
        }
        let last = LastRun::load(locator.lookup.store, &self.planned)?;
        let reasons = Reasons::new(locator, &self.planned, last.as_ref(), &working);
        for &stage in &working {
            let asked = reasons_of_request(selection, stage);
            let of_stage = if asked.is_empty() { reasons.of(stage)? } else { asked };
            self.tally.lock().reasons.insert(stage, of_stage);
        }
        Ok(())
    }
}

/// The keys of all streams that are known.
fn stream_reports(plan: &Plan, datasets: &Datasets) -> Vec<StreamReport> {
    let report = |(id, stream): (usize, &Stream)| {
        Some(StreamReport { name: stream.name.clone(), key: datasets.key(plan, StreamId(id))? })
    };
    plan.streams.iter().enumerate().filter_map(report).collect()
}

fn stage_report(
    locator: Locator<'_>,
    selection: &Selection,
    makers: &BTreeSet<usize>,
    counted: &Counted,
    index: usize,
) -> Result<StageReport, Error> {
    let ran = counted.ran.get(&index).copied().unwrap_or(0);
    let worked = ran > 0 || counted.merged.contains(&index);
    let is_open = counted.open.get(&index).is_some_and(|open| *open > 0);
    let status = match () {
        () if counted.failed.contains(&index) => StageStatus::Failed,
        () if is_open || !selection.stages.contains(&index) => StageStatus::Skipped,
        () if worked => StageStatus::Ran,
        () if !makers.contains(&index) => StageStatus::Passthrough,
        () => StageStatus::Cached,
    };
    let is_done = !matches!(status, StageStatus::Failed | StageStatus::Skipped);
    let is_stored = matches!(status, StageStatus::Ran | StageStatus::Cached);
    let part = counted.rows.get(&index).copied().unwrap_or(0);
    Ok(StageReport {
        name: locator.plan.stages[index].name.clone(),
        status,
        segments_ran: ran,
        segments_cached: if is_stored { (locator.invocations(index) as u64).saturating_sub(ran) } else { 0 },
        // Of a stage that was not done, what it has done counts, and not what its results would be.
        rows_out: if is_done { rows_out(locator, index)? } else { part },
        seconds: counted.seconds.get(&index).copied().unwrap_or(0.0),
        reasons: if worked || status == StageStatus::Failed { counted.reasons_of(index) } else { Vec::new() },
    })
}

fn rows_out(locator: Locator<'_>, stage: usize) -> Result<u64, Error> {
    let mut total = 0;
    for output in &locator.plan.stages[stage].outputs {
        total += locator.at_hand(output.stream, &[])?.rows;
    }
    Ok(total)
}
