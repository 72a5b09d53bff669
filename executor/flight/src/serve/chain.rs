//! The stages of an invocation as instances: what one emits is pushed into the next, in the same thread.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flowc_runner::{Batch, Instance, Outlet, StageError, StageFault};

use super::replies::Replies;
use crate::wire::Note;

/// How far the stages of an invocation have come. All run in one thread.
pub(super) struct Course {
    /// The first that failed: those above it fail with it.
    failed: OnceLock<usize>,
    /// Rows that each gave to the next.
    rows: Vec<AtomicU64>,
}

impl Course {
    pub(super) fn new(steps: usize) -> Arc<Self> {
        let rows = (1..steps).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { failed: OnceLock::new(), rows })
    }

    /// If it failed, this step did, unless one below it has.
    pub(super) fn of<T, E>(&self, step: usize, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_err() {
            self.failed.get_or_init(|| step);
        }
        outcome
    }

    /// The one that failed, as the client is told: of the last nothing is said.
    pub(super) fn failed(&self) -> Option<usize> {
        self.failed.get().copied().filter(|step| *step < self.rows.len())
    }

    /// Rows that all but the last gave.
    pub(super) fn rows(&self) -> Vec<u64> {
        self.rows.iter().map(|rows| rows.load(Ordering::Relaxed)).collect()
    }

    /// Counts rows that a step gave, and says which they are.
    fn give(&self, step: usize, rows: usize) -> Range<u64> {
        let first = self.rows[step].fetch_add(rows as u64, Ordering::Relaxed);
        first..first + rows as u64
    }
}

/// Some columns of a batch, in this order. Absent ones stay absent.
pub(super) fn pick(batch: &Batch, columns: &[usize]) -> Batch {
    Batch::new(batch.rows(), columns.iter().map(|&column| batch.column(column).cloned()).collect::<Vec<_>>())
}

/// A stage's instance, of which is known which step it is.
pub(super) struct Link {
    pub(super) instance: Box<dyn Instance>,
    pub(super) step: usize,
    pub(super) course: Arc<Course>,
}

impl Instance for Link {
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.course.of(self.step, self.instance.push(port, batch))
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        self.course.of(self.step, self.instance.end_of_input(port))
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        self.course.of(self.step, self.instance.finish())
    }
}

/// Hands what a stage gives to the next one.
pub(super) struct Handover {
    /// The next one, which has one input.
    pub(super) next: Box<Link>,
    /// What goes on, in the order in which the next one takes it.
    pub(super) columns: Vec<usize>,
    /// Where the client hears of it.
    pub(super) replies: Replies,
}

impl Handover {
    fn step(&self) -> usize {
        self.next.step - 1
    }
}

impl Outlet for Handover {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        if port != 0 {
            let fault = StageFault::Contract(format!("there is no output port {port}"));
            return self.next.course.of(self.step(), Err(StageError::new("", fault)));
        }
        let rows = self.next.course.give(self.step(), batch.rows());
        self.next.push(0, pick(&batch, &self.columns)).map_err(|error| error.at(0, rows))
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        self.next.end_of_input(0)?;
        self.next.finish()
    }

    fn log(&mut self, level: &str, message: &str) {
        let log = vec![(level.to_owned(), message.to_owned())];
        // Who is gone hears no more of it; the next batch tells the instance.
        let _ = self.replies.note(&Note { log, step: Some(self.step()), ..Note::default() });
    }
}
