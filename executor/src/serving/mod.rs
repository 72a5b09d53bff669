//! Results of a pipeline's last good run, for those who ask over Arrow Flight.
//!
//! What is offered is what the run's record names: its plan, and the keys of its streams. So a pipeline that was edited since, or whose
//! files have changed, is offered as its last good run left it, and a run that fails changes nothing.
//!
//! May use everything but `run`.

mod recorded;
mod refusals;
mod snapshot;
#[cfg(not(feature = "sql"))]
#[path = "no_statements.rs"]
mod statements;
#[cfg(feature = "sql")]
mod statements;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flowc_platform::lock;
use flowc_serve::{Refusal, Results, Snapshot};
use flowc_store::Store;

use crate::record::run::RunRecord;
use crate::serving::recorded::RecordedRun;
use crate::serving::refusals::refusal;
use crate::serving::snapshot::ServedRun;
use crate::serving::statements::Statements;
use crate::{Error, Options};

/// The results of a pipeline, as its runs leave them.
pub(crate) struct ServedResults {
    store: Store,
    pipeline: PathBuf,
    /// The streams and sinks that are offered; all that are at hand where none is named.
    outputs: Vec<String>,
    statements: Arc<Statements>,
    /// The last run, as it was found.
    last: Mutex<Option<Arc<ServedRun>>>,
}

impl ServedResults {
    /// Finds the last good run of a pipeline, and what it left.
    ///
    /// # Errors
    /// If there was none in this store, or an output that is named can't be had from it.
    pub(crate) fn find(
        store: &Store,
        pipeline: PathBuf,
        outputs: Vec<String>,
        options: &Options,
    ) -> Result<Self, Error> {
        let (store, statements) = (store.clone(), Arc::new(Statements::new(store, options)?));
        let results = Self { store, pipeline, outputs, statements, last: Mutex::default() };
        results.last_run()?.recorded.check()?;
        Ok(results)
    }

    /// The last good run, found anew if there was one since.
    fn last_run(&self) -> Result<Arc<ServedRun>, Error> {
        let mut last = lock(&self.last);
        let record = RunRecord::load(&self.store, &self.pipeline)?.ok_or_else(|| {
            let pipeline = self.pipeline.display();
            Error::Request(format!("{pipeline} has had no good run in this store: `flowc run` it first"))
        })?;
        if let Some(last) = last.as_ref().filter(|last| last.recorded.is_of(&record)) {
            return Ok(Arc::clone(last));
        }
        let recorded = RecordedRun::open(&self.store, &self.pipeline, record, &self.outputs)?;
        let statements = Arc::clone(&self.statements);
        Ok(last.insert(Arc::new(ServedRun { recorded, statements })).clone())
    }
}

impl Results for ServedResults {
    fn now(&self) -> Result<Arc<dyn Snapshot>, Refusal> {
        Ok(self.last_run().map_err(refusal)?)
    }
}
