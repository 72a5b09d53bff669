//! The calls of Arrow Flight. Those of Flight SQL are commands within them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::{ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt as _};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming};

use crate::access::{AUTHORIZATION, Tokens};
use crate::log::QueryReport;
use crate::metadata::{self, Answer, FOREIGN_KEYS, PRIMARY_KEYS};
use crate::results::{Piece, Refusal, Snapshot, Table, Take};
use crate::rows::{Answering, Query};
use crate::scan::{Scan, is_writing, scan};
use crate::shelf::Shelf;
use crate::ticket::{Ask, READ_ONLY, StatementTicket, refusal_to_take};

const PREPARE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";

/// Answers calls. Who calls has shown a token, where one is asked for.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) answering: Answering,
    /// One for each query that may be at work.
    pub(crate) slots: Arc<Semaphore>,
    /// How long a statement may take to be planned, and to be planned and run; and how long a query waits for its turn.
    pub(crate) timeout: Duration,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) server: Arc<SqlInfoData>,
    pub(crate) types: Arc<XdbcTypeInfoData>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a request is for, before its rows are asked for.
struct Described {
    schema: SchemaRef,
    ticket: Ticket,
    rows: Option<u64>,
}

impl Service {
    /// Waits for the turn of a query.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Status> {
        let turn = tokio::time::timeout(self.timeout, Arc::clone(&self.slots).acquire_owned()).await;
        let busy = || Status::resource_exhausted("too many queries are at work: try again later, or raise --queries");
        turn.map_err(|_| busy())?.map_err(|_| Status::unavailable("the server ends"))
    }

    /// Does what takes a moment, or waits for programs, elsewhere.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turn().await?;
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let caught = flowc_platform::caught(|| work(&this));
            caught.unwrap_or_else(|panic| Err(Status::internal(format!("a fault of flowc: {panic}"))))
        });
        done.await.map_err(|_| Status::internal("the request was given up"))?
    }

    /// What comes of a request. One that is refused is told, as a query that is over is.
    async fn told<T>(&self, query: String, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let began = Instant::now();
        let answer = answer.await;
        if let Err(refusal) = &answer {
            let error = Some(refusal.message().to_owned());
            let report = QueryReport { query, rows: 0, bytes: 0, took: began.elapsed(), error };
            let log = Arc::clone(&self.answering.log);
            // Who reads the log may be slow, and no request waits for that.
            tokio::task::spawn_blocking(move || log.finished(&report));
        }
        answer
    }

    /// The tables that a statement is about.
    fn snapshot(&self, ticket: &StatementTicket) -> Result<Arc<dyn Snapshot>, Refusal> {
        ticket.run.map_or_else(|| self.shelf.now(), |run| self.shelf.of_run(run))
    }

    /// The columns of what a statement gives that is for the engine.
    fn columns(&self, snapshot: &dyn Snapshot, statement: &str) -> Result<SchemaRef, Refusal> {
        if is_writing(statement) {
            return Err(Refusal::Invalid(READ_ONLY.to_owned()));
        }
        snapshot.describe(statement, self.timeout)
    }

    fn describe(&self, ask: Ask) -> Result<Described, Status> {
        match ask {
            Ask::Table(name) => {
                let snapshot = self.shelf.now()?;
                let table = &snapshot.tables()[find(&*snapshot, &name)?];
                Ok(Described { schema: table.schema.clone(), ticket: Ticket::new(name), rows: Some(table.rows) })
            }
            Ask::Statement(asked) => {
                let snapshot = self.snapshot(&asked)?;
                let ticket = StatementTicket { run: Some(snapshot.id()), statement: asked.statement };
                let (schema, rows) = match scanned(&*snapshot, &ticket.statement) {
                    Some((table, limit)) => {
                        let Table { schema, rows, .. } = &snapshot.tables()[table];
                        (schema.clone(), Some(limit.min(*rows)))
                    }
                    None => (self.columns(&*snapshot, &ticket.statement)?, None),
                };
                Ok(Described { schema, ticket: ticket.ticket(), rows })
            }
            Ask::Metadata(command) => {
                let ticket = Ticket::new(command.clone().into_any().encode_to_vec());
                Ok(Described { schema: self.metadata(*command)?.schema(), ticket, rows: None })
            }
        }
    }

    fn query(&self, ask: Ask) -> Result<Query, Status> {
        let name = ask.name();
        match ask {
            Ask::Table(table) => {
                let snapshot = self.shelf.now()?;
                let table = find(&*snapshot, &table)?;
                Ok(rows_of(snapshot, table, u64::MAX, name))
            }
            Ask::Statement(asked) => {
                let snapshot = self.snapshot(&asked)?;
                let statement = asked.statement;
                if let Some((table, limit)) = scanned(&*snapshot, &statement) {
                    return Ok(rows_of(snapshot, table, limit, name));
                }
                let schema = self.columns(&*snapshot, &statement)?;
                let timeout = self.timeout;
                let work = Box::new(move |take: &mut Take<'_>| snapshot.query(&statement, timeout, take));
                Ok(Query { name, schema, work })
            }
            Ask::Metadata(command) => {
                let batch = self.metadata(*command)?;
                let schema = batch.schema();
                let work = Box::new(move |take: &mut Take<'_>| {
                    let _ = take(Piece::Rows(batch));
                    Ok(())
                });
                Ok(Query { name, schema, work })
            }
        }
    }

    fn metadata(&self, command: Command) -> Result<RecordBatch, Status> {
        let none = |schema: &SchemaRef| -> Answer { Ok(RecordBatch::new_empty(schema.clone())) };
        let answer = match command {
            Command::CommandGetCatalogs(command) => metadata::catalogs(command),
            Command::CommandGetDbSchemas(command) => metadata::schemas(command),
            Command::CommandGetTableTypes(command) => metadata::table_types(command),
            Command::CommandGetTables(command) => metadata::tables(command, self.shelf.now()?.tables()),
            Command::CommandGetSqlInfo(command) => command.into_builder(&self.server).build(),
            Command::CommandGetXdbcTypeInfo(command) => command.into_builder(&self.types).build(),
            Command::CommandGetPrimaryKeys(_) => none(&PRIMARY_KEYS),
            _ => none(&FOREIGN_KEYS),
        };
        answer.map_err(|error| Status::invalid_argument(error.to_string()))
    }

    async fn described(&self, descriptor: FlightDescriptor) -> Result<Described, Status> {
        let ask = Ask::of_descriptor(&descriptor)?;
        self.told(ask.name(), self.aside(move |this| this.describe(ask))).await
    }

    async fn prepare(&self, body: &[u8]) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = StatementTicket::prepare(body)?;
        let handle = statement.handle();
        let ask = Ask::Statement(statement);
        let schema = self.told(ask.name(), self.aside(move |this| this.describe(ask))).await?.schema;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema: as_ipc(&schema)?,
            parameter_schema: as_ipc(&Schema::empty())?,
        })
    }
}

