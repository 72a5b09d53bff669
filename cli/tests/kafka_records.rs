//! Records whose format has a schema of its own, read from a real broker, with a registry that speaks HTTP.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use serde_json::{Value, json};
use support::kafka::{TestTopic, broker};
use support::oracle::Oracle;
use support::project::Project;
use support::records::{
    AVRO, append, bytes, extend, failure, fixture, framed, ids, pipeline, registry, rows, run, without,
};
use support::registry::Registry;

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

#[test]
fn a_text_of_protocol_buffers_stands_for_its_descriptors_and_what_it_imports_is_watched() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    append(&topic, &[vec![8, 7], vec![8, 9, 18, 3, 10, 1, b'x']]);
    let more =
        |fields: &str| project.write("parts/more.proto", &format!("syntax = \"proto3\"; message More {{ {fields} }}"));
    project.write(
        "bid.proto",
        "syntax = \"proto3\"; import \"parts/more.proto\"; message Bid { int64 id = 1; More more = 2; }",
    );
    more("string note = 1;");
    pipeline(&project, &topic, "format \"protobuf\" descriptors=\"bid.proto\" message=\"Bid\"", "");
    run(&project);
    let rows = || std::fs::read_to_string(project.folder().join("out.jsonl")).unwrap();
    assert_eq!(rows(), "{\"id\":7,\"more\":null}\n{\"id\":9,\"more\":{\"note\":\"x\"}}\n");
    more("string note = 1; int32 count = 2;");
    run(&project);
    assert_eq!(rows(), "{\"id\":7,\"more\":null}\n{\"id\":9,\"more\":{\"note\":\"x\",\"count\":0}}\n");
    more("strin note = 1;");
    let said = failure(&project, "flowc plan");
    assert!(said.contains("parts/more.proto:1:") && said.contains("strin"), "{said}");
    assert!(said.contains("flow.kdl:"), "{said}");
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

#[test]
fn fastavro_reads_the_records_that_are_made_of_its_own() {
    let (project, oracle) = (Project::new(), Oracle::new());
    let (topic, copy, registry) = (TestTopic::new(1), TestTopic::new(1), Registry::new());
    oracle.run(&project, "avro.py", "records");
    let made = fixture(&std::fs::read_to_string(project.folder().join("records.json")).unwrap());
    registry.put(7, "rows", &made["schema"]);
    append(&topic, &bytes(&made["records"]));
    let format = format!("format \"avro\" registry=\"{}\" subject=\"rows\"", registry.url);
    pipeline(&project, &topic, &format, "");
    let address = broker("FLOWC_KAFKA");
    let sink = format!("kafka \"{address}\" topic=\"{}\"; {format} version=\"latest\"", copy.name);
    extend(&project, &format!("sink \"copy\" {{ in \"bids\"; {sink} }}\n"));
    run(&project);
    let hex = |value: Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let appended: Vec<String> = copy.values().into_iter().map(hex).collect();
    let given = json!({ "schema": made["schema"], "id": 7, "records": appended });
    project.write("appended.json", &given.to_string());
    oracle.run(&project, "avro.py", "read-records");
}
