//! The way in: one pipeline, one store.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_planner::plan::Plan;
use flowc_store::{Store, StoreError};
use flowc_wasm::WasmRunner;

use crate::components::wasm_runner;
use crate::files::OpenFiles;
use crate::history::{LogLine, Pin, load_log, pin};
use crate::homes::Homes;
use crate::inventory::Inventory;
use crate::keys::Deriver;
use crate::known::Known;
use crate::outlook::Look;
use crate::output::Outputs;
use crate::planning::{Planned, Planning};
use crate::read::Reading;
use crate::run::Run;
use crate::{Cancel, Error, Event, Observer, Options, RunFailure, RunReport, RunRequest, StageOutlook, Status, noop};

/// How often a run starts over when it meets damaged results, which are forgotten each time.
const REPAIRS: usize = 8;

/// A pipeline and a store. Making one costs nothing; the store is opened when it is first needed.
pub struct Session {
    options: Options,
    store: OnceLock<Store>,
    runner: OnceLock<Arc<WasmRunner>>,
}

/// The first rows of a stream.
#[derive(Debug)]
pub struct Preview {
    /// The stream's name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Rows, up to the number that was asked for.
    pub batches: Vec<RecordBatch>,
    /// How many rows there are in all.
    pub rows: u64,
}

impl Session {
    /// A session over what the options name.
    pub fn new(options: Options) -> Self {
        Self { options, store: OnceLock::new(), runner: OnceLock::new() }
    }

    /// Plans the pipeline: reads the texts and builds Rust stages. The lock is as a run would write it, but not written.
    pub fn plan(&self, observer: &dyn Observer) -> Result<Planned, Error> {
        self.plan_pinning(observer, false)
    }

    fn plan_pinning(&self, observer: &dyn Observer, pin: bool) -> Result<Planned, Error> {
        let (store, runner) = (self.store()?, self.runner()?);
        let planned = Planning { options: &self.options, store, runner, observer, pin }.plan()?;
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
        let planned = self.plan_pinning(observer.as_ref(), true)?;
        for change in &planned.lock_changes {
            observer.observe(Event::Warning { message: format!("lock: {change}") });
        }
        let pipeline = planned.plan.pipeline.clone();
        observer.observe(Event::RunStarted { plan: planned.hash, pipeline });
        let result = self.run_repairing(&planned, request, observer.as_ref(), &cancel);
        let report = match &result {
            Ok(report) => Some(report),
            Err(failure) => failure.report.as_ref(),
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
        let (store, runner) = (self.store()?, self.runner()?.as_ref());
        let run = Run { options: &self.options, request, planned, store, runner, observer, cancel };
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
        let planned = self.plan(&|_: Event| ())?;
        let known = |plan: &Plan| plan.stages.iter().map(|s| s.name.clone()).take(20).collect::<Vec<_>>().join(", ");
        let index = planned.plan.stages.iter().position(|candidate| candidate.name == stage);
        let index = index.ok_or_else(|| {
            Error::Request(format!("there is no stage `{stage}`; there are {}", known(&planned.plan)))
        })?;
        let mut status = self.status(&planned)?;
        Ok(status.stages.swap_remove(index))
    }

    /// The first rows of a sink or a stream, from the store and the sources alone.
    pub fn show(&self, output: &str, limit: usize) -> Result<Preview, Error> {
        let planned = self.plan(&|_: Event| ())?;
        let (plan, store) = (planned.plan.as_ref(), self.store()?);
        let sink = plan.sinks.iter().find(|sink| sink.name == output).map(|sink| sink.stream);
        let stream = sink.or_else(|| {
            plan.streams.iter().position(|stream| stream.name == output).map(flowc_planner::plan::StreamId)
        });
        let stream = stream.ok_or_else(|| Error::Request(format!("there is no sink or stream `{output}`")))?;
        let inventory = Inventory::survey(plan, &planned.base, store)?;
        let deriver = Deriver::new(plan);
        let datasets = deriver.datasets(&|producer| inventory.keys(producer));
        let known = Known::new(store);
        let homes = Homes { plan, inventory: &inventory, datasets: &datasets, store: &known };
        let files = OpenFiles::new(&store.spool());
        let reading = Reading { homes, files: &files, fresh: None };
        let cancel = Cancel::new();
        let outputs = Outputs { reading, base: &planned.base, threads: 1, cancel: &cancel };
        let not_there = || Error::Request(format!("the rows of `{output}` are not there yet; run the pipeline first"));
        if !datasets.streams.contains_key(&stream) {
            return Err(not_there());
        }
        let schema = plan.stream(stream).schema.clone();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let (mut batches, mut rows, mut shown) = (Vec::new(), 0, 0);
        for segment in 0..homes.segments(stream) {
            rows += homes.rows(stream, segment)?.ok_or_else(not_there)?;
            if homes.locate(stream, segment, &all)?.iter().any(Option::is_none) {
                return Err(not_there());
            }
            if shown < limit {
                outputs.each_batch(stream, segment, &mut |batch| {
                    let take = batch.num_rows().min(limit - shown);
                    shown += take;
                    if take > 0 {
                        batches.push(batch.slice(0, take));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(Preview { name: plan.stream(stream).name.clone(), schema, batches, rows })
    }

    /// What a stage said when it last ran.
    pub fn log(&self, stage: &str) -> Result<Vec<LogLine>, Error> {
        let pipeline = self.pipeline()?;
        let lines = load_log(self.store()?, &pipeline, stage)?;
        lines.ok_or_else(|| Error::Request(format!("stage `{stage}` has not run in this store yet")))
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

    fn runner(&self) -> Result<&Arc<WasmRunner>, Error> {
        if let Some(runner) = self.runner.get() {
            return Ok(runner);
        }
        let runner = wasm_runner(self.store()?).map_err(|error| Error::Request(error.to_string()))?;
        Ok(self.runner.get_or_init(|| runner))
    }
}

/// The store forgets what it finds damaged, so that a new run makes it again.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Damaged { .. }))
}
