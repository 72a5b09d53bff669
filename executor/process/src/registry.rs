//! Stages by their digests, as those who know how to start them have registered them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowc_planner::key::StageDigest;
use flowc_platform::lock;
use flowc_runner::{Invocation, StageError, StageFault};

/// How each stage is started that a runner knows.
pub(crate) struct Registry<L>(Mutex<HashMap<StageDigest, Arc<L>>>);

impl<L> Default for Registry<L> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<L> Registry<L> {
    /// Registers a stage, unless it is registered already.
    pub(crate) fn add(&self, digest: StageDigest, launch: L) {
        let mut launches = lock(&self.0);
        launches.entry(digest).or_insert_with(|| Arc::new(launch));
    }

    /// Forgets a stage.
    pub(crate) fn remove(&self, digest: &StageDigest) {
        lock(&self.0).remove(digest);
    }

    /// How a stage is started.
    ///
    /// # Errors
    /// In words, if nobody registered it.
    pub(crate) fn get(&self, digest: &StageDigest) -> Result<Arc<L>, String> {
        let launch = lock(&self.0).get(digest).cloned();
        launch.ok_or_else(|| format!("the stage {} was never registered", digest.short()))
    }

    /// How each of these stages is started.
    ///
    /// # Errors
    /// If nobody registered one of them.
    pub(crate) fn of(&self, stages: &[Invocation]) -> Result<Vec<Arc<L>>, StageError> {
        let launch = |stage: &Invocation| {
            let failed = |message| StageFault::Problem { message, config_path: None };
            self.get(&stage.digest).map_err(|message| StageError::new(&*stage.stage, failed(message)))
        };
        stages.iter().map(launch).collect()
    }
}
