//! The calls of the stage protocol.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::utils::batches_to_flight_data;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{DataType, Field, Schema};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{BoxStream, StreamExt, TryStreamExt, once};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::{Request, Response, Status, Streaming};

use crate::table::Table;

const PROTOCOL: u64 = 1;

/// Serves the one stage.
pub struct Sites(Arc<Table>);

impl Sites {
    pub fn new(table: Table) -> Self {
        Self(Arc::new(table))
    }
}

fn site() -> Field {
    Field::new("site", DataType::Utf8, false)
}

/// What the stage is.
fn signature() -> Value {
    let unknown = json!({"type": "string", "description": "What is said of an address of no site."});
    json!({
        "protocol": PROTOCOL,
        "doc": "Tells the site of each `address`.",
        "inputs": ["rows"],
        "outputs": ["out"],
        "config_schema": {
            "type": "object", "properties": {"unknown": unknown}, "required": ["unknown"], "additionalProperties": false
        },
    })
}

/// What it does with the columns that it is shown, asked when a pipeline is planned. It reads one, adds one, and passes all
/// others on without seeing them.
fn describe(request: &Value) -> Result<Value, String> {
    let schema = request["inputs"][0].as_str().unwrap_or_default();
    let schema = STANDARD.decode(schema).map_err(|error| error.to_string())?;
    let schema = try_schema_from_ipc_buffer(&schema).map_err(|error| error.to_string())?;
    let Some((address, _)) = schema.column_with_name("address").filter(|(_, f)| f.data_type() == &DataType::Utf8)
    else {
        return Ok(json!({"problem": {"message": "there is no text column `address`"}}));
    };
    let columns = (0..schema.fields().len()).map(|column| json!({"passed": column})).chain([json!("written")]);
    let columns: Vec<Value> = columns.collect();
    let fields: Vec<_> = schema.fields().iter().cloned().chain([Arc::new(site())]).collect();
    let told = to_text(&Schema::new_with_metadata(fields, schema.metadata().clone()));
    Ok(json!({
        "inputs": [{"class": "row-wise", "reads": [address], "keys": []}],
        "outputs": [{"schema": told, "rows": {"same": 0}, "columns": columns}],
    }))
}

/// Schemas travel as IPC messages in base64.
fn to_text(schema: &Schema) -> String {
    let message: arrow_flight::IpcMessage =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().expect("a schema can be written");
    STANDARD.encode(message.0)
}

/// What one invocation answers: the sites of each batch, and how many rows were taken.
async fn invoke(
    table: Arc<Table>,
    unknown: String,
    mut rows: FlightRecordBatchStream,
    to: Answers,
) -> Result<(), Status> {
    to.note(json!({"opened": true})).await;
    let (mut taken, mut is_first) = (0, true);
    while let Some(batch) = rows.try_next().await.map_err(|error| Status::invalid_argument(error.to_string()))? {
        let addresses = batch.column(0).as_string::<i32>();
        let site = |address: Option<&str>| address.and_then(|address| table.site(address)).unwrap_or(&unknown);
        let sites: ArrayRef = Arc::new(StringArray::from_iter_values(addresses.iter().map(site)));
        let schema = Schema::new(vec![self::site()]);
        let sites = RecordBatch::try_new(Arc::new(schema.clone()), vec![sites]);
        let sites = sites.and_then(|sites| batches_to_flight_data(&schema, vec![sites]));
        // The schema comes first, and once.
        let messages = sites.map_err(|error| Status::internal(error.to_string()))?.into_iter();
        for message in messages.skip(usize::from(!is_first)) {
            to.send(message).await;
        }
        is_first = false;
        taken += batch.num_rows();
        to.note(json!({"consumed": taken})).await;
    }
    to.note(json!({"finished": true})).await;
    Ok(())
}

/// Where answers go. A few wait at most, so a slow reader slows the stage.
struct Answers(Sender<Result<FlightData, Status>>);

impl Answers {
    fn new() -> (Self, Receiver<Result<FlightData, Status>>) {
        let (send, receive) = channel(2);
        (Self(send), receive)
    }

    /// Nobody listens any more where flowc has ended the call.
    async fn send(&self, message: FlightData) {
        let _ = self.0.send(Ok(message)).await;
    }

    async fn note(&self, note: Value) {
        self.send(FlightData { app_metadata: note.to_string().into(), ..FlightData::default() }).await;
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

type Stream<T> = BoxStream<'static, Result<T, Status>>;

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the stage protocol does not need it"))
}

#[tonic::async_trait]
impl FlightService for Sites {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let Action { r#type, body } = request.into_inner();
        let request = parse(&body)?;
        let answer = match r#type.as_str() {
            _ if request["protocol"] != PROTOCOL => json!({"problem": {"message": "this stage speaks version 1"}}),
            "flowc.signature" => signature(),
            "flowc.describe" => describe(&request).map_err(Status::invalid_argument)?,
            other => return Err(Status::unimplemented(other.to_owned())),
        };
        let answer = arrow_flight::Result { body: answer.to_string().into() };
        Ok(Response::new(once(async { Ok(answer) }).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::invalid_argument("no opening"))?;
        let opening = parse(&first.flight_descriptor.unwrap_or_default().cmd)?;
        let unknown = opening["config"]["unknown"].as_str().unwrap_or_default().to_owned();
        let rows = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
        let (to, answers) = Answers::new();
        let (table, failed) = (self.0.clone(), to.0.clone());
        tokio::spawn(async move {
            if let Err(status) = invoke(table, unknown, rows, to).await {
                let _ = failed.send(Err(status)).await;
            }
        });
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(answers).boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        none()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        none()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        none()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        none()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        none()
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        none()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        none()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        none()
    }
}
