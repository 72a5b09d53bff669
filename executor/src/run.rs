//! One run, from sources to sinks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use flowc_planner::plan::{Plan, Target};
use flowc_planner::stored_edges;
use flowc_platform::FileStamp;
use flowc_sinks::{Finished, Preparation, SinkState, Stagings};
use flowc_store::Store;

use crate::chain::Chains;
use crate::cutoff::Contents;
use crate::demand::{Demand, Demander};
use crate::execute::{Counted, Execution, Tally};
use crate::files::OpenFiles;
use crate::fresh::Ahead;
use crate::history::save_logs;
use crate::homes::{Homes, row_origin};
use crate::inventory::Inventory;
use crate::keys::Deriver;
use crate::known::Known;
use crate::output::{Outputs, Standing};
use crate::planning::Planned;
use crate::reach::{Goal, columns_read, driven_by_source, taken_whole};
use crate::read::Reading;
use crate::runners::Runners;
use crate::scan::{Scanner, Unreadable};
use crate::schedule::{Outcome, Schedule, spawn};
use crate::secrets::Held;
use crate::task::{TaskId, Work};
use crate::{
    Cancel, Error, Event, Observer, Options, OutputReport, RunFailure, RunReport, RunRequest, StageReport, StageStatus,
    clash,
};

/// A run of one plan.
pub(crate) struct Run<'a> {
    /// Where and how.
    pub options: &'a Options,
    /// Which part.
    pub request: &'a RunRequest,
    /// The plan.
    pub planned: &'a Planned,
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
}

/// Sinks that are committed together: each that is a folder holds a file open until then.
const SINKS_AT_ONCE: usize = 200;

/// What the jobs of a run leave behind.
#[derive(Default)]
struct Results {
    outputs: Mutex<Vec<(usize, OutputReport)>>,
    pending: Mutex<Vec<Pending>>,
    /// What sinks hold, by their index.
    states: Mutex<BTreeMap<usize, SinkState>>,
}

/// A sink that is written beside its place.
type Pending = (usize, Preparation, Vec<Finished>);

