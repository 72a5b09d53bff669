//! Streams to the client.

use arrow_flight::FlightData;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::Status;

use crate::wire::Note;

/// Messages that wait in this process, beside what HTTP/2 holds: enough that threads need not wait for each other.
pub(super) const QUEUE: usize = 2;

/// A stream to the client. It is over when all clones are dropped.
#[derive(Clone)]
pub(super) struct Replies(Sender<Result<FlightData, Status>>);

/// What tonic takes of it.
pub(super) type Sent = Receiver<Result<FlightData, Status>>;

/// The client has ended the call.
#[derive(Debug)]
pub(super) struct Gone;

impl Replies {
    pub(super) fn new() -> (Self, Sent) {
        let (send, receive) = channel(QUEUE);
        (Self(send), receive)
    }

    /// Sends a message; waits for room. To be called outside of the runtime.
    pub(super) fn send(&self, message: FlightData) -> Result<(), Gone> {
        self.0.blocking_send(Ok(message)).map_err(|_| Gone)
    }

    /// Sends metadata before anything else; there is room for it.
    pub(super) fn first(&self, note: &Note) {
        let _ = self.0.try_send(Ok(note.alone()));
    }

    /// Sends metadata alone.
    pub(super) fn note(&self, note: &Note) -> Result<(), Gone> {
        self.send(note.alone())
    }

    /// Ends the call with an error of the protocol.
    pub(super) fn refuse(&self, status: Status) -> Result<(), Gone> {
        self.0.blocking_send(Err(status)).map_err(|_| Gone)
    }

    /// Waits until the client has ended the call.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}
