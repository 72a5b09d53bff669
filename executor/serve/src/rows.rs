//! Rows on their way to a client: a thread reads and encodes them, no faster than the client takes them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use arrow_schema::SchemaRef;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use crate::encode::Encoder;
use crate::log::{QueryLog, QueryReport};
use crate::results::{Piece, Refusal, Take};

/// Bundles of messages that wait in this process, beside what HTTP/2 holds.
const QUEUE: usize = 4;
/// Bytes from which on messages are handed over. Those of the store are at hand faster than a thread wakes up.
const BUNDLE: usize = 1 << 20;

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
type Bundle = Result<Vec<FlightData>, Status>;

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
            let mut sending = Sending::new(send, runtime, patience);
            let began = Instant::now();
            let Query { name, schema, work } = query;
            let error = sending.answer(&schema, work).err().map(|refusal| refusal.to_string());
            let Sending { rows, bytes, .. } = sending;
            // Who reads the log may be slow, and no query waits for that.
            drop(permit);
            log.finished(&QueryReport { query: name, rows, bytes, took: began.elapsed(), error });
        });
        let bundles = futures::stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) });
        bundles.flat_map(|bundle: Bundle| {
            let (messages, refusal) = bundle.map_or_else(|refusal| (Vec::new(), Some(refusal)), |all| (all, None));
            futures::stream::iter(messages.into_iter().map(Ok).chain(refusal.map(Err)))
        })
    }
}

/// The side of a query that makes messages.
struct Sending {
    send: mpsc::Sender<Bundle>,
    runtime: Handle,
    patience: Duration,
    /// Messages that are not handed over yet, and their bytes.
    bundle: Vec<FlightData>,
    bundled: usize,
    rows: u64,
    bytes: u64,
    /// Why no more is to be sent.
    stopped: Option<Refusal>,
}

impl Sending {
    fn new(send: mpsc::Sender<Bundle>, runtime: Handle, patience: Duration) -> Self {
        Self { send, runtime, patience, bundle: Vec::new(), bundled: 0, rows: 0, bytes: 0, stopped: None }
    }

    fn answer(&mut self, schema: &SchemaRef, work: Work) -> Result<(), Refusal> {
        let (mut encoder, begin) = Encoder::new(schema);
        let worked = match self.send(Ok(vec![begin])) {
            ControlFlow::Break(()) => Ok(()),
            ControlFlow::Continue(()) => {
                let caught = flowc_platform::caught(|| work(&mut |piece| self.take(&mut encoder, piece)));
                caught.unwrap_or_else(|panic| Err(Refusal::Internal(format!("a fault of flowc: {panic}"))))
            }
        };
        if worked.is_ok() && self.stopped.is_none() {
            let _ = self.hand_over();
        }
        let result = self.stopped.take().map_or(worked, Err);
        if let Err(refusal) = &result {
            // A client that is gone does not hear it.
            let _ = self.send(Err(refusal.clone().into()));
        }
        result
    }

    fn take(&mut self, encoder: &mut Encoder, piece: Piece) -> ControlFlow<()> {
        let is_stored = matches!(piece, Piece::Stored(_));
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
            let bytes = message.data_header.len() + message.data_body.len();
            self.bytes += bytes as u64;
            self.bundled += bytes;
            self.bundle.push(message);
            if self.bundled >= BUNDLE {
                self.hand_over()?;
            }
        }
        // Others may be long in coming.
        if is_stored { ControlFlow::Continue(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> ControlFlow<()> {
        self.bundled = 0;
        let bundle = std::mem::take(&mut self.bundle);
        if bundle.is_empty() { ControlFlow::Continue(()) } else { self.send(Ok(bundle)) }
    }

    fn send(&mut self, bundle: Bundle) -> ControlFlow<()> {
        // The time limit starts a timer, which must happen within the runtime.
        let sent = async { tokio::time::timeout(self.patience, self.send.send(bundle)).await };
        let refusal = match self.runtime.block_on(sent) {
            Ok(Ok(())) => return ControlFlow::Continue(()),
            Ok(Err(_)) => Refusal::Unavailable("the client ended the query".to_owned()),
            Err(_) => Refusal::Late(format!("the client took nothing for {} s", self.patience.as_secs())),
        };
        self.stopped.get_or_insert(refusal);
        ControlFlow::Break(())
    }
}
