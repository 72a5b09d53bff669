//! A table as a sink.

use std::path::{Path, PathBuf};

use flowc_adbc::{Connection, DatabaseError, access};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{ChangedRows, Database, DatabaseSink, SinkSpec, Target};
use flowc_platform::FileStamp;

use super::record::Found;
use super::statements::Statements;
use super::transaction::TableTransaction;
use crate::error::SinkError;
use crate::formats::check::check;
use crate::sink::{Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState, WrittenFile, result_digest};

/// A sink that writes a table.
pub(crate) struct TableSink {
    spec: SinkSpec,
    place: TablePlace,
}

/// A table, and how its database is reached.
#[derive(Clone)]
pub(super) struct TablePlace {
    pub(super) sink: DatabaseSink,
    /// The folder that relative paths start from.
    pub(super) base: PathBuf,
}

impl TablePlace {
    /// Connects to the database.
    pub(super) fn connect(&self) -> Result<Connection, SinkError> {
        let access = access(&self.sink.database, &self.base, true).map_err(|error| self.failed(error))?;
        let connection = Connection::open(access).map_err(|error| self.failed(error))?;
        match connection.vendor() {
            vendor if vendor.is_transactional() => Ok(connection),
            vendor => Err(self.refused(format!(
                "flowc writes tables of SQLite, PostgreSQL and DuckDB, whose transactions hold tables too; this is `{}`",
                vendor.name()
            ))),
        }
    }

    pub(super) fn failed(&self, error: DatabaseError) -> SinkError {
        self.refused(error.to_string())
    }

    pub(super) fn refused(&self, reason: String) -> SinkError {
        SinkError::Table { table: self.sink.table.to_string(), reason }
    }

    /// What is there.
    pub(super) fn look(&self, connection: &mut Connection) -> Result<Found, SinkError> {
        let DatabaseSink { table, key, id, .. } = &self.sink;
        let vendor = connection.vendor().clone();
        let statements = Statements { table, columns: Vec::new(), key, vendor: &vendor };
        Found::look(connection, &statements, id).map_err(|error| self.failed(error))
    }
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

/// The state of a sink whose table has this many of its rows.
pub(super) fn finished(sink: &DatabaseSink, result: [u8; 32], layout: [u8; 32], rows: u64) -> SinkState {
    let mut hasher = KeyHasher::new("flowc table 1");
    let [a, b, c, d, e, f, g, h, ..] = hasher.bytes(sink.table.to_string().as_bytes()).digest(&result).finish();
    let stamp = FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), 0);
    let (path, segments) = (sink.table.to_string(), Vec::new());
    let written = WrittenFile { path, stamp, segments, rows, bytes_digest: result };
    SinkState { result, layout, files: vec![written], manifest: None }
}

/// What of a specification shapes rows: not how the database is reached, nor what becomes of rows that have changed.
fn shaping(spec: &SinkSpec) -> SinkSpec {
    let Target::Database(sink) = &spec.target else { return spec.clone() };
    let (driver, uri, options, secrets, reads) = Default::default();
    let database = Database { driver, uri, options, secrets, reads };
    let sink = DatabaseSink { database, changed: ChangedRows::Fail, ..sink.as_ref().clone() };
    SinkSpec { target: Target::Database(Box::new(sink)), ..spec.clone() }
}
