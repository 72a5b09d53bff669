//! The streams of one invocation, brought together in one place.

use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tonic::Status;

use crate::connection::{Client, Connection};
use crate::wire::Note;

/// Messages that wait in this process, beside what HTTP/2 holds: enough that threads need not wait for each other.
const QUEUE: usize = 2;

/// Something that a stage sent, or that became of a stream.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A message of an output, as it came.
    Message { port: usize, message: FlightData },
    /// An output's stream is over.
    OutputEnded { port: usize },
    /// Metadata about an input that has a stream of its own.
    Acknowledged { port: usize, note: Box<Note> },
    /// The stage has taken all of such an input.
    InputTaken { port: usize },
    /// A message that no stage may send.
    Breach(String),
    /// A stream broke.
    Lost(Status),
}

/// The streams of an invocation. Dropping it ends them.
pub(crate) struct Call {
    client: Client,
    runtime: Handle,
    arrivals: Receiver<Arrival>,
    arrive: Sender<Arrival>,
    tasks: JoinSet<()>,
}

/// What became of a message.
pub(crate) enum Sent {
    Yes,
    NotYet(Box<Unsent>),
}

/// A message that was not sent, and what arrived before there was room for it; nothing if the time is over.
pub(crate) struct Unsent {
    pub(crate) message: FlightData,
    pub(crate) arrival: Option<Arrival>,
}

/// A stream to the stage. Dropping it ends the stream.
pub(crate) type Messages = Sender<FlightData>;

impl Call {
    /// Nothing is called yet. No message of the stage may have more than so many bytes: it is refused before they are taken.
    pub(crate) fn new(connection: &Connection, most: u64) -> Self {
        let (arrive, arrivals) = mpsc::channel(QUEUE);
        let Connection { client, runtime, .. } = connection.clone();
        let client = client.max_decoding_message_size(usize::try_from(most).unwrap_or(usize::MAX));
        Self { client, runtime, arrivals, arrive, tasks: JoinSet::new() }
    }

    /// Starts the exchange: the main input, and the first output.
    pub(crate) fn exchange(&mut self, opening: FlightDescriptor) -> Messages {
        let (send, receive) = mpsc::channel(QUEUE);
        let first = FlightData { flight_descriptor: Some(opening), ..FlightData::default() };
        let requests = futures::stream::iter([first]).chain(messages(receive));
        let (mut client, arrive) = (self.client.clone(), self.arrive.clone());
        let exchange = async move {
            match client.do_exchange(requests).await {
                Ok(answer) => forward(answer.into_inner(), 0, arrive).await,
                Err(status) => tell(&arrive, Arrival::Lost(status)).await,
            }
        };
        self.tasks.spawn_on(exchange, &self.runtime);
        send
    }

    /// Asks for an output beyond the first.
    pub(crate) fn get(&mut self, port: usize, ticket: Ticket) {
        let (mut client, arrive) = (self.client.clone(), self.arrive.clone());
        let get = async move {
            match client.do_get(ticket).await {
                Ok(answer) => forward(answer.into_inner(), port, arrive).await,
                Err(status) => tell(&arrive, Arrival::Lost(status)).await,
            }
        };
        self.tasks.spawn_on(get, &self.runtime);
    }

    /// Starts an input beside the main one. Its first message carries its descriptor.
    pub(crate) fn put(&mut self, port: usize) -> Messages {
        let (send, receive) = mpsc::channel(QUEUE);
        let (mut client, arrive) = (self.client.clone(), self.arrive.clone());
        let put = async move {
            let end = match client.do_put(messages(receive)).await {
                Ok(answer) => acknowledgements(answer.into_inner(), port, &arrive).await,
                Err(status) => Arrival::Lost(status),
            };
            tell(&arrive, end).await;
        };
        self.tasks.spawn_on(put, &self.runtime);
        send
    }

    /// The next arrival. None while the call is at work for longer than `time`.
    pub(crate) fn next(&mut self, time: Option<std::time::Duration>) -> Option<Arrival> {
        let arrivals = &mut self.arrivals;
        match time {
            None => self.runtime.block_on(arrivals.recv()),
            Some(time) => self.runtime.block_on(async { tokio::time::timeout(time, arrivals.recv()).await.ok()? }),
        }
    }

    /// What has arrived already.
    pub(crate) fn ready(&mut self) -> Option<Arrival> {
        self.arrivals.try_recv().ok()
    }

