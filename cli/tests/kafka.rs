//! Topics of Apache Kafka as sources, read from a real broker.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[path = "kafka/empty.rs"]
mod empty;
#[cfg(feature = "kafka-tls")]
#[path = "kafka/encrypted.rs"]
mod encrypted;
mod support;

use std::time::Duration;

use rdkafka::producer::Producer;
use support::kafka::{Gate, TestTopic, broker, producer};
use support::project::Project;

fn bids(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("{{\"auction\":{},\"price\":{n}}}", n % 3)).collect()
}

/// A pipeline that copies a topic to `out.csv`. `more` stands in `kafka`, `beside` in the source.
fn pipeline(project: &Project, address: &str, topic: &str, more: &str, beside: &str) {
    project.write(
        "flow.kdl",
        &format!(
            "source \"bids\" {{
                 kafka \"{address}\" topic=\"{topic}\" {{ {more} }}
                 format \"json\"
                 schema {{ column \"auction\" \"Int64\" nullable=#false; column \"price\" \"Int64\" nullable=#false }}
                 {beside}
             }}
             sink \"out\" {{ in \"bids\"; file \"out.csv\" }}\n"
        ),
    );
}

fn plain() -> String {
    broker("FLOWC_KAFKA")
}

/// Runs, and gives the prices that were written, in order.
fn prices(project: &Project) -> Vec<i64> {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    written(project)
}

fn written(project: &Project) -> Vec<i64> {
    let text = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
}

/// What a command says, which fails.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    // Messages are wrapped where the terminal ends.
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rerun_of_a_closed_range_asks_no_broker() {
    let (gate, project, topic) = (Gate::new(), Project::new(), TestTopic::new(2));
    topic.append(0, bids(0..6));
    topic.append(1, bids(6..10));
    let range = "until \"0=5\" \"1=4\"";
    pipeline(&project, &Gate::address(), &topic.name, range, "");
    assert_eq!(prices(&project), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    topic.append(0, bids(10..20));
    gate.shut();
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    // What is not in the store is made of the blocks that are, also after a collection.
    project.shell("rm out.csv");
    assert_eq!(prices(&project).len(), 9);
    let said = project.shell("flowc store gc");
    assert!(said.starts_with("exit 0"), "{said}");
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    let counting = "stage \"counts\" { in \"bids\"; std \"count@1\"; config { by \"auction\" } }
                    sink \"counts\" { in \"counts\"; file \"counts.csv\" }\n";
    project.write("flow.kdl", &(text + counting));
    assert_eq!(prices(&project).len(), 9);
    let counts = std::fs::read_to_string(project.folder().join("counts.csv")).unwrap();
    assert_eq!(counts.lines().count(), 4, "{counts}");
}

#[test]
fn an_extended_range_asks_for_what_is_new_alone() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append(0, bids(0..300));
    pipeline(&project, &plain(), &topic.name, "block 256", "");
    assert_eq!(prices(&project), (0..300).collect::<Vec<_>>());
    // The topic forgets what was read.
    topic.forget(0, 300);
    topic.append(0, bids(300..600));
    assert_eq!(prices(&project), (0..600).collect::<Vec<_>>());
    let plan = project.shell("flowc plan");
    assert!(plan.contains(&format!("topic {} from earliest until latest", topic.name)), "{plan}");
}

#[test]
fn records_of_transactions_count_once_they_are_committed() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    let all = |producer: &rdkafka::producer::BaseProducer, range| {
        bids(range).iter().for_each(|value| topic.send(producer, 0, value));
        producer.flush(Duration::from_secs(30)).unwrap();
    };
    let one = producer(Some(&topic.name));
    one.begin_transaction().unwrap();
    all(&one, 0..3);
    one.commit_transaction(Duration::from_secs(30)).unwrap();
    one.begin_transaction().unwrap();
    all(&one, 3..6);
    one.abort_transaction(Duration::from_secs(30)).unwrap();
    pipeline(&project, &plain(), &topic.name, "", "");
    assert_eq!(prices(&project), [0, 1, 2]);
    // It ends with the mark of a transaction: the run has nothing to do, and finds the end.
    assert_eq!(prices(&project), [0, 1, 2]);
    one.begin_transaction().unwrap();
    all(&one, 6..8);
    topic.append(0, bids(8..9));
    assert_eq!(prices(&project), [0, 1, 2]);
    pipeline(&project, &plain(), &topic.name, "until \"0=11\"", "");
    let said = failure(&project, "flowc run");
    assert!(said.contains("a transaction that began at or after offset 8 is still open"), "{said}");
    assert!(said.contains("named in flow.kdl:2"), "{said}");
    pipeline(&project, &plain(), &topic.name, "isolation \"read-uncommitted\"", "");
    assert_eq!(prices(&project), (0..9).collect::<Vec<_>>());
    one.commit_transaction(Duration::from_secs(30)).unwrap();
    pipeline(&project, &plain(), &topic.name, "", "");
    assert_eq!(prices(&project), [0, 1, 2, 6, 7, 8]);
}

