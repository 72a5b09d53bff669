//! What is offered: tables as a run left them, and statements over them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use tonic::Status;

/// The catalog that all tables are in.
pub const CATALOG: &str = "flowc";
/// The schema that all tables are in.
pub const SCHEMA: &str = "public";

/// Results that change as runs end.
pub trait Results: Send + Sync {
    /// The tables as the last good run left them. While there is no new run, it is the same snapshot.
    ///
    /// # Errors
    /// If what is stored can't be read.
    fn now(&self) -> Result<Arc<dyn Snapshot>, Refusal>;
}

/// Takes rows of a result; `Break` once nobody wants more.
pub type Take<'t> = dyn FnMut(Piece) -> ControlFlow<()> + 't;

/// Some rows of a result.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Columns, to be made a message of.
    Rows(RecordBatch),
    /// Columns that are one already.
    Stored(StoredRows),
}

/// Rows that lie in the store as a message of Arrow IPC, not compressed and without dictionaries. They are sent from where they lie.
#[derive(Clone, Debug)]
pub struct StoredRows {
    /// The message's header.
    pub header: Bytes,
    /// Its body.
    pub body: Bytes,
    /// The same rows, for messages of another size.
    pub rows: RecordBatch,
}

/// Tables as one run left them. They stay so, whatever runs come later.
pub trait Snapshot: Send + Sync {
    /// Tells the run from others.
    fn id(&self) -> u64;

    /// The tables, in order.
    fn tables(&self) -> &[Table];

    /// Hands on the first rows of a table, in their order.
    ///
    /// # Errors
    /// If they can't be had any more.
    fn read(&self, table: usize, limit: u64, take: &mut Take<'_>) -> Result<(), Refusal>;

    /// The columns of what a statement gives, if it takes no longer than this to plan it.
    ///
    /// # Errors
    /// What is wrong with the statement.
    fn describe(&self, statement: &str, timeout: Duration) -> Result<SchemaRef, Refusal>;

    /// Plans and runs a statement, for so long at most.
    ///
    /// # Errors
    /// What is wrong with the statement, or what it failed with.
    fn query(&self, statement: &str, timeout: Duration, take: &mut Take<'_>) -> Result<(), Refusal>;
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, which no other table has.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The number of its rows.
    pub rows: u64,
}

/// Why a request is not answered, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request asks for what is not there.
    NotFound(String),
    /// The request is wrong.
    Invalid(String),
    /// It can't be answered now; the message says what to do.
    Unavailable(String),
    /// It took too long.
    Late(String),
    /// A fault on this side.
    Internal(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NotFound(message)
        | Self::Invalid(message)
        | Self::Unavailable(message)
        | Self::Late(message)
        | Self::Internal(message)) = self;
        f.write_str(message)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(message) => Status::not_found(message),
            Refusal::Invalid(message) => Status::invalid_argument(message),
            Refusal::Unavailable(message) => Status::failed_precondition(message),
            Refusal::Late(message) => Status::deadline_exceeded(message),
            Refusal::Internal(message) => Status::internal(message),
        }
    }
}
