//! Processes that wait for work, and those that are lent.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flowc_flight::{Ending, Program};

use crate::process::Process;

/// What makes processes alike: any of them can do the work of any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// The sources.
    pub(crate) dir: PathBuf,
    /// The packages.
    pub(crate) environment: PathBuf,
    /// A program that serves by itself, if it is one.
    pub(crate) server: Option<String>,
    /// The limit.
    pub(crate) memory: Option<u64>,
}

/// Processes that wait for work. There are never more than invocations at once.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<HashMap<Kind, Vec<Process>>>>);

impl Pool {
    /// One that waits and still runs.
    pub(crate) fn take(&self, kind: &Kind) -> Option<Process> {
        loop {
            let mut process = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(kind)?.pop()?;
            if process.is_alive() {
                return Some(process);
            }
        }
    }

    /// Ends those that wait.
    pub(crate) fn end(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(waiting);
    }

    /// Lets one wait.
    pub(crate) fn put(&self, kind: Kind, process: Process) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().push(process);
    }
}

/// A process that works on an invocation.
pub(crate) struct Lent {
    pub(crate) process: Process,
    pub(crate) kind: Kind,
    pub(crate) pool: Pool,
}

impl Program for Lent {
    fn printed(&mut self) -> Vec<String> {
        self.process.printed()
    }

    fn ended(&mut self) -> Option<Ending> {
        self.process.ended()
    }

    fn give_back(self: Box<Self>, sound: bool) {
        let Self { process, kind, pool, .. } = *self;
        if sound {
            pool.put(kind, process);
        }
    }
}