#[test]
fn a_range_is_of_times_offsets_and_partitions() {
    let (project, topic) = (Project::new(), TestTopic::new(3));
    (0..3)
        .for_each(|partition| topic.append(partition, bids(i64::from(partition) * 10..i64::from(partition) * 10 + 4)));
    let read = |more: &str| {
        pipeline(&project, &plain(), &topic.name, more, "");
        prices(&project)
    };
    assert_eq!(read("partitions 0 2; start \"2=3\"; until \"0=2\""), [0, 1, 23]);
    assert_eq!(read("start \"2023-11-15T00:00Z\""), [0; 0]);
    assert_eq!(read("partitions 1; start \"2023-11-14T22:13:20Z\""), [10, 11, 12, 13]);
    assert_eq!(read("until \"2023-11-14T22:13:20Z\""), [0; 0]);
    assert_eq!(read("partitions 0; start \"latest\""), [0; 0]);
    topic.append(0, bids(50..52));
    assert_eq!(prices(&project), [50, 51]);
}

#[test]
fn parts_of_records_are_columns_and_bad_records_a_stream() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append_with_key(b"a", Some("{\"auction\":1,\"price\":2}"), "t1");
    topic.append_with_key(b"b", Some("{\"auction\":1,\"price\":\"cheap\"}"), "t2");
    topic.append_with_key(b"c", None, "t3");
    topic.append_with_key(b"\xff", Some("{\"auction\":1,\"price\":3}"), "t4");
    let columns = "columns { key \"id\" as=\"text\"; offset; partition; timestamp \"at\"; headers }";
    pipeline(&project, &plain(), &topic.name, columns, "bad-rows \"stream\"");
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    let text = text.replace("out.csv", "out.arrow") + "sink \"bad\" { in \"bids.rejects\"; file \"bad.parquet\" }\n";
    project.write("flow.kdl", &text);
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    let good = project.shell("flowc show bids --json");
    let row = "{\"auction\":1,\"price\":2,\"id\":\"a\",\"offset\":0,\"partition\":0,\"at\":\"2023-11-14T22:13:20.123Z\",\
               \"headers\":[{\"name\":\"trace\",\"value\":\"7431\"}]}\n";
    assert_eq!(good, format!("exit 0\n--- stdout\n{row}"));
    let bad = project.shell("flowc show bids.rejects --json");
    let lines: Vec<&str> = bad.lines().skip(2).collect();
    assert_eq!(lines.len(), 3, "{bad}");
    let place = format!("{{\"topic\":\"{}\",\"partition\":0,\"offset\":1,", topic.name);
    assert!(lines[0].starts_with(&place) && lines[0].contains("is not a value of type Int64"), "{bad}");
    assert!(lines[1].contains("it is a tombstone"), "{bad}");
    assert!(lines[2].contains("column `id`: the key is not UTF-8"), "{bad}");
    pipeline(&project, &plain(), &topic.name, "", "");
    let said = failure(&project, "flowc run");
    assert!(said.contains("partition 0, offset 1, column `price`: \"cheap\" is not a value of type Int64"), "{said}");
    assert!(said.contains("bad-rows \"stream\" collects them"), "{said}");
}

#[test]
fn text_and_bytes_are_columns_as_they_are() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append_with_key(b"a", Some("one\ntwo"), "t");
    topic.append_with_key(b"a", None, "t");
    let read = |format: &str| {
        project.write(
            "flow.kdl",
            &format!(
                "source \"s\" {{ kafka \"{}\" topic=\"{}\"; format \"{format}\" }}\nsink \"o\" {{ in \"s\"; file \"o.arrow\" }}\n",
                plain(),
                topic.name
            ),
        );
        let said = project.shell("flowc run");
        assert!(said.starts_with("exit 0"), "{said}");
        project.shell("flowc show s --json")
    };
    assert_eq!(read("text"), "exit 0\n--- stdout\n{\"text\":\"one\\ntwo\"}\n{\"text\":null}\n");
    assert_eq!(read("bytes"), "exit 0\n--- stdout\n{\"value\":\"6f6e650a74776f\"}\n{\"value\":null}\n");
}

#[test]
fn a_mirrored_topic_finds_the_results_of_the_other() {
    let (project, topic, mirror) = (Project::new(), TestTopic::new(1), TestTopic::new(1));
    let counting = |topic: &TestTopic| {
        pipeline(&project, &plain(), &topic.name, "", "");
        let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
        let stage = "stage \"counts\" { in \"bids\"; std \"count@1\"; config { by \"auction\" } }\n";
        project.write("flow.kdl", &(text.replace("in \"bids\"; file", "in \"counts\"; file") + stage));
    };
    topic.append(0, bids(0..10));
    mirror.append(0, bids(0..10));
    counting(&topic);
    let first = project.shell("flowc run");
    assert!(first.starts_with("exit 0"), "{first}");
    counting(&mirror);
    let plan = project.shell("flowc plan");
    assert!(plan.starts_with("exit 0"), "{plan}");
    let said = project.shell("flowc run --json");
    assert!(said.starts_with("exit 0"), "{said}");
    assert!(!said.contains("\"event\":\"task"), "{said}");
}

