//! In place of the engine for statements, in a flowc that was built without the feature `sql`.

use std::time::Duration;

use arrow_schema::SchemaRef;
use flowc_serve::{Refusal, Take};
use flowc_store::Store;

use crate::serving::recorded::RecordedRun;
use crate::{Error, Options};

/// No statements.
pub(super) struct Statements;

impl Statements {
    /// # Errors
    /// None.
    pub(super) fn new(_: &Store, _: &Options) -> Result<Self, Error> {
        Ok(Self)
    }

    /// # Errors
    /// Always.
    pub(super) fn describe(&self, run: &RecordedRun, _: &str, _: Duration) -> Result<SchemaRef, Refusal> {
        Err(refusal(run))
    }

    /// # Errors
    /// Always.
    pub(super) fn run(&self, run: &RecordedRun, _: &str, _: Duration, _: &mut Take<'_>) -> Result<(), Refusal> {
        Err(refusal(run))
    }
}

fn refusal(_: &RecordedRun) -> Refusal {
    Refusal::Unavailable(
        "this flowc was built without the feature `sql`: it gives whole tables, `SELECT * FROM table`, alone"
            .to_owned(),
    )
}
