//! One run, from sources to sinks: [`Surveyed`], then what is done by [`jobs`], then [`Ran`], then [`Committed`].
//!
//! May use every other room.

mod align;
pub(crate) mod asserts;
mod compare;
pub(crate) mod context;
mod delivery;
mod distance;
mod execution;
mod job;
mod jobs;
mod passes;
pub(crate) mod progress;
mod rank;
mod record;
mod tally;
mod task_keys;
mod unlike;
mod world;

use std::sync::Arc;
use std::time::SystemTime;

use flowc_demand::{Demand, Selection};
use flowc_platform::FileStamp;
use flowc_sources::SourceError;

use crate::inputs::lookup_cache::LookupCache;
use crate::intake::inventory::{Inventory, Unreadable, forget_changed};
use crate::intake::notices;
use crate::intake::scan::FileIndex;
use crate::outputs::path_conflicts;
use crate::plan::freshness::Purpose;
use crate::run::context::{Run, RunContext};
use crate::run::delivery::Delivery;
use crate::run::job::Scanned;
use crate::run::jobs::{Ended, Jobs};
use crate::run::world::World;
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
        let run = Run::new(*self, select(plan, self.request)?);
        self.current.begin(&run.underway);
        let mut errors = match run.perform() {
            Ok(report) => return Ok(report),
            Err(errors) => errors,
        };
        errors.extend(run.underway.save(self.store).err());
        errors.extend(forget_changed(self.planned, self.store, &errors).err());
        // What earlier runs found is not all there any more.
        if errors.iter().any(|error| matches!(error, Error::Lost(_))) {
            errors.extend(self.store.forget_found().err().map(Error::from));
        }
        errors.extend(self.store.flush().err().map(Error::from));
        let report = run.underway.report(&LookupCache::new(self.store)).map_err(|error| errors.push(error));
        Err(RunFailure { errors, report: report.ok().map(Box::new) })
    }
}

impl Run<'_> {
    fn perform(&self) -> Result<RunReport, Vec<Error>> {
        let surveyed = Surveyed::of(self).map_err(alone)?;
        let delivery = Delivery::new(self);
        let ran = surveyed.run(&delivery);
        let finish = || {
            let committed = ran.and_then(Ran::commit);
            self.sinks.clear();
            committed?.finish().map_err(alone)
        };
        // No stage runs any more, and programs take a while to end.
        beside(|| self.runners.end_idle(), finish)
    }

    fn tell_failed(&self, error: &Error) {
        let Some(stage) = self.underway.failed_stage(error) else { return };
        self.underway.tally.lock().failed.insert(stage);
        let stage = self.plan().stages[stage].name.clone();
        self.tell(Event::StageFailed { stage, message: error.to_string() });
    }

    /// Tells the sources that what was read of them is where it is to be. A run of a part of the pipeline has not filled
    /// all sinks.
    fn commit_sources(&self, inventory: &Inventory, selection: &Selection) -> Result<(), Error> {
        if !self.request.is_whole() {
            return Ok(());
        }
        for &index in &selection.sources {
            let failed = |error: SourceError| {
                self.planned.source_error(&self.plan().sources[index].name, &error.to_string(), error)
            };
            inventory.commit(index, &*self.planned.source(index)).map_err(failed)?;
        }
        Ok(())
    }

    fn tell_verified(&self) {
        for &stage in &self.selection.verified {
            let is_compared = self.tell_compared(stage);
            let segments = self.underway.tally.lock().verified.get(&stage).copied().unwrap_or(0);
            if segments > 0 || !is_compared {
                self.tell(Event::StageVerified { stage: self.plan().stages[stage].name.clone(), segments });
            }
        }
    }
}

/// A run whose sources have been listed.
struct Surveyed<'r> {
    run: &'r Run<'r>,
    inventory: Arc<Inventory>,
    /// The sources that can't be listed.
    unreadable: Unreadable,
}

impl<'r> Surveyed<'r> {
    /// Lists the files of all sources. Those that can't be listed end the run, or are given up.
    fn of(run: &'r Run<'r>) -> Result<Self, Error> {
        if run.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let (inventory, unreadable) = match run.request.keep_going {
            true => Inventory::survey_readable(run.planned, run.store, Purpose::Run),
            false => (Inventory::survey(run.planned, run.store, Purpose::Run)?, Unreadable::new()),
        };
        path_conflicts::check(run.plan(), &run.selection.sinks, &run.planned.base, &inventory)?;
        Ok(Self { run, inventory: Arc::new(inventory), unreadable })
    }

