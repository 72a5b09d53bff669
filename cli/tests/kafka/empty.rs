//! Partitions and ranges that have no records, or none that is a row.

use std::time::Duration;

use rdkafka::producer::Producer;

use super::support::kafka::{TestTopic, producer};
use super::support::project::Project;
use super::{bids, failure, pipeline, plain, prices};

#[test]
fn partitions_without_records_are_none_and_gain_some() {
    let (project, topic) = (Project::new(), TestTopic::new(4));
    topic.append(2, bids(0..3));
    let read = |more: &str| {
        pipeline(&project, &plain(), &topic.name, more, "");
        prices(&project)
    };
    assert_eq!(read(""), [0, 1, 2]);
    assert_eq!(read("partitions 0"), [0; 0]);
    assert_eq!(read("partitions 0 3"), [0; 0]);
    assert_eq!(read("partitions 0 2; until \"0=0\" \"2=1\""), [0]);
    assert_eq!(read("start \"latest\""), [0; 0]);
    assert_eq!(read("start \"2023-11-14T00:00Z\""), [0, 1, 2]);
    // A partition that was empty when it was first read has rows once it gains records.
    assert_eq!(read("partitions 0 3"), [0; 0]);
    topic.append(3, bids(7..9));
    assert_eq!(prices(&project), [7, 8]);
    assert_eq!(read(""), [0, 1, 2, 7, 8]);
    // What lies past the end of an empty partition is no range of it.
    pipeline(&project, &plain(), &topic.name, "until \"0=1\"", "");
    assert!(failure(&project, "flowc run").contains("partition 0 ends at offset 0, before 1"));
}

#[test]
fn a_partition_whose_records_are_all_gone_is_empty() {
    let (project, topic) = (Project::new(), TestTopic::new(2));
    topic.append(0, bids(0..3));
    topic.append(1, bids(5..6));
    topic.forget(0, 3);
    pipeline(&project, &plain(), &topic.name, "", "");
    assert_eq!(prices(&project), [5]);
    topic.append(0, bids(9..10));
    assert_eq!(prices(&project), [9, 5]);
}

#[test]
fn a_topic_without_records_has_the_declared_columns_or_none() {
    let (project, topic) = (Project::new(), TestTopic::new(2));
    pipeline(&project, &plain(), &topic.name, "", "");
    assert_eq!(prices(&project), [0; 0]);
    let text = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    assert_eq!(text, "auction,price\n");
    let source = format!("kafka \"{}\" topic=\"{}\"; format \"json\"", plain(), topic.name);
    project.write("flow.kdl", &format!("source \"s\" {{ {source} }}\nsink \"o\" {{ in \"s\"; file \"o.csv\" }}\n"));
    let said = failure(&project, "flowc run");
    assert!(said.contains("no record of its range shows columns; declare them: schema { column"), "{said}");
}

#[test]
fn a_range_of_marks_of_transactions_has_no_rows() {
    let (project, topic) = (Project::new(), TestTopic::new(2));
    let producer = producer(Some(&topic.name));
    let patience = Duration::from_secs(30);
    for (range, is_kept) in [(0..3, true), (3..6, false)] {
        producer.begin_transaction().unwrap();
        bids(range).iter().for_each(|value| topic.send(&producer, 0, value));
        match is_kept {
            true => producer.commit_transaction(patience).unwrap(),
            false => {
                producer.flush(patience).unwrap();
                producer.abort_transaction(patience).unwrap();
            }
        }
    }
    // Offsets 0 to 2 were committed by the mark at 3, and 4 to 6 aborted by the mark at 7.
    let read = |more: &str| {
        pipeline(&project, &plain(), &topic.name, more, "");
        let first = prices(&project);
        assert_eq!(prices(&project), first, "{more}");
        first
    };
    assert_eq!(read("start \"0=3\"; until \"0=4\""), [0; 0]);
    assert_eq!(read("start \"0=7\"; until \"0=8\""), [0; 0]);
    assert_eq!(read("start \"0=3\"; until \"0=8\""), [0; 0]);
    assert_eq!(read("partitions 0; start \"0=4\""), [0; 0]);
    assert_eq!(read("start \"0=2\"; until \"0=4\""), [2]);
    assert_eq!(read(""), [0, 1, 2]);
    assert_eq!(read("start \"0=3\"; until \"0=8\"; isolation \"read-uncommitted\""), [3, 4, 5]);
}

#[test]
fn a_partition_of_tombstones_alone_is_bad_rows_or_rows_of_nulls() {
    let (project, topic) = (Project::new(), TestTopic::new(1));
    topic.append_bytes([None, None]);
    pipeline(&project, &plain(), &topic.name, "", "");
    assert!(failure(&project, "flowc run").contains("the record has no value (it is a tombstone)"));
    pipeline(&project, &plain(), &topic.name, "", "bad-rows \"skip\"");
    assert_eq!(prices(&project), [0; 0]);
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &text.replace(" nullable=#false", "").replace("bad-rows \"skip\"", ""));
    assert!(project.shell("flowc run").starts_with("exit 0"));
    assert_eq!(std::fs::read_to_string(project.folder().join("out.csv")).unwrap(), "auction,price\n,\n,\n");
}

#[test]
fn an_empty_partition_holds_no_window_open() {
    let (project, topic) = (Project::new(), TestTopic::new(3));
    let times = ["12:00:10", "12:00:50", "12:03:00"];
    topic.append(1, times.map(|time| format!("{{\"at\":\"2026-11-01T{time}Z\",\"n\":1}}")));
    let counted = |partitions: &str| {
        project.write(
            "flow.kdl",
            &format!(
                "source \"s\" {{
                     kafka \"{}\" topic=\"{}\" {{ {partitions} }}
                     format \"json\"
                     schema {{ column \"at\" #\"Timestamp(s, \"UTC\")\"#; column \"n\" \"Int64\" }}
                     event-time \"at\" delay=\"5s\"
                 }}
                 stage \"minutes\" {{ in \"s\" {{ window \"tumbling\" size=\"1m\" }}; std \"aggregate@1\"; config {{ compute op=\"count\" }} }}
                 sink \"o\" {{ in \"minutes\"; file \"o.csv\" }}\n",
                plain(),
                topic.name
            ),
        );
        let said = project.shell("flowc run");
        assert!(said.starts_with("exit 0"), "{said}");
        std::fs::read_to_string(project.folder().join("o.csv")).unwrap()
    };
    let due = "window-start,window-end,count\n2026-11-01T12:00:00Z,2026-11-01T12:01:00Z,2\n2026-11-01T12:03:00Z,2026-11-01T12:04:00Z,1\n";
    assert_eq!(counted(""), due);
    assert_eq!(counted("partitions 0 2"), "window-start,window-end,count\n");
}
