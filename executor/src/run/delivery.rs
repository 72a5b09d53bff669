//! The sinks of a run: prepared as soon as their rows are there, committed together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use flowc_demand::{Demand, Selection, TaskId, Work, row_origin};
use flowc_planner::plan::{Plan, StreamId};
use flowc_platform::lock;
use flowc_sinks::{Finalized, Sink, SinkState, Syncs, Transaction, Written};

use crate::outputs::{Outputs, Prepared, Standing};
use crate::run::context::Run;
use crate::{Error, Event, OutputReport};

/// Sinks that are finalized together: each that is a folder holds a file open until then.
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
    transaction: Box<dyn Transaction>,
}

impl<'a> Delivery<'a> {
    /// Nothing is written yet.
    pub(crate) fn new(run: &'a Run<'a>) -> Self {
        Self { run, pending: Mutex::default(), states: Mutex::default() }
    }

    fn plan(&self) -> &Plan {
        self.run.plan()
    }

    /// Sinks whose rows appear at the end, in order.
    pub(crate) fn staged_sinks(&self, selection: &Selection) -> Vec<usize> {
        selection.sinks.iter().copied().filter(|&sink| self.of(sink).is_staged()).collect()
    }

    fn of(&self, sink: usize) -> Box<dyn Sink> {
        self.run.sinks.sink(&self.plan().sinks[sink].spec)
    }

    /// Removes what killed runs left in these sinks.
    pub(crate) fn recover(&self, sinks: &[usize]) -> Result<(), Error> {
        let recover = |&sink: &usize| self.of(sink).recover();
        sinks.iter().try_for_each(recover).map_err(Error::system("clean up after an interrupted run"))
    }

    /// The tasks that may give rows of a sink, or columns that are passed on to it.
    pub(crate) fn tasks_of(&self, sink: usize, demand: &Demand) -> Vec<usize> {
        self.tasks_behind(self.plan().sinks[sink].stream, demand)
    }

    /// The tasks that may give rows of a stage, or columns that are passed on to it.
    pub(crate) fn tasks_of_stage(&self, stage: usize, demand: &Demand) -> Vec<usize> {
        let outputs = self.plan().stages[stage].outputs.iter();
        outputs.flat_map(|output| self.tasks_behind(output.stream, demand)).collect()
    }

    fn tasks_behind(&self, stream: StreamId, demand: &Demand) -> Vec<usize> {
        let plan = self.plan();
        let streams = std::iter::successors(Some(stream), |&stream| row_origin(plan, stream));
        let tasks = |stage: usize| {
            let first = demand.tasks.partition_point(|task| task.id < TaskId { stage, work: Work::Slices(0) });
            let last = demand.tasks.partition_point(|task| task.id <= TaskId { stage, work: Work::Finish });
            first..last
        };
        streams.filter_map(|stream| plan.producing_stage(stream)).flat_map(|(stage, _)| tasks(stage)).collect()
    }

    /// What is done for a sink, in words.
    pub(crate) fn described(&self, sink: usize) -> String {
        format!("writing the sink `{}`", self.plan().sinks[sink].name)
    }

    /// Writes a sink, unless it stands.
    pub(crate) fn prepare(&self, sink: usize, outputs: &Outputs<'_>) -> Result<(), Error> {
        let _span = tracing::info_span!("sink", sink = self.plan().sinks[sink].name).entered();
        let Prepared { report, standing } = outputs.prepare(&self.plan().sinks[sink])?;
        let transaction = match standing {
            Standing::Yes(state) => {
                self.stands(sink, report, state);
                return Ok(());
            }
            Standing::No(transaction) => transaction,
        };
        let mut pending = lock(&self.pending);
        pending.push(Pending { sink, report, transaction });
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
        for Pending { sink, transaction, .. } in &pending {
            outputs.announce(&self.plan().sinks[*sink], &**transaction)?;
        }
        self.run.store.flush()?;
        let mut syncs = Syncs::default();
        for Pending { sink, transaction, .. } in &pending {
            let failed = |error| Error::sink(&self.plan().sinks[*sink].name, error);
            transaction.prepare(&mut syncs).map_err(failed)?;
        }
        syncs.run().map_err(Error::system("make the sinks durable"))?;
        for Pending { sink: index, report, transaction } in pending {
            let sink = &self.plan().sinks[index];
            let Finalized { state, written, untidy } = outputs.finalize(sink, transaction)?;
            let (files_in_all, rows) = (state.files.len(), state.files.iter().map(|file| file.rows).sum());
            self.stands(index, report, state);
            let sink = sink.name.clone();
            if let Some(untidy) = untidy {
                self.run.tell(Event::Warning { message: format!("sink `{sink}`: {untidy}") });
            }
            self.run.tell(match written {
                Written::Files(files) => Event::SinkWritten { sink, files, files_in_all, rows },
                Written::Records(records) => Event::SinkAppended { sink, records, rows },
            });
        }
        Ok(())
    }

    fn stands(&self, sink: usize, report: OutputReport, state: SinkState) {
        self.run.underway.tally.lock().outputs.insert(sink, report);
        lock(&self.states).insert(sink, state);
    }

    /// Sinks whose rows are seen at once come last, in the order of the text.
    pub(crate) fn print(&self, selection: &Selection, outputs: &Outputs<'_>) -> Result<(), Error> {
        for &sink in &selection.sinks {
            if !self.of(sink).is_staged() {
                let report = outputs.print(&self.plan().sinks[sink])?;
                self.run.underway.tally.lock().outputs.insert(sink, report);
            }
        }
        Ok(())
    }

    /// Tells of a sink that was not written.
    pub(crate) fn tell_left(&self, sink: usize) {
        let name = &self.plan().sinks[sink].name;
        let is_there = self.of(sink).claim().is_some_and(|claim| claim.path.symlink_metadata().is_ok());
        let outcome = if is_there { "was left as it is" } else { "was not written" };
        self.run.tell(Event::Warning { message: format!("sink `{name}` {outcome}") });
    }

    /// What the sinks that stand hold.
    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<usize, SinkState>> {
        lock(&self.states)
    }
}
