//! Records whose format has a schema of its own, read from a real broker and written to it, with a registry that speaks HTTP.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use serde_json::{Value, json};
use support::kafka::{TestTopic, broker};
use support::project::Project;
use support::registry::Registry;

/// Schemas and records that fastavro wrote.
const AVRO: &str = include_str!("../../executor/records/tests/bytes/avro.json");
/// Messages that Google's library wrote.
const PROTOBUF: &str = include_str!("../../executor/records/tests/bytes/protobuf.json");
/// Their descriptors.
const DESCRIPTORS: &[u8] = include_bytes!("../../executor/records/tests/bytes/shop.desc");

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The bytes of records in a fixture.
fn bytes(records: &Value) -> Vec<Vec<u8>> {
    let of = |record: &Value| {
        let hex = record["bytes"].as_str().unwrap();
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    records.as_array().unwrap().iter().map(of).collect()
}

/// A record as registries have it.
fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

/// The newer schema without some of its fields. Bytes, among others, have no place in lines of JSON.
fn without(fields: &[&str]) -> Value {
    let mut schema = fixture(AVRO)["new"].clone();
    let all = schema["fields"].as_array_mut().unwrap();
    all.retain(|field| !fields.contains(&field["name"].as_str().unwrap()));
    schema
}

/// A registry with the schemas in which the fixture's records were written.
fn registry() -> Registry {
    let (registry, fixture) = (Registry::new(), fixture(AVRO));
    registry.put(1, "written", &fixture["old"]);
    registry.put(2, "written", &fixture["new"]);
    registry
}

fn append(topic: &TestTopic, records: &[Vec<u8>]) {
    topic.append_bytes(records.iter().map(|record| Some(record.as_slice())));
}

/// A pipeline that copies a topic to `out.jsonl`. `format` stands in the source, `more` in `kafka`.
fn pipeline(project: &Project, topic: &TestTopic, format: &str, more: &str) {
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
fn extend(project: &Project, more: &str) {
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &(text + more));
}

fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

/// What a command says, which fails. Messages are wrapped where the terminal ends.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// The rows of a file, as objects.
fn rows(project: &Project, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project.folder().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(project: &Project) -> Vec<i64> {
    rows(project, "out.jsonl").iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn records_are_read_by_the_schemas_that_a_registry_has() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), registry());
    let fixture = fixture(AVRO);
    let subject = format!("{}-value", topic.name);
    registry.put(3, &subject, &without(&["hash"]));
    let (old, new) = (bytes(&fixture["old-rows"]), bytes(&fixture["new-rows"]));
    append(&topic, &[framed(1, &old[0]), framed(2, &new[0]), framed(1, &old[1]), framed(2, &new[1])]);
    let format = format!("format \"avro\" registry=\"{}\"", registry.url);
    pipeline(&project, &topic, &format, "until \"0=4\"; columns { offset \"at-offset\" }");
    run(&project);
    let read = rows(&project, "out.jsonl");
    assert_eq!(ids(&project), [7, 1 << 40, -1, 0]);
    assert_eq!(
        read[0],
        json!({ "id": 7, "price": 1.5, "state": "WON", "at": null, "local": null, "day": null, "clock": null,
        "key": null, "ratio": null, "note": "none", "tags": [], "counts": {}, "user": null, "at-offset": 0 })
    );
    assert_eq!(read[1]["at"], "2026-11-01T12:00:00.123456Z");
    assert_eq!(read[1]["key"], "12345678-9abc-def0-1234-56789abcdef0");
    assert_eq!((&read[1]["user"], &read[1]["at-offset"]), (&json!({ "name": "Ann", "vip": true }), &json!(1)));
    let lock = std::fs::read_to_string(project.folder().join("flow.lock")).unwrap();
    assert!(lock.contains("record-schema") && lock.contains(&format!("{subject} latest")), "{lock}");
    // What was told of an id holds for ever: neither a rerun nor a new stage asks again.
    registry.asked();
    registry.set_down(true);
    run(&project);
    extend(
        &project,
        "stage \"counts\" { in \"bids\"; std \"count@1\"; config { by \"state\" } }
                      sink \"counts\" { in \"counts\"; file \"counts.jsonl\" }\n",
    );
    run(&project);
    assert_eq!(rows(&project, "counts.jsonl").len(), 3);
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn the_schema_that_is_read_is_pinned_in_the_lock() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), registry());
    let fixture = fixture(AVRO);
    registry.put(3, "bids", &without(&["hash", "ratio"]));
    append(&topic, &[framed(1, &bytes(&fixture["old-rows"])[0])]);
    pipeline(&project, &topic, &format!("format \"avro\" registry=\"{}\" subject=\"bids\"", registry.url), "");
    run(&project);
    assert!(rows(&project, "out.jsonl")[0].get("ratio").is_none());
    // A newer version is read once the lock is made again, or the text names it.
    registry.put(4, "bids", &without(&["hash"]));
    append(&topic, &[framed(2, &bytes(&fixture["new-rows"])[1])]);
    run(&project);
    assert!(rows(&project, "out.jsonl")[1].get("ratio").is_none());
    let said = project.shell("flowc run --update");
    assert!(said.starts_with("exit 0"), "{said}");
    assert_eq!(rows(&project, "out.jsonl")[1]["ratio"], Value::Null);
    assert!(rows(&project, "out.jsonl")[1].get("ratio").is_some());
    let named = format!("format \"avro\" registry=\"{}\" subject=\"bids\" version=1", registry.url);
    pipeline(&project, &topic, &named, "");
    let said = failure(&project, "flowc run --locked");
    assert!(said.contains("its columns are not in the lock"), "{said}");
    run(&project);
    assert!(rows(&project, "out.jsonl")[0].get("ratio").is_none());
}

