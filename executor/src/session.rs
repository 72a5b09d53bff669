//! The way in: one pipeline, one store.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use flowc_demand::stage_named;
use flowc_planner::catalogue::Question;
use flowc_planner::plan::{Isolate, Plan, Stage, shown_columns};
use flowc_platform::Panic;
use flowc_store::{Store, StoreError};

use crate::chain::budget::Budget;
use crate::chain::secrets::Held;
use crate::inputs::lookup_cache::LookupCache;
use crate::inspect::show::Rows;
use crate::inspect::status_query::StatusQuery;
use crate::intake::notices;
use crate::plan::freshness::{self, Purpose};
use crate::plan::{Planned, Planning, catalogue};
use crate::record::history::{LogLine, Pin, load_log, load_ran, pin};
use crate::record::up_to_date;
use crate::run::context::RunContext;
use crate::run::progress::{Current, Underway};
use crate::runners::Runners;
use crate::runners::build_events::Compilations;
use crate::select::select;
#[cfg(feature = "serve")]
use crate::serving::ServedResults;
use crate::{Cancel, Error, Event, Observer, Options, RunFailure, RunReport, RunRequest, Status, Why, WindowStatus};

/// How often a run starts over when it meets damaged results, which are forgotten each time.
const REPAIRS: usize = 8;

/// Runs a pipeline for which nothing is to do: where all is as the last run left it, its report is given, and what was told of sources
/// is told again. None if there may be something to do: [`Session::run`] looks closely. Needs no engine.
pub fn run_if_up_to_date(options: &Options, request: &RunRequest, observer: &dyn Observer) -> Option<RunReport> {
    if !request.is_plain() || options.update_lock {
        return None;
    }
    let (report, told) = up_to_date::report_if_up_to_date(options)?;
    notices::tell(&told, observer);
    observer.observe(Event::RunFinished(report.clone()));
    Some(report)
}

/// A pipeline and a store. Making one costs nothing; the store is opened when it is first needed.
pub struct Session {
    options: Options,
    store: OnceLock<Store>,
    runners: OnceLock<Runners>,
    compilations: Arc<Compilations>,
    current: Current,
}

impl Session {
    /// A session over what the options name.
    pub fn new(options: Options) -> Self {
        let (store, runners) = (OnceLock::new(), OnceLock::new());
        Self { options, store, runners, compilations: Arc::default(), current: Current::default() }
    }

    /// A session whose runners are changed before they are used.
    #[cfg(test)]
    pub(crate) fn with_runners(options: Options, change: impl FnOnce(&mut Runners)) -> Self {
        let session = Self::new(options);
        let store = session.store().unwrap();
        let mut runners = Runners::new(store, Arc::clone(&session.compilations), &session.options).unwrap();
        change(&mut runners);
        session.runners.get_or_init(|| runners);
        session
    }

    /// Plans the pipeline: reads the texts and builds Rust stages. The lock is as a run would write it, but not written.
    ///
    /// # Errors
    /// If a text can't be read, if the pipeline is wrong, if a stage can't be built or described, or if the store can't be opened.
    pub fn plan(&self, observer: Arc<dyn Observer>) -> Result<Planned, Error> {
        self.plan_for(observer, Purpose::Look, &Cancel::new())
    }

    fn plan_for(&self, observer: Arc<dyn Observer>, purpose: Purpose, cancel: &Cancel) -> Result<Planned, Error> {
        let (store, runners, compilations) = (self.store()?, self.runners()?, &*self.compilations);
        compilations.tell(Arc::clone(&observer), cancel.clone());
        let observer = observer.as_ref();
        let pin = purpose == Purpose::Run;
        // What is there of code the plan tells; until then all of it is relied on.
        let _code = store.rely_on_all_code()?;
        let mut planned = Planning { options: &self.options, store, runners, observer, compilations, pin }.plan()?;
        planned.add_devices(runners);
        if purpose == Purpose::Run {
            self.check_isolation(&planned.plan)?;
        }
        store.rely_on(planned.needs())?;
        planned.marks = freshness::marks(&planned.plan, store, &planned.texts[0], purpose)?;
        store.flush()?;
        Ok(planned)
    }

    /// How the stages of a plan work that say so, each by its name, in lines: for queries the physical plan.
    ///
    /// # Errors
    /// If the store can't be opened.
    pub fn explain(&self, planned: &Planned) -> Result<Vec<(String, String)>, Error> {
        let (plan, store) = (&planned.plan, self.store()?);
        let work = |stage: &Stage| {
            let inputs = stage.inputs.iter().map(|input| shown_columns(&plan.stream(input.stream).schema));
            let question = Question {
                code: stage.code.clone(),
                digest: stage.digest,
                config: stage.config.clone(),
                inputs: inputs.collect(),
            };
            Some((stage.name.clone(), catalogue::work(store, &question)?))
        };
        Ok(plan.stages.iter().filter_map(work).collect())
    }

