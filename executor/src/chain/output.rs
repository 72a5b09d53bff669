//! What the outlets of a chain leave behind for the task that runs it.

use std::sync::{Arc, Mutex};

use flowc_platform::lock;
use flowc_store::StagedSegment;

use crate::Error;

/// A line of a stage's log: stage, level, message.
pub(crate) type Said = (usize, String, String);

type Left = (Option<Error>, Vec<StagedSegment>, Vec<Said>);

/// Shared by the outlets of one chain, all in one thread.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Left>>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Left) -> T) -> T {
        change(&mut lock(&self.0))
    }

    /// Keeps the first failure that is not a stage's own.
    pub(crate) fn fail(&self, error: Error) {
        self.with(|left| {
            left.0.get_or_insert(error);
        });
    }

    /// Keeps what a port gave; ports come in order.
    pub(crate) fn staged(&self, segment: StagedSegment) {
        self.with(|left| left.1.push(segment));
    }

    /// Keeps a line of a stage's log.
    pub(crate) fn log(&self, stage: usize, level: &str, message: &str) {
        self.with(|left| left.2.push((stage, level.to_owned(), message.to_owned())));
    }

    /// Takes all that was left.
    pub(crate) fn take(&self) -> Left {
        self.with(std::mem::take)
    }
}
