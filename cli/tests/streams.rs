//! Readers that go away, and signals.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

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
