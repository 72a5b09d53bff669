//! Records that other tools wrote, and pipelines that read them from a topic.

use serde_json::Value;

use super::kafka::{TestTopic, broker};
use super::project::Project;
use super::registry::Registry;

/// Schemas and records that fastavro wrote.
pub(crate) const AVRO: &str = include_str!("../../../executor/records/tests/bytes/avro.json");
/// Messages that Google's library wrote.
pub(crate) const PROTOBUF: &str = include_str!("../../../executor/records/tests/bytes/protobuf.json");
/// Their descriptors.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("../../../executor/records/tests/bytes/shop.desc");

pub(crate) fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The bytes of records in a fixture.
pub(crate) fn bytes(records: &Value) -> Vec<Vec<u8>> {
    let of = |record: &Value| {
        let hex = record["bytes"].as_str().unwrap();
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    records.as_array().unwrap().iter().map(of).collect()
}

/// A record as registries have it.
pub(crate) fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

/// The newer schema without some of its fields. Bytes, among others, have no place in lines of JSON.
pub(crate) fn without(fields: &[&str]) -> Value {
    let mut schema = fixture(AVRO)["new"].clone();
    let all = schema["fields"].as_array_mut().unwrap();
    all.retain(|field| !fields.contains(&field["name"].as_str().unwrap()));
    schema
}

/// A registry with the schemas in which the fixture's records were written.
pub(crate) fn registry() -> Registry {
    let (registry, fixture) = (Registry::new(), fixture(AVRO));
    registry.put(1, "written", &fixture["old"]);
    registry.put(2, "written", &fixture["new"]);
    registry
}

pub(crate) fn append(topic: &TestTopic, records: &[Vec<u8>]) {
    topic.append_bytes(records.iter().map(|record| Some(record.as_slice())));
}

/// A pipeline that copies a topic to `out.jsonl`. `format` stands in the source, `more` in `kafka`.
pub(crate) fn pipeline(project: &Project, topic: &TestTopic, format: &str, more: &str) {
    let address = broker("FLOWC_KAFKA");
    project.write(
        "flow.kdl",
        &format!(
            "source \"bids\" {{
                 kafka \"{address}\" topic=\"{}\" {{ {more} }}
                 {format}
             }}
             sink \"out\" {{ in \"bids\"; file \"out.jsonl\" }}\n",
            topic.name
        ),
    );
}

/// Adds to the pipeline.
pub(crate) fn extend(project: &Project, more: &str) {
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &(text + more));
}

pub(crate) fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

/// What a command says, which fails. Messages are wrapped where the terminal ends.
pub(crate) fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// The rows of a file, as objects.
pub(crate) fn rows(project: &Project, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project.folder().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn ids(project: &Project) -> Vec<i64> {
    rows(project, "out.jsonl").iter().map(|row| row["id"].as_i64().unwrap()).collect()
}
