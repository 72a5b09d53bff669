//! Rows on their way to a client: a thread reads and encodes them, no faster than the client takes them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use arrow_schema::SchemaRef;
use futures::Stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use crate::encode::Encoder;
use crate::log::{QueryLog, QueryReport};
use crate::results::{Piece, Refusal, Take};

/// Messages that wait in this process, beside what HTTP/2 holds.
const QUEUE: usize = 4;

/// What gives the rows of a query.
pub(crate) type Work = Box<dyn FnOnce(&mut Take<'_>) -> Result<(), Refusal> + Send>;

/// A query that is to be answered.
pub(crate) struct Query {
    /// What it is, for the log.
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) work: Work,
}

/// What queries share.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) log: Arc<dyn QueryLog>,
    /// How long a client may leave a message untaken.
    pub(crate) patience: Duration,
}

type Message = Result<FlightData, Status>;

impl Answering {
    /// The messages of a query. Dropping the stream stops it. It holds the permit until it is over.
    pub(crate) fn stream(
        &self,
        query: Query,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Message> + Send + use<> {
        let (send, receive) = mpsc::channel(QUEUE);
        let (log, patience) = (Arc::clone(&self.log), self.patience);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut sending = Sending { send, runtime, patience, rows: 0, bytes: 0, stopped: None };
            let began = Instant::now();
            let Query { name, schema, work } = query;
            let error = sending.answer(&schema, work).err().map(|refusal| refusal.to_string());
            let Sending { rows, bytes, .. } = sending;
            // Who reads the log may be slow, and no query waits for that.
            drop(permit);
            log.finished(&QueryReport { query: name, rows, bytes, took: began.elapsed(), error });
        });
        futures::stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) })
    }
}

/// The side of a query that makes messages.
struct Sending {
    send: mpsc::Sender<Message>,
    runtime: Handle,
    patience: Duration,
    rows: u64,
    bytes: u64,
    /// Why no more is to be sent.
    stopped: Option<Refusal>,
}

impl Sending {
    fn answer(&mut self, schema: &SchemaRef, work: Work) -> Result<(), Refusal> {
        let (mut encoder, begin) = Encoder::new(schema);
        let worked = match self.send(Ok(begin)) {
            ControlFlow::Break(()) => Ok(()),
            ControlFlow::Continue(()) => {
                let caught = flowc_platform::caught(|| work(&mut |piece| self.take(&mut encoder, piece)));
                caught.unwrap_or_else(|panic| Err(Refusal::Internal(format!("a fault of flowc: {panic}"))))
            }
        };
        let result = self.stopped.take().map_or(worked, Err);
        if let Err(refusal) = &result {
            // A client that is gone does not hear it.
            let _ = self.send(Err(refusal.clone().into()));
        }
        result
    }

    fn take(&mut self, encoder: &mut Encoder, piece: Piece) -> ControlFlow<()> {
        let (rows, encoded) = match piece {
            Piece::Rows(rows) => (rows.num_rows(), encoder.encode(&rows)),
            Piece::Stored(stored) => (stored.rows.num_rows(), encoder.stored(stored)),
        };
        let messages = match encoded {
            Ok(messages) => messages,
            Err(error) => {
                self.stopped = Some(Refusal::Internal(format!("the rows can't be sent: {error}")));
                return ControlFlow::Break(());
            }
        };
        self.rows += rows as u64;
        for message in messages {
            self.bytes += (message.data_header.len() + message.data_body.len()) as u64;
            self.send(Ok(message))?;
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, message: Message) -> ControlFlow<()> {
        // The time limit starts a timer, which must happen within the runtime.
        let sent = async { tokio::time::timeout(self.patience, self.send.send(message)).await };
        let refusal = match self.runtime.block_on(sent) {
            Ok(Ok(())) => return ControlFlow::Continue(()),
            Ok(Err(_)) => Refusal::Unavailable("the client ended the query".to_owned()),
            Err(_) => Refusal::Late(format!("the client took nothing for {} s", self.patience.as_secs())),
        };
        self.stopped.get_or_insert(refusal);
        ControlFlow::Break(())
    }
}
