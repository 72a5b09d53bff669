//! What is due before all sources are known does not wait for them.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowc_executor::{Cancel, Error, Event, RunRequest, StageStatus};

use crate::support::{Project, all_cached, segments, stage};

const FLOW: &str = r#"
source "lines" { files "text/*.txt" }
source "names" { files "names.csv" }
stage "words" { in "lines"; std "tokenize@1"; config { column "line" } }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
stage "known" { in rows="names" table="counts"; std "lookup@1"; config { on { left "word"; right "word" } } }
sink "out" { in "known"; file "out.csv" }
"#;

#[test]
fn what_needs_one_source_alone_is_done_while_another_is_being_read() {
    let project = Project::new(FLOW);
    project.write_all("text/a.txt", "the sea\n");
    project.write_all("text/b.txt", "the sky\n");
    project.write("names.csv", "word\nthe\nsky\n");
    let (counted, is_counted) = channel();
    let (counted, is_counted) = (Mutex::new(counted), Mutex::new(is_counted));
    let has_waited = Arc::new(Mutex::new(false));
    let waited = Arc::clone(&has_waited);
    let observer = Arc::new(move |event: Event| match event {
        // Partials are merged, and then finished.
        Event::SegmentRan { stages, .. } if stages == ["counts"] => counted.lock().unwrap().send(()).unwrap(),
        Event::FileRead { source, .. } if source == "names" => {
            let counted = is_counted.lock().unwrap();
            for _ in 0..2 {
                counted.recv_timeout(Duration::from_secs(100)).expect("words are counted while names are read");
            }
            *waited.lock().unwrap() = true;
        }
        _ => {}
    });
    let report = project.session().run(&RunRequest::default(), observer, Cancel::new()).expect("a run");
    assert!(*has_waited.lock().unwrap());
    assert_eq!(project.read("out.csv"), "word,count\nthe,2\nsky,1\n");
    assert!(report.stages.iter().all(|stage| stage.status == StageStatus::Ran));
    assert_eq!((segments(&report, "words"), segments(&report, "counts")), ((2, 0), (2, 0)));
    assert!(all_cached(&project.run()), "nothing of it is done again");
    project.write("text/b.txt", "the sky is here\n");
    project.write("names.csv", "word\nthe\nhere\n");
    let report = project.run();
    assert_eq!((segments(&report, "words"), segments(&report, "known")), ((1, 1), (1, 0)));
    assert_eq!(stage(&report, "counts").rows_out, 5);
    assert_eq!(project.read("out.csv"), "word,count\nthe,2\nhere,1\n");
}

fn failed_stage(event: &Event) -> Option<&str> {
    match event {
        Event::StageFailed { stage, .. } => Some(stage),
        _ => None,
    }
}

