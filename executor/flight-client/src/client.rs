//! Asks a server.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use arrow_schema::{Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use prost::Message as _;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use zeroize::Zeroizing;

use crate::error::{FlightError, causes};
use crate::plain::{plain, plain_schema};

/// The most bytes of a message, so that a server can't have this process take whatever it says.
const LARGEST: usize = 1 << 30;
/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a silent server is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// Bytes that may be on their way and were not taken.
const WINDOW: u32 = 8 << 20;
/// A location that means: where the flight was asked for.
const SAME: &str = "arrow-flight-reuse-connection://";

/// How a server is reached.
#[derive(Clone)]
pub struct Access {
    /// `grpc://host:port`, or `grpc+tls://host:port`.
    pub server: String,
    /// What is shown to it.
    pub token: Option<Zeroizing<String>>,
    /// The certificates that it is trusted by, as PEM.
    pub authorities: String,
}

/// What a server is asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The stream of a ticket.
    Ticket(Vec<u8>),
    /// The flight of a descriptor that is a path.
    Path(Vec<String>),
    /// The flight of a descriptor that is a command.
    Command(Vec<u8>),
    /// What a statement gives, by Flight SQL.
    Sql(String),
}

/// Asks a server. Its calls wait in the thread that makes them.
pub struct Client {
    access: Access,
    runtime: tokio::runtime::Runtime,
}

type Connection = FlightServiceClient<Channel>;

