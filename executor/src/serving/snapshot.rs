//! A recorded run, as the server asks it: rows of tables, and statements over them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use flowc_serve::{Piece, Refusal, Snapshot, StoredRows, Table, Take};
use flowc_store::StoredMessage;

use crate::Error;
use crate::serving::recorded::{Place, RecordedRun};
use crate::serving::refusals::refusal;
use crate::serving::statements::Statements;

/// A run whose tables are offered.
pub(super) struct ServedRun {
    pub(super) recorded: RecordedRun,
    pub(super) statements: Arc<Statements>,
}

/// Some rows, as they are sent.
fn piece(batch: RecordBatch, message: Option<StoredMessage>) -> Piece {
    match message {
        None => Piece::Rows(batch),
        Some(StoredMessage { header, body }) => {
            let [header, body] = [header, body].map(|buffer| Bytes::from_owner(Mapped(buffer)));
            Piece::Stored(StoredRows { header, body, rows: batch })
        }
    }
}

/// Bytes of an object of the store.
struct Mapped(Buffer);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Why rows are not handed on any further.
enum Stopped {
    /// Nobody wants more.
    Enough,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Snapshot for ServedRun {
    fn id(&self) -> u64 {
        self.recorded.id()
    }

    fn tables(&self) -> &[Table] {
        self.recorded.tables()
    }

    fn read(&self, table: usize, limit: u64, take: &mut Take<'_>) -> Result<(), Refusal> {
        let Place { stream, segments } = self.recorded.place(table)?;
        let take = |batch: RecordBatch, message| match take(piece(batch, message)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped::Enough),
        };
        match self.recorded.rows.each(self.recorded.store(), *stream, segments, limit, take) {
            Ok(()) | Err(Stopped::Enough) => Ok(()),
            Err(Stopped::Failed(error)) => Err(refusal(error)),
        }
    }

    fn describe(&self, statement: &str, timeout: Duration) -> Result<SchemaRef, Refusal> {
        self.statements.describe(&self.recorded, statement, timeout)
    }

    fn query(&self, statement: &str, timeout: Duration, take: &mut Take<'_>) -> Result<(), Refusal> {
        self.statements.run(&self.recorded, statement, timeout, take)
    }
}
