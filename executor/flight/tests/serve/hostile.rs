//! Clients that do not keep to the protocol: they get errors, and the server goes on.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, LargeBinaryArray, RecordBatch};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor, SchemaAsIpc, Ticket};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::plan::{OutputColumn, Rows};
use flowc_runner::conformance::run;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::service_fn;

use crate::support::{Server, invocation, numbers, schema};

/// A client that sends what it likes.
struct Hostile {
    runtime: Runtime,
    client: FlightServiceClient<Channel>,
    server: Server,
}

impl Hostile {
    fn new() -> Self {
        let (server, runtime) = (Server::start(), Runtime::new().unwrap());
        let socket: Arc<PathBuf> = Arc::new(server.socket.clone());
        let connect = move |_| {
            let socket = socket.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(&*socket).await?)) }
        };
        let endpoint = Endpoint::from_static("http://stage");
        let channel = runtime.block_on(endpoint.connect_with_connector(service_fn(connect))).unwrap();
        Self { runtime, client: FlightServiceClient::new(channel), server }
    }

    fn act(&self, action: &str, body: impl Into<Vec<u8>>) -> Result<Value, Status> {
        let action = Action { r#type: action.to_owned(), body: body.into().into() };
        let mut client = self.client.clone();
        self.runtime.block_on(async {
            let answer = client.do_action(action).await?.into_inner().message().await?.unwrap();
            Ok(serde_json::from_slice(&answer.body).unwrap())
        })
    }

    /// What comes back of an exchange: notes until one that ends it, or an error.
    fn exchange(&self, messages: Vec<FlightData>) -> Result<Vec<Value>, Status> {
        let mut client = self.client.clone();
        self.runtime.block_on(async {
            let mut answers = client.do_exchange(futures::stream::iter(messages)).await?.into_inner();
            let mut notes: Vec<Value> = Vec::new();
            while let Some(answer) = answers.message().await? {
                if !answer.app_metadata.is_empty() {
                    notes.push(serde_json::from_slice(&answer.app_metadata).unwrap());
                }
                if notes.last().is_some_and(|note| note.get("problem").or(note.get("failed")).is_some()) {
                    break;
                }
            }
            Ok(notes)
        })
    }

    fn put(&self, path: &[&str]) -> Status {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        let first = described(FlightDescriptor::new_path(path));
        let mut client = self.client.clone();
        self.runtime.block_on(async { client.do_put(futures::stream::iter([first])).await }).unwrap_err()
    }

    fn get(&self, ticket: impl Into<Vec<u8>>) -> Status {
        let mut client = self.client.clone();
        self.runtime.block_on(async { client.do_get(Ticket::new(ticket.into())).await }).unwrap_err()
    }

    /// That the server still does its work.
    fn is_well(&self) {
        let keep = invocation("keep", 1, &[(Rows::Subset { input: 0 }, OutputColumn::Passed { column: 0 })]);
        let (outcome, kept) = run(&self.server, &keep, [numbers(0..3)]);
        outcome.unwrap();
        assert_eq!(kept.ids(), [0, 1, 2]);
    }
}

fn described(descriptor: FlightDescriptor) -> FlightData {
    FlightData { flight_descriptor: Some(descriptor), ..FlightData::default() }
}

fn opened(opening: &Value) -> FlightData {
    described(FlightDescriptor::new_cmd(opening.to_string()))
}

fn wire_schema(schema: &Schema) -> String {
    STANDARD.encode(flowc_runner::schema::encode(schema).unwrap())
}

/// An opening that is as it must be, of a stage that takes one input and writes new rows.
fn opening(name: &str) -> Value {
    let schema = wire_schema(&schema());
    json!({
        "protocol": 1, "stage": "keep", "invocation": name, "config": {}, "phase": "run", "part": 0,
        "inputs": [{"schema": schema}], "main": 0, "outputs": [{"rows": "new", "written": schema}], "credit": 8388608,
    })
}