impl Client {
    /// Connects when it is used.
    ///
    /// # Errors
    /// If the system gives no means to wait.
    pub fn new(access: Access) -> Result<Self, FlightError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { access, runtime: runtime.map_err(|error| FlightError::Write(error.to_string()))? })
    }

    /// The columns of what is asked for, with values in the place of dictionaries.
    ///
    /// # Errors
    /// If the server can't be reached, or does not tell them.
    pub fn schema(&self, ask: &Ask) -> Result<SchemaRef, FlightError> {
        self.caught(async {
            let mut connection = self.connect(&self.access.server).await?;
            if let Ask::Ticket(ticket) = ask {
                let mut stream = self.stream(&mut connection, Ticket::new(ticket.clone())).await?;
                // The columns come first, whether rows follow or not.
                let first = stream.next().await.transpose();
                let first = first.map_err(|error| FlightError::of_stream(&error, 0, LARGEST))?;
                let schema = first.map(|batch| batch.schema()).or_else(|| stream.schema().cloned());
                return schema.map(|schema| plain_schema(&schema)).ok_or_else(no_columns);
            }
            let info = self.info(&mut connection, ask).await?;
            if info.schema.is_empty() {
                let call = connection.get_schema(self.request(descriptor(ask))).await;
                let result = call.map_err(|status| FlightError::of_status(&status, LARGEST))?.into_inner();
                return columns(&result.try_into());
            }
            columns(&info.try_decode_schema())
        })
    }

    /// Reads all rows that are asked for, in the server's order.
    ///
    /// # Errors
    /// If the server can't be reached, refuses, or stops in the middle; or if `take` fails.
    pub fn read(
        &self,
        ask: &Ask,
        begin: impl FnOnce(&SchemaRef) -> Result<(), FlightError>,
        mut take: impl FnMut(&RecordBatch) -> Result<(), FlightError>,
    ) -> Result<(), FlightError> {
        self.caught(async {
            let mut connection = self.connect(&self.access.server).await?;
            let (endpoints, mut schema) = match ask {
                Ask::Ticket(ticket) => (vec![FlightEndpoint::new().with_ticket(Ticket::new(ticket.clone()))], None),
                other => {
                    let info = self.info(&mut connection, other).await?;
                    let endpoints = info.endpoint.clone();
                    (endpoints, info.try_decode_schema().ok().map(|schema| plain_schema(&schema)))
                }
            };
            let (mut begin, mut rows) = (Some(begin), 0);
            for endpoint in endpoints {
                let mut connection = self.located(&connection, &endpoint).await?;
                let ticket =
                    endpoint.ticket.ok_or_else(|| FlightError::Malformed("an endpoint has no ticket".into()))?;
                let mut stream = self.stream(&mut connection, ticket).await?;
                while let Some(batch) = stream.next().await {
                    let batch = batch.map_err(|error| FlightError::of_stream(&error, rows, LARGEST))?;
                    let schema = schema.get_or_insert_with(|| plain_schema(&batch.schema()));
                    if let Some(begin) = begin.take() {
                        begin(schema)?;
                    }
                    let batch = plain(&batch, schema).map_err(|error| {
                        FlightError::Malformed(format!("rows do not have the columns that were told: {error}"))
                    })?;
                    rows += batch.num_rows() as u64;
                    take(&batch)?;
                }
                if schema.is_none() {
                    schema = stream.schema().map(|schema| plain_schema(schema));
                }
            }
            match begin {
                Some(begin) => begin(&schema.ok_or_else(no_columns)?),
                None => Ok(()),
            }
        })
    }

    /// Waits for a call. Decoders return errors for most of what makes no sense, and panic for some.
    fn caught<T>(&self, call: impl Future<Output = Result<T, FlightError>>) -> Result<T, FlightError> {
        let caught = flowc_platform::caught(|| self.runtime.block_on(call));
        caught.unwrap_or_else(|panic| Err(FlightError::Malformed(panic.to_string())))
    }

    async fn connect(&self, server: &str) -> Result<Connection, FlightError> {
        let unreachable = |error: tonic::transport::Error| FlightError::Unreachable(causes(&error));
        let (address, is_secured) = match server.split_once("://") {
            Some(("grpc" | "grpc+tcp", address)) => (format!("http://{address}"), false),
            Some(("grpc+tls", address)) => (format!("https://{address}"), true),
            _ => return Err(FlightError::Malformed(format!("it names a place that can't be reached: {server}"))),
        };
        if !is_secured && self.access.server.starts_with("grpc+tls://") {
            return Err(FlightError::Refused(format!("it names a place that is not secured, as itself is: {server}")));
        }
        let mut endpoint = Endpoint::from_shared(address).map_err(unreachable)?.connect_timeout(PATIENCE);
        if is_secured {
            let authorities = Certificate::from_pem(&self.access.authorities);
            let tls = ClientTlsConfig::new().ca_certificate(authorities).timeout(PATIENCE);
            endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
        }
        let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE.0).keep_alive_timeout(KEEP_ALIVE.1);
        let channel = endpoint.keep_alive_while_idle(true).connect().await.map_err(unreachable)?;
        Ok(FlightServiceClient::new(channel).max_decoding_message_size(LARGEST))
    }

    /// A connection to where an endpoint is: the first of its locations that can be reached.
    async fn located(&self, connection: &Connection, endpoint: &FlightEndpoint) -> Result<Connection, FlightError> {
        let mut failed = None;
        for location in &endpoint.location {
            let uri = location.uri.trim_end_matches('/');
            if uri.starts_with(SAME) || uri == self.access.server {
                return Ok(connection.clone());
            }
            match self.connect(uri).await {
                Ok(other) => return Ok(other),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or_else(|| Ok(connection.clone()), Err)
    }

    async fn info(&self, connection: &mut Connection, ask: &Ask) -> Result<FlightInfo, FlightError> {
        let call = connection.get_flight_info(self.request(descriptor(ask))).await;
        Ok(call.map_err(|status| FlightError::of_status(&status, LARGEST))?.into_inner())
    }

    async fn stream(
        &self,
        connection: &mut Connection,
        ticket: Ticket,
    ) -> Result<FlightRecordBatchStream, FlightError> {
        let call = connection.do_get(self.request(ticket)).await;
        let messages = call.map_err(|status| FlightError::of_status(&status, LARGEST))?.into_inner();
        Ok(FlightRecordBatchStream::new_from_flight_data(messages.map_err(Into::into)))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let header = self.access.token.as_ref().map(|token| Zeroizing::new(format!("Bearer {}", token.trim())));
        // A token that no header can hold is one that no server accepts.
        if let Some(Ok(mut header)) = header.map(|header| header.parse::<tonic::metadata::MetadataValue<_>>()) {
            header.set_sensitive(true);
            request.metadata_mut().insert("authorization", header);
        }
        request
    }
}

fn descriptor(ask: &Ask) -> FlightDescriptor {
    match ask {
        Ask::Ticket(bytes) | Ask::Command(bytes) => FlightDescriptor::new_cmd(bytes.clone()),
        Ask::Path(path) => FlightDescriptor::new_path(path.clone()),
        Ask::Sql(statement) => {
            let query = CommandStatementQuery { query: statement.clone(), transaction_id: None };
            FlightDescriptor::new_cmd(Any::encode_to_vec(&query.as_any()))
        }
    }
}

fn no_columns() -> FlightError {
    FlightError::Malformed("it tells no columns".to_owned())
}

fn columns(told: &Result<Schema, arrow_schema::ArrowError>) -> Result<SchemaRef, FlightError> {
    match told {
        Ok(schema) => Ok(plain_schema(schema)),
        Err(error) => Err(FlightError::Malformed(format!("its columns: {error}"))),
    }
}
