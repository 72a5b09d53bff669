//! An invocation at work, in a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::PutResult;
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::Rows;
use flowc_runner::{Batch, Edge, Instance, Outlet, StageError, StageFault, open_stages};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tonic::Status;

use super::chain::{ChainLink, ChainProgress, StepObserver};
use super::feed::{Fed, Feed, Lost, Put, acknowledge};
use super::numbers::Numbers;
use super::opening::Opened;
use super::replies::{Gone, Replies};
use super::sending::Sending;
use super::{Served, ServedCode};
use crate::transport::Transport;
use crate::wire::{Note, WireFailure, WireProblem};

/// Everything that an invocation takes.
pub(super) struct Work {
    pub(super) stages: Arc<dyn Served>,
    pub(super) opened: Opened,
    /// The main input; without rows where there is none.
    pub(super) main: Feed,
    /// The others, as calls will bring them.
    pub(super) others: BTreeMap<usize, oneshot::Receiver<Put>>,
    /// One per output. The first is the exchange.
    pub(super) replies: Vec<Replies>,
    /// Of outputs beside the first: ready when the client has read it.
    pub(super) taken: Vec<oneshot::Receiver<()>>,
    pub(super) runtime: Handle,
    pub(super) transport: Transport,
}

/// Why an invocation ends early.
enum Stop {
    /// The client has ended the call.
    Gone,
    /// The client does not keep to the protocol.
    Refused(Status),
    /// The stage can't go on: the last message says why.
    Words(Box<Note>),
}

impl Work {
    /// Does all of it.
    pub(super) fn run(mut self) {
        let (exchange, progress) = (self.replies[0].clone(), ChainProgress::new(self.opened.steps.len()));
        // What can't be said any more is said to nobody.
        let _ = match self.invoke(&progress) {
            Ok(()) => exchange.note(&Note { finished: true, rows: progress.rows(), ..Note::default() }),
            Err(Stop::Gone) => Ok(()),
            Err(Stop::Refused(status)) => exchange.refuse(status),
            Err(Stop::Words(note)) => {
                let said = exchange.note(&Note { step: progress.failed(), ..*note });
                // If the call ended while the client still sends, it might not see the message.
                self.runtime.block_on(exchange.closed());
                said
            }
        };
    }

    fn invoke(&mut self, progress: &Arc<ChainProgress>) -> Result<(), Stop> {
        let mut instance = self.open(progress)?;
        let holds: Vec<usize> = self.opened.others().filter(|&port| instance.holds(port)).collect();
        let note = Note { opened: true, unordered: true, boundaries: true, holds: holds.clone(), ..Note::default() };
        self.replies[0].note(&note)?;
        for (port, put) in std::mem::take(&mut self.others) {
            if holds.contains(&port) {
                instance.end_of_input(port)?;
                continue;
            }
            let Put { first, messages, acknowledge } = self.runtime.block_on(put).map_err(|_| Stop::Gone)?;
            let due = self.opened.inputs[port].clone();
            let mut feed = Feed::new(due, Some(first), messages, self.runtime.clone(), &self.transport);
            let mut input = Input::new(port, &self.opened, &self.replies, Some(acknowledge));
            input.pass(&mut feed, instance.as_mut())?;
        }
        match self.opened.main {
            Some(port) => {
                Input::new(port, &self.opened, &self.replies, None).pass(&mut self.main, instance.as_mut())?
            }
            // Nothing comes but its end.
            None => self.main.next()?.map_or((), drop),
        }
        instance.finish()?;
        // The other outputs end before the last word on the first.
        self.replies.truncate(1);
        for taken in self.taken.drain(..) {
            // It is dropped, not sent.
            let _ = self.runtime.block_on(taken);
        }
        Ok(())
    }

    /// Opens all stages; gives the first.
    fn open(&self, progress: &Arc<ChainProgress>) -> Result<Box<dyn Instance>, Stop> {
        let steps = &self.opened.steps;
        let sending = Sending::new(&self.opened, &steps[steps.len() - 1], &self.replies, &self.transport);
        let edge = |step: usize| {
            let (columns, replies) = (steps[step].gives[0].clone(), self.replies[0].clone());
            Edge { port: 0, observer: Box::new(StepObserver { step, progress: progress.clone(), columns, replies }) }
        };
        open_stages(steps.len(), Box::new(sending), |step, outlet| self.open_step(progress, step, outlet), edge)
    }

