//! How the jobs of a run are done, by one scheduler. Files that are read give segments, segments and sources make tasks due, and
//! once all sources are known the rest of the tasks and the sinks follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flowc_demand::{Ahead, Demand, Selection, demand};
use flowc_platform::lock;

use crate::event::StageTasks;
use crate::inputs::lookup_cache::LookupCache;
use crate::intake::clocks::{ClockColumn, clock_columns};
use crate::intake::inventory::{Inventory, Unreadable};
use crate::intake::notices;
use crate::intake::scan::{Arrived, ArrivedRows, Cut, FileIndex, Findings, Scanner};
use crate::run::asserts::Guards;
use crate::run::context::Run;
use crate::run::delivery::Delivery;
use crate::run::job::{Demanded, Early, Job, Scanned};
use crate::run::passes::{add_passes, chosen, tasks_of};
use crate::run::rank::Rank;
use crate::run::world::World;
use crate::schedule::{JobId, Scheduler, Worker};
use crate::{Error, Event};

/// The sources, as far as they are known.
struct Sources {
    inventory: Arc<Inventory>,
    /// Those with files that have not been read.
    open: BTreeSet<usize>,
    unreadable: Unreadable,
}

/// Does the jobs of one run.
pub(crate) struct Jobs<'r> {
    run: &'r Run<'r>,
    listed: Arc<Inventory>,
    ahead: Ahead,
    findings: Findings,
    clocks: Vec<ClockColumn>,
    sources: Mutex<Sources>,
    delivery: &'r Delivery<'r>,
    scanned: OnceLock<Arc<Scanned<'r>>>,
    /// The stages that have tasks, once all sources are known.
    busy: OnceLock<BTreeSet<usize>>,
    /// The sinks that write files, each with its job.
    sinks: Mutex<Vec<(usize, JobId)>>,
}

/// What became of the jobs of a run.
pub(crate) struct Ended<'r> {
    /// None if the sources could not be read.
    pub scanned: Option<Arc<Scanned<'r>>>,
    /// What failed, told once.
    pub failures: Vec<Error>,
    /// The sinks that were left as they are, since something that they need failed.
    pub left: Vec<usize>,
    /// The sources, as far as they are known.
    pub inventory: Arc<Inventory>,
    /// The sources that could not be read, of those that were asked for.
    pub unreadable: Unreadable,
}

impl<'r> Jobs<'r> {
    /// Nothing is done yet. `listed` has the files of the sources, but for those that can't be listed.
    pub(crate) fn new(
        run: &'r Run<'r>,
        listed: Arc<Inventory>,
        unreadable: Unreadable,
        delivery: &'r Delivery<'r>,
    ) -> Self {
        let open = listed.unread().into_iter().map(|(source, _)| source).collect();
        Self {
            run,
            ahead: Ahead::new(run.plan(), &run.selection),
            findings: Findings::default(),
            clocks: clock_columns(run.plan(), run.deriver.lineage()),
            sources: Mutex::new(Sources { inventory: Arc::clone(&listed), open, unreadable }),
            listed,
            delivery,
            scanned: OnceLock::new(),
            busy: OnceLock::new(),
            sinks: Mutex::default(),
        }
    }