fn with(name: &str, field: &str, value: Value) -> Vec<FlightData> {
    let mut opening = opening(name);
    opening[field] = value;
    vec![opened(&opening)]
}

#[test]
fn actions_that_make_no_sense_are_refused() {
    let hostile = Hostile::new();
    assert_eq!(hostile.act("flowc.sing", "{}").unwrap_err().code(), Code::Unimplemented);
    for body in ["", "{", "[]", "{}", r#"{"protocol": "one"}"#, r#"{"protocol": 1}"#, "\u{0}\u{1}"] {
        assert_eq!(hostile.act("flowc.signature", body).unwrap_err().code(), Code::InvalidArgument, "{body}");
        assert_eq!(hostile.act("flowc.describe", body).unwrap_err().code(), Code::InvalidArgument, "{body}");
    }
    let answer = hostile.act("flowc.signature", r#"{"protocol": 2, "stage": "keep"}"#).unwrap();
    assert!(answer["problem"]["message"].as_str().unwrap().contains("version 1"), "{answer}");
    let ask = json!({"protocol": 1, "stage": "keep", "config": {}, "inputs": ["AAAA"]}).to_string();
    assert_eq!(hostile.act("flowc.describe", ask).unwrap_err().code(), Code::InvalidArgument);
    hostile.is_well();
}

#[test]
fn openings_that_make_no_sense_are_refused() {
    let hostile = Hostile::new();
    let numbers = json!([{"rows": {"subset": 0}, "written": wire_schema(&schema())}]);
    let cases = [
        with("a", "phase", json!("dance")),
        with("a", "main", json!(1)),
        with("a", "main", Value::Null),
        with("a", "inputs", json!([{"schema": "no base64!"}])),
        with("a", "inputs", json!([])),
        with("a", "outputs", json!([])),
        with("a", "outputs", json!([{"rows": {"same": 7}, "written": wire_schema(&schema())}])),
        with("a", "outputs", numbers),
        with("a", "serialization", json!("yaml")),
        vec![FlightData::default()],
        vec![described(FlightDescriptor::new_cmd("{"))],
        vec![],
    ];
    for case in cases {
        let status = hostile.exchange(case.clone()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{case:?}: {status}");
    }
    let notes = hostile.exchange(with("a", "protocol", json!(2))).unwrap();
    assert!(notes.last().unwrap().get("problem").is_some(), "{notes:?}");
    hostile.is_well();
}

/// A step between two frames of one column.
fn step() -> Value {
    let schema = wire_schema(&schema());
    json!({"stage": "keep", "config": {}, "phase": "run", "reads": [0], "input": schema, "rows": "new",
        "written": schema, "frame": [{"written": 0}]})
}

#[test]
fn chains_that_make_no_sense_are_refused() {
    let hostile = Hostile::new();
    let text = Schema::new(vec![Field::new("n", DataType::Utf8, false)]);
    let one = |field: &str, value: Value| {
        let mut one = step();
        one[field] = value;
        one
    };
    let changed = |field: &str, value: Value| json!([step(), one(field, value), step()]);
    let cases = [
        (changed("phase", json!("partial")), "only the last step"),
        (changed("phase", json!("dance")), "can't be read"),
        (changed("reads", json!([1])), "there is no column 1 in the frame before it, which has 1"),
        (changed("reads", json!([0, 0])), "not those that it reads"),
        (changed("input", json!(wire_schema(&text))), "not those that it reads"),
        (changed("input", json!("AAAA")), "a schema can't be read"),
        (changed("frame", json!([{"written": 1}])), "there is no column 1 among those that it writes, which are 1"),
        (changed("frame", json!([{"kept": 7}])), "there is no column 7 in the frame before it"),
        (changed("frame", json!([{"kept": 0}])), "nothing of the frame before it can be kept"),
        (changed("rows", json!({"same": 1})), "step 1: it has the rows of input 1"),
        (json!([step(), {}]), "can't be read"),
        (json!([one("rows", json!({"same": 0}))]), "not what the output says"),
        (json!([one("frame", json!([]))]), "does not have the columns of the output"),
        (json!(vec![step(); 65]), "64 steps at most, and this one has 65"),
    ];
    for (steps, what) in cases {
        let status = hostile.exchange(with("a", "steps", steps)).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(what), "{what}: {status}");
    }
    let mut two = opening("a");
    let output = two["outputs"][0].clone();
    two["steps"] = json!([step()]);
    two["outputs"] = json!([output.clone(), output]);
    let status = hostile.exchange(vec![opened(&two)]).unwrap_err();
    assert!(status.message().contains("a main input, and one output"), "{status}");
    hostile.is_well();
}

#[test]
fn streams_of_no_invocation_are_refused() {
    let hostile = Hostile::new();
    assert_eq!(hostile.put(&["flowc", "nobody", "input", "0"]).code(), Code::NotFound);
    for path in [&[][..], &["flowc"], &["flowc", "a", "input", "-1"], &["flowc", "a", "output", "0"]] {
        assert_eq!(hostile.put(path).code(), Code::InvalidArgument, "{path:?}");
    }
    for ticket in ["", "{}", "[1]"] {
        assert_eq!(hostile.get(ticket).code(), Code::InvalidArgument, "{ticket}");
    }
    let ticket = json!({"protocol": 1, "stage": "keep", "invocation": "nobody", "output": 1}).to_string();
    assert_eq!(hostile.get(ticket).code(), Code::NotFound);
    hostile.is_well();
}

#[test]
fn garbage_in_place_of_batches_ends_the_invocation() {
    let hostile = Hostile::new();
    let schema_message = FlightData::from(SchemaAsIpc::new(&schema(), &IpcWriteOptions::default()));
    let other = Schema::new(vec![Field::new("x", DataType::Utf8, true)]);
    let other = FlightData::from(SchemaAsIpc::new(&other, &IpcWriteOptions::default()));
    let garbage = FlightData { data_header: vec![0xff; 64].into(), ..FlightData::default() };
    let noted = FlightData { app_metadata: "{".into(), ..FlightData::default() };
    let cut = FlightData { data_header: schema_message.data_header.slice(..20), ..FlightData::default() };
    let cases = [vec![garbage.clone()], vec![other], vec![noted], vec![cut], vec![schema_message, garbage]];
    for (number, case) in cases.into_iter().enumerate() {
        let messages = [opened(&opening(&number.to_string()))].into_iter().chain(case).collect();
        let status = hostile.exchange(messages).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{number}: {status}");
    }
    hostile.is_well();
}

#[test]
fn garbage_within_a_batch_ends_the_invocation() {
    let hostile = Hostile::new();
    let options = IpcWriteOptions::default();
    for serialization in ["json", "parquet"] {
        let bytes: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![&b"{\"n\": no number}"[..]]));
        let two = RecordBatch::try_from_iter([("batch", concat(&[&bytes, &bytes]).unwrap())]).unwrap();
        for batch in [RecordBatch::try_from_iter([("batch", bytes)]).unwrap(), two] {
            let schema = FlightData::from(SchemaAsIpc::new(batch.schema_ref(), &options));
            let messages = flight_data(&batch);
            let first = with(serialization, "serialization", json!(serialization));
            let messages = first.into_iter().chain([schema, messages]).collect();
            let status = hostile.exchange(messages).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{serialization}: {status}");
        }
    }
    hostile.is_well();
}

fn flight_data(batch: &RecordBatch) -> FlightData {
    let generator = IpcDataGenerator::default();
    let (options, mut tracker) = (IpcWriteOptions::default(), DictionaryTracker::new(false));
    let encoded = generator.encode(batch, &mut tracker, &options, &mut IpcWriteContext::default());
    encoded.unwrap().1.into()
}