    /// Sends a message, or gives what arrived before there was room; the message is not sent then.
    pub(crate) fn send(&mut self, to: &Messages, message: FlightData, time: Option<std::time::Duration>) -> Sent {
        let message = match to.try_send(message) {
            Ok(()) => return Sent::Yes,
            Err(mpsc::error::TrySendError::Full(message)) => message,
            // The stage takes no more of it: what it says instead arrives, or has.
            Err(mpsc::error::TrySendError::Closed(message)) => {
                let arrival = self.next(time);
                return Sent::NotYet(Box::new(Unsent { message, arrival }));
            }
        };
        let arrivals = &mut self.arrivals;
        let wait = async {
            tokio::select! {
                // A stage that takes no more of it says why: that is still to come.
                Ok(permit) = to.reserve() => Some(Ok(permit)),
                arrival = arrivals.recv() => arrival.map(Err),
            }
        };
        let outcome = match time {
            None => self.runtime.block_on(wait),
            Some(time) => self.runtime.block_on(async { tokio::time::timeout(time, wait).await.ok()? }),
        };
        match outcome {
            Some(Ok(permit)) => {
                permit.send(message);
                Sent::Yes
            }
            Some(Err(arrival)) => Sent::NotYet(Box::new(Unsent { message, arrival: Some(arrival) })),
            None => Sent::NotYet(Box::new(Unsent { message, arrival: None })),
        }
    }
}

fn messages(receive: Receiver<FlightData>) -> impl futures::Stream<Item = FlightData> + Send {
    futures::stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) })
}

/// Hands on the messages of an output until it ends, or goes wrong. What they hold is looked at by the thread that waits for
/// them: there are few threads here, and they serve all invocations.
async fn forward(mut from: tonic::Streaming<FlightData>, port: usize, to: Sender<Arrival>) {
    loop {
        let arrival = match from.message().await {
            Ok(Some(message)) => Arrival::Message { port, message },
            Ok(None) => Arrival::OutputEnded { port },
            Err(status) => Arrival::Lost(status),
        };
        let is_last = !matches!(arrival, Arrival::Message { .. });
        tell(&to, arrival).await;
        if is_last || to.is_closed() {
            return;
        }
    }
}

/// Hands on what the stage says of an input until it has taken all of it.
async fn acknowledgements(
    mut from: tonic::Streaming<arrow_flight::PutResult>,
    port: usize,
    to: &Sender<Arrival>,
) -> Arrival {
    loop {
        match from.message().await {
            Ok(Some(result)) => match Note::read(&result.app_metadata) {
                Ok(note) => tell(to, Arrival::Acknowledged { port, note: Box::new(note) }).await,
                Err(breach) => return Arrival::Breach(format!("input port {port}: {breach}")),
            },
            Ok(None) => return Arrival::InputTaken { port },
            Err(status) => return Arrival::Lost(status),
        }
    }
}

/// Nobody listens any more where the invocation is over.
async fn tell(to: &Sender<Arrival>, arrival: Arrival) {
    let _ = to.send(arrival).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::transport::Endpoint;

    use super::*;
    use crate::connection::Network;

    /// What was sent to a stage that has not taken the message before, and takes no more of them from now on.
    fn sent_while_the_stage_ends(time: Option<Duration>) -> Sent {
        let network = Network::new().unwrap();
        let runtime = network.runtime().clone();
        let channel = runtime.block_on(async { Endpoint::from_static("http://stage").connect_lazy() });
        let connection = Connection { client: Client::new(channel), runtime: runtime.clone(), memory: None };
        let mut call = Call::new(&connection, 1);
        let (messages, receive) = mpsc::channel(1);
        messages.try_send(FlightData::default()).unwrap();
        let arrive = call.arrive.clone();
        runtime.spawn(async move {
            drop(receive);
            // Whoever waits sees first that the stage takes no more, and long after that what it says.
            tokio::time::sleep(Duration::from_millis(20)).await;
            tell(&arrive, Arrival::Breach("the last word".into())).await;
        });
        call.send(&messages, FlightData::default(), time)
    }

    #[test]
    fn the_last_word_of_a_stage_that_takes_no_more_is_awaited() {
        for time in [None, Some(Duration::from_secs(60))] {
            for _ in 0..20 {
                let Sent::NotYet(unsent) = sent_while_the_stage_ends(time) else { panic!("nobody took it") };
                assert!(matches!(unsent.arrival, Some(Arrival::Breach(_))), "{:?}", unsent.arrival);
            }
        }
    }
}