#[test]
fn what_is_wrong_is_told_before_anything_runs() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append(0, bids(0..4));
    let told = |address: &str, name: &str, more: &str, expected: &str| {
        pipeline(&project, address, name, more, "");
        let said = failure(&project, "flowc run");
        assert!(said.contains(expected), "{expected}\n{said}");
        assert!(said.contains("named in flow.kdl:2"), "{said}");
    };
    let sasl = broker("FLOWC_KAFKA_SASL");
    let login = |secret: &str| format!("sasl \"plain\" user=\"flowc\" {{ secret \"{secret}\" }}");
    told("no-such-host.invalid:9092", &topic.name, "", "the broker's name is unknown");
    told("127.0.0.1:1", &topic.name, "", "no broker answers at 127.0.0.1:1");
    told(&plain(), "no-such-topic", "", "the cluster has no topic `no-such-topic`");
    told(&broker("FLOWC_KAFKA_TLS"), &topic.name, "", "say `tls`");
    told(&sasl, &topic.name, "", "say `sasl`");
    project.write("password", "wrong");
    told(&sasl, &topic.name, &login("P\" file=\"password"), "the broker refuses the login");
    told(&sasl, &topic.name, &login("NO_SUCH"), "set the environment variable NO_SUCH");
    told(&plain(), &topic.name, "until \"0=5\"", "partition 0 ends at offset 4, before 5");
    told(&plain(), &topic.name, "partitions 0 1", "there is no partition 1; it has 1");
    topic.forget(0, 2);
    told(&plain(), &topic.name, "start \"0=1\"", "retention removed those before 2");
}

#[test]
fn what_this_build_lacks_is_refused_at_its_place() {
    let project = Project::new();
    pipeline(&project, "127.0.0.1:1", "bids", "tls", "");
    let said = failure(&project, "flowc plan");
    let expected = match cfg!(feature = "kafka-tls") {
        true => "no broker answers at 127.0.0.1:1",
        false => "source `bids`: this flowc was built without `kafka-tls`, which reading from this place needs",
    };
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("flow.kdl:"), "{said}");
}

#[test]
fn a_password_is_kept_nowhere() {
    let (mut project, topic) = (Project::new(), TestTopic::new(1));
    topic.append(0, bids(0..4));
    project.set("KAFKA_PASSWORD", "open-sesame".to_owned());
    let login = "sasl \"plain\" user=\"flowc\" { secret \"KAFKA_PASSWORD\" }";
    pipeline(&project, &broker("FLOWC_KAFKA_SASL"), &topic.name, login, "");
    assert_eq!(prices(&project), [0, 1, 2, 3]);
    let found = project.shell("grep -rla open-sesame . \"$HOME\"; flowc plan --json | grep -c open-sesame");
    assert_eq!(found, "exit 1\n--- stdout\n0\n");
}

#[test]
fn a_topic_that_was_created_again_is_not_taken_for_the_old_one() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append(0, bids(0..4));
    pipeline(&project, &plain(), &topic.name, "", "");
    assert_eq!(prices(&project), [0, 1, 2, 3]);
    topic.delete();
    let said = failure(&project, "flowc run");
    assert!(said.contains("the cluster has no topic"), "{said}");
    topic.create();
    topic.append(0, bids(7..9));
    let said = failure(&project, "flowc run");
    assert!(said.contains("it was deleted and created again"), "{said}");
    let id = said.split("`topic-id \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    pipeline(&project, &plain(), &topic.name, &format!("topic-id \"{id}\""), "");
    assert_eq!(prices(&project), [7, 8]);
}

#[test]
fn a_broker_that_dies_in_the_middle_leaves_nothing_half_done() {
    let (gate, project, topic) = (Gate::new(), Project::new(), TestTopic::new(1));
    let long = "x".repeat(2000);
    topic.append(0, (0..2000).map(|n| format!("{{\"auction\":1,\"price\":{n},\"pad\":\"{long}\"}}")));
    pipeline(&project, &Gate::address(), &topic.name, "block 256", "");
    gate.shut_after(1 << 21);
    let said = failure(&project, "flowc run");
    assert!(said.contains("no broker answers any more") || said.contains("no broker answers at"), "{said}");
    assert!(!project.folder().join("out.csv").exists());
    gate.open();
    assert_eq!(prices(&project), (0..2000).collect::<Vec<_>>());
}