#[test]
fn bad_records_are_told_and_a_registry_that_is_down_is_none() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), registry());
    let fixture = fixture(AVRO);
    registry.put(4, "bids", &without(&["hash"]));
    let other =
        json!({ "type": "record", "name": "Bid", "namespace": "shop", "fields": [{ "name": "id", "type": "string" }] });
    registry.put(3, "others", &other);
    let new = bytes(&fixture["new-rows"]);
    let good = framed(2, &new[0]);
    topic.append_bytes([
        Some(&good[..]),
        Some(b"{\"id\":1}"),
        Some(&framed(7, &new[0])),
        Some(&framed(3, &[2, 65])),
        Some(&good[..good.len() - 1]),
        Some(&[good.as_slice(), &[0]].concat()),
        None,
        Some(&framed(2, &new[1])),
    ]);
    let format = format!("format \"avro\" registry=\"{}\" subject=\"bids\"", registry.url);
    pipeline(&project, &topic, &format, "");
    let said = failure(&project, "flowc run");
    assert!(said.contains("partition 0, offset 1: it does not begin with the id of a schema"), "{said}");
    pipeline(&project, &topic, &format!("{format}; bad-rows \"stream\""), "");
    extend(&project, "sink \"bad\" { in \"bids.rejects\"; file \"bad.parquet\" }\n");
    run(&project);
    assert_eq!(ids(&project), [1 << 40, 0]);
    let said = project.shell("flowc show bids.rejects --json");
    for reason in [
        "its first byte is 123, not 0",
        "the registry has no schema with the id 7",
        "schema 3, in which it was written, does not resolve",
        "it ends in the middle of a value",
        "bytes follow the record's last value",
        "it is a tombstone",
    ] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    pipeline(&project, &topic, &format!("{format}; bad-rows \"skip\""), "");
    run(&project);
    assert_eq!(ids(&project), [1 << 40, 0]);
    // Nothing is known of a record whose registry does not answer: it is not left out.
    append(&topic, &[framed(9, &new[0])]);
    registry.set_down(true);
    let said = failure(&project, "flowc run");
    assert!(said.contains("the schema registry") && said.contains("does not answer"), "{said}");
    assert_eq!(ids(&project), [1 << 40, 0]);
    registry.set_down(false);
    registry.put(9, "written", &fixture["new"]);
    run(&project);
    assert_eq!(ids(&project), [1 << 40, 0, 1 << 40]);
}