    /// What a run of this request would do.
    ///
    /// # Errors
    /// If there is no stage of a name, or sources or the store can't be read.
    pub fn status(&self, planned: &Planned, request: &RunRequest) -> Result<Status, Error> {
        StatusQuery::new(&self.options, planned, self.store()?)?.status(request)
    }

    /// Runs the pipeline. Errors are events too; the last event is the report, where there is one.
    ///
    /// # Errors
    /// All that failed, with what was done nevertheless. A run that was abandoned meanwhile is a run that was stopped.
    pub fn run(
        &self,
        request: &RunRequest,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
    ) -> Result<RunReport, RunFailure> {
        let result = flowc_platform::caught(|| self.run_caught(request, &observer, &cancel));
        let result = result.unwrap_or_else(|panic| Err(self.failed_within(panic)));
        if !self.current.end() {
            return Err(Error::Cancelled.into());
        }
        let (errors, report) = match &result {
            Ok(report) => (&[][..], Some(report)),
            Err(failure) => (&failure.errors[..], failure.report.as_deref()),
        };
        errors.iter().flat_map(Error::reports).for_each(|error| observer.observe(Event::Error(Box::new(error))));
        if let Some(report) = report {
            observer.observe(Event::RunFinished(report.clone()));
        }
        result
    }

    /// What is to be said of a run that met a fault of flowc outside of any task.
    fn failed_within(&self, panic: Panic) -> RunFailure {
        let mut failure = RunFailure::from(Error::internal("running the pipeline")(panic));
        match self.flush() {
            Ok(()) => failure.report = self.current.running().and_then(|run| self.report(&run)).map(Box::new),
            Err(error) => failure.errors.push(error),
        }
        failure
    }

    fn report(&self, run: &Underway) -> Option<RunReport> {
        run.report(&LookupCache::new(self.store.get()?)).ok()
    }

    /// Gives up a run that was stopped and does not return: makes durable what it has finished, and says what that is, where
    /// there is a plan. It is for whoever ends the process next to tell of it; [`Session::run`] does not any more.
    pub fn abandon(&self) -> Option<RunReport> {
        let run = self.current.abandon();
        let saved = run.as_ref().zip(self.store.get()).map_or(Ok(()), |(run, store)| run.save(store));
        if let Err(error) = saved.and_then(|()| self.flush()) {
            tracing::warn!(%error, "what was finished last could not be saved");
        }
        self.report(&*run?)
    }

    fn run_caught(
        &self,
        request: &RunRequest,
        observer: &Arc<dyn Observer>,
        cancel: &Cancel,
    ) -> Result<RunReport, RunFailure> {
        up_to_date::forget(&self.options);
        let mut planned = self.plan_for(Arc::clone(observer), Purpose::Run, cancel)?;
        if !planned.lock_changes.is_empty() {
            let lock = planned.lock.file_name().unwrap_or_default().to_string_lossy().into_owned();
            observer.observe(Event::Pinned { lock, pins: planned.lock_changes.clone() });
        }
        // What does not fit the plan is refused before anything begins.
        let selection = select(&planned.plan, request)?;
        Budget::new(self.options.budget).check(&planned.plan, self.options.memory)?;
        self.runners()?.check()?;
        let pipeline = planned.plan.pipeline.clone();
        observer.observe(Event::RunStarted { plan: planned.hash, pipeline });
        if planned.plan.stages.iter().any(|stage| stage.limits.isolate == Isolate::Process) {
            self.runners()?.warn_of_isolation(observer.as_ref());
        }
        selection.unread(&planned.plan, request.stages()).for_each(|stage| {
            observer.observe(notices::unread_stage(stage).into());
        });
        let (store, forced) = (self.store()?, &selection.named);
        if !forced.is_empty() {
            freshness::force(&mut planned.marks, &planned.plan, store, &planned.texts[0], forced)?;
        }
        let planned = Arc::new(planned);
        let mut result = self.run_repairing(&planned, request, observer.as_ref(), cancel);
        if let Err(failure) = &mut result
            && let Err(error) = planned.unpin(&failure.errors)
        {
            failure.errors.push(error);
        }
        self.runners()?.end_idle();
        result
    }

