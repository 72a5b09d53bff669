//! The calls of the protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use arrow_schema::Schema;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::{Limits, Serialization};
use futures::stream::{BoxStream, StreamExt, iter, unfold};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use super::Served;
use super::feed::{Feed, Put};
use super::invocations::{Invocations, Output, Streams};
use super::opening::{Opened, Refusal, request};
use super::replies::{QUEUE, Replies};
use super::work::Work;
use crate::memory::Memory;
use crate::transport::Transport;
use crate::wire::{
    Answer, AskComponent, AskDescribe, AskSignature, COMPONENT, DESCRIBE, Held, Note, OutputTicket, PROTOCOL,
    SIGNATURE, WireDescription, WireSignature, read_put_path,
};

/// Stack of a thread that works on an invocation: enough for an instance of any runner.
const STACK: usize = 8 << 20;
/// For each further stage of a chain, whose instance runs on top of the one before.
const STACK_PER_STEP: usize = 2 << 20;

/// Serves stages.
pub(super) struct Service {
    stages: Arc<dyn Served>,
    invocations: Invocations,
    /// Shared with the one client of a socket.
    memory: Option<Arc<Memory>>,
}

impl Service {
    pub(super) fn new(stages: Arc<dyn Served>, memory: Option<Memory>) -> Self {
        Self { stages, invocations: Invocations::default(), memory: memory.map(Arc::new) }
    }

    /// Starts an invocation, and gives what it answers.
    fn invoke(&self, opened: Opened, messages: Streaming<FlightData>) -> Result<Answers, Status> {
        let (mut streams, mut others) = (Streams::default(), BTreeMap::new());
        for port in opened.others() {
            let (send, receive) = oneshot::channel();
            streams.inputs.insert(port, send);
            others.insert(port, receive);
        }
        let (exchange, answers) = Replies::new();
        let (mut replies, mut taken) = (vec![exchange], Vec::new());
        for port in 1..opened.outputs.len() {
            let ((stream, sent), (guard, ended)) = (Replies::new(), oneshot::channel());
            streams.outputs.insert(port, Output { sent, taken: guard });
            replies.push(stream);
            taken.push(ended);
        }
        let open = self.invocations.open(&opened.name, streams)?;
        let (stages, memory, runtime) = (self.stages.clone(), self.memory.clone(), Handle::current());
        let due = opened.main.map_or_else(|| Arc::new(Schema::empty()), |main| opened.inputs[main].clone());
        let transport = Transport { serialization: opened.serialization, memory };
        let main = Feed::new(due, None, messages, runtime.clone(), &transport).in_place();
        let stack = STACK + opened.steps.len() * STACK_PER_STEP;
        let work = Work { stages, opened, main, others, replies, taken, runtime, transport };
        let thread = std::thread::Builder::new().name("flowc-invocation".to_owned()).stack_size(stack);
        let started = thread.spawn(move || work.run());
        started.map_err(|error| Status::resource_exhausted(format!("no thread for an invocation: {error}")))?;
        Ok(stream(answers, open))
    }
}

/// What a call answers.
type Answers = BoxStream<'static, Result<FlightData, Status>>;

/// The messages of a queue. `held` is dropped when the call is over.
fn stream<T: Send + 'static>(messages: Receiver<T>, held: impl Send + 'static) -> BoxStream<'static, T> {
    unfold((messages, held), |(mut messages, held)| async { Some((messages.recv().await?, (messages, held))) }).boxed()
}

/// The answer to an action.
fn answer(stages: &dyn Served, action: &Action) -> Result<Vec<u8>, Status> {
    let answer = match action.r#type.as_str() {
        SIGNATURE => signature(stages, &action.body).map(json),
        DESCRIBE => describe(stages, &action.body).map(json),
        COMPONENT => component(stages, &action.body).map(json),
        other => return Err(Status::unimplemented(format!("no action `{other}`"))),
    };
    match answer {
        Ok(answer) => answer,
        Err(Refusal::Problem(problem)) => json(Answer::<()>::Problem { problem: problem.into() }),
        Err(Refusal::Status(status)) => Err(status),
    }
}