    /// Reads files that are new or were changed, runs what is missing, and writes sinks beside their places.
    fn run(self, delivery: &'r Delivery<'r>) -> Result<Ran<'r>, Vec<Error>> {
        let Self { run, inventory, unreadable } = self;
        let unread = inventory.unread().into_iter().map(|(source, file)| FileIndex { source, file });
        let unread: Vec<FileIndex> = unread.filter(|at| run.selection.sources.contains(&at.source)).collect();
        wait_out_tick(&inventory, &unread);
        let Ended { scanned, failures, left, inventory, unreadable } =
            Jobs::new(run, inventory, unreadable, delivery).run(&unread);
        match scanned {
            Some(scanned) => Ok(Ran { run, delivery, scanned, failures, left, unreadable }),
            None => {
                failures.iter().for_each(|error| run.tell_failed(error));
                let known = end_of_scan(run, inventory);
                Err(failures.into_iter().chain(known.err()).collect())
            }
        }
    }
}

/// Takes in how far a run came whose sources could not all be read.
fn end_of_scan(run: &Run<'_>, inventory: Arc<Inventory>) -> Result<(), Error> {
    let world = World::of_all(run, inventory, LookupCache::new(run.store))?;
    run.underway.found(&run.selection, &world.inventory, &world.datasets);
    run.underway.find_reasons(world.locator(), &Demand::default(), &run.selection)
}

/// A run that has done what it could, but for the sinks' last step.
struct Ran<'r> {
    run: &'r Run<'r>,
    delivery: &'r Delivery<'r>,
    scanned: Arc<Scanned<'r>>,
    failures: Vec<Error>,
    left: Vec<usize>,
    unreadable: Unreadable,
}

impl<'r> Ran<'r> {
    /// Makes the sinks appear that were written; tells of stages that failed and of sinks that were left. Where a failure ends the
    /// run no sink appears: which ones were written by then is chance.
    fn commit(self) -> Result<Committed<'r>, Vec<Error>> {
        let Self { run, delivery, scanned, mut failures, left, unreadable } = self;
        failures.extend(run.failed_asserts());
        if failures.is_empty() {
            failures = run.compare(&scanned.world).unwrap_or_else(|error| vec![error]);
        }
        notices::tell(&run.assert_notices(), run.observer);
        let is_ended = !failures.is_empty() && !run.request.keep_going;
        let committed = if is_ended { Ok(()) } else { delivery.commit_all(&scanned.world.outputs()) };
        failures.iter().for_each(|error| run.tell_failed(error));
        left.into_iter().for_each(|sink| delivery.tell_left(sink));
        let errors: Vec<Error> = unreadable.into_values().chain(failures).chain(committed.err()).collect();
        if errors.is_empty() { Ok(Committed { run, delivery, scanned }) } else { Err(errors) }
    }
}

/// A run that has gone well, and whose files are in their places.
struct Committed<'r> {
    run: &'r Run<'r>,
    delivery: &'r Delivery<'r>,
    scanned: Arc<Scanned<'r>>,
}

impl Committed<'_> {
    /// Prints what goes to standard output, and keeps what the next run needs to know of this one.
    fn finish(self) -> Result<RunReport, Error> {
        let Self { run, delivery, scanned } = self;
        let Scanned { selection, world, .. } = scanned.as_ref();
        let outputs = world.outputs();
        delivery.print(selection, &outputs)?;
        let report = run.underway.report(&world.store)?;
        run.underway.save(run.store)?;
        run.tell_verified();
        run.remember(&outputs, selection, &report, &delivery.states(), &world.late)?;
        run.store.flush()?;
        run.commit_sources(&world.inventory, selection)?;
        Ok(report)
    }
}

/// Does something in a thread while something else is done. Where there can be no thread, it is left undone.
fn beside<T>(aside: impl FnOnce() + Send, act: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let _ = std::thread::Builder::new().name("flowc-ending".to_owned()).spawn_scoped(scope, aside);
        act()
    })
}

fn alone(error: Error) -> Vec<Error> {
    vec![error]
}

/// Waits until no file that is about to be read can change without its stamp moving, so that what is read can be
/// remembered. Files dated in the future are not waited for.
fn wait_out_tick(inventory: &Inventory, unread: &[FileIndex]) {
    let now = SystemTime::now();
    let is_racy =
        |at: &FileIndex| inventory.source(at.source).files[at.file].part.stamp.is_some_and(|stamp| stamp.is_racy(now));
    if unread.iter().any(is_racy) {
        std::thread::sleep(FileStamp::TICK);
    }
}