    /// Refuses to run stages that this machine can't isolate in full, where the caller asks for that.
    fn check_isolation(&self, plan: &Plan) -> Result<(), Error> {
        let runners = self.runners()?;
        let sandboxed = plan.stages.iter().filter(|stage| runners.is_sandboxed(stage));
        let sandboxed: Vec<&str> = sandboxed.map(|stage| stage.name.as_str()).collect();
        if !self.options.require_isolation || sandboxed.is_empty() {
            return Ok(());
        }
        let isolation = runners.isolation();
        match isolation.unenforced() {
            Some(_) => Err(Error::Isolation { stages: sandboxed.join("`, `"), missing: isolation.to_string() }),
            None => Ok(()),
        }
    }

    /// Runs, and starts over where a stored result turns out to be damaged or lost: it is made again.
    fn run_repairing(
        &self,
        planned: &Arc<Planned>,
        request: &RunRequest,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<RunReport, RunFailure> {
        let (store, runners) = (self.store()?, self.runners()?);
        let secrets = &Held::find(&planned.plan, &planned.base);
        let (options, current) = (&self.options, &self.current);
        let budget = &Budget::new(options.budget);
        let run = RunContext { options, request, planned, store, runners, observer, cancel, secrets, budget, current };
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

    /// Makes durable what runs of this session have finished so far.
    fn flush(&self) -> Result<(), Error> {
        Ok(self.store.get().map_or(Ok(()), Store::flush)?)
    }

    /// Why a stage would run, or that it would not; and why it ran when it last did.
    ///
    /// # Errors
    /// If the pipeline can't be planned, or has no such stage.
    pub fn why(&self, stage: &str) -> Result<Why, Error> {
        let planned = self.plan(Arc::new(|_: Event| ()))?;
        let index = stage_named(&planned.plan, stage)?;
        let query = StatusQuery::new(&self.options, &planned, self.store()?)?;
        let mut status = query.status(&RunRequest::default())?;
        let ran = load_ran(self.store()?, &planned.texts[0], stage)?;
        Ok(Why { next: status.stages.swap_remove(index), ran, made_on: query.made_on(index, self.store()?)? })
    }

    /// The windows of a stage that a time is in.
    ///
    /// # Errors
    /// If the pipeline can't be planned, has no such stage, or if the stage has no window of that time with rows.
    pub fn windows(&self, stage: &str, time: &str) -> Result<Vec<WindowStatus>, Error> {
        let planned = self.plan(Arc::new(|_: Event| ()))?;
        StatusQuery::new(&self.options, &planned, self.store()?)?.windows(stage, time)
    }

    /// The rows of a sink or a stream as they are now, from the store and the sources alone. With `key`, only if they are
    /// those that a run told of by it. With `window`, those of the windows that this time is in.
    ///
    /// # Errors
    /// If the pipeline can't be planned, has no such output, or if rows of the output are not there.
    pub fn show(&self, output: &str, key: Option<&str>, window: Option<&str>) -> Result<Rows<'_>, Error> {
        let planned = self.plan_for(Arc::new(|_: Event| ()), Purpose::Show, &Cancel::new())?;
        Rows::find(&planned, self.store()?, output, key, window)
    }

    /// The results of the pipeline's last good run, and of those that follow: of these streams and sinks, or of all that are at hand.
    ///
    /// # Errors
    /// If the pipeline has had no good run in this store, or an output that is named can't be had from it.
    #[cfg(feature = "serve")]
    pub fn results(&self, outputs: Vec<String>) -> Result<Box<dyn flowc_serve::Results>, Error> {
        Ok(Box::new(ServedResults::find(self.store()?, self.pipeline()?, outputs, &self.options)?))
    }

    /// What a stage said when it last ran.
    ///
    /// # Errors
    /// If the pipeline has no such stage, or the stage has not run in this store.
    pub fn log(&self, stage: &str) -> Result<Vec<LogLine>, Error> {
        let pipeline = self.pipeline()?;
        if let Some(lines) = load_log(self.store()?, &pipeline, stage)? {
            return Ok(lines);
        }
        stage_named(&self.plan(Arc::new(|_: Event| ()))?.plan, stage)?;
        Err(Error::Request(format!(
            "there is no log of stage `{stage}`: it has not run for this pipeline in this store (results that are there are \
             taken without running it)"
        )))
    }

    /// Keeps the results of the last good run under a name, through any `gc`.
    ///
    /// # Errors
    /// If the pipeline has had no good run in this store, or the store can't be written.
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

/// The store forgets what it finds damaged, and has forgotten what is lost, so that a new run makes it again.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Damaged { .. }) | Error::Lost(_))
}