    fn open_step(
        &self,
        progress: &Arc<ChainProgress>,
        number: usize,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, Stop> {
        let step = &self.opened.steps[number];
        let code = progress.attribute(number, self.stages.code(&step.stage, &step.limits))?;
        let ServedCode { runner, digest, limits } = code;
        let instance = progress.attribute(number, runner.open(&step.invocation(digest, limits), outlet))?;
        Ok(Box::new(ChainLink { instance, step: number, progress: progress.clone() }))
    }
}

/// An input on its way into the instance.
struct Input<'a> {
    port: usize,
    /// Which columns are handed over.
    takes: &'a [usize],
    numbers: Option<Numbers>,
    consumed: u64,
    settled: u64,
    /// Where the client is told what of it is consumed: the exchange, or the call that brings it.
    put: Option<Sender<Result<PutResult, Status>>>,
    exchange: &'a Replies,
    /// The outputs that pick among its rows.
    picking: Vec<(usize, &'a Replies)>,
}

impl<'a> Input<'a> {
    fn new(
        port: usize,
        opened: &'a Opened,
        replies: &'a [Replies],
        put: Option<Sender<Result<PutResult, Status>>>,
    ) -> Self {
        let outputs = opened.rows.iter().zip(replies).enumerate();
        let picking = outputs.filter(|(_, (rows, _))| **rows == Rows::Subset { input: port });
        Self {
            port,
            takes: &opened.takes[port],
            numbers: opened.numbered[port].then(Numbers::default),
            consumed: 0,
            settled: 0,
            put,
            exchange: &replies[0],
            picking: picking.map(|(number, (_, replies))| (number, replies)).collect(),
        }
    }

    /// Gives all of it to the instance.
    fn pass(&mut self, feed: &mut Feed, instance: &mut dyn Instance) -> Result<(), Stop> {
        while let Some(fed) = feed.next()? {
            match fed {
                Fed::Batch(batch) => self.push(&batch, instance)?,
                Fed::Boundary => instance.boundary()?,
            }
        }
        Ok(instance.end_of_input(self.port)?)
    }

    fn push(&mut self, batch: &RecordBatch, instance: &mut dyn Instance) -> Result<(), Stop> {
        let batch = self.numbered(batch)?;
        self.consumed += batch.rows() as u64;
        instance.push(self.port, batch)?;
        Ok(self.tell()?)
    }

    fn numbered(&mut self, batch: &RecordBatch) -> Result<Batch, Stop> {
        let numbers = self.numbers.as_mut().map(|numbers| numbers.column(batch.num_rows())).transpose();
        let numbers = numbers.map_err(|error| Stop::Refused(Status::invalid_argument(error.to_string())))?;
        let columns = batch.columns().iter().cloned().chain(numbers).map(Some);
        Ok(Batch::new(batch.num_rows(), columns.collect::<Vec<_>>()).pick(self.takes))
    }

    /// Says how far the instance has come.
    fn tell(&mut self) -> Result<(), Gone> {
        let settled = self.numbers.as_mut().map_or(0, Numbers::settled);
        let settled = (std::mem::replace(&mut self.settled, settled) != settled).then_some(settled);
        let mut note = Note::default();
        match &self.put {
            Some(put) => acknowledge(put, self.consumed)?,
            None => note.consumed = Some(self.consumed),
        }
        for (number, replies) in &self.picking {
            match number {
                0 => note.settled = settled,
                _ if settled.is_some() => replies.note(&Note { settled, ..Note::default() })?,
                _ => {}
            }
        }
        if note == Note::default() { Ok(()) } else { self.exchange.note(&note) }
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Stop::Gone
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Gone => Stop::Gone,
            Lost::Breach(what) => Stop::Refused(Status::invalid_argument(what)),
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Stop::Words(Box::new(Note { problem: Some(problem.into()), ..Note::default() }))
    }
}

impl From<StageError> for Stop {
    fn from(error: StageError) -> Self {
        let given = error.rows.map(|given| [given.rows.start, given.rows.end]);
        let failure = |message| WireFailure { message, ..WireFailure::default() };
        let failure = match error.fault {
            StageFault::Cancelled => return Stop::Gone,
            StageFault::Problem { message, config_path } => {
                let problem = Some(WireProblem { message, config_path, help: None, also: Vec::new() });
                return Stop::Words(Box::new(Note { problem, given, ..Note::default() }));
            }
            StageFault::Contract(what) => WireFailure { breach: true, ..failure(what) },
            StageFault::Trap(what) => failure(what),
            fault @ StageFault::Timeout { .. } => WireFailure { timeout: true, ..failure(fault.to_string()) },
            fault @ StageFault::Memory { .. } => WireFailure { memory: true, ..failure(fault.to_string()) },
            fault => failure(fault.to_string()),
        };
        Stop::Words(Box::new(Note { failed: Some(failure), given, ..Note::default() }))
    }
}
