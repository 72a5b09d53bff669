//! One run, from sources to sinks.
//!
//! May use every other room.

pub(crate) mod context;
mod delivery;
mod eager;
mod execution;
pub(crate) mod progress;
mod record;

use std::sync::Arc;
use std::time::SystemTime;

use flowc_demand::{
    ContentKeys, Demand, KeyDeriver, Selection, columns_read, demand, driven_by_source, is_never_called, taken_whole,
};
use flowc_planner::plan::{Sink, Target};
use flowc_planner::stored_edges;
use flowc_platform::FileStamp;
use flowc_sinks::Stagings;

use crate::chain::Chains;
use crate::inputs::lookup::{Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::{Inventory, Unreadable, forget_changed};
use crate::intake::notices;
use crate::intake::scan::Scanner;
use crate::outputs::{Outputs, path_conflicts};
use crate::run::context::RunContext;
use crate::run::delivery::Delivery;
use crate::run::eager::EagerRunner;
use crate::run::execution::{Counted, Execution, Tally};
use crate::run::progress::Underway;
use crate::schedule::{Limits, Outcome, Schedule, spawn};
use crate::select::select;
use crate::{Error, Event, RunFailure, RunReport};

impl RunContext<'_> {
    /// Runs it. What is finished is kept, also when something fails.
    ///
    /// # Errors
    /// All that failed, with what was done nevertheless.
    pub(crate) fn run(&self) -> Result<RunReport, RunFailure> {
        let plan = self.plan();
        let _span = tracing::info_span!("run", pipeline = plan.pipeline, plan = %self.planned.hash).entered();
        let selection = select(plan, self.request)?;
        let underway = Arc::new(Underway::new(Arc::clone(self.planned), Arc::new(selection.clone())));
        self.current.begin(&underway);
        let mut errors = match self.perform(selection, &underway) {
            Ok(report) => return Ok(report),
            Err(errors) => errors,
        };
        errors.extend(underway.save(self.store).err());
        errors.extend(forget_changed(self.planned, self.store, &errors).err());
        errors.extend(self.store.flush().err().map(Error::from));
        let report = underway.report(&LookupCache::new(self.store)).map_err(|error| errors.push(error));
        Err(RunFailure { errors, report: report.ok().map(Box::new) })
    }

    fn perform(&self, mut selection: Selection, underway: &Underway) -> Result<RunReport, Vec<Error>> {
        if self.cancel.is_cancelled() {
            return Err(alone(Error::Cancelled));
        }
        let plan = self.plan();
        let deriver = self.planned.deriver();
        let stored: Vec<bool> = stored_edges(plan).iter().map(Option::is_some).collect();
        let files = OpenFiles::new(&self.store.spool());
        let (mut inventory, mut unreadable) = self.survey().map_err(alone)?;
        path_conflicts::check(plan, &selection.sinks, &self.planned.base, &inventory).map_err(alone)?;
        match self.scan(&mut inventory, &selection, &deriver, &stored, &files, &underway.tally) {
            Ok(more) => unreadable.extend(more),
            Err(error) => {
                self.tell_failed(underway, &error);
                let known = self.end_of_scan(selection, inventory, &deriver, underway);
                return Err(std::iter::once(error).chain(known.err()).collect());
            }
        }
        unreadable.retain(|source, _| selection.sources.contains(source));
        let lost = selection.give_up(plan, &unreadable.keys().copied().collect());
        lost.into_iter().for_each(|sink| self.tell_left(sink));
        let (selection, inventory) = (Arc::new(selection), Arc::new(inventory));
        let datasets = Arc::new(deriver.datasets(&|producer| inventory.keys(producer)));
        underway.found(&selection, &inventory, &datasets);
        let known = LookupCache::of_last_run(self.store, &self.planned.texts[0]);
        let lineage = deriver.lineage();
        let lookup = Lookups { store: &known, inventory: &inventory };
        let locator = Locator { plan, lineage, datasets: &datasets, lookup };
        let reading = Reading { locator, files: &files, fresh: None };
        let stagings = Stagings::default();
        let delivery = Delivery::new(self, self.outputs(reading, &stagings), underway);
        let worked = self.work(&delivery, &deriver, &selection, &stored, underway);
        stagings.clear();
        let mut errors: Vec<Error> = unreadable.into_values().collect();
        match worked {
            Ok(more) => errors.extend(more),
            Err(error) => errors.push(error),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.finish(delivery, &selection, underway).map_err(alone)
    }

    /// Takes in how far a run came whose sources could not all be read.
    fn end_of_scan(
        &self,
        selection: Selection,
        inventory: Inventory,
        deriver: &KeyDeriver<'_>,
        underway: &Underway,
    ) -> Result<(), Error> {
        let (selection, inventory) = (Arc::new(selection), Arc::new(inventory));
        let datasets = Arc::new(deriver.datasets(&|producer| inventory.keys(producer)));
        underway.found(&selection, &inventory, &datasets);
        let (plan, lineage, known) = (self.plan(), deriver.lineage(), LookupCache::new(self.store));
        let lookup = Lookups { store: &known, inventory: &inventory };
        let locator = Locator { plan, lineage, datasets: &datasets, lookup };
        underway.find_reasons(locator, &Demand::default(), &selection)
    }

    /// Finds out what is missing and does it. Gives what failed of it.
    fn work(
        &self,
        delivery: &Delivery<'_>,
        deriver: &KeyDeriver<'_>,
        selection: &Selection,
        stored: &[bool],
        underway: &Underway,
    ) -> Result<Vec<Error>, Error> {
        let demand = demand(delivery.outputs.reading.locator, stored, selection)?;
        self.secrets.check(&demand.tasks)?;
        underway.plan_tasks(&demand);
        underway.find_reasons(delivery.outputs.reading.locator, &demand, selection)?;
        if !demand.tasks.is_empty() {
            self.observer.observe(Event::WorkPlanned { tasks: demand.tasks.len() });
        }
        let specs = delivery.file_sinks(selection).into_iter().map(|sink| &self.plan().sinks[sink].spec);
        flowc_sinks::remove_leftovers(specs, &self.planned.base)
            .map_err(Error::system("clean up after an interrupted run"))?;
        let outcomes = self.run_jobs(delivery, deriver, selection, &demand, underway);
        let committed = delivery.commit_all();
        let failed = self.failures(outcomes, &demand, &delivery.file_sinks(selection), underway);
        Ok(failed.into_iter().chain(committed.err()).collect())
    }

    /// What a good run does at its end.
    fn finish(&self, delivery: Delivery<'_>, selection: &Selection, underway: &Underway) -> Result<RunReport, Error> {
        delivery.print(selection)?;
        let report = underway.report(delivery.outputs.reading.locator.lookup.store)?;
        underway.save(self.store)?;
        self.tell_verified(selection, &underway.tally.lock());
        self.remember(&delivery.outputs, selection, &report, &delivery.states())?;
        self.store.flush()?;
        Ok(report)
    }

    /// Lists the files of all sources. Those that can't be listed end the run, or are given up.
    fn survey(&self) -> Result<(Inventory, Unreadable), Error> {
        match self.request.keep_going {
            true => Ok(Inventory::survey_readable(self.planned, self.store)),
            false => Ok((Inventory::survey(self.planned, self.store)?, Unreadable::new())),
        }
    }

    fn tell_verified(&self, selection: &Selection, counted: &Counted) {
        for &stage in &selection.verified {
            let segments = counted.verified.get(&stage).copied().unwrap_or(0);
            self.observer.observe(Event::StageVerified { stage: self.plan().stages[stage].name.clone(), segments });
        }
    }

    fn tell_left(&self, sink: usize) {
        let Sink { name, spec, .. } = &self.plan().sinks[sink];
        let is_there = match &spec.target {
            Target::File(path) | Target::Directory(path) => self.planned.base.join(path).symlink_metadata().is_ok(),
            Target::Stdout => false,
        };
        let outcome = if is_there { "was left as it is" } else { "was not written" };
        self.observer.observe(Event::Warning { message: format!("sink `{name}` {outcome}") });
    }

    /// Reads files that are new or were changed; runs ahead over what is in memory meanwhile.
    fn scan(
        &self,
        inventory: &mut Inventory,
        selection: &Selection,
        deriver: &KeyDeriver<'_>,
        stored: &[bool],
        files: &OpenFiles,
        tally: &Tally,
    ) -> Result<Unreadable, Error> {
        let (plan, mut unreadable) = (self.plan(), Unreadable::new());
        let (driven, read, whole) =
            (driven_by_source(plan, selection), columns_read(plan, selection), taken_whole(plan));
        let needed = |source: &usize| selection.sources.contains(source);
        for first in [true, false] {
            let unread: Vec<(usize, usize)> = inventory.unread();
            let unread: Vec<(usize, usize)> =
                unread.into_iter().filter(|(s, _)| needed(s) && whole.contains(s) == first).collect();
            if unread.is_empty() {
                continue;
            }
            wait_out_tick(inventory, &unread);
            let eager = EagerRunner {
                context: self,
                selection,
                deriver,
                inventory,
                driven: &driven,
                read: &read,
                stored,
                files,
                tally,
            };
            let on_decoded = |decoded: crate::intake::scan::Decoded<'_>| match eager.run(&decoded) {
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
        notices::tell(&notices::notices(plan, inventory, selection), self.observer);
        Ok(unreadable)
    }

    /// Runs the tasks, and prepares each sink as soon as its rows are there.
    fn run_jobs(
        &self,
        delivery: &Delivery<'_>,
        deriver: &KeyDeriver<'_>,
        selection: &Selection,
        demand: &Demand,
        underway: &Underway,
    ) -> Vec<Outcome> {
        let reading = delivery.outputs.reading;
        let (runners, cancel, memory, secrets) = (self.runners, self.cancel, self.options.memory, self.secrets);
        let chains = Chains { reading, runners, cancel, memory, secrets, budget: self.budget };
        let contents = ContentKeys { locator: reading.locator, parted: reading, deriver };
        let (observer, forced, verified, tally) =
            (self.observer, &selection.forced, &selection.verified, &underway.tally);
        let execution = Execution { chains, contents, forced, verified, tally, observer, first_segment: 0 };
        let files = delivery.file_sinks(selection);
        let mut after = demand.after.clone();
        after.extend(files.iter().map(|&sink| delivery.tasks_of(sink, demand)));
        let name = |job: usize| match demand.tasks.get(job) {
            Some(task) => execution.described(task),
            None => delivery.described(files[job - demand.tasks.len()]),
        };
        let job = |job: usize| {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let Some(task) = demand.tasks.get(job) else { return delivery.prepare(files[job - demand.tasks.len()]) };
            let result = execution.execute(task);
            underway.settle(task, &result);
            result
        };
        let (threads, stack, keep_going) = (self.options.jobs, self.stack(), self.request.keep_going);
        let schedule = Schedule::new(&after, Limits { threads, stack, keep_going });
        std::thread::scope(|scope| {
            // Without the thread, programs start when they are needed.
            let _ = spawn(scope, stack, || execution.chains.start_ahead(demand, &|task| schedule.is_settled(task)));
            schedule.run(&name, &job)
        })
    }

    fn outputs<'r>(&'r self, reading: Reading<'r>, stagings: &'r Stagings) -> Outputs<'r> {
        let (base, threads) = (&self.planned.base, self.options.jobs);
        Outputs { reading, base, stagings, threads, cancel: self.cancel }
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

    /// What failed, once each; tells of stages that failed and of sinks that were left.
    fn failures(&self, outcomes: Vec<Outcome>, demand: &Demand, sinks: &[usize], underway: &Underway) -> Vec<Error> {
        let mut errors: Vec<Error> = Vec::new();
        for (job, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Done => {}
                Outcome::Failed(Error::Cancelled) if errors.iter().any(|error| matches!(error, Error::Cancelled)) => {}
                Outcome::Failed(error) => {
                    self.tell_failed(underway, &error);
                    errors.push(error);
                }
                Outcome::Skipped if job < demand.tasks.len() => {}
                Outcome::Skipped => self.tell_left(sinks[job - demand.tasks.len()]),
            }
        }
        errors
    }

    fn tell_failed(&self, underway: &Underway, error: &Error) {
        let Some(stage) = underway.failed_stage(error) else { return };
        underway.tally.lock().failed.insert(stage);
        let stage = self.plan().stages[stage].name.clone();
        self.observer.observe(Event::StageFailed { stage, message: error.to_string() });
    }
}

fn alone(error: Error) -> Vec<Error> {
    vec![error]
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
