//! Event time and windows of topics of Apache Kafka, read from a real broker.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::kafka::{TestTopic, broker};
use support::project::Project;
use support::worked::{Run, TOPICS};

/// The columns of events, and stages with each kind of windows over them.
const STAGES: &str = "
    stage \"tumbling\" {
        in \"events\" { window \"tumbling\" size=\"1m\" lateness=\"2s\" }
        std \"aggregate@1\"
        config { by \"user\"; compute op=\"count\" as=\"events\"; compute op=\"sum\" column=\"n\" as=\"sum\" }
    }
    stage \"sliding\" {
        in \"events\" { window \"sliding\" size=\"3m\" slide=\"1m\" }
        std \"count@1\"
        config { by \"user\" }
    }
    stage \"days\" { in \"events\" { window \"calendar\" size=\"1d\" zone=\"Europe/Oslo\" }; std \"count@1\"; config { by \"user\" } }
    stage \"sessions\" {
        in \"events\" { window \"session\" gap=\"20s\" by=\"user\" }
        std \"count@1\"
        config { by \"user\" }
    }
    stage \"few\" { in \"events\"; std \"filter@1\"; config { where column=\"user\" op=\"=\" value=\"u1\" } }
    stage \"few-tumbling\" { in \"few\" { window \"tumbling\" size=\"1m\" lateness=\"2s\" }; std \"count@1\"; config { by \"user\" } }
    sink \"few\" { in \"few-tumbling\"; file \"out/few.csv\" }
    sink \"few-late\" { in \"few-tumbling.late\"; file \"out/few-late.csv\" }
    sink \"tumbling\" { in \"tumbling\"; file \"out/tumbling.csv\" }
    sink \"sliding\" { in \"sliding\"; file \"out/sliding.csv\" }
    sink \"days\" { in \"days\"; file \"out/days.csv\" }
    sink \"sessions\" { in \"sessions\"; file \"out/sessions.csv\" }
    sink \"late\" { in \"tumbling.late\"; file \"out/late.csv\" }
    sink \"late-sessions\" { in \"sessions.late\"; file \"out/late-sessions.csv\" }
";
const COUNTED: &str = "
    stage \"counted\" { in \"events\" { window \"tumbling\" size=\"1m\" }; std \"count@1\"; config { by \"user\" } }
    sink \"counted\" { in \"counted\"; file \"out/counted.csv\" }
";

/// Rows with times that go on with disorder, in two zones. Some are null, far ahead, or before 1970.
fn events(seed: u64, rows: u64) -> Vec<String> {
    let mut state = seed;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let event = |n: u64| {
        let second = 43_200 + n + next(12);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let at = match next(60) {
            0 => "null".to_owned(),
            1 => "\"1969-12-31T23:59:59.5Z\"".to_owned(),
            _ if n + 3 == rows => "\"2999-01-01T00:00:00Z\"".to_owned(),
            2..30 => format!("\"2024-03-01T{:02}:{minute:02}:{second:02}+02:00\"", hour + 2),
            _ => format!("\"2024-03-01T{hour:02}:{minute:02}:{second:02}Z\""),
        };
        format!("{{\"user\":\"u{}\",\"n\":{n},\"at\":{at}}}", next(5))
    };
    (0..rows).map(event).collect()
}

/// A pipeline over a topic: `more` stands in `kafka`.
fn over_topic(project: &Project, topic: &TestTopic, more: &str, stages: &str) {
    let place = format!("kafka \"{}\" topic=\"{}\" {{ {more} }}", broker("FLOWC_KAFKA"), topic.name);
    project.write("flow.kdl", &pipeline(&format!("{place}; format \"json\""), "at", stages));
}

fn pipeline(place: &str, event_time: &str, stages: &str) -> String {
    format!(
        "source \"events\" {{
             {place}
             schema {{ column \"user\" \"Utf8\"; column \"n\" \"Int64\"; column \"at\" \"Timestamp(ms, \\\"UTC\\\")\" }}
             event-time \"{event_time}\" delay=\"3s\"
         }}
         {stages}"
    )
}