    /// Does all of it, `unread` being the files to read.
    pub(crate) fn run(self, unread: &[FileIndex]) -> Ended<'r> {
        let scheduler = Scheduler::new(self.run.limits());
        self.add_reading(&scheduler, unread);
        let failures = scheduler.run(&|worker, job| self.perform(worker, job));
        let failures = self.told_once(failures);
        let sinks = self.sinks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let failed: BTreeSet<JobId> = failures.iter().map(|(job, _)| *job).collect();
        let is_left = |(_, job): &&(usize, JobId)| !scheduler.is_done(*job) && !failed.contains(job);
        let left = sinks.iter().filter(is_left).map(|(sink, _)| *sink);
        let held = self.scanned.get().map(|scanned| scanned.guards.held()).unwrap_or_default();
        let left: BTreeSet<usize> = left.chain(held).collect();
        let left = left.into_iter().collect();
        let failures = failures.into_iter().map(|(_, error)| error).collect();
        let Sources { inventory, unreadable, .. } = self.sources.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ended { scanned: self.scanned.into_inner(), failures, left, inventory, unreadable }
    }

    /// Files wait for the sources that the stages take whole that they drive, and the demand for all sources.
    fn add_reading(&self, scheduler: &Scheduler<Job<'r>>, unread: &[FileIndex]) {
        let mut files: BTreeMap<usize, Vec<FileIndex>> = BTreeMap::new();
        unread.iter().for_each(|place| files.entry(place.source).or_default().push(*place));
        let awaited = |source: usize| self.ahead.awaited(self.run.plan(), source);
        let (whole, others): (Vec<usize>, Vec<usize>) = {
            let whole: BTreeSet<usize> = files.keys().flat_map(|&source| awaited(source)).collect();
            files.keys().copied().partition(|source| whole.contains(source))
        };
        let mut ends: BTreeMap<usize, JobId> = BTreeMap::new();
        for source in whole.into_iter().chain(others) {
            let after: Vec<JobId> = awaited(source).iter().filter_map(|whole| ends.get(whole).copied()).collect();
            let reads: Vec<JobId> = files[&source].iter().map(|&at| scheduler.add(Job::Read(at), &after)).collect();
            ends.insert(source, scheduler.add(Job::End(source), &reads));
        }
        scheduler.add(Job::Demand, &ends.into_values().collect::<Vec<_>>());
        let reading = self.ahead.reading(self.run.plan(), &files.into_keys().collect());
        if !reading.is_empty() && self.may_run_early() {
            scheduler.add(Job::StartReading(reading), &[]);
        }
    }

    /// What failed, by the jobs. Of what kept the sources from being read the first is enough, and of being stopped, too.
    fn told_once(&self, mut failures: Vec<(JobId, Error)>) -> Vec<(JobId, Error)> {
        if self.scanned.get().is_none() {
            failures.truncate(1);
        }
        failures.sort_by_key(|(job, _)| *job);
        // A stage that several tasks of a pass share fails for each of them.
        let mut told = BTreeSet::new();
        failures.retain(|(_, error)| match error {
            Error::Cancelled | Error::Stage { .. } => told.insert(error.to_string()),
            _ => true,
        });
        failures
    }

    fn perform(&self, worker: &Worker<'_, Job<'r>>, job: &Job<'r>) -> Result<(), Error> {
        if self.run.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let result = Error::catch(|| self.described(job), || self.try_perform(worker, job));
        match job {
            Job::Read(place) => self.tolerate_unreadable(place.source, result),
            Job::Decode(segment) => self.tolerate_unreadable(segment.place.source, result),
            Job::Early(early, _) => self.tolerate_early(early, result),
            _ => result,
        }
    }

    fn try_perform(&self, worker: &Worker<'_, Job<'r>>, job: &Job<'r>) -> Result<(), Error> {
        match job {
            Job::Read(place) => self.scanner().read(*place, &mut |cut| {
                match cut {
                    Cut::New(segment) => _ = worker.add_part(Job::Decode(segment), &[]),
                    Cut::Known(segment) => self.arrived(worker, place.source, segment)?,
                }
                worker.relieve(Rank::Read);
                Ok(())
            }),
            Job::Decode(segment) => {
                let decoded = self.scanner().decode(segment)?;
                self.arrived(worker, segment.place.source, decoded)
            }
            Job::End(source) => self.end(worker, *source),
            Job::Early(early, _) if early.is_given_up.load(Ordering::Relaxed) => Ok(()),
            Job::Early(early, passes) => self.early_passes(early, passes),
            Job::Demand => self.demand(worker),
            Job::StartReading(stages) => {
                self.run.start_ahead(stages, &|stage| self.busy.get().is_none_or(|busy| busy.contains(&stage)));
                Ok(())
            }
            Job::StartPrograms(demanded, jobs) => {
                let Demanded { scanned, demand, .. } = demanded.as_ref();
                scanned.world.execution().chains.start_ahead(demand, &|task| worker.is_settled(jobs[task]));
                Ok(())
            }
            Job::Passes(demanded, passes) => self.passes(demanded, passes),
            Job::Task(demanded, task) => lock(&demanded.failed).remove(task).map_or(Ok(()), Err),
            Job::Assert(scanned, stage) => self.run.check_assert(*stage, &scanned.world.outputs()),
            Job::Sink(scanned, sink) if scanned.guards.hold(self.run, *sink) => Ok(()),
            Job::Sink(scanned, sink) => self.delivery.prepare(*sink, &scanned.world.outputs()),
        }
    }

    /// What is done for a job, in words.
    fn described(&self, job: &Job<'r>) -> String {
        match job {
            Job::Read(place) => self.scanner().described(*place),
            Job::Decode(segment) => self.scanner().described(segment.place),
            Job::Early(early, passes) => early.world.execution().described(&early.demand.tasks[passes[0][0]]),
            Job::Passes(demanded, passes) => demanded.described(passes[0][0]),
            Job::Task(demanded, task) => demanded.described(*task),
            Job::Assert(_, stage) => format!("checking the assert `{}`", self.run.plan().stages[*stage].name),
            Job::Sink(_, sink) => self.delivery.described(*sink),
            Job::End(_) => "reading sources".to_owned(),
            Job::Demand => "running the pipeline".to_owned(),
            Job::StartReading(_) | Job::StartPrograms(..) => "starting programs".to_owned(),
        }
    }

    fn scanner(&self) -> Scanner<'_> {
        Scanner {
            plan: self.run.plan(),
            store: self.run.store,
            inventory: &self.listed,
            files: &self.run.files,
            observer: self.run.observer,
            cancel: self.run.cancel,
            clocks: &self.clocks,
            findings: &self.findings,
        }
    }

    /// What is a source's own fault need not stop the others.
    fn tolerate_unreadable(&self, source: usize, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(error @ (Error::Source { .. } | Error::File { .. })) if self.run.request.keep_going => {
                self.sources().unreadable.entry(source).or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    /// What keeps a task from its end does so again where the demand finds it, and there it is known what depends on it.
    fn tolerate_early(&self, early: &Early<'r>, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(Error::Stage { .. } | Error::Source { .. } | Error::File { .. }) if self.run.request.keep_going => {
                early.is_given_up.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Runs what a segment makes due while it is at hand.
    fn arrived(&self, worker: &Worker<'_, Job<'r>>, source: usize, segment: Arrived) -> Result<(), Error> {
        let stages = self.ahead.driven(source);
        if stages.is_empty() || !self.may_run_early() {
            return Ok(());
        }
        // Rows that are in memory would have to be decoded again.
        let is_decoded = matches!(segment.rows, ArrivedRows::Memory(_));
        let leaves_out = if is_decoded { BTreeSet::new() } else { self.unreduced() };
        let known = Arc::clone(&self.sources().inventory);
        let world = World::of_segment(self.run, &known, stages, source, segment);
        let demand = self.ahead.of_segment(world.locator(), &self.run.stored, source, &leaves_out)?;
        self.run_early(worker, world, demand, true);
        Ok(())
    }

    /// Takes in a source of which all files have been read, and runs what that makes due.
    fn end(&self, worker: &Worker<'_, Job<'r>>, source: usize) -> Result<(), Error> {
        let (run, plan) = (self.run, self.run.plan());
        let (inventory, open) = {
            let mut sources = self.sources();
            if sources.unreadable.contains_key(&source) {
                return Ok(());
            }
            Arc::make_mut(&mut sources.inventory).complete(self.findings.take(source));
            sources.open.remove(&source);
            (Arc::clone(&sources.inventory), sources.open.clone())
        };
        inventory.source(source).remember(plan, source, &run.planned.base, run.store)?;
        if open.is_disjoint(&run.selection.sources) || !self.may_run_early() {
            return Ok(());
        }
        let has_ended = |source: usize| inventory.sources.contains_key(&source) && !open.contains(&source);
        let streams = self.ahead.at_end(plan, run.deriver.lineage(), source, &has_ended);
        if !streams.is_empty() {
            let world = World::of_streams(run, inventory, &streams)?;
            let demand = self.ahead.of_streams(world.locator(), &run.stored, &streams, &self.unreduced())?;
            self.run_early(worker, world, demand, false);
        }
        Ok(())
    }

    /// Where a secret is missing the run may have to be refused, and that before anything has run.
    fn may_run_early(&self) -> bool {
        self.run.secrets.is_whole()
    }

    /// Finds what is still to be done, and has it done.
    fn demand(&self, worker: &Worker<'_, Job<'r>>) -> Result<(), Error> {
        let run = self.run;
        let scanned = self.scanned()?;
        let Scanned { selection, world, .. } = scanned.as_ref();
        let demand = demand(world.locator(), &run.stored, selection, &self.unreduced())?;
        run.secrets.check(&demand.tasks)?;
        run.underway.plan_tasks(&demand);
        run.underway.find_reasons(world.locator(), &demand, selection)?;
        self.tell_work(&demand);
        let sinks = self.delivery.staged_sinks(selection);
        self.delivery.recover(&sinks)?;
        self.add_tasks(worker, &Arc::new(Demanded { scanned, demand, failed: Mutex::default() }), sinks);
        Ok(())
    }

    /// Takes note of the stages that have tasks. Tells how many there are in the whole run, and in how many of them each stage has a part.
    fn tell_work(&self, demand: &Demand) {
        let (early, mut counts) = self.run.underway.tally.lock().early.clone();
        let links = demand.tasks.iter().flat_map(|task| &task.chain);
        links.for_each(|link| *counts.entry(link.stage).or_default() += 1);
        let of =
            |(stage, tasks): (usize, usize)| StageTasks { stage: self.run.plan().stages[stage].name.clone(), tasks };
        let _ = self.busy.set(counts.keys().copied().collect());
        let tasks = early + demand.tasks.len();
        if tasks > 0 {
            self.run.tell(Event::WorkPlanned { tasks, stages: counts.into_iter().map(of).collect() });
        }
    }

    /// Adds the tasks, and each sink after those that give its rows.
    fn add_tasks(&self, worker: &Worker<'_, Job<'r>>, demanded: &Arc<Demanded<'r>>, sinks: Vec<usize>) {
        let Demanded { scanned, demand, .. } = demanded.as_ref();
        let add = |passes: Vec<Vec<usize>>, after: &[JobId]| {
            let tasks = passes.concat();
            let of_all = worker.add(Job::Passes(Arc::clone(demanded), passes), after);
            let of_task = |&task: &usize| match tasks.len() {
                1 => of_all,
                _ => worker.add(Job::Task(Arc::clone(demanded), task), &[of_all]),
            };
            tasks.iter().map(of_task).collect()
        };
        let jobs = add_passes(demand, self.run, add);
        let mut asserts: BTreeMap<usize, JobId> = BTreeMap::new();
        for (stage, _) in scanned.selection.asserts(self.run.plan()) {
            let after = chosen(&jobs, &self.delivery.tasks_of_stage(stage, demand));
            asserts.insert(stage, worker.add(Job::Assert(Arc::clone(scanned), stage), &after));
        }
        for sink in sinks {
            let mut after = chosen(&jobs, &self.delivery.tasks_of(sink, demand));
            after.extend(scanned.guards.of(sink).iter().filter_map(|stage| asserts.get(stage)));
            let job = worker.add(Job::Sink(Arc::clone(scanned), sink), &after);
            lock(&self.sinks).push((sink, job));
        }
        if !jobs.is_empty() {
            worker.add(Job::StartPrograms(Arc::clone(demanded), jobs), &[]);
        }
    }

    /// Takes in all sources, and gives up what depends on those that can't be read.
    fn scanned(&self) -> Result<Arc<Scanned<'r>>, Error> {
        let (run, plan) = (self.run, self.run.plan());
        let mut selection = Selection::clone(&run.selection);
        let (inventory, unreadable) = {
            let mut sources = self.sources();
            sources.unreadable.retain(|source, _| selection.sources.contains(source));
            (Arc::clone(&sources.inventory), sources.unreadable.keys().copied().collect())
        };
        notices::tell(&notices::notices(plan, &inventory, &selection), run.observer);
        selection.give_up(plan, &unreadable).into_iter().for_each(|sink| self.delivery.tell_left(sink));
        let world = World::of_all(run, inventory, LookupCache::of_last_run(run.store, &run.planned.texts[0]))?;
        notices::tell(&world.late, run.observer);
        let (guards, selection) = (Guards::new(run, &selection), Arc::new(selection));
        run.underway.found(&selection, &world.inventory, &world.datasets);
        Ok(Arc::clone(self.scanned.get_or_init(|| Arc::new(Scanned { selection, guards, world }))))
    }

    /// Runs the tasks of passes, and counts them.
    fn early_passes(&self, early: &Early<'r>, passes: &[Vec<usize>]) -> Result<(), Error> {
        let execution = early.world.execution();
        let mut keys = execution.keys_of(&tasks_of(&early.demand, &passes.concat())).into_iter();
        for pass in passes {
            let tasks = tasks_of(&early.demand, pass);
            let results = execution.execute(&tasks, keys.by_ref().take(pass.len()).collect())?;
            for (task, _) in tasks.iter().zip(&results).filter(|(_, result)| result.is_ok()) {
                self.run.underway.tally.lock().add_early(task);
            }
            results.into_iter().collect::<Result<(), Error>>()?;
        }
        Ok(())
    }

    /// Runs the tasks of passes. One that fails by itself is told of by its own job, unless nothing else is to run then.
    fn passes(&self, demanded: &Demanded<'_>, passes: &[Vec<usize>]) -> Result<(), Error> {
        let execution = demanded.scanned.world.execution();
        let mut keys = execution.keys_of(&tasks_of(&demanded.demand, &passes.concat())).into_iter();
        for pass in passes {
            let tasks = tasks_of(&demanded.demand, pass);
            let results = match execution.execute(&tasks, keys.by_ref().take(pass.len()).collect()) {
                Err(error) if pass.len() == 1 => vec![Err(error)],
                results => results.inspect_err(|error| self.run.underway.fail(tasks[0], error))?,
            };
            for ((&number, task), result) in pass.iter().zip(tasks).zip(results) {
                self.run.underway.settle(task, &result);
                match result {
                    Err(error) if pass.len() == 1 && (passes.len() == 1 || self.run.ends_with(&error)) => {
                        return Err(error);
                    }
                    Err(error) => drop(lock(&demanded.failed).insert(number, error)),
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// Adds tasks as parts of what makes them due.
    fn run_early(&self, worker: &Worker<'_, Job<'r>>, world: World<'r>, demand: Demand, holds_rows: bool) {
        let early = Arc::new(Early { world, demand, holds_rows, is_given_up: AtomicBool::new(false) });
        add_passes(&early.demand, self.run, |passes, after| {
            let tasks = passes.iter().map(Vec::len).sum();
            vec![worker.add_part(Job::Early(Arc::clone(&early), passes), after); tasks]
        });
    }

    /// The stages whose merges are better given rows, as far as it was found.
    fn unreduced(&self) -> BTreeSet<usize> {
        self.run.underway.tally.lock().unreduced.clone()
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        lock(&self.sources)
    }
}
