//! What is known of the stages of an invocation while each pushes into the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flowc_runner::{Batch, EdgeObserver, Instance, StageError};

use super::replies::Replies;
use crate::wire::Note;

/// How far the stages of an invocation have come. All run in one thread.
pub(super) struct ChainProgress {
    /// The first that failed: those above it fail with it.
    failed: OnceLock<usize>,
    /// Rows that each gave to the next.
    rows: Vec<AtomicU64>,
}

impl ChainProgress {
    pub(super) fn new(steps: usize) -> Arc<Self> {
        let rows = (1..steps).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { failed: OnceLock::new(), rows })
    }

    /// If it failed, this step did, unless one below it has.
    pub(super) fn attribute<T, E>(&self, step: usize, outcome: Result<T, E>) -> Result<T, E> {
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
}

/// A stage's instance, of which is known which step it is.
pub(super) struct ChainLink {
    pub(super) instance: Box<dyn Instance>,
    pub(super) step: usize,
    pub(super) progress: Arc<ChainProgress>,
}

impl Instance for ChainLink {
    fn holds(&self, port: usize) -> bool {
        self.instance.holds(port)
    }

    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.progress.attribute(self.step, self.instance.push(port, batch))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.progress.attribute(self.step, self.instance.boundary())
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        self.progress.attribute(self.step, self.instance.end_of_input(port))
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        self.progress.attribute(self.step, self.instance.finish())
    }
}

/// Hears of a stage whose batches go to the next one.
pub(super) struct StepObserver {
    pub(super) step: usize,
    pub(super) progress: Arc<ChainProgress>,
    /// What goes on, in the order in which the next one takes it.
    pub(super) columns: Vec<usize>,
    /// Where the client hears of it.
    pub(super) replies: Replies,
}

impl EdgeObserver for StepObserver {
    fn gave(&mut self, rows: u64) {
        self.progress.rows[self.step].fetch_add(rows, Ordering::Relaxed);
    }

    fn log(&mut self, level: &str, message: &str) {
        let log = vec![(level.to_owned(), message.to_owned())];
        // Who is gone hears no more of it; the next batch tells the instance.
        let _ = self.replies.note(&Note { log, step: Some(self.step), ..Note::default() });
    }

    fn pass(&mut self, batch: Batch) -> Result<Batch, StageError> {
        Ok(batch.pick(&self.columns))
    }
}