fn json(answer: impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(&answer).map_err(|error| Status::internal(error.to_string()))
}

fn signature(stages: &dyn Served, body: &[u8]) -> Result<WireSignature, Refusal> {
    let AskSignature { stage, .. } = request(body)?;
    let signature = stages.signature(&stage).map_err(Refusal::Problem)?;
    let (inputs, outputs, config_schema) = (signature.inputs, signature.outputs, signature.config_schema);
    let serializations = Serialization::ALL.map(|serialization| serialization.name().to_owned()).to_vec();
    let (protocol, doc, chains) = (PROTOCOL, signature.doc, true);
    Ok(WireSignature { protocol, doc, inputs, outputs, config_schema, chains, serializations })
}

fn describe(stages: &dyn Served, body: &[u8]) -> Result<WireDescription, Refusal> {
    let AskDescribe { stage, config, inputs, .. } = request(body)?;
    let inputs = inputs.iter().map(|schema| schema.decode()).collect::<Result<_, _>>().map_err(Refusal::invalid)?;
    let description = stages.describe(&stage, config.into_owned(), inputs).map_err(Refusal::Problem)?;
    WireDescription::of(description).map_err(|error| Refusal::Problem(Problem::new(error)))
}

fn component(stages: &dyn Served, body: &[u8]) -> Result<Held, Refusal> {
    let AskComponent { stage, timeout_ms, component, .. } = request(body)?;
    let invalid = |error| Refusal::invalid(format!("the component is no base64: {error}"));
    let component = component.map(|text| STANDARD.decode(text)).transpose().map_err(invalid)?;
    let limits = Limits { timeout_ms, ..Limits::default() };
    stages.hold(&stage, component, &limits).map(|held| Held { held }).map_err(Refusal::Problem)
}

fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("the first message has no {what}"))
}

fn unknown<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the stage protocol has no such call"))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Answers;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = Answers;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let (stages, action) = (self.stages.clone(), request.into_inner());
        // A stage may think for long.
        let answer = tokio::task::spawn_blocking(move || answer(&*stages, &action)).await;
        let body = answer.map_err(|error| Status::internal(error.to_string()))??;
        Ok(Response::new(iter([Ok(arrow_flight::Result { body: body.into() })]).boxed()))
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Answers>, Status> {
        let mut messages = request.into_inner();
        let descriptor = messages.message().await?.and_then(|first| first.flight_descriptor);
        let descriptor = descriptor.ok_or_else(|| missing("descriptor"))?;
        let answers = match Opened::read(&descriptor.cmd) {
            Ok(opened) => self.invoke(opened, messages)?,
            Err(Refusal::Status(status)) => return Err(status),
            Err(Refusal::Problem(problem)) => {
                let (said, answers) = Replies::new();
                said.first(&Note { problem: Some(problem.into()), ..Note::default() });
                // Held open, since the client ends the call.
                stream(answers, (said, messages))
            }
        };
        Ok(Response::new(answers))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| missing("descriptor"))?;
        let path = first.flight_descriptor.as_ref().map(|descriptor| descriptor.path.clone()).unwrap_or_default();
        let (name, port) = read_put_path(&path).ok_or_else(|| missing("path of an input"))?;
        let (acknowledge, acknowledged) = channel(QUEUE);
        self.invocations.put(name, port, Put { first, messages, acknowledge })?;
        Ok(Response::new(stream(acknowledged, ())))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Answers>, Status> {
        let ticket = request.into_inner().ticket;
        let invalid = |error: serde_json::Error| Status::invalid_argument(format!("the ticket can't be read: {error}"));
        let ticket: OutputTicket<'_> = serde_json::from_slice(&ticket).map_err(invalid)?;
        let Output { sent, taken } = self.invocations.take(&ticket.invocation, ticket.output)?;
        Ok(Response::new(stream(sent, taken)))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unknown()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        unknown()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        unknown()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unknown()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unknown()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unknown()
    }
}