/// The place of a table of this name.
fn find(snapshot: &dyn Snapshot, name: &str) -> Result<usize, Refusal> {
    let tables = snapshot.tables();
    tables.iter().position(|table| table.name == name).ok_or_else(|| {
        let names: Vec<String> = tables.iter().map(|table| format!("`{}`", table.name)).collect();
        Refusal::NotFound(format!("there is no table `{name}`; there are {}", names.join(", ")))
    })
}

/// The table whose rows a statement asks for, all or so many; none where it is for the engine.
fn scanned(snapshot: &dyn Snapshot, statement: &str) -> Option<(usize, u64)> {
    let Scan { table, limit } = scan(statement)?;
    Some((find(snapshot, &table).ok()?, limit))
}

fn rows_of(snapshot: Arc<dyn Snapshot>, table: usize, limit: u64, name: String) -> Query {
    let schema = snapshot.tables()[table].schema.clone();
    Query { name, schema, work: Box::new(move |take| snapshot.read(table, limit, take)) }
}

fn as_ipc(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(unsendable)?;
    Ok(bytes)
}

fn unsendable(error: ArrowError) -> Status {
    Status::internal(format!("the columns can't be told: {error}"))
}

fn info(described: Described, descriptor: Option<FlightDescriptor>) -> Result<FlightInfo, Status> {
    let Described { schema, ticket, rows } = described;
    let rows = rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(-1);
    let info = FlightInfo::new().with_total_records(rows).with_ordered(true);
    let info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket));
    let info = FlightInfo { flight_descriptor: descriptor, ..info };
    info.try_with_schema(&schema).map_err(unsendable)
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    /// Who shows a token as a password gets it back as a token.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let mut response = Response::new(stream::empty().boxed() as Self::HandshakeStream);
        if let Some(tokens) = &self.tokens {
            let token = tokens.check(request.metadata())?;
            let header = format!("Bearer {token}").parse();
            let mut header: tonic::metadata::MetadataValue<_> =
                header.map_err(|_| Status::unauthenticated("the token is not accepted"))?;
            header.set_sensitive(true);
            response.metadata_mut().insert(AUTHORIZATION, header);
        }
        Ok(response)
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let snapshot = self.aside(|this| Ok(this.shelf.now()?)).await?;
        let flight = |Table { name, schema, rows }: &Table| {
            let described = Described { schema: schema.clone(), ticket: Ticket::new(name.clone()), rows: Some(*rows) };
            info(described, Some(FlightDescriptor::new_path(vec![name.clone()])))
        };
        let flights: Vec<_> = snapshot.tables().iter().map(flight).collect();
        Ok(Response::new(stream::iter(flights).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let described = self.described(descriptor.clone()).await?;
        Ok(Response::new(info(described, Some(descriptor))?))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(PollInfo::new().with_info(info)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let described = self.described(request.into_inner()).await?;
        Ok(Response::new(SchemaResult { schema: as_ipc(&described.schema)? }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ask = Ask::of_ticket(request.get_ref())?;
        let name = ask.name();
        let begin = async { Ok((self.aside(move |this| this.query(ask)).await?, self.turn().await?)) };
        let (query, turn) = self.told(name, begin).await?;
        Ok(Response::new(self.answering.stream(query, turn).boxed()))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let first = request.into_inner().message().await?;
        let descriptor = first.and_then(|first| first.flight_descriptor).unwrap_or_default();
        Err(refusal_to_take(&descriptor).into())
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("there is nothing to exchange: ask for a table or a statement"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let Action { r#type: kind, body } = request.into_inner();
        let answers = match kind.as_str() {
            PREPARE => {
                let prepared = self.prepare(&body).await?;
                vec![Ok(arrow_flight::Result { body: Any::encode_to_vec(&prepared.as_any()).into() })]
            }
            // A handle is all that there is of a statement.
            CLOSE => Vec::new(),
            other => return Err(Status::unimplemented(format!("there is no action `{other}`"))),
        };
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let action = |(kind, description): (&str, &str)| {
            Ok(ActionType { r#type: kind.to_owned(), description: description.to_owned() })
        };
        let actions = [
            (
                PREPARE,
                "Prepares a statement: ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult",
            ),
            (CLOSE, "Closes a prepared statement: ActionClosePreparedStatementRequest"),
        ];
        Ok(Response::new(stream::iter(actions.map(action)).boxed()))
    }
}
