//! Garbage collection goes on beside runs, and takes nothing that one needs.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowc_executor::admin::{self, Verified};
use flowc_executor::{Cancel, Event, RunRequest};

use crate::support::{Project, all_cached, segments};

const FLOW: &str = r#"
source "text" { files "text/*.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" }; cache #true }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "words" { in "words"; directory "out/words"; format "csv" }
sink "counts" { in "counts"; file "out/counts.csv" }
"#;

/// What a run does that has found the words of all files.
const AGAIN: &str = r#"
stage "again" { in "words"; std "tokenize@1"; config { column "word" } }
sink "again" { in "again"; file "out/again.csv" }
"#;

const PATIENCE: Duration = Duration::from_secs(100);

fn project() -> Project {
    let project = Project::new(FLOW);
    for file in 0..4 {
        project.write_all(&format!("text/{file}.txt"), format!("first of {file}\n").repeat(100));
    }
    project.write("text/last.txt", "one\n");
    project.run();
    project
}

fn objects(project: &Project) -> usize {
    std::fs::read_dir(project.path(".store/objects")).unwrap().count()
}

/// Adds a stage, runs, and calls something when that stage begins: by then the run has found results and made others.
fn run_and_meanwhile(project: &Project, meanwhile: impl FnOnce()) {
    project.write("flow.kdl", format!("{FLOW}{AGAIN}"));
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel();
    let may_go_on = Mutex::new(may_go_on);
    let is_first = AtomicBool::new(true);
    let observer = Arc::new(move |event: Event| {
        let is_again = matches!(&event, Event::TaskStarted { stages, .. } if stages.contains(&"again".to_owned()));
        if is_again && is_first.swap(false, Ordering::Relaxed) {
            begun.send(()).unwrap();
            may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
    });
    std::thread::scope(|scope| {
        let run = scope.spawn(move || project.session().run(&RunRequest::default(), observer, Cancel::new()));
        has_begun.recv_timeout(PATIENCE).unwrap();
        meanwhile();
        go_on.send(()).unwrap();
        let report = run.join().unwrap().unwrap();
        assert!(segments(&report, "words").1 > 0, "it takes over what it found");
    });
}

/// A run that is disturbed ends as one that is not, and leaves all of its results.
fn assert_whole(project: &Project) {
    assert_eq!(admin::verify(&project.store(), false).unwrap(), Verified::default());
    std::fs::remove_dir_all(project.path("out")).unwrap();
    assert!(all_cached(&project.run()), "all results are there");
    let counts = project.read("out/counts.csv");
    project.new_store();
    project.run();
    assert_eq!(counts, project.read("out/counts.csv"));
}

#[test]
fn a_collection_beside_a_run_takes_the_dead_and_nothing_else() {
    let project = project();
    // What the first of these runs makes is dead after the second.
    for text in ["two\n", "three\n"] {
        project.write("text/last.txt", text);
        project.run();
    }
    run_and_meanwhile(&project, || {
        let before = objects(&project);
        let collected = admin::gc(&project.store(), false).unwrap();
        assert!(collected.results.removed > 0 && objects(&project) < before, "{collected:?}");
    });
    assert_whole(&project);
}

/// The record that named the results is gone before the run that found them ends.
#[test]
fn what_a_run_has_found_stays_although_no_record_names_it() {
    let project = project();
    run_and_meanwhile(&project, || {
        let moved = project.path("moved.kdl");
        std::fs::rename(project.path("flow.kdl"), &moved).unwrap();
        let collected = admin::gc(&project.store(), false).unwrap();
        assert_eq!(collected.runs.len(), 1, "{collected:?}");
        std::fs::rename(moved, project.path("flow.kdl")).unwrap();
    });
    crate::support::settle();
    assert_whole(&project);
}

#[test]
fn collections_take_turns_and_runs_start_between_their_steps() {
    let project = project();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    admin::gc(&project.store(), false).unwrap();
                }
            });
        }
        for round in 0..8 {
            project.write("text/last.txt", format!("round {round}\n"));
            let report = project.run();
            assert_eq!(segments(&report, "words"), (1, 4), "round {round}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_whole(&project);
    assert_eq!(std::fs::read_dir(project.path(".store/leases")).unwrap().count(), 0);
}

/// What a collection has done by the time it is killed is told by the steps that it took: it does nothing between them.
#[test]
fn a_collection_that_ends_early_leaves_whole_results() {
    use flowc_store::Collection;
    let project = project();
    project.write("text/last.txt", "two\n");
    project.run();
    let begin = |store: &Path| Collection::begin(store, false).unwrap();
    for steps in 0..4 {
        let collection = begin(&project.store());
        if steps > 0 {
            let mut decision = collection.decide().unwrap();
            if steps > 1 {
                decision.results(&Default::default(), &Default::default()).unwrap();
            }
            if steps > 2 {
                decision.area(flowc_store::Area::Code, |_| false).unwrap();
            }
        }
        drop(collection);
        assert_eq!(admin::verify(&project.store(), false).unwrap(), Verified::default());
        project.write("text/last.txt", format!("step {steps}\n"));
        project.run();
    }
    admin::gc(&project.store(), false).unwrap();
    let before = objects(&project);
    admin::gc(&project.store(), false).unwrap();
    assert_eq!(objects(&project), before, "the next one finishes it");
    assert_whole(&project);
}
