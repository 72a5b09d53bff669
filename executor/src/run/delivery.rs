//! The sinks of a run: prepared as soon as their rows are there, committed together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowc_demand::{Demand, Selection, TaskId, Work, row_origin};
use flowc_planner::plan::{Plan, Sink, Target};
use flowc_sinks::{Finished, Preparation, SinkState};

use crate::outputs::{Outputs, Standing};
use crate::run::context::Run;
use crate::{Error, Event, OutputReport};

/// Sinks that are committed together: each that is a folder holds a file open until then.
const SINKS_AT_ONCE: usize = 200;

/// Delivers the sinks of one run.
pub(crate) struct Delivery<'a> {
    run: &'a Run<'a>,
    pending: Mutex<Vec<Pending>>,
    /// What sinks hold, by their index.
    states: Mutex<BTreeMap<usize, SinkState>>,
}

/// A sink that is written beside its place.
struct Pending {
    sink: usize,
    report: OutputReport,
    preparation: Preparation,
    written: Vec<Finished>,
}

impl<'a> Delivery<'a> {
    /// Nothing is written yet.
    pub(crate) fn new(run: &'a Run<'a>) -> Self {
        Self { run, pending: Mutex::default(), states: Mutex::default() }
    }

    fn plan(&self) -> &Plan {
        self.run.plan()
    }

    /// Sinks that write files, in order.
    pub(crate) fn file_sinks(&self, selection: &Selection) -> Vec<usize> {
        selection.sinks.iter().copied().filter(|&sink| self.plan().sinks[sink].spec.target != Target::Stdout).collect()
    }

    /// The tasks that may give rows of a sink, or columns that are passed on to it.
    pub(crate) fn tasks_of(&self, sink: usize, demand: &Demand) -> Vec<usize> {
        let plan = self.plan();
        let streams = std::iter::successors(Some(plan.sinks[sink].stream), |&stream| row_origin(plan, stream));
        let tasks = |stage: usize| {
            let first = demand.tasks.partition_point(|task| task.id < TaskId { stage, work: Work::Segment(0) });
            let last = demand.tasks.partition_point(|task| task.id <= TaskId { stage, work: Work::Finish });
            first..last
        };
        streams.filter_map(|stream| plan.producing_stage(stream)).flat_map(|(stage, _)| tasks(stage)).collect()
    }

    /// What is done for a sink, in words.
    pub(crate) fn described(&self, sink: usize) -> String {
        format!("writing the sink `{}`", self.plan().sinks[sink].name)
    }

    /// Writes a sink beside its place, unless it stands.
    pub(crate) fn prepare(&self, sink: usize, outputs: &Outputs<'_>) -> Result<(), Error> {
        let _span = tracing::info_span!("sink", sink = self.plan().sinks[sink].name).entered();
        let prepared = outputs.prepare(&self.plan().sinks[sink])?;
        let report = prepared.report;
        let (preparation, written) = match prepared.standing {
            Standing::Yes(state) => {
                self.stands(sink, report, state);
                return Ok(());
            }
            Standing::No(preparation, written) => (*preparation, written),
        };
        let mut pending = lock(&self.pending);
        pending.push(Pending { sink, report, preparation, written });
        match pending.len() >= SINKS_AT_ONCE {
            true => self.commit(std::mem::take(&mut *pending), outputs),
            false => Ok(()),
        }
    }

    /// Makes the rest appear of what was prepared.
    pub(crate) fn commit_all(&self, outputs: &Outputs<'_>) -> Result<(), Error> {
        let pending = std::mem::take(&mut *lock(&self.pending));
        self.commit(pending, outputs)
    }

    /// Makes results durable, then the sinks appear. Nothing appears that the store does not hold.
    fn commit(&self, mut pending: Vec<Pending>, outputs: &Outputs<'_>) -> Result<(), Error> {
        pending.sort_by_key(|pending| pending.sink);
        self.run.store.flush()?;
        Preparation::sync(pending.iter().map(|pending| &pending.preparation))
            .map_err(Error::system("make the sinks durable"))?;
        for Pending { sink: index, report, preparation, written } in pending {
            let sink = &self.plan().sinks[index];
            let files = written.iter().map(Finished::files).sum();
            let state = outputs.commit(sink, preparation, written)?;
            let (files_in_all, rows) = (state.files.len(), state.files.iter().map(|file| file.rows).sum());
            self.stands(index, report, state);
            self.run.tell(Event::SinkWritten { sink: sink.name.clone(), files, files_in_all, rows });
        }
        Ok(())
    }

    fn stands(&self, sink: usize, report: OutputReport, state: SinkState) {
        self.run.underway.tally.lock().outputs.insert(sink, report);
        lock(&self.states).insert(sink, state);
    }

    /// Standard output comes last, in the order of the text.
    pub(crate) fn print(&self, selection: &Selection, outputs: &Outputs<'_>) -> Result<(), Error> {
        for &sink in &selection.sinks {
            if self.plan().sinks[sink].spec.target == Target::Stdout {
                let report = outputs.print(&self.plan().sinks[sink])?;
                self.run.underway.tally.lock().outputs.insert(sink, report);
            }
        }
        Ok(())
    }

    /// Tells of a sink that was not written.
    pub(crate) fn tell_left(&self, sink: usize) {
        let Sink { name, spec, .. } = &self.plan().sinks[sink];
        let is_there = match &spec.target {
            Target::File(path) | Target::Directory(path) => self.run.planned.base.join(path).symlink_metadata().is_ok(),
            Target::Stdout => false,
        };
        let outcome = if is_there { "was left as it is" } else { "was not written" };
        self.run.tell(Event::Warning { message: format!("sink `{name}` {outcome}") });
    }

    /// What the files of sinks that stand are known by.
    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<usize, SinkState>> {
        lock(&self.states)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
