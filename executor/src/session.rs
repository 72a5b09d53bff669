//! The way in: one pipeline, one store.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use flowc_planner::plan::Isolate;
use flowc_store::{Store, StoreError};

use crate::compilations::Compilations;
use crate::history::{LogLine, Pin, load_log, pin};
use crate::outlook::Look;
use crate::planning::{Planned, Planning};
use crate::reach::{Goal, stage_named};
use crate::rows::Rows;
use crate::run::Run;
use crate::runners::Runners;
use crate::secrets::Held;
use crate::{Cancel, Error, Event, Observer, Options, RunFailure, RunReport, RunRequest, StageOutlook, Status, noop};

/// How often a run starts over when it meets damaged results, which are forgotten each time.
const REPAIRS: usize = 8;

/// A pipeline and a store. Making one costs nothing; the store is opened when it is first needed.
pub struct Session {
    options: Options,
    store: OnceLock<Store>,
    runners: OnceLock<Runners>,
    compilations: Arc<Compilations>,
}

impl Session {
    /// A session over what the options name.
    pub fn new(options: Options) -> Self {
        Self { options, store: OnceLock::new(), runners: OnceLock::new(), compilations: Arc::default() }
    }

    /// Plans the pipeline: reads the texts and builds Rust stages. The lock is as a run would write it, but not written.
    pub fn plan(&self, observer: Arc<dyn Observer>) -> Result<Planned, Error> {
        self.plan_pinning(observer, false)
    }

    fn plan_pinning(&self, observer: Arc<dyn Observer>, pin: bool) -> Result<Planned, Error> {
        let (store, runners, compilations) = (self.store()?, self.runners()?, &*self.compilations);
        compilations.tell(Arc::clone(&observer));
        let observer = observer.as_ref();
        let planned = Planning { options: &self.options, store, runners, observer, compilations, pin }.plan()?;
        store.flush()?;
        Ok(planned)
    }

    /// Holds a plan against store and sources.
    pub fn status(&self, planned: &Planned) -> Result<Status, Error> {
        Look::new(&self.options, planned, self.store()?)?.status()
    }

    /// Runs the pipeline.
    pub fn run(
        &self,
        request: &RunRequest,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
    ) -> Result<RunReport, RunFailure> {
        if request.is_plain()
            && !self.options.update_lock
            && let Some(report) = noop::standing_report(&self.options)
        {
            observer.observe(Event::RunFinished(report.clone()));
            return Ok(report);
        }
        noop::forget(&self.options);
        let planned = self.plan_pinning(Arc::clone(&observer), true)?;
        if !planned.lock_changes.is_empty() {
            let lock = planned.lock.file_name().unwrap_or_default().to_string_lossy().into_owned();
            observer.observe(Event::Pinned { lock, pins: planned.lock_changes.clone() });
        }
        // What does not fit the plan is refused before anything begins.
        Goal::new(&planned.plan, request)?;
        self.runners()?.workers.check().map_err(Error::Request)?;
        let pipeline = planned.plan.pipeline.clone();
        observer.observe(Event::RunStarted { plan: planned.hash, pipeline });
        if planned.plan.stages.iter().any(|stage| stage.limits.isolate == Isolate::Process) {
            self.runners()?.warn_of_isolation(observer.as_ref());
        }
        let result = self.run_repairing(&planned, request, observer.as_ref(), &cancel);
        self.runners()?.end_idle();
        let report = match &result {
            Ok(report) => Some(report),
            Err(failure) => failure.report.as_deref(),
        };
        if let Some(report) = report {
            observer.observe(Event::RunFinished(report.clone()));
        }
        result
    }

    /// Runs, and starts over where a stored result turns out to be damaged: it is dropped and made again.
    fn run_repairing(
        &self,
        planned: &Planned,
        request: &RunRequest,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<RunReport, RunFailure> {
        let (store, runners) = (self.store()?, self.runners()?);
        let secrets = &Held::find(&planned.plan, &planned.base);
        let run = Run { options: &self.options, request, planned, store, runners, observer, cancel, secrets };
        for _ in 0..REPAIRS {
            let failure = match run.run() {
                Ok(report) => return Ok(report),
                Err(failure) => failure,
            };
            let damage = failure.errors.iter().find(|error| is_damage(error));
            let Some(damage) = damage else { return Err(failure) };
            observer.observe(Event::Warning { message: damage.to_string() });
        }
        run.run()
    }

    /// Makes durable what runs of this session have finished so far. For whoever ends the process in the middle of one.
    pub fn flush(&self) -> Result<(), Error> {
        Ok(self.store.get().map_or(Ok(()), Store::flush)?)
    }

    /// Why a stage would run, or that it would not.
    pub fn why(&self, stage: &str) -> Result<StageOutlook, Error> {
        let planned = self.plan(Arc::new(|_: Event| ()))?;
        let index = stage_named(&planned.plan, stage)?;
        let mut status = self.status(&planned)?;
        Ok(status.stages.swap_remove(index))
    }

    /// The rows of a sink or a stream as they are now, from the store and the sources alone. With `key`, only if they are
    /// those that a run told of by it.
    pub fn show(&self, output: &str, key: Option<&str>) -> Result<Rows<'_>, Error> {
        let planned = self.plan(Arc::new(|_: Event| ()))?;
        Rows::find(&planned, self.store()?, output, key)
    }

    /// What a stage said when it last ran.
    pub fn log(&self, stage: &str) -> Result<Vec<LogLine>, Error> {
        let pipeline = self.pipeline()?;
        if let Some(lines) = load_log(self.store()?, &pipeline, stage)? {
            return Ok(lines);
        }
        stage_named(&self.plan(Arc::new(|_: Event| ()))?.plan, stage)?;
        Err(Error::Request(format!("stage `{stage}` has not run in this store yet")))
    }

    /// Keeps the results of the last good run under a name, through any `gc`.
    pub fn pin(&self, name: &str) -> Result<Pin, Error> {
        let (store, pipeline) = (self.store()?, self.pipeline()?);
        let pinned = pin(store, &pipeline, name)?;
        store.flush()?;
        Ok(pinned)
    }

    fn pipeline(&self) -> Result<PathBuf, Error> {
        let path = &self.options.pipeline;
        std::fs::canonicalize(path).map_err(|cause| Error::File { path: path.clone(), cause })
    }

    fn store(&self) -> Result<&Store, Error> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.options.store)?;
        Ok(self.store.get_or_init(|| store))
    }

    fn runners(&self) -> Result<&Runners, Error> {
        if let Some(runners) = self.runners.get() {
            return Ok(runners);
        }
        let runners = Runners::new(self.store()?, Arc::clone(&self.compilations), &self.options)?;
        Ok(self.runners.get_or_init(|| runners))
    }
}

/// The store forgets what it finds damaged, so that a new run makes it again.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Damaged { .. }))
}
