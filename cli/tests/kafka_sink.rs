//! Topics of Apache Kafka as sinks, written to a real broker.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::kafka::{Gate, TestTopic, broker, producer};
use support::project::Project;

/// A pipeline that appends files to a topic. `kafka` stands behind the topic's name.
fn pipeline(project: &Project, address: &str, topic: &TestTopic, kafka: &str) {
    project.write(
        "flow.kdl",
        &format!(
            "source \"rows\" {{ files \"in/*.csv\" }}
             sink \"out\" {{ in \"rows\"; kafka \"{address}\" topic=\"{}\" {kafka}; format \"json\" }}\n",
            topic.name
        ),
    );
}

fn plain() -> String {
    broker("FLOWC_KAFKA")
}

/// Lines of a file, from a first number on.
fn rows(range: std::ops::Range<u64>) -> String {
    let lines: String = range.map(|n| format!("k{},{n}\n", n % 5)).collect();
    format!("id,n\n{lines}")
}

/// What a command says, which goes well.
fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

/// What a command says, which fails. Messages are wrapped where the terminal ends.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The numbers that committed records have, ascending.
fn numbers(topic: &TestTopic) -> Vec<u64> {
    let number = |value: &str| value.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
    let mut all: Vec<u64> = topic.records().iter().map(|record| number(record.value.as_deref().unwrap())).collect();
    all.sort_unstable();
    all
}

#[test]
fn what_was_appended_is_never_appended_again() {
    let (project, topic) = (Project::new(), TestTopic::new(3));
    pipeline(&project, &plain(), &topic, "");
    project.write("in/a.csv", &rows(0..3));
    let said = run(&project);
    assert!(said.contains("wrote out: 3 records sent, 3 rows in total"), "{said}");
    assert!(!run(&project).contains("wrote out"));
    // A file that has grown, and another one before it.
    project.write("in/a.csv", &rows(0..5));
    project.write("in/0.csv", &rows(7..9));
    let said = run(&project);
    assert!(said.contains("wrote out: 4 records sent, 7 rows in total"), "{said}");
    // The topic itself tells what it has: nothing that flowc keeps is needed.
    project.shell("rm -rf \"$HOME\"; mkdir \"$HOME\"");
    assert!(!run(&project).contains("wrote out"));
    let plan = project.shell("flowc plan");
    assert!(plan.contains(&format!("topic {}", topic.name)) && plan.contains("changed rows are refused"), "{plan}");
    assert_eq!(numbers(&topic), [0, 1, 2, 3, 4, 7, 8]);
    // A topic that was created again has nothing.
    topic.delete();
    topic.create();
    assert!(run(&project).contains("wrote out: 7 records sent"));
    assert_eq!(numbers(&topic), [0, 1, 2, 3, 4, 7, 8]);
}

#[test]
fn rows_that_are_read_in_other_pieces_are_not_appended_again() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    pipeline(&project, &plain(), &topic, "");
    for (name, step) in [("a", 0..3), ("b", 3..6), ("c", 6..7)] {
        project.write(&format!("in/{name}.csv"), &rows(step));
        run(&project);
    }
    project.shell("rm -rf \"$HOME\" in/b.csv in/c.csv; mkdir \"$HOME\"");
    project.write("in/a.csv", &rows(0..4));
    project.write("in/b.csv", &rows(4..9));
    let said = run(&project);
    assert!(said.contains("wrote out: 2 records sent, 9 rows in total"), "{said}");
    assert_eq!(numbers(&topic), (0..9).collect::<Vec<_>>());
}

#[test]
fn rows_that_have_changed_are_refused_or_appended() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    pipeline(&project, &plain(), &topic, "");
    project.write("in/a.csv", &rows(0..3));
    run(&project);
    project.write("in/a.csv", &rows(1..4));
    let said = failure(&project, "flowc run");
    assert!(said.contains("of 1 segment that were appended rows have changed or are gone"), "{said}");
    assert_eq!(numbers(&topic), [0, 1, 2]);
    pipeline(&project, &plain(), &topic, "{ on-change \"append\" }");
    run(&project);
    assert_eq!(numbers(&topic), [0, 1, 1, 2, 2, 3]);
    // Of records with keys the newest one counts.
    let (project, topic) = (Project::new(), TestTopic::new(1));
    pipeline(&project, &plain(), &topic, "key=\"id\"");
    project.write("in/a.csv", &rows(0..3));
    run(&project);
    project.write("in/a.csv", &rows(1..2));
    run(&project);
    assert_eq!(numbers(&topic), [0, 1, 1, 2]);
}

