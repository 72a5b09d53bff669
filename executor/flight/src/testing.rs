//! What a stage and a client can send, as functions of bytes.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_flight::FlightData;
use arrow_schema::SchemaRef;
use flowc_planner::catalogue::Description;
use flowc_platform::guarded;
use flowc_runner::Invocation;

use crate::decode::Decoder;
use crate::transport::Transport;
use crate::wire::{Answer, WireDescription};

/// The batches in a stream of messages that is to have these columns.
///
/// # Errors
/// What is wrong with the first message that is not as it must be.
pub fn batches(due: SchemaRef, messages: Vec<FlightData>) -> Result<Vec<RecordBatch>, String> {
    let mut decoder = Decoder::new(due, &Transport::default());
    let decoded = messages.into_iter().map(|message| decoder.decode(message));
    decoded.filter_map(|decoded| decoded.map(|decoded| decoded.batch).transpose()).collect()
}

/// The batch of a block that is to have these columns.
///
/// # Errors
/// What is wrong with it.
pub fn block(due: SchemaRef, stream: &[u8]) -> Result<RecordBatch, String> {
    let decoder = Decoder::new(due, &Transport::default());
    guarded(|| decoder.stream(Buffer::from(stream))).unwrap_or_else(Err)
}

/// The description in an answer, unless that is a problem.
///
/// # Errors
/// If it is neither.
pub fn description(answer: &[u8]) -> Result<Option<Description>, String> {
    match serde_json::from_slice(answer).map_err(|error| error.to_string())? {
        Answer::<WireDescription>::Good(answer) => answer.decode().map(Some),
        Answer::Problem { .. } => Ok(None),
    }
}

/// The invocations of stages that a client's opening asks for, unless it is refused; each with the columns per output that go
/// on to the next or to the client.
pub fn invocations(opening: &[u8]) -> Option<Vec<(Invocation, Vec<Vec<usize>>)>> {
    crate::serve::invocations(opening)
}
