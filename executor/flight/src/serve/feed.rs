//! The rows of an input, as they come from the client.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, PutResult};
use arrow_schema::SchemaRef;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tonic::{Status, Streaming};

use super::replies::Gone;
use crate::decode::Decoder;
use crate::memory::Memory;
use crate::transport::Transport;
use crate::wire::Note;

/// A stream of batches.
pub(super) struct Feed {
    runtime: Handle,
    /// A message that was read already.
    first: Option<FlightData>,
    messages: Streaming<FlightData>,
    decoder: Decoder,
    due: SchemaRef,
    memory: Option<Arc<Memory>>,
    /// What the last message holds, the next thing last.
    read: Vec<Fed>,
}

/// What comes on a stream.
pub(super) enum Fed {
    Batch(RecordBatch),
    /// The client waits for all that comes of the rows before.
    Boundary,
}

/// An input beside the main one, as a call brings it.
pub(super) struct Put {
    /// Its first message, which names it.
    pub(super) first: FlightData,
    pub(super) messages: Streaming<FlightData>,
    /// The client is told here what was taken of it.
    pub(super) acknowledge: Sender<Result<PutResult, Status>>,
}

/// Why there is no batch.
pub(super) enum Lost {
    /// The client has ended the call.
    Gone,
    /// A message that no client may send, in words.
    Breach(String),
}

impl From<Gone> for Lost {
    fn from(_: Gone) -> Self {
        Lost::Gone
    }
}

impl Feed {
    /// Of these columns.
    pub(super) fn new(
        due: SchemaRef,
        first: Option<FlightData>,
        messages: Streaming<FlightData>,
        runtime: Handle,
        transport: &Transport,
    ) -> Self {
        let decoder = Decoder::new(due.clone(), transport);
        Self { runtime, first, messages, decoder, due, memory: transport.memory.clone(), read: Vec::new() }
    }

    /// Has its batches stay where the client put them: for rows that go once the invocation is done.
    pub(super) fn in_place(self) -> Self {
        Self { decoder: self.decoder.in_place(), ..self }
    }

    /// What comes next; waits for it. None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Fed>, Lost> {
        loop {
            if let Some(fed) = self.read.pop() {
                return Ok(Some(fed));
            }
            let message = match self.first.take() {
                Some(first) => Some(first),
                None => self.runtime.block_on(self.messages.message()).map_err(|_| Lost::Gone)?,
            };
            let Some(message) = message else { return Ok(None) };
            let decoded = self.decoder.decode(message).map_err(Lost::Breach)?;
            let batches = match (&self.memory, decoded.note.stored) {
                (Some(memory), Some(stored)) => memory.stored(&stored, &self.due).map_err(Lost::Breach)?,
                _ => decoded.batch.into_iter().collect(),
            };
            self.read.extend(decoded.note.boundary.then_some(Fed::Boundary));
            self.read.extend(batches.into_iter().rev().map(Fed::Batch));
        }
    }
}

/// Tells the client of an input beside the main one how many rows of it were taken.
pub(super) fn acknowledge(to: &Sender<Result<PutResult, Status>>, rows: u64) -> Result<(), Gone> {
    let note = Note { consumed: Some(rows), ..Note::default() };
    to.blocking_send(Ok(PutResult { app_metadata: note.write() })).map_err(|_| Gone)
}