#[test]
fn parts_of_records_come_from_columns() {
    let (project, topic) = (Project::new(), TestTopic::new(5));
    // Where Java's clients send these keys, by the vectors of Kafka's own tests.
    project.write(
        "in.csv",
        "id,trace,at,n\nfoobar,t1,2023-11-14T22:13:20.123Z,1\nabc,,,2\n21,t3,,3\na-little-bit-longer-string,,,4\n",
    );
    let text = |kafka: &str, format: &str| {
        let text = format!(
            "source \"rows\" {{ files \"in.csv\"; schema {{ column \"id\" \"Utf8\"; column \"trace\" \"Utf8\"
                 column \"at\" \"Timestamp(ms, \\\"UTC\\\")\"; column \"n\" \"Int64\" }} }}
             sink \"out\" {{ in \"rows\"; kafka \"{}\" topic=\"{}\" {kafka}; format \"{format}\" }}\n",
            plain(),
            topic.name
        );
        project.write("flow.kdl", &text);
    };
    text("key=\"id\" { headers \"trace\"; timestamp \"at\" }", "json");
    run(&project);
    let records = topic.records();
    let find = |key: &str| records.iter().find(|record| record.key.as_deref() == Some(key)).unwrap();
    let partitions = ["foobar", "abc", "21", "a-little-bit-longer-string"].map(|key| find(key).partition);
    assert_eq!(partitions, [1, 2, 0, 4]);
    let first = find("foobar");
    assert_eq!(first.value.as_deref(), Some("{\"id\":\"foobar\",\"n\":1}"));
    assert_eq!(
        (first.timestamp, &first.headers[..]),
        (1_700_000_000_123, &[("trace".to_owned(), "t1".to_owned())][..])
    );
    assert!(find("abc").headers.is_empty());
    // A partition by a column, and a value that is one column.
    text("{ id \"flowc.other\"; partition \"n\"; value \"id\" }", "text");
    run(&project);
    let records = topic.records();
    let texts = records.iter().filter(|record| record.key.is_none());
    let mut texts: Vec<_> = texts.map(|record| (record.partition, record.value.clone().unwrap())).collect();
    texts.sort();
    let texts: Vec<_> = texts.iter().map(|(partition, text)| (*partition, text.as_str())).collect();
    assert_eq!(texts, [(1, "foobar"), (2, "abc"), (3, "21"), (4, "a-little-bit-longer-string")]);
    project.write("in.csv", "id,trace,at,n\nx,,,5\n");
    let said = failure(&project, "flowc run");
    assert!(said.contains("row 1, column `n` can't be written: it names no partition: the topic has 5"), "{said}");
}

#[test]
fn a_topic_is_copied_with_keys_headers_and_tombstones() {
    let (project, topic, copy) = (Project::new(), TestTopic::new(1), TestTopic::new(1));
    topic.append_with_key(b"a", Some("one\ntwo"), "t1");
    topic.append_with_key(b"b", None, "t2");
    let text = format!(
        "source \"s\" {{ kafka \"{0}\" topic=\"{1}\" {{ columns {{ key; headers; timestamp }} }}; format \"bytes\" }}
         sink \"o\" {{ in \"s\"; kafka \"{0}\" topic=\"{2}\" key=\"key\" {{ headers \"headers\"; timestamp \"timestamp\" }}; format \"bytes\" }}\n",
        plain(),
        topic.name,
        copy.name
    );
    project.write("flow.kdl", &text);
    run(&project);
    topic.append_with_key(b"c", Some("three"), "t3");
    let said = run(&project);
    assert!(said.contains("1 record sent, 3 rows in total"), "{said}");
    assert_eq!(copy.records(), topic.records());
}