impl Run<'_> {
    /// Runs it. What is finished is kept, also when something fails.
    pub(crate) fn run(&self) -> Result<RunReport, RunFailure> {
        let plan = self.plan();
        let _span = tracing::info_span!("run", pipeline = plan.pipeline, plan = %self.planned.hash).entered();
        let mut goal = Goal::new(plan, self.request)?;
        let deriver = Deriver::new(plan);
        let stored: Vec<bool> = stored_edges(plan).iter().map(Option::is_some).collect();
        let files = OpenFiles::new(&self.store.spool());
        let tally = Tally::default();
        let (mut inventory, mut unreadable) = self.survey()?;
        clash::check(plan, &goal.sinks, &self.planned.base, &inventory)?;
        match self.scan(&mut inventory, &goal, &deriver, &stored, &files, &tally) {
            Ok(more) => unreadable.extend(more),
            Err(error) => {
                self.save_logs(&tally.lock())?;
                self.store.flush().map_err(Error::from)?;
                return Err(self.failure(vec![error], &goal, &tally, &inventory, &deriver));
            }
        }
        unreadable.retain(|source, _| goal.sources.contains(source));
        let lost = goal.give_up(plan, &unreadable.keys().copied().collect());
        lost.into_iter().for_each(|sink| self.tell_left(sink));
        let datasets = deriver.datasets(&|producer| inventory.keys(producer));
        let known = Known::of_last_run(self.store, &self.planned.texts[0]);
        let homes = Homes { plan, inventory: &inventory, datasets: &datasets, store: &known };
        let demand = self.demand(homes, &goal, &stored)?;
        self.secrets.check(&demand.tasks)?;
        if !demand.tasks.is_empty() {
            self.observer.observe(Event::WorkPlanned { tasks: demand.tasks.len() });
        }
        let reading = Reading { homes, files: &files, fresh: None };
        let specs = self.file_sinks(&goal).into_iter().map(|sink| &plan.sinks[sink].spec);
        flowc_sinks::remove_leftovers(specs, &self.planned.base)
            .map_err(|error| Error::Request(format!("what a killed run left can't be removed: {error}")))?;
        let (results, stagings) = (Results::default(), Stagings::default());
        let sinks = self.outputs(reading, &stagings);
        let outcomes = self.run_jobs(&sinks, &deriver, &goal, &demand, &tally, &results);
        let pending = std::mem::take(&mut *lock(&results.pending));
        let committed = self.commit(&sinks, pending, &results);
        stagings.clear();
        let mut errors: Vec<Error> = unreadable.into_values().chain(committed.err()).collect();
        let (failed, skipped) = self.sort_outcomes(outcomes, &demand, &goal, &mut errors);
        let mut outputs = results.outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() {
            outputs.extend(self.print(&sinks, &goal)?);
        }
        outputs.sort_by_key(|(sink, _)| *sink);
        let outputs: Vec<OutputReport> = outputs.into_iter().map(|(_, report)| report).collect();
        let counted = tally.lock();
        let stages = self.stage_reports(homes, &goal, &counted, &failed, &skipped)?;
        let streams = datasets.stream_reports(plan);
        let report = RunReport { plan: self.planned.hash, stages, outputs, streams };
        self.save_logs(&counted)?;
        if errors.is_empty() {
            self.tell_verified(&goal, &counted);
            let states = results.states.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.remember(&sinks, &goal, &report, &states)?;
        }
        self.store.flush().map_err(Error::from)?;
        if errors.is_empty() { Ok(report) } else { Err(RunFailure { errors, report: Some(Box::new(report)) }) }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.planned.plan
    }

    /// Keeps what stages said, for those that ran or tried to.
    fn save_logs(&self, counted: &Counted) -> Result<(), Error> {
        let ran: BTreeSet<usize> =
            counted.ran.keys().chain(&counted.merged).chain(counted.logs.keys()).copied().collect();
        save_logs(self.store, &self.planned.texts[0], self.plan(), &counted.logs, ran.into_iter())
    }

    /// Lists the files of all sources. Those that can't be listed end the run, or are given up.
    fn survey(&self) -> Result<(Inventory, Unreadable), Error> {
        match self.request.keep_going {
            true => Ok(Inventory::survey_readable(self.planned, self.store)),
            false => Ok((Inventory::survey(self.planned, self.store)?, Unreadable::new())),
        }
    }

    fn tell_verified(&self, goal: &Goal, counted: &Counted) {
        for &stage in &goal.verified {
            let segments = counted.verified.get(&stage).copied().unwrap_or(0);
            self.observer.observe(Event::StageVerified { stage: self.plan().stages[stage].name.clone(), segments });
        }
    }

    fn tell_left(&self, sink: usize) {
        let name = &self.plan().sinks[sink].name;
        self.observer.observe(Event::Warning { message: format!("sink `{name}` was left as it is") });
    }

    /// Reads files that are new or were changed; runs ahead over what is in memory meanwhile.
    fn scan(
        &self,
        inventory: &mut Inventory,
        goal: &Goal,
        deriver: &Deriver<'_>,
        stored: &[bool],
        files: &OpenFiles,
        tally: &Tally,
    ) -> Result<Unreadable, Error> {
        let (plan, mut unreadable) = (self.plan(), Unreadable::new());
        let (driven, read, whole) = (driven_by_source(plan, goal), columns_read(plan, goal), taken_whole(plan));
        let needed = |source: &usize| goal.sources.contains(source);
        for first in [true, false] {
            let unread: Vec<(usize, usize)> = inventory.unread();
            let unread: Vec<(usize, usize)> =
                unread.into_iter().filter(|(s, _)| needed(s) && whole.contains(s) == first).collect();
            if unread.is_empty() {
                continue;
            }
            wait_out_tick(inventory, &unread);
            let ahead = Ahead {
                deriver,
                known: inventory,
                driven: &driven,
                read: &read,
                stored,
                forced: &goal.forced,
                verified: &goal.verified,
                store: self.store,
                files,
                runners: self.runners,
                tally,
                observer: self.observer,
                cancel: self.cancel,
                memory: self.options.memory,
                secrets: self.secrets,
                plan,
            };
            let on_decoded = |decoded: crate::scan::Decoded<'_>| match ahead.run(&decoded) {
                // With `keep_going` the run meets the failure again, in its place.
                Err(Error::Stage { .. }) if self.request.keep_going => Ok(()),
                other => other,
            };
            let scanner = Scanner {
                plan,
                store: self.store,
                files,
                jobs: self.options.jobs,
                stack: self.stack(),
                observer: self.observer,
                cancel: self.cancel,
                on_decoded: &on_decoded,
                keep_going: self.request.keep_going,
            };
            let scanned = scanner.scan(inventory, &unread)?;
            unreadable.extend(scanned.unreadable);
            for source in inventory.complete(scanned.files) {
                inventory.source(source).remember(plan, source, &self.planned.base, self.store)?;
            }
        }
        self.tell_bad_rows(inventory);
        Ok(unreadable)
    }

    fn tell_bad_rows(&self, inventory: &Inventory) {
        for (&index, source) in &inventory.sources {
            for (file, rows) in source.bad_rows() {
                let name = self.plan().sources[index].name.clone();
                self.observer.observe(Event::BadRows { source: name, file: file.to_owned(), rows });
            }
        }
    }

    fn demand(&self, homes: Homes<'_>, goal: &Goal, stored: &[bool]) -> Result<Demand, Error> {
        let mut demander = Demander::new(homes, stored, &goal.forced);
        let streams = goal.sinks.iter().map(|&sink| self.plan().sinks[sink].stream).chain(goal.streams.iter().copied());
        for stream in streams {
            let all: Vec<usize> = (0..self.plan().stream(stream).schema.fields().len()).collect();
            demander.want_all(stream, &all)?;
        }
        Ok(demander.resolve()?)
    }

    /// Runs the tasks, and prepares each sink as soon as its rows are there.
    fn run_jobs(
        &self,
        outputs: &Outputs<'_>,
        deriver: &Deriver<'_>,
        goal: &Goal,
        demand: &Demand,
        tally: &Tally,
        results: &Results,
    ) -> Vec<Outcome> {
        let reading = outputs.reading;
        let (runners, cancel, memory, secrets) = (self.runners, self.cancel, self.options.memory, self.secrets);
        let chains = Chains { reading, runners, cancel, memory, secrets };
        let contents = Contents { reading, deriver };
        let (observer, forced, verified) = (self.observer, &goal.forced, &goal.verified);
        let execution = Execution { chains, contents, forced, verified, tally, observer, first_segment: 0 };
        let files = self.file_sinks(goal);
        let mut after = demand.after.clone();
        after.extend(files.iter().map(|&sink| self.tasks_of(sink, demand)));
        let job = |job: usize| {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match demand.tasks.get(job) {
                Some(task) => execution.execute(task),
                None => self.prepare(outputs, files[job - demand.tasks.len()], results),
            }
        };
        let (threads, stack, keep_going) = (self.options.jobs, self.stack(), self.request.keep_going);
        std::thread::scope(|scope| {
            spawn(scope, stack, || execution.chains.start_ahead(demand));
            Schedule { after: &after, threads, stack, keep_going }.run(&job)
        })
    }

    /// Bytes of stack for a thread that runs chains: each instance of a chain runs on top of the one before.
    fn stack(&self) -> usize {
        const OWN: usize = 4 << 20;
        let longest = self.planned.units.iter().map(|unit| unit.stages.len()).max().unwrap_or(0);
        OWN + (longest + 1) * flowc_wasm::STACK_PER_INSTANCE
    }

    /// Sinks that write files, in order.
    fn file_sinks(&self, goal: &Goal) -> Vec<usize> {
        goal.sinks.iter().copied().filter(|&sink| self.plan().sinks[sink].spec.target != Target::Stdout).collect()
    }

    fn outputs<'r>(&'r self, reading: Reading<'r>, stagings: &'r Stagings) -> Outputs<'r> {
        let (base, threads) = (&self.planned.base, self.options.jobs);
        Outputs { reading, base, stagings, threads, cancel: self.cancel }
    }

    /// The tasks that may give rows of a sink, or columns that are passed on to it.
    fn tasks_of(&self, sink: usize, demand: &Demand) -> Vec<usize> {
        let plan = self.plan();
        let streams = std::iter::successors(Some(plan.sinks[sink].stream), |&stream| row_origin(plan, stream));
        let tasks = |stage: usize| {
            let first = demand.tasks.partition_point(|task| task.id < TaskId { stage, work: Work::Segment(0) });
            let last = demand.tasks.partition_point(|task| task.id <= TaskId { stage, work: Work::Finish });
            first..last
        };
        streams.filter_map(|stream| plan.producing_stage(stream)).flat_map(|(stage, _)| tasks(stage)).collect()
    }

    fn prepare(&self, outputs: &Outputs<'_>, sink: usize, results: &Results) -> Result<(), Error> {
        let _span = tracing::info_span!("sink", sink = self.plan().sinks[sink].name).entered();
        let prepared = outputs.prepare(&self.plan().sinks[sink])?;
        lock(&results.outputs).push((sink, prepared.report));
        let (preparation, written) = match prepared.standing {
            Standing::Yes(state) => {
                lock(&results.states).insert(sink, state);
                return Ok(());
            }
            Standing::No(preparation, written) => (*preparation, written),
        };
        let mut pending = lock(&results.pending);
        pending.push((sink, preparation, written));
        match pending.len() >= SINKS_AT_ONCE {
            true => self.commit(outputs, std::mem::take(&mut *pending), results),
            false => Ok(()),
        }
    }

    /// Makes results durable, then the sinks appear. Nothing appears that the store does not hold.
    fn commit(&self, outputs: &Outputs<'_>, pending: Vec<Pending>, results: &Results) -> Result<(), Error> {
        self.store.flush()?;
        Preparation::sync(pending.iter().map(|(_, preparation, _)| preparation))
            .map_err(|error| Error::Request(format!("the sinks can't be made durable: {error}")))?;
        for (index, preparation, written) in pending {
            let sink = &self.plan().sinks[index];
            let files = written.iter().map(Finished::files).sum();
            let state = outputs.commit(sink, preparation, written)?;
            let (files_in_all, rows) = (state.files.len(), state.files.iter().map(|file| file.rows).sum());
            lock(&results.states).insert(index, state);
            self.observer.observe(Event::SinkWritten { sink: sink.name.clone(), files, files_in_all, rows });
        }
        Ok(())
    }

    /// Standard output comes last, in the order of the text.
    fn print(&self, outputs: &Outputs<'_>, goal: &Goal) -> Result<Vec<(usize, OutputReport)>, Error> {
        let print = |&sink: &usize| Ok((sink, outputs.print(&self.plan().sinks[sink])?));
        let is_stdout = |sink: &&usize| self.plan().sinks[**sink].spec.target == Target::Stdout;
        goal.sinks.iter().filter(is_stdout).map(print).collect()
    }

    /// Stages that failed, and stages that were not reached for it. Errors are added to the list.
    fn sort_outcomes(
        &self,
        outcomes: Vec<Outcome>,
        demand: &Demand,
        goal: &Goal,
        errors: &mut Vec<Error>,
    ) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut failed, mut skipped) = (BTreeSet::new(), BTreeSet::new());
        let sinks = self.file_sinks(goal);
        for (job, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Done => {}
                Outcome::Failed(error) => {
                    failed.extend(self.failed_stage(&error));
                    errors.push(error);
                }
                Outcome::Skipped => match demand.tasks.get(job) {
                    Some(task) => skipped.extend(task.chain.iter().map(|link| link.stage)),
                    None => self.tell_left(sinks[job - demand.tasks.len()]),
                },
            }
        }
        (failed, skipped)
    }

    fn failed_stage(&self, error: &Error) -> Option<usize> {
        let Error::Stage { stage, .. } = error else { return None };
        self.observer.observe(Event::StageFailed { stage: stage.clone(), message: error.to_string() });
        self.plan().stages.iter().position(|candidate| candidate.name == *stage)
    }

    /// The report of a run that ended while sources were read.
    fn failure(
        &self,
        errors: Vec<Error>,
        goal: &Goal,
        tally: &Tally,
        inventory: &Inventory,
        deriver: &Deriver<'_>,
    ) -> RunFailure {
        let failed: BTreeSet<usize> = errors.iter().filter_map(|error| self.failed_stage(error)).collect();
        let datasets = deriver.datasets(&|producer| inventory.keys(producer));
        let known = Known::new(self.store);
        let homes = Homes { plan: self.plan(), inventory, datasets: &datasets, store: &known };
        let skipped = goal.stages.iter().copied().filter(|stage| !failed.contains(stage)).collect();
        let stages = self.stage_reports(homes, goal, &tally.lock(), &failed, &skipped);
        let streams = datasets.stream_reports(self.plan());
        let report = |stages| Box::new(RunReport { plan: self.planned.hash, stages, outputs: Vec::new(), streams });
        RunFailure { errors, report: stages.ok().map(report) }
    }

    fn stage_reports(
        &self,
        homes: Homes<'_>,
        goal: &Goal,
        counted: &Counted,
        failed: &BTreeSet<usize>,
        skipped: &BTreeSet<usize>,
    ) -> Result<Vec<StageReport>, Error> {
        let report = |index: usize| {
            let total = invocations(homes, index);
            let ran = counted.ran.get(&index).copied().unwrap_or(0);
            let worked = ran > 0 || counted.merged.contains(&index);
            let status = match () {
                () if failed.contains(&index) => StageStatus::Failed,
                () if skipped.contains(&index) || !goal.stages.contains(&index) => StageStatus::Skipped,
                () if worked => StageStatus::Ran,
                () => StageStatus::Cached,
            };
            let done = !matches!(status, StageStatus::Failed | StageStatus::Skipped);
            Ok(StageReport {
                name: self.plan().stages[index].name.clone(),
                status,
                segments_ran: ran,
                segments_cached: if done { total.saturating_sub(ran) } else { 0 },
                rows_out: rows_out(homes, index)?,
                seconds: counted.seconds.get(&index).copied().unwrap_or(0.0),
            })
        };
        (0..self.plan().stages.len()).map(report).collect()
    }
}

/// Waits until no file that is about to be read can change without its stamp moving, so that what is read can be
/// remembered. Files dated in the future are not waited for.
fn wait_out_tick(inventory: &Inventory, unread: &[(usize, usize)]) {
    let now = SystemTime::now();
    let is_racy = |&(source, file): &(usize, usize)| {
        inventory.source(source).files[file].stamp.is_some_and(|stamp| stamp.is_racy(now))
    };
    if unread.iter().any(is_racy) {
        std::thread::sleep(FileStamp::TICK);
    }
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