#[test]
fn what_a_registry_refuses_is_told_when_planning() {
    let (mut project, topic, registry) = (Project::new(), TestTopic::new(1), Registry::new());
    let told = |project: &Project, format: &str| {
        pipeline(project, &topic, format, "");
        failure(project, "flowc plan")
    };
    let url = registry.url.clone();
    let of = |rest: &str| format!("format \"avro\" registry=\"{url}\" {rest}");
    assert!(told(&project, &of("subject=\"none\"")).contains("has no version latest of the subject `none`"));
    registry.put_answer(1, "proto", json!({ "schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";" }));
    assert!(
        told(&project, &of("subject=\"proto\"")).contains("with a schema of PROTOBUF, where one of AVRO is expected")
    );
    let union = json!({ "type": "record", "name": "R", "fields": [{ "name": "u", "type": ["int", "string"] }] });
    registry.put(2, "union", &union);
    assert!(
        told(&project, &of("subject=\"union\"")).contains("the field `u` of the schema is a union of several types")
    );
    registry.put_answer(3, "references", json!({ "schema": "\"shop.Bid\"", "references": [{ "name": "shop.Bid" }] }));
    assert!(told(&project, &of("subject=\"references\"")).contains("refers to schemas of other subjects"));
    // A login.
    let login = of("subject=\"bids\" user=\"flowc\" { secret \"REGISTRY_PASSWORD\" }");
    registry.put(4, "bids", &without(&["hash"]));
    registry.put(5, "written", &fixture(AVRO)["new"]);
    registry.want_login();
    assert!(told(&project, &of("subject=\"bids\"")).contains("refuses the login (401)"));
    assert!(told(&project, &login).contains("the secret `REGISTRY_PASSWORD` is missing"));
    project.set("REGISTRY_PASSWORD", "secret".to_owned());
    pipeline(&project, &topic, &login, "");
    append(&topic, &[framed(5, &bytes(&fixture(AVRO)["new-rows"])[1])]);
    run(&project);
    assert_eq!(ids(&project), [0]);
    let found = project.shell("grep -rl 'Zmxvd2M6c2VjcmV0\\|flowc:secret' .. | head -3");
    assert_eq!(found, "exit 0\n");
    registry.set_down(true);
    assert!(told(&project, &of("subject=\"other\"")).contains("does not answer"));
    // What answers 404 to everything is no registry.
    registry.set_down(false);
    let said = told(
        &project,
        &format!(
            "format \"avro\" registry=\"{url}/wrong\" subject=\"bids\" user=\"flowc\" {{ secret \"REGISTRY_PASSWORD\" }}"
        ),
    );
    assert!(said.contains("answers 404"), "{said}");
}

#[test]
fn a_schema_of_the_pipeline_needs_no_registry() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    let fixture = fixture(AVRO);
    append(&topic, &bytes(&fixture["old-rows"]));
    project.write("schemas/bid.avsc", &fixture["old"].to_string());
    pipeline(&project, &topic, "format \"avro\" schema-file=\"schemas/bid.avsc\"", "");
    run(&project);
    assert_eq!(ids(&project), [7, -1]);
    assert!(!std::fs::read_to_string(project.folder().join("flow.lock")).unwrap().contains("bids"));
    // A file that changes is seen.
    let mut renamed = fixture["old"].clone();
    renamed["fields"][3]["name"] = json!("status");
    project.write("schemas/bid.avsc", &renamed.to_string());
    run(&project);
    assert_eq!(rows(&project, "out.jsonl")[0]["status"], "WON");
    project.write(
        "schemas/bid.avsc",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"strin\"}]}",
    );
    let said = failure(&project, "flowc plan");
    assert!(said.contains("the schema is not valid Avro"), "{said}");
    let inline = "format \"avro\" schema=#\"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}\"#; bad-rows \"skip\"";
    pipeline(&project, &topic, inline, "");
    run(&project);
    assert_eq!(ids(&project), [0i64; 0]);
}

/// A pipeline that appends the rows of `in.csv` to a topic.
fn sink(project: &Project, topic: &TestTopic, format: &str) {
    let address = broker("FLOWC_KAFKA");
    let schema = "schema { column \"id\" \"Int64\" nullable=#false; column \"state\" \"Utf8\"; column \"price\" \"Decimal128(10, 2)\"; column \"at\" \"Timestamp(ms, \\\"UTC\\\")\" }";
    project.write(
        "flow.kdl",
        &format!(
            "source \"rows\" {{ files \"in.csv\"; {schema} }}
             sink \"out\" {{ in \"rows\"; kafka \"{address}\" topic=\"{}\" key=\"id\"; {format} }}\n",
            topic.name
        ),
    );
}

const ROWS: &str = "id,state,price,at\n1,OPEN,1.50,2026-11-01T12:00:00Z\n2,,,\n";

#[test]
fn rows_become_records_of_a_schema_that_is_registered() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), Registry::new());
    let format = format!("format \"avro\" registry=\"{}\"", registry.url);
    project.write("in.csv", ROWS);
    sink(&project, &topic, &format);
    run(&project);
    let subject = format!("{}-value", topic.name);
    let [schema] = &registry.schemas(&subject)[..] else { panic!() };
    let money = json!(["null", { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 }]);
    assert_eq!(schema["fields"][2]["type"], money);
    assert_eq!(topic.values()[1], framed(100, &[4, 0, 0, 0]));
    // The same rows again append nothing, in a new store too.
    run(&project);
    project.shell("rm -rf .flowc");
    run(&project);
    assert_eq!(topic.values().len(), 2);
    // They are read back as they were.
    let copy = Project::new();
    pipeline(&copy, &topic, &format, "");
    run(&copy);
    let read = rows(&copy, "out.jsonl");
    assert_eq!(read[0], json!({ "id": 1, "state": "OPEN", "price": 1.5, "at": "2026-11-01T12:00:00Z" }));
    assert_eq!(read[1], json!({ "id": 2, "state": null, "price": null, "at": null }));
    // A schema that the registry finds incompatible appends nothing.
    registry.be_strict();
    project.write("bid.avsc", &json!({ "type": "record", "name": "R", "fields": [
        { "name": "id", "type": "int" }, { "name": "state", "type": ["null", "string"] },
        { "name": "price", "type": ["null", { "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3 }] },
        { "name": "at", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
    ] }).to_string());
    sink(&project, &topic, &format!("{format} schema-file=\"bid.avsc\""));
    let said = failure(&project, "flowc run");
    assert!(said.contains("does not take the schema under the subject"), "{said}");
    assert!(said.contains("Schema being registered is incompatible"), "{said}");
    assert_eq!(topic.values().len(), 2);
}

#[test]
fn rows_become_records_of_the_schema_that_a_subject_has() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), Registry::new());
    let state = json!({ "type": "enum", "name": "State", "symbols": ["OPEN", "WON"] });
    let schema = |states: Value| {
        json!({ "type": "record", "name": "Bid", "fields": [
        { "name": "id", "type": "int" }, { "name": "state", "type": ["null", states] },
        { "name": "price", "type": ["null", { "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3 }] },
        { "name": "at", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
    ] })
    };
    registry.put(5, "bids", &schema(state));
    project.write("in.csv", ROWS);
    sink(
        &project,
        &topic,
        &format!("format \"avro\" registry=\"{}\" subject=\"bids\" version=\"latest\"", registry.url),
    );
    run(&project);
    // 1.500 as an integer of two bytes, and microseconds.
    assert_eq!(topic.values()[0][..11], [&framed(5, &[2, 2, 0, 2, 4, 5])[..]].concat());
    assert!(registry.asked().iter().all(|asked| asked.starts_with("GET ")));
    // A value that the schema has no room for is told, and nothing is appended.
    project.write("in.csv", &ROWS.replace("OPEN", "LOST"));
    let said = failure(&project, "flowc run");
    assert!(
        said.contains("column `state` can't be written: `LOST` is no symbol of the enum; it has OPEN, WON"),
        "{said}"
    );
    registry.put(6, "bids", &json!({ "type": "record", "name": "Bid", "fields": [{ "name": "id", "type": "int" }] }));
    let said = failure(&project, "flowc run");
    assert!(said.contains("the column `state` is no field of the schema"), "{said}");
    assert_eq!(topic.values().len(), 2);
    // What can be said without a registry is said before anything runs.
    sink(
        &project,
        &topic,
        "format \"avro\" schema=#\"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}\"#",
    );
    let said = failure(&project, "flowc plan");
    assert!(said.contains("the column `id` is no field of the schema"), "{said}");
}

#[test]
fn events_of_debezium_are_changes() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    let event = |op: &str, before: Value, after: Value| json!({ "op": op, "before": before, "after": after, "source": { "ts_ms": 1_700_000_000_123i64, "db": "shop" }, "ts_ms": 5 });
    let created = event("c", Value::Null, json!({ "id": 1, "name": "a" })).to_string();
    let wrapped = json!({ "schema": {}, "payload": event("u", json!({ "id": 1, "name": "a" }), json!({ "id": 1, "name": "b" })) });
    let removed = event("d", json!({ "id": 1, "name": "b" }), Value::Null).to_string();
    let wrapped = wrapped.to_string();
    let bad = event("c", Value::Null, json!({ "id": "x" })).to_string();
    topic.append_bytes([
        Some(created.as_bytes()),
        Some(wrapped.as_bytes()),
        Some(removed.as_bytes()),
        None,
        Some(b"{\"id\":1}"),
        Some(bad.as_bytes()),
    ]);
    let format = "format \"json\" envelope=\"debezium\"
                  schema { column \"id\" \"Int64\" nullable=#false; column \"name\" \"Utf8\" }
                  bad-rows \"stream\"";
    pipeline(&project, &topic, format, "columns { offset }");
    extend(&project, "sink \"bad\" { in \"bids.rejects\"; file \"bad.parquet\" }\n");
    run(&project);
    let time = "2023-11-14T22:13:20.123Z";
    let row = |op: &str, before: Value, after: Value, offset: i64| json!({ "op": op, "before": before, "after": after, "source-time": time, "offset": offset });
    let of = |name: &str| json!({ "id": 1, "name": name });
    let expected =
        [row("c", Value::Null, of("a"), 0), row("u", of("a"), of("b"), 1), row("d", of("b"), Value::Null, 2)];
    assert_eq!(rows(&project, "out.jsonl"), expected);
    let said = project.shell("flowc show bids.rejects --json");
    assert!(said.contains("it is no change event of Debezium: it has no `op`"), "{said}");
    assert!(said.contains("column `after`: "), "{said}");
}

#[test]
fn events_of_debezium_may_be_records_of_avro() {
    let (project, topic, registry) = (Project::new(), TestTopic::new(1), Registry::new());
    let row = json!({ "type": "record", "name": "Value", "fields": [{ "name": "id", "type": "long" }] });
    let source = json!({ "type": "record", "name": "Source", "fields": [
        { "name": "version", "type": "string" }, { "name": "ts_ms", "type": "long" },
    ] });
    let envelope = json!({ "type": "record", "name": "Envelope", "namespace": "shop", "fields": [
        { "name": "before", "type": ["null", row], "default": null }, { "name": "after", "type": ["null", "Value"], "default": null },
        { "name": "source", "type": source }, { "name": "op", "type": "string" },
        { "name": "ts_ms", "type": ["null", "long"], "default": null },
    ] });
    registry.put(1, "changes", &envelope);
    // A row that was added, at 1 ms, and one that was removed, at 2 ms.
    let added = framed(1, &[0, 2, 14, 2, b'3', 2, 2, b'c', 0]);
    let removed = framed(1, &[2, 14, 0, 2, b'3', 4, 2, b'd', 0]);
    topic.append_bytes([Some(&added[..]), Some(&removed[..]), None]);
    let format = format!("format \"avro\" envelope=\"debezium\" registry=\"{}\" subject=\"changes\"", registry.url);
    pipeline(&project, &topic, &format, "");
    run(&project);
    let row = json!({ "id": 7 });
    assert_eq!(
        rows(&project, "out.jsonl"),
        [
            json!({ "op": "c", "before": null, "after": row, "source-time": "1970-01-01T00:00:00.001Z" }),
            json!({ "op": "d", "before": row, "after": null, "source-time": "1970-01-01T00:00:00.002Z" }),
        ]
    );
    registry.put(2, "rows", &fixture(AVRO)["new"]);
    pipeline(&project, &topic, &format.replace("changes", "rows"), "");
    let said = failure(&project, "flowc plan");
    assert!(said.contains("the schema is not that of change events of Debezium"), "{said}");
}

#[test]
fn messages_of_protocol_buffers_are_read_and_written() {
    let (project, topic, copied) = (Project::new(), TestTopic::new(1), TestTopic::new(1));
    let messages = bytes(&fixture(PROTOBUF));
    append(&topic, &messages);
    std::fs::write(project.folder().join("shop.desc"), DESCRIPTORS).unwrap();
    let format = "format \"protobuf\" descriptors=\"shop.desc\" message=\"shop.Bid\"";
    pipeline(&project, &topic, format, "");
    let address = broker("FLOWC_KAFKA");
    let sink = format!("sink \"copied\" {{ in \"bids\"; kafka \"{address}\" topic=\"{}\"; {format} }}\n", copied.name);
    extend(&project, &sink.replace("; format", "\n format"));
    // Bytes have no place in lines of JSON.
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &text.replace("out.jsonl", "out.parquet"));
    run(&project);
    assert_eq!(copied.values(), messages);
    pipeline(&project, &topic, &format.replace("shop.Bid", "shop.Ask"), "");
    let said = failure(&project, "flowc plan");
    assert!(said.contains("there is no message `shop.Ask` in the descriptors"), "{said}");
    std::fs::write(project.folder().join("shop.desc"), b"not descriptors").unwrap();
    assert!(failure(&project, "flowc plan").contains("protoc --include_imports"));
    // With a registry, messages begin with an id and the way to their type.
    let (registry, framed_topic) = (Registry::new(), TestTopic::new(1));
    registry.put_answer(9, "bids", json!({ "schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";" }));
    std::fs::write(project.folder().join("shop.desc"), DESCRIPTORS).unwrap();
    let framed_format = format!("{format} registry=\"{}\" subject=\"bids\"", registry.url);
    pipeline(&project, &topic, format, "");
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &text.replace("out.jsonl", "out.parquet"));
    extend(
        &project,
        &format!(
            "sink \"framed\" {{ in \"bids\"; kafka \"{address}\" topic=\"{}\"\n {framed_format} }}\n",
            framed_topic.name
        ),
    );
    run(&project);
    let expected: Vec<_> = messages.iter().map(|message| [&[0, 0, 0, 0, 9, 2, 2][..], message].concat()).collect();
    assert_eq!(framed_topic.values(), expected);
    registry.asked();
    let other = Project::new();
    std::fs::write(other.folder().join("shop.desc"), DESCRIPTORS).unwrap();
    append(&framed_topic, &messages[1..]);
    pipeline(&other, &framed_topic, &format!("{framed_format}; bad-rows \"skip\""), "");
    let text = std::fs::read_to_string(other.folder().join("flow.kdl")).unwrap();
    other.write("flow.kdl", &text.replace("out.jsonl", "out.parquet"));
    let said = run(&other);
    assert!(said.contains("1 "), "{said}");
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn streams_of_arrow_are_read_and_written() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    project.write("in.csv", ROWS);
    sink(&project, &topic, "format \"arrow\"");
    run(&project);
    append(&topic, &[b"{}".to_vec()]);
    let columns = "schema { column \"price\" \"Decimal128(10, 2)\"; column \"id\" \"Int64\" }";
    let copy = Project::new();
    pipeline(&copy, &topic, &format!("format \"arrow\"; {columns}; bad-rows \"skip\""), "columns { key as=\"text\" }");
    run(&copy);
    assert_eq!(
        rows(&copy, "out.jsonl"),
        [json!({ "price": 1.5, "id": 1, "key": "1" }), json!({ "price": null, "id": 2, "key": "2" })]
    );
    pipeline(&copy, &topic, "format \"arrow\"; schema { column \"id\" \"Utf8\" }", "");
    let said = failure(&copy, "flowc run");
    assert!(said.contains("its column `id` is Int64, where Utf8 is expected"), "{said}");
}

#[test]
fn columns_of_objects_are_inferred_and_pinned() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    pipeline(&project, &topic, "format \"json\"", "columns { offset }");
    let said = failure(&project, "flowc plan");
    assert!(said.contains("no record of its range shows columns; declare them"), "{said}");
    topic.append_bytes([Some(&b"{\"id\":1,\"name\":\"a\"}"[..]), Some(b"{"), None, Some(b"{\"id\":2}")]);
    pipeline(&project, &topic, "format \"json\"; bad-rows \"skip\"", "columns { offset }");
    run(&project);
    let row = |id: Value, name: Value, offset: i64| json!({ "id": id, "name": name, "offset": offset });
    let first = [row(json!(1), json!("a"), 0), row(Value::Null, Value::Null, 2), row(json!(2), Value::Null, 3)];
    assert_eq!(rows(&project, "out.jsonl"), first);
    // A member that comes later is no column until the lock is made again.
    topic.append_bytes([Some(&b"{\"id\":3,\"more\":true}"[..])]);
    run(&project);
    assert_eq!(rows(&project, "out.jsonl")[3], row(json!(3), Value::Null, 4));
    let said = project.shell("flowc run --update");
    assert!(said.starts_with("exit 0"), "{said}");
    assert_eq!(rows(&project, "out.jsonl")[3]["more"], json!(true));
    let infer = "format \"json\"; schema rest=\"infer\" { column \"id\" \"Utf8\" }; bad-rows \"skip\"";
    pipeline(&project, &topic, infer, "");
    let said = project.shell("flowc run --update");
    assert!(said.starts_with("exit 0"), "{said}");
    assert_eq!(rows(&project, "out.jsonl")[0], json!({ "id": "1", "name": "a", "more": null }));
}