/// Runs until everything is there, and looks that each row is there once.
fn settle(project: &Project, topic: &TestTopic, count: u64) {
    run(project);
    assert_eq!(numbers(topic), (0..count).collect::<Vec<_>>());
}

/// Looks that each run has appended all of its thousand rows once, or none.
fn check_whole(topic: &TestTopic) {
    let there = numbers(topic);
    let is_whole = there.len().is_multiple_of(1000) && there == (0..there.len() as u64).collect::<Vec<_>>();
    assert!(is_whole, "{} rows", there.len());
}

#[test]
fn a_run_that_is_killed_leaves_no_half_and_no_double() {
    let (project, topic) = (Project::new(), TestTopic::new(2));
    let kills: u64 = std::env::var("FLOWC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    pipeline(&project, &plain(), &topic, "");
    project.write("in/a.csv", &rows(0..1000));
    run(&project);
    for kill in 1..=kills {
        project.write("in/a.csv", &rows(0..1000 * (kill + 1)));
        let mut child = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150 + kill * 25));
        let _ = child.kill();
        child.wait().unwrap();
        check_whole(&topic);
    }
    settle(&project, &topic, 1000 * (kills + 1));
}

#[test]
fn a_broker_that_is_gone_for_a_while_leaves_no_half_and_no_double() {
    let (gate, project, topic) = (Gate::new(), Project::new(), TestTopic::new(2));
    pipeline(&project, &Gate::address(), &topic, "");
    for cut in 1..=9 {
        project.write("in/a.csv", &rows(0..1000 * cut));
        gate.shut_after(cut * 600);
        let mut child = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        gate.open();
        child.wait().unwrap();
        check_whole(&topic);
    }
    settle(&project, &topic, 9000);
}

#[test]
fn of_two_writers_the_first_one_is_told() {
    let (gate, project, topic) = (Gate::new(), Project::new(), TestTopic::new(1));
    pipeline(&project, &Gate::address(), &topic, "{ id \"flowc.fenced\" }");
    project.write("in/a.csv", &rows(0..200_000));
    // The other writer comes when the first one is in the middle of its transaction.
    gate.hold_after(100_000);
    let said = std::thread::scope(|scope| {
        let run = scope.spawn(|| failure(&project, "flowc run"));
        gate.wait_until_held();
        drop(producer(Some("flowc.fenced")));
        gate.open();
        run.join().unwrap()
    });
    assert!(said.contains("another run writes with the id `flowc.fenced`"), "{said}");
    assert_eq!(numbers(&topic), [0; 0]);
    settle(&project, &topic, 200_000);
}

#[test]
fn what_is_wrong_is_told() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    project.write("in/a.csv", &rows(0..3));
    let told = |address: &str, topic: &str, kafka: &str, expected: &str| {
        let text = format!(
            "source \"rows\" {{ files \"in/*.csv\" }}
             sink \"out\" {{ in \"rows\"; kafka \"{address}\" topic=\"{topic}\" {kafka}; format \"json\" }}\n"
        );
        project.write("flow.kdl", &text);
        let said = failure(&project, "flowc run");
        assert!(said.contains(expected), "{expected}\n{said}");
    };
    let sasl = broker("FLOWC_KAFKA_SASL");
    told("127.0.0.1:1", &topic.name, "", "no broker answers at 127.0.0.1:1");
    told(&plain(), "no-such-topic", "", "the cluster has no topic `no-such-topic`");
    told(&plain(), &topic.name, "key=\"no\"", "the stream `rows` has no column `no`");
    project.write("password", "wrong");
    let login = "{ sasl \"plain\" user=\"flowc\" { secret \"P\" file=\"password\" } }";
    told(&sasl, &topic.name, login, "the broker refuses the login");
    project.write("password", "open-sesame");
    pipeline(&project, &sasl, &topic, login);
    run(&project);
    assert_eq!(numbers(&topic), [0, 1, 2]);
}
