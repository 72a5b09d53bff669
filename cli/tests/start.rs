//! `flowc` itself: a small program that answers when nothing is to do, and hands all else to `flowc-engine`.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::project::Project;

const ENGINE: &str = env!("CARGO_BIN_EXE_flowc-engine");

/// A project with something to say of its source in each run: a row that can't be read.
fn project() -> Project {
    let project = Project::new();
    project.write("n.csv", "n\n1\nx\n3\n");
    project.write(
        "flow.kdl",
        "source \"n\" { files \"n.csv\"; schema { column \"n\" \"Int64\" }; bad-rows \"skip\" }
         sink \"out\" { in \"n\"; file \"out.csv\" }\n",
    );
    project
}

/// A run by the engine alone, which looks itself whether there is something to do where spans are asked for.
fn run_by_engine(project: &Project, arguments: &[&str]) -> Output {
    project.program(ENGINE).arg("run").args(arguments).env("FLOWC_LOG", "off").output().unwrap()
}

/// What was said, without what differs between two runs.
fn said(output: &Output) -> (Option<i32>, Vec<Value>, String) {
    let event = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        ["run", "time"].iter().for_each(|field| drop(event.as_object_mut().unwrap().shift_remove(*field)));
        event
    };
    let events = String::from_utf8_lossy(&output.stdout).lines().map(event).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = errors.lines().map(|line| line.rsplit_once("; ").map_or(line, |(head, _)| head)).collect();
    (output.status.code(), events, errors.join("\n"))
}

#[test]
fn a_run_without_work_is_told_as_the_engine_tells_it() {
    let project = project();
    let first = project.flowc(&["run"]).output().unwrap();
    assert!(first.status.success(), "{first:?}");
    for arguments in [&[][..], &["--json"], &["--quiet"], &["--keep-going"], &["--color", "always"], &["--jobs", "2"]] {
        let started = project.flowc(&["run"]).args(arguments).output().unwrap();
        let engine = run_by_engine(&project, arguments);
        assert_eq!(said(&started), said(&engine), "{arguments:?}");
        assert!(started.status.success(), "{arguments:?}");
    }
    let told = said(&project.flowc(&["run"]).output().unwrap()).2;
    assert!(told.contains("1 bad row"), "what was said of the source is said again: {told}");
}

#[test]
fn a_run_without_work_needs_no_engine_and_others_name_it() {
    let project = project();
    assert!(project.flowc(&["run"]).output().unwrap().status.success());
    // Copied by another process: what other tests start meanwhile would hold it open for writing.
    let alone = project.root().join("flowc");
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_flowc")).arg(&alone).status();
    assert!(copied.unwrap().success());
    let again = project.program(&alone).args(["run", "--json"]).output().unwrap();
    assert_eq!(said(&again), said(&run_by_engine(&project, &["--json"])));
    let refused = |arguments: &[&str]| {
        let output = project.program(&alone).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("`flowc-engine` cannot be started"), "{errors}");
    };
    [&["plan"][..], &["run", "--force", "n"], &["run", "--verify", "n"], &["run", "--no-such-option"], &[]]
        .into_iter()
        .for_each(refused);
    project.write("n.csv", "n\n1\n");
    refused(&["run"]);
}

#[test]
fn output_that_cannot_be_written_is_a_failure_without_work_too() {
    let project = project();
    assert!(project.flowc(&["run"]).output().unwrap().status.success());
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let started = project.flowc(&["run", "--json"]).stdout(full()).status().unwrap();
    let engine = project.program(ENGINE).args(["run", "--json"]).stdout(full()).status().unwrap();
    assert_eq!((started.code(), engine.code()), (Some(1), Some(1)));
}

/// What starts a run must not lead to what runs stages: the linker would take all of it in, and loading it takes longer than a run
/// without work.
#[test]
fn the_program_that_starts_is_small() {
    let size = |program: &str| fs::metadata(Path::new(program)).unwrap().len();
    let (start, engine) = (size(env!("CARGO_BIN_EXE_flowc")), size(ENGINE));
    assert!(start * 8 < engine, "flowc has {start} bytes, its engine {engine}");
}

#[test]
fn the_small_program_isolates_as_the_engine_does() {
    let of = |program: &str| flowc_executor::sandbox::isolation(Path::new(program));
    let found = of(env!("CARGO_BIN_EXE_flowc"));
    assert_eq!(found.failure, None);
    assert_eq!(found, of(ENGINE));
}