/// Runs, and says how many invocations of each stage ran.
fn run(project: &Project) -> Vec<(String, u64)> {
    let output = project.flowc(&["run", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let stage = |stage: &Value| (stage["name"].as_str().unwrap().to_owned(), stage["segments_ran"].as_u64().unwrap());
    last["stages"].as_array().unwrap().iter().map(stage).collect()
}

fn written(project: &Project, name: &str) -> String {
    fs::read_to_string(project.folder().join("out").join(name)).unwrap()
}

fn failure(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A row of a user at a second after noon.
fn at(second: u64) -> String {
    format!("{{\"user\":\"u\",\"n\":1,\"at\":\"2024-03-01T12:{:02}:{:02}Z\"}}", second / 60, second % 60)
}

#[test]
fn a_topic_has_the_windows_of_files_with_its_rows() {
    let (files, topics) = (Project::new(), Project::new());
    let topic = TestTopic::new(3);
    let outputs = ["tumbling", "sliding", "days", "sessions", "late", "late-sessions", "few", "few-late"];
    for partition in 0..2 {
        let rows = events(partition as u64 + 7, 700);
        // Files have the column of offsets that the topic's source adds.
        let with_offset =
            |(offset, row): (usize, &String)| format!("{},\"offset\":{offset}}}", row.trim_end_matches('}'));
        let text: Vec<String> = rows.iter().enumerate().map(with_offset).collect();
        files.write(&format!("data/{partition}.jsonl"), &(text.join("\n") + "\n"));
        topic.append(partition, rows);
    }
    over_topic(&topics, &topic, "block 256; columns { offset }", STAGES);
    let place = pipeline("files \"data/*.jsonl\"", "at", STAGES);
    let offset = "\\\"UTC\\\")\"; column \"offset\" \"Int64\" nullable=#false";
    let place = place.replace("\\\"UTC\\\")\"", offset);
    files.write("flow.kdl", &place);
    run(&files);
    run(&topics);
    for name in outputs {
        let of_files = written(&files, &format!("{name}.csv"));
        let of_files = (0..2).fold(of_files, |text, partition| {
            text.replace(&format!(",data/{partition}.jsonl,"), &format!(",{}-{partition},", topic.name))
        });
        assert_eq!(written(&topics, &format!("{name}.csv")), of_files, "{name}");
    }
    let late = written(&topics, "late.csv");
    assert!(late.lines().any(|line| line.contains(",1969-12-31T23:59:59.500Z,")), "{late}");
    assert!(late.contains(&format!(",,,{}-1,", topic.name)), "{late}");
    // All windows are there again, and asking anew runs none.
    assert!(run(&topics).iter().all(|(_, ran)| *ran == 0));
}

#[test]
fn a_longer_range_runs_the_windows_that_gain_rows() {
    let (project, topic) = (Project::new(), TestTopic::new(2));
    topic.append(0, (0..512).map(at));
    topic.append(1, (0..100).map(at));
    over_topic(&project, &topic, "block 256; until \"0=300\"", COUNTED);
    assert_eq!(run(&project), [("counted".to_owned(), 5)]);
    // Seconds from 300 on: five minutes that are full stay as they are.
    over_topic(&project, &topic, "block 256; until \"0=512\"", COUNTED);
    assert_eq!(run(&project), [("counted".to_owned(), 4)]);
    let long = written(&project, "counted.csv");
    // The shorter range is found again.
    over_topic(&project, &topic, "block 256; until \"0=300\"", COUNTED);
    assert_eq!(run(&project), [("counted".to_owned(), 0)]);
    let fresh = Project::new();
    over_topic(&fresh, &topic, "until \"0=512\"", COUNTED);
    run(&fresh);
    assert_eq!(written(&fresh, "counted.csv"), long);
}

#[test]
fn a_range_that_starts_elsewhere_has_the_watermark_of_its_own_rows() {
    let topic = TestTopic::new(1);
    // The second block has rows of the first minute, and is late for it by the last row of the first block alone.
    topic.append(0, (0..255).map(|n| at(n % 50)).chain([at(1800)]).chain((0..40).map(at)));
    let late = format!("{COUNTED} sink \"late\" {{ in \"counted.late\"; file \"out/late.csv\" }}");
    let project = Project::new();
    let read = |project: &Project, more: &str| {
        over_topic(project, &topic, &format!("block 256; columns {{ offset }}; {more}"), &late);
        run(project);
        (written(project, "counted.csv"), written(project, "late.csv"))
    };
    let all = read(&project, "");
    assert_eq!(
        all.0,
        "window-start,window-end,user,count\n2024-03-01T12:00:00Z,2024-03-01T12:01:00Z,u,255\n2024-03-01T12:30:00Z,2024-03-01T12:31:00Z,u,1\n"
    );
    assert_eq!(all.1.lines().count(), 41, "{}", all.1);
    let place = format!(",2024-03-01T12:01:00Z,1737000,{}-0,256", topic.name);
    assert!(all.1.lines().nth(1).unwrap().ends_with(&place), "{}", all.1);
    let behind = read(&project, "start \"0=256\"");
    assert_eq!(behind.0, "window-start,window-end,user,count\n2024-03-01T12:00:00Z,2024-03-01T12:01:00Z,u,40\n");
    assert_eq!(behind.1.lines().count(), 1, "{}", behind.1);
    let before = read(&project, "start \"0=255\"");
    assert_eq!(before.0.lines().count(), 2, "{}", before.0);
    assert_eq!(before.1, all.1);
    // Whatever was read first, and from whatever store.
    assert_eq!(read(&project, ""), all);
    for (more, expected) in [("", &all), ("start \"0=256\"", &behind), ("start \"0=255\"", &before)] {
        assert_eq!(read(&Project::new(), more), *expected);
    }
}

#[test]
fn a_compacted_topic_has_no_event_time() {
    let (project, topic) = (Project::new(), TestTopic::with_settings(1, &[("cleanup.policy", "compact,delete")]));
    topic.append_with_key(b"a", Some(&at(0)), "t");
    let place = format!("kafka \"{}\" topic=\"{}\"; format \"json\"", broker("FLOWC_KAFKA"), topic.name);
    let untimed = pipeline(&place, "at", "sink \"out\" { in \"events\"; file \"out/all.csv\" }");
    project.write("flow.kdl", &untimed.replace("event-time \"at\" delay=\"3s\"", ""));
    run(&project);
    over_topic(&project, &topic, "", COUNTED);
    let said = failure(&project);
    assert!(said.contains("it is compacted (cleanup.policy=compact): records leave its middle"), "{said}");
    // Also where all that is read is known.
    over_topic(&project, &topic, "until \"0=1\"", COUNTED);
    let said = failure(&project);
    assert!(said.contains("it is compacted"), "{said}");
}

#[test]
fn times_of_appending_are_those_of_a_topic_that_has_them() {
    let stages = COUNTED.replace("tumbling\" size=\"1m\"", "calendar\" size=\"1mo\"");
    let source = |project: &Project, topic: &TestTopic, columns: &str| {
        let place = format!("kafka \"{}\" topic=\"{}\" {{ {columns} }}", broker("FLOWC_KAFKA"), topic.name);
        project.write("flow.kdl", &pipeline(&format!("{place}; format \"json\""), "log-append", &stages));
    };
    let (project, made) = (Project::new(), TestTopic::new(1));
    made.append(0, (0..3).map(at));
    source(&project, &made, "columns { timestamp \"appended\" }");
    let said = failure(&project);
    assert!(said.contains("(message.timestamp.type=CreateTime)"), "{said}");
    let appended = TestTopic::with_settings(1, &[("message.timestamp.type", "LogAppendTime")]);
    appended.append(0, (0..3).map(at));
    source(&project, &appended, "columns { timestamp \"appended\" }");
    run(&project);
    let counted = written(&project, "counted.csv");
    let count = |line: &str| line.rsplit(',').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(counted.lines().skip(1).map(count).sum::<u64>(), 3, "{counted}");
    assert!(!counted.contains("2024-03-01"), "{counted}");
}

#[test]
fn orders_meet_the_payments_of_five_minutes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/orders");
    let topics = ["orders", "payments"].map(|name| TestTopic::named(name.to_owned(), 2, &[]));
    for topic in &topics {
        for partition in 0..2 {
            let path = folder.join(TOPICS).join(format!("{}-{partition}.jsonl", topic.name));
            topic.append(partition, fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
    }
    let arguments = ["--param".to_owned(), format!("broker={}", broker("FLOWC_KAFKA"))];
    let run = || Run::new(&folder).with(&arguments);
    let (one, many) = (run(), run());
    let first = one.run(&["--jobs", "1"]);
    one.check_rows();
    one.check_files();
    let second = one.run(&[]);
    assert!(second["stages"].as_array().unwrap().iter().all(|stage| stage["segments_ran"] == 0), "{second}");
    assert_eq!(many.run(&["--jobs", "7"])["outputs"], first["outputs"]);
    assert!(one.written() == many.written());
    topics.iter().for_each(TestTopic::delete);
}
