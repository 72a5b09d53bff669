//! Where a table is, and what is remembered of it.

use std::path::PathBuf;

use flowc_adbc::{Connection, DatabaseError, access};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::DatabaseSink;
use flowc_platform::FileStamp;

use super::record::Found;
use super::statements::Statements;
use crate::error::SinkError;
use crate::state::{SinkState, WrittenFile};

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

/// The state of a sink whose table has this many of its rows.
pub(super) fn finished(sink: &DatabaseSink, result: [u8; 32], layout: [u8; 32], rows: u64) -> SinkState {
    let mut hasher = KeyHasher::new("flowc table 1");
    let [a, b, c, d, e, f, g, h, ..] = hasher.bytes(sink.table.to_string().as_bytes()).digest(&result).finish();
    let stamp = FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), 0);
    let (path, segments) = (sink.table.to_string(), Vec::new());
    let written = WrittenFile { path, stamp, segments, rows, bytes_digest: result };
    SinkState { result, layout, files: vec![written], manifest: None }
}
