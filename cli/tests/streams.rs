//! Readers that go away, and signals.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use support::processes::wait_until;
use support::project::Project;

const STOPPED: Option<i32> = Some(130);

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let project = Project::new();
    let mut child = spawn(project.flowc(&["completions", "bash"]));
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

/// Many small files through two stages.
fn long_project() -> Project {
    let project = Project::new();
    (0..4000).for_each(|i| project.write(&format!("text/{i:04}.txt"), &format!("word{i} and more\n")));
    project.write(
        "flow.kdl",
        r#"
        source "lines" { files "text/*.txt" }
        stage "words" { in "lines"; std "tokenize@1"; config { column "line" }; cache #true }
        sink "out" { in "words"; file "out.csv" }
        "#,
    );
    project
}

/// More events than a pipe and memory hold wait in a file; none is lost.
#[test]
fn a_run_does_not_wait_for_who_reads_its_events() {
    let project = long_project();
    project.write(
        "flow.kdl",
        r#"
        source "lines" { files "text/*.txt" }
        stage "words" { in "lines"; std "tokenize@1"; config { column "line" }; cache #true }
        stage "again" { in "words"; std "tokenize@1"; config { column "word" }; cache #true }
        sink "words" { in "words"; file "words.csv" }
        sink "out" { in "again"; file "out.csv" }
        "#,
    );
    let mut child = spawn(project.flowc(&["run", "--json"]));
    // The record of a run comes last of all.
    wait_until("the run has done its work", || {
        let folder = project.root().join("home/.cache/flowc/noop");
        project.folder().join("out.csv").exists() && std::fs::read_dir(folder).is_ok_and(|noop| noop.count() > 0)
    });
    assert_eq!(child.try_wait().unwrap(), None, "nothing has been read");
    let events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let events: Vec<serde_json::Value> = events.map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["event"], "run-finished");
    let bytes: usize = events.iter().map(|event| event.to_string().len()).sum();
    assert!(bytes > 5 << 18, "{bytes}");
}

#[test]
fn ctrl_c_keeps_what_is_finished() {
    let project = long_project();
    let mut child = spawn(project.flowc(&["run", "--json", "--jobs", "1"]));
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    events.by_ref().find(|line| line.contains("\"segment-ran\"")).unwrap();
    signal(&child);
    let rest: Vec<String> = events.collect();
    assert_eq!(child.wait().unwrap().code(), STOPPED);
    assert!(rest.iter().any(|line| line.contains("\"code\":\"flowc::stopped\"")), "{:?}", rest.last());
    assert!(!project.folder().join("out.csv").exists());
    let again = project.flowc(&["run", "--json"]).output().unwrap();
    let last = String::from_utf8(again.stdout).unwrap().lines().last().unwrap().to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["event"], "run-finished");
    assert!(last["stages"][0]["segments_cached"].as_u64().unwrap() > 0, "{last}");
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"lines\" { stdin; format \"lines\" }\nsink \"out\" { in \"lines\"; file \"out.txt\" }\n",
    );
    let mut command = project.flowc(&["run", "--json"]);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    let stdin = child.stdin.take();
    // Once the run has begun signals are taken by flowc: before that they end the process the plain way.
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(events.any(|event| event.contains("run-started")));
    while child.try_wait().unwrap().is_none() {
        signal(&child);
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), STOPPED);
    drop(stdin);
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child) {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
}
