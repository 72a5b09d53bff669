//! What the outlets of a chain leave behind for the task that runs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flowc_platform::lock;
use flowc_runner::DeviceUse;
use flowc_store::StagedSegment;

use crate::Error;

/// A line of a stage's log: stage, level, message.
pub(crate) type Said = (usize, String, String);

/// What stages had a device do.
pub(crate) type Used = BTreeMap<usize, DeviceUse>;

type Left = (Option<Error>, Vec<StagedSegment>, Vec<Said>, Used);

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

    /// Adds what a stage had a device do.
    pub(crate) fn used(&self, stage: usize, device: DeviceUse) {
        self.with(|left| *left.3.entry(stage).or_default() += device);
    }

    /// Takes all that was left.
    pub(crate) fn take(&self) -> Left {
        self.with(std::mem::take)
    }
}
