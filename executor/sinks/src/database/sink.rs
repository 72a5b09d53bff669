//! A table as a sink.

use std::path::{Path, PathBuf};

use flowc_planner::plan::{ChangedRows, Database, DatabaseSink, SinkSpec, Target};

use super::place::TablePlace;
use super::transaction::TableTransaction;
use crate::error::SinkError;
use crate::formats::check::check;
use crate::sink::{Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState, result_digest};

/// A sink that writes a table.
pub(crate) struct TableSink {
    spec: SinkSpec,
    place: TablePlace,
}

impl TableSink {
    /// Connects when the database is asked.
    pub(crate) fn new(spec: &SinkSpec, sink: &DatabaseSink, base: &Path) -> Self {
        Self { spec: spec.clone(), place: TablePlace { sink: sink.clone(), base: base.to_owned() } }
    }
}

impl Sink for TableSink {
    fn place(&self) -> Vec<u8> {
        let DatabaseSink { database, table, id, .. } = &self.place.sink;
        format!("adbc//{}//{}//{table}//{id}", database.driver, database.uri.as_deref().unwrap_or_default())
            .into_bytes()
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&shaping(&self.spec), &dataset.schema, dataset.segments)
    }

    /// Whether the database says that it has what was written. Of the rows it is not asked.
    fn is_intact(&self, state: &SinkState) -> Intact {
        let found = self.place.connect().and_then(|mut connection| self.place.look(&mut connection));
        let result = found.ok().and_then(|found| found.record).map(|record| record.result);
        match result == Some(state.result) {
            true => Intact::Yes,
            false => Intact::Missing(PathBuf::from(self.place.sink.table.to_string())),
        }
    }

    fn open(&self, dataset: &Dataset<'_>, _earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        check(&self.spec, &dataset.schema)?;
        Ok(Box::new(TableTransaction::new(&self.place, &shaping(&self.spec), dataset, self.result(dataset))?))
    }
}

/// What of a specification shapes rows: not how the database is reached, nor what becomes of rows that have changed.
fn shaping(spec: &SinkSpec) -> SinkSpec {
    let Target::Database(sink) = &spec.target else { return spec.clone() };
    let (driver, uri, options, secrets, reads) = Default::default();
    let database = Database { driver, uri, options, secrets, reads };
    let sink = DatabaseSink { database, changed: ChangedRows::Fail, ..sink.as_ref().clone() };
    SinkSpec { target: Target::Database(Box::new(sink)), ..spec.clone() }
}
