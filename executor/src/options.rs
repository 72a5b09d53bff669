//! What the caller decides about planning and running.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where things are and how to go about them. None of it enters a key, but for the adapter of kernels whose numbers depend on it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pipeline's main file.
    pub pipeline: PathBuf,
    /// The store's folder; made if absent.
    pub store: PathBuf,
    /// Threads that run stages.
    pub jobs: usize,
    /// Values of `param` nodes, over their defaults.
    pub params: BTreeMap<String, String>,
    /// Names among them that the pipeline need not declare.
    pub ambient: BTreeSet<String>,
    /// Whether anything that differs from the lock is an error, and the lock is left alone.
    pub locked: bool,
    /// Whether `rust` stages may be built. A build runs the compiler and build scripts natively.
    pub build: bool,
    /// Whether to forget what the lock says and pin anew.
    pub update_lock: bool,
    /// Bytes of memory for one stage instance where the pipeline does not say.
    pub memory: u64,
    /// Bytes of memory for all stage instances and programs that run at once.
    pub budget: u64,
    /// Whether stages are run only if this machine isolates their processes in full.
    pub require_isolation: bool,
    /// Files of credentials of workers: they execute components in the place of this process.
    pub workers: Vec<PathBuf>,
    /// The adapter that kernels run on: a part of its name, `cpu` or `none`. The best one where nothing is said.
    pub gpu: Option<String>,
}

/// Which part of a pipeline to run.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// Only these stages (and what they need that is not in the store); no sinks.
    pub only: Vec<String>,
    /// These stages and everything above them; sinks too where they read from those alone.
    pub until: Vec<String>,
    /// Stages that run even if their results are there.
    pub force: Vec<String>,
    /// Stages that run anew and must give what they gave before.
    pub verify: Vec<String>,
    /// Whether what does not depend on a failure still runs.
    pub keep_going: bool,
    /// Whether something else is printed to standard output, so that no sink may print there.
    pub stdout_taken: bool,
}

impl RunRequest {
    /// The stages that it names.
    pub(crate) fn stages(&self) -> flowc_demand::Request<'_> {
        let Self { only, until, force, verify, .. } = self;
        flowc_demand::Request { only, until, force, verify }
    }

    /// Whether it asks for the whole pipeline.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty() && self.until.is_empty()
    }

    /// Whether it asks for the whole pipeline and nothing special.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_whole() && self.force.is_empty() && self.verify.is_empty()
    }
}

/// Stops a run from outside.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A run that nobody has stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops it: what is under way is abandoned at its next batch, what is finished is kept.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
