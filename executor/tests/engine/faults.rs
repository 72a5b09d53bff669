//! Faults of flowc itself, runs that end early, and what is told of why stages ran.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flowc_executor::{Cancel, Error, ErrorClass, Event, Observer, Reason, RunFailure, RunRequest, StageStatus};

use crate::support::{Project, component};

const FLOW: &str = r#"
source "lines" { files "text/*.txt" }
stage "words" { in "lines"; std "tokenize@1"; config { column "line" } }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "table" { in "counts"; file "counts.csv" }
"#;

fn project() -> Project {
    let project = Project::new(FLOW);
    for number in 0..4 {
        project.write(&format!("text/{number}.txt"), format!("word{number} again\n"));
    }
    project
}

/// Panics within a task, once, where an event is told of that this accepts.
fn panicking(accepts: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Arc<dyn Observer> {
    let panicked = AtomicBool::new(false);
    Arc::new(move |event: Event| {
        if accepts(&event) && !panicked.swap(true, Ordering::SeqCst) {
            panic!("lost count");
        }
    })
}

/// Whether an event is the one to panic at.
type Accepts = fn(&Event) -> bool;

fn failure(project: &Project, keep_going: bool, accepts: Accepts) -> RunFailure {
    let request = RunRequest { keep_going, ..RunRequest::default() };
    project.session().run(&request, panicking(accepts), Cancel::new()).expect_err("a fault")
}

#[test]
fn a_panic_in_a_task_ends_the_run_as_a_fault_of_flowc_and_what_was_finished_is_kept() {
    let places: [(&str, Accepts); 3] = [
        ("reading text/", |event| matches!(event, Event::FileRead { file, .. } if file.ends_with("2.txt"))),
        ("stage `", |event| matches!(event, Event::SegmentRan { segment: 0, .. })),
        (
            "merging partials of stage `counts`",
            |event| matches!(event, Event::SegmentRan { stages, .. } if stages.len() == 1),
        ),
    ];
    for (place, accepts) in places {
        for keep_going in [false, true] {
            let project = project();
            let RunFailure { errors, report } = failure(&project, keep_going, accepts);
            let [error @ Error::Internal { .. }] = &errors[..] else { panic!("{place}: {errors:?}") };
            let text = error.to_string();
            assert!(text.starts_with("a bug in flowc, ") && text.contains(place), "{text}");
            assert!(text.contains(": lost count, at ") && text.contains("faults.rs:"), "{text}");
            assert_eq!(error.class(), ErrorClass::Internal);
            assert!(!report.expect("a report").is_complete());
            let again = project.run();
            assert!(again.is_complete() && project.read("counts.csv").contains("again,4"));
        }
    }
}

#[test]
fn a_panic_outside_of_tasks_ends_the_run_too() {
    let project = project();
    let RunFailure { errors, report } = failure(&project, false, |event| matches!(event, Event::WorkPlanned { .. }));
    assert!(errors[0].to_string().starts_with("a bug in flowc, running the pipeline: lost count"), "{errors:?}");
    assert!(report.is_some());
    let again = project.run();
    assert_eq!(again.stages[0].status, StageStatus::Cached, "what ran ahead is kept");
}

#[test]
fn errors_are_events_and_come_before_the_last_one() {
    let project = Project::new(FLOW);
    project.write("text/a.txt", [0xff, 0xfe, b'\n']);
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let observer = Arc::new(move |event: Event| seen.lock().unwrap().push(event));
    project.session().run(&RunRequest::default(), observer, Cancel::new()).expect_err("a failure");
    let events = events.lock().unwrap();
    let [.., Event::Error(error), Event::RunFinished(_)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (error.code.as_str(), error.class, error.source.as_deref()),
        ("flowc::source", ErrorClass::Run, Some("lines"))
    );
}

#[test]
fn a_run_that_was_stopped_before_it_began_has_a_report() {
    let project = project();
    let cancel = Cancel::new();
    cancel.cancel();
    let failure = project.session().run(&RunRequest::default(), Arc::new(|_: Event| ()), cancel).expect_err("stopped");
    assert!(matches!(failure.errors[..], [Error::Cancelled]), "{:?}", failure.errors);
    let stages = failure.report.expect("a report").stages;
    assert!(stages.iter().all(|stage| stage.status == StageStatus::Skipped && stage.reasons.is_empty()));
}

/// A stage that never returns from a call keeps the run from returning. Whoever ends the process then can tell what was done.
#[test]
fn a_run_that_does_not_return_can_be_abandoned() {
    let project = Project::new(
        r#"
        source "lines" { files "text/*.txt" }
        stage "words" { in "lines"; std "tokenize@1"; config { column "line" }; cache #true }
        stage "stuck" { in "words"; wasm "endless.wasm"; timeout "5s" }
        sink "out" { in "stuck"; file "out.csv" }
        "#,
    );
    project.write("endless.wasm", component("endless"));
    project.write("text/a.txt", "one\n");
    let session = Arc::new(project.session());
    let (cancel, events) = (Cancel::new(), Arc::new(Mutex::new(Vec::new())));
    let (running, stop, seen) = (session.clone(), cancel.clone(), events.clone());
    let run = std::thread::spawn(move || {
        let observer = Arc::new(move |event: Event| seen.lock().unwrap().push(event));
        running.run(&RunRequest::default(), observer, stop)
    });
    let has_ran = |event: &Event| matches!(event, Event::SegmentRan { stages, .. } if stages == &["words"]);
    while !events.lock().unwrap().iter().any(has_ran) {
        assert!(!run.is_finished(), "{:?}", events.lock().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    cancel.cancel();
    let report = session.abandon().expect("there is a plan");
    let stages: Vec<_> = report.stages.iter().map(|stage| (stage.status, stage.segments_ran)).collect();
    assert_eq!(stages, [(StageStatus::Skipped, 1), (StageStatus::Skipped, 0)]);
    let failure = run.join().unwrap().expect_err("it was stopped");
    assert!(failure.report.is_none() && matches!(failure.errors[..], [Error::Cancelled]), "{:?}", failure.errors);
    let last = |event: &Event| matches!(event, Event::Error(_) | Event::RunFinished(_));
    assert!(!events.lock().unwrap().iter().any(last), "the end is for whoever abandoned it to tell");
    let why = project.session().why("words").unwrap();
    assert_eq!((why.next.to_run, why.ran.map(|ran| ran.segments)), (0, Some(1)), "what was finished is kept");
}

#[test]
fn why_stages_ran_is_in_the_report_and_told_afterwards() {
    let project = project();
    let first = project.run();
    assert!(first.stages.iter().all(|stage| stage.reasons == [Reason::NeverRan]));
    project.write("text/1.txt", "another word\n");
    let changed = Reason::Column { input: "in".into(), column: "line".into(), segments: vec!["text/1.txt".into()] };
    let second = project.run();
    assert_eq!(second.stages[0].reasons, std::slice::from_ref(&changed));
    let upstream = Reason::Upstream { stage: "words".into() };
    assert!(second.stages[1].reasons.contains(&upstream), "{:?}", second.stages[1].reasons);
    let why = project.session().why("words").unwrap();
    assert_eq!((why.next.to_run, &why.next.reasons[..]), (0, &[][..]));
    let ran = why.ran.expect("it ran");
    assert_eq!((ran.segments, ran.failed, ran.reasons), (1, false, vec![changed]));

    // A run that does nothing changes nothing of it.
    assert!(project.run().stages.iter().all(|stage| stage.reasons.is_empty()));
    assert_eq!(project.session().why("words").unwrap().ran.expect("it ran").segments, 1);

    project.write("flow.kdl", FLOW.replace("by \"word\"", "by \"word\"; as \"n\""));
    let third = project.run();
    assert_eq!(third.stages[0].reasons, [Reason::NotKept { stage: "counts".into() }]);
    assert!(matches!(&third.stages[1].reasons[..], [Reason::Config { path, .. }, ..] if path == "/as"));

    let request = RunRequest { force: vec!["words".into()], ..RunRequest::default() };
    let forced = project.try_run(&request).unwrap();
    assert_eq!(forced.stages[0].reasons, [Reason::Forced]);
}