/// Every task that starts ends once.
fn assert_each_start_has_an_end(events: &[Event]) {
    let mut open: Vec<(&[String], usize)> = Vec::new();
    for event in events {
        match event {
            Event::TaskStarted { stages, segment } => open.push((stages, *segment)),
            Event::SegmentRan { stages, segment, .. } | Event::TaskFailed { stages, segment } => {
                let place = open.iter().position(|started| *started == (stages, *segment));
                open.swap_remove(place.expect("a start before it"));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn starts(events: &[Event], stage: &str) -> usize {
    let starts =
        |event: &&Event| matches!(event, Event::TaskStarted { stages, .. } if stages.contains(&stage.to_owned()));
    events.iter().filter(starts).count()
}

#[test]
fn what_ran_early_is_part_of_the_work() {
    let project = Project::new(FLOW);
    project.write_all("text/a.txt", "the sea\n");
    project.write_all("text/b.txt", "the sky\n");
    project.write("names.csv", "word\nthe\nsky\n");
    let (_, events) = project.run_watched();
    let ended =
        events.iter().filter(|event| matches!(event, Event::SegmentRan { .. } | Event::SegmentUnchanged { .. }));
    let planned = events.iter().find_map(|event| match event {
        Event::WorkPlanned { tasks, stages } => Some((*tasks, stages)),
        _ => None,
    });
    let (tasks, stages) = planned.expect("work is planned");
    assert_eq!(tasks, ended.count(), "{events:#?}");
    let of_stage = |name: &str| {
        let has_part =
            |event: &&Event| matches!(event, Event::SegmentRan { stages, .. } if stages.iter().any(|one| one == name));
        events.iter().filter(has_part).count()
    };
    for planned in stages {
        assert_eq!(planned.tasks, of_stage(&planned.stage), "{planned:?}");
    }
    assert_eq!(stages.iter().map(|planned| planned.stage.as_str()).collect::<Vec<_>>(), ["words", "counts", "known"]);
}

/// A task that fails before all sources are known fails again where it is known what depends on it, and that is told.
#[test]
fn what_fails_early_is_told_once_and_the_rest_is_done_when_asked() {
    for jobs in [1, 3] {
        let mut project = Project::new(
            r#"
            source "lines" { files "text/*.txt" }
            source "table" { files "table.csv" }
            source "names" { files "names.csv" }
            stage "words" { in "lines"; std "tokenize@1"; config { column "line" } }
            stage "counts" { in "words"; std "count@1"; config { by "word" } }
            stage "joined" { in rows="counts" table="table"; std "lookup@1"; config { on { left "word"; right "word" } } }
            stage "sums" { in "joined"; std "count@1"; config { by "kind" } }
            stage "last" { in rows="names" table="sums"; std "lookup@1"; config { on { left "kind"; right "kind" } } }
            sink "last" { in "last"; file "last.csv" }
            sink "names" { in "names"; file "out.csv" }
            "#,
        );
        project.write_all("text/a.txt", "the sea\n");
        project.write_all("names.csv", "kind\nnoun\n");
        project.write("table.csv", "word,kind\nthe,article\nthe,noun\n");
        project.jobs = jobs;
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let observer = Arc::new(move |event: Event| seen.lock().unwrap().push(event));
        let request = RunRequest { keep_going: true, ..RunRequest::default() };
        let failure = project.session().run(&request, observer, Cancel::new()).expect_err("a word that is there twice");
        assert!(matches!(&failure.errors[..], [Error::Stage { stage, .. }] if stage == "joined"), "{failure:?}");
        let events = events.lock().unwrap();
        let failed: Vec<&str> = events.iter().filter_map(failed_stage).collect();
        assert_eq!(failed, ["joined"]);
        assert_each_start_has_an_end(&events);
        assert_eq!(starts(&events, "joined"), 1, "its second try is not told of");
        let report = failure.report.expect("a report");
        let status = |name: &str| stage(&report, name).status;
        assert_eq!(
            ["counts", "joined", "sums"].map(status),
            [StageStatus::Ran, StageStatus::Failed, StageStatus::Skipped]
        );
        assert!(!project.path("last.csv").exists());
        assert_eq!(project.read("out.csv"), "kind\nnoun\n");
    }
}

/// Which sinks are written by the time of a failure is chance, so none of them appears, unless all are asked for that can be had.
#[test]
fn a_failure_that_ends_the_run_leaves_all_sinks_as_they_were() {
    for jobs in [1, 4] {
        let mut project = Project::new(
            r#"
source "rows" { files "rows/*.csv"; schema { column "id" "Int64"; column "k" "Utf8" } }
source "table" { files "table.csv"; schema { column "k" "Utf8"; column "v" "Int64" } }
stage "joined" { in rows="rows" table="table"; std "lookup@1"; config { on { left "k"; right "k" } } }
sink "joined" { in "joined"; file "out/joined.csv" }
sink "rows" { in "rows"; file "out/rows.csv" }
sink "table" { in "table"; file "out/table.jsonl" }
"#,
        );
        project.jobs = jobs;
        project.write_all("rows/a.csv", "id,k\n1,a\n");
        let large: String = (0..100_000).map(|row| format!("{row},a\n")).collect();
        project.write_all("rows/b.csv", format!("id,k\n{large}"));
        project.write("table.csv", "k,v\na,1\na,2\n");
        for attempt in 0..3 {
            project.failure();
            let out = std::fs::read_dir(project.path("out"));
            let left: Vec<_> = out.into_iter().flatten().map(|entry| entry.expect("an entry").file_name()).collect();
            assert!(left.is_empty(), "{jobs} jobs, run {attempt}: {left:?}");
        }
        let request = RunRequest { keep_going: true, ..RunRequest::default() };
        let failure = project.session().run(&request, Arc::new(|_: Event| ()), Cancel::new()).expect_err("a failure");
        assert!(failure.errors.iter().all(|error| matches!(error, Error::Stage { .. })), "{:?}", failure.errors);
        assert!(project.path("out/rows.csv").exists() && project.path("out/table.jsonl").exists());
        assert!(!project.path("out/joined.csv").exists());
    }
}
