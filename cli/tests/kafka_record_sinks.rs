//! Records whose format has a schema of its own, written to a real broker, and read back.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use serde_json::{Value, json};
use support::kafka::{TestTopic, broker};
use support::project::Project;
use support::records::{DESCRIPTORS, PROTOBUF, append, bytes, extend, failure, fixture, framed, pipeline, rows, run};
use support::registry::Registry;

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
