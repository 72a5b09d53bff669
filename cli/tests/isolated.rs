//! Stages in processes of their own, when these or flowc are killed: nothing is left behind, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;
use std::process::{Child, Stdio};

use support::engine::containers_of;
use support::processes::{command_lines, kill, wait_until};
use support::project::Project;
use support::results::{outputs, units};

const STAGE: &str = r#"
import os
import time
from dataclasses import dataclass

import flowc
import pyarrow as pa


@dataclass
class Config:
    seconds: float


@flowc.stage(reads=["line"], adds={"length": pa.int64()})
def stage(lines: pa.RecordBatch, config: Config) -> list[int]:
    """Takes its time, with a process of its own beside it."""
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(config.seconds)
    return [len(line) for line in lines["line"].to_pylist()]
"#;

/// Writes a Python project.
fn python(project: &Project, name: &str, stages: &str) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for file in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("{name}/{file}"), &std::fs::read_to_string(python.join(file)).unwrap());
    }
    project.write(&format!("{name}/stage.py"), stages);
}

/// A pipeline whose stage takes so many seconds for a segment.
fn project(seconds: f64) -> Project {
    let project = Project::new();
    python(&project, "slow", STAGE);
    project.write("text/a.txt", "one\nthree\n");
    project.write("text/b.txt", "fifteen\n");
    pipeline(&project, seconds, "");
    project
}

/// `more` is said of the stage.
fn pipeline(project: &Project, seconds: f64, more: &str) {
    let text = format!(
        "source \"lines\" {{ files \"text/*.txt\" }}
         stage \"slow\" {{ in \"lines\"; python \"slow\"; {more} config {{ seconds {seconds:?} }} }}
         sink \"out\" {{ in \"slow\"; file \"out.csv\" }}"
    );
    project.write("flow.kdl", &text);
}

fn start(project: &Project) -> Child {
    project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Processes that serve the stages of the project, helpers included.
fn servers(project: &Project) -> Vec<i32> {
    let root = project.root().to_str().unwrap();
    let is_server = |line: &str| line.contains("flowc.serve") && line.contains(root);
    let lines = command_lines().into_iter();
    lines
        .filter(|(_, words)| words.iter().any(|word| is_server(word)) || is_server(&words.join(" ")))
        .map(|(pid, _)| pid)
        .collect()
}

/// Two segments are at work, of which each has forked: programs that are about to start are Pythons, too.
fn wait_for_work(project: &Project) {
    let has_forked = || {
        let pythons = pythons(project);
        pythons.iter().filter(|&&number| parent(number).is_some_and(|parent| pythons.contains(&parent))).count() == 2
    };
    wait_until("the stages are at work", has_forked);
}

fn parent(number: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{number}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn pythons(project: &Project) -> Vec<i32> {
    let is_python = |number: &i32| {
        let program = std::fs::read_link(format!("/proc/{number}/exe")).unwrap_or_default();
        program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    servers(project).into_iter().filter(is_python).collect()
}

#[test]
fn when_flowc_is_killed_its_stages_end_and_the_next_run_works() {
    let project = project(600.0);
    // The packages are there, so that what is killed is the run.
    assert!(project.flowc(&["plan"]).output().unwrap().status.success());
    let mut run = start(&project);
    wait_for_work(&project);
    kill(run.id() as i32);
    run.wait().unwrap();
    wait_until("all processes have ended", || servers(&project).is_empty());

    pipeline(&project, 0.0, "");
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    assert_eq!(rows, "line,length\none,3\nthree,5\nfifteen,7\n");
    wait_until("all processes have ended with the run", || servers(&project).is_empty());
    let temporary = project.root().join("home/.cache/flowc/tmp");
    let left: Vec<_> = std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn garbage_collection_leaves_what_stages_at_work_use_and_what_it_removes_is_installed_again() {
    let project = project(600.0);
    let environments = || {
        let entries = std::fs::read_dir(project.root().join("home/.cache/flowc/builds/python")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count()
    };
    let mut run = start(&project);
    wait_for_work(&project);
    let gc = || assert!(project.flowc(&["store", "gc"]).stdout(Stdio::null()).status().unwrap().success());
    gc();
    assert_eq!(environments(), 1, "the run uses it");
    kill(run.id() as i32);
    run.wait().unwrap();
    gc();
    assert_eq!(environments(), 0, "no good run used it");

    pipeline(&project, 0.0, "");
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(environments(), 1);
}

#[test]
fn when_flowc_is_killed_the_next_run_removes_its_containers() {
    let project = project(600.0);
    pipeline(&project, 600.0, "isolate \"container\";");
    assert!(project.flowc(&["plan"]).output().unwrap().status.success());
    let mut run = start(&project);
    wait_until("the stages are at work", || containers_of(run.id()) == 2);
    kill(run.id() as i32);
    run.wait().unwrap();

    pipeline(&project, 0.0, "isolate \"container\";");
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(containers_of(run.id()), 0);
    let rows = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    assert_eq!(rows, "line,length\none,3\nthree,5\nfifteen,7\n");
}

#[test]
fn a_process_that_is_killed_is_replaced() {
    let project = project(1.5);
    assert!(project.flowc(&["plan"]).output().unwrap().status.success());
    let run = start(&project);
    wait_for_work(&project);
    // The others are helpers, and what it forked.
    kill(*pythons(&project).iter().min().unwrap());
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let log = project.flowc(&["log", "slow"]).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout);
    assert!(log.contains("process ended: killed by signal 9") && log.contains("trying again"), "{log}{said}");
    let rows = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    assert_eq!(rows, "line,length\none,3\nthree,5\nfifteen,7\n");
}

#[test]
fn a_stage_that_is_not_reproducible_is_found_out() {
    let project = project(0.0);
    let run = |arguments: &[&str]| {
        let output = project.flowc(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_good, said) = run(&["run", "--verify", "slow"]);
    assert!(is_good && said.contains("nothing to verify"), "{said}");
    let (is_good, said) = run(&["run", "--verify", "slow"]);
    assert!(is_good && said.contains("slow: verified, the same results again over 2 segments"), "{said}");

    project.write("slow/stage.py", &STAGE.replace("[len(line) for", "[int.from_bytes(os.urandom(4), 'big') for"));
    assert!(run(&["run"]).0);
    let before = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    let (is_good, said) = run(&["run", "--verify", "slow"]);
    assert!(!is_good && !said.contains("nothing to verify"), "{said}");
    assert!(
        said.contains("text/a.txt")
            && said.contains("non-deterministic: column `length` differs from the stored result"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(project.folder().join("out.csv")).unwrap(), before);
    assert!(run(&["run"]).0, "what was stored still stands");
}

#[test]
fn collapsed_or_not_the_results_are_the_same() {
    let run = |isolate: Option<&str>| {
        let project = Project::new();
        let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/features");
        let stages = ["stages/features.py", "stages/pyproject.toml", "stages/uv.lock"];
        for name in ["flow.kdl", "data/spring.csv", "data/summer.csv"].into_iter().chain(stages) {
            project.write(name, &std::fs::read_to_string(pipeline.join(name)).unwrap());
        }
        let text = std::fs::read_to_string(pipeline.join("flow.kdl")).unwrap();
        if let Some(isolate) = isolate {
            project.write("flow.kdl", &text.replace("    python ", &format!("    isolate {isolate}\n    python ")));
        }
        (units(&project), outputs(&project))
    };
    let (one, collapsed) = run(None);
    for isolate in ["#true", "\"container\""] {
        let (many, isolated) = run(Some(isolate));
        assert!(one < many, "{one} units, isolated {many}");
        assert_eq!(collapsed, isolated, "{isolate}");
    }
    assert_eq!(collapsed.as_array().unwrap().len(), 2);
}

const NUMBERS: &str = r#"
from collections.abc import Iterator

import flowc
import pyarrow as pa
import pyarrow.compute as pc


class Total(flowc.Columns):
    total: float


@flowc.stage(parts=2)
def numbers(part: int) -> Iterator[flowc.Batch[Total]]:
    """Makes three rows a part."""
    yield pa.record_batch({"total": [float(number) for number in range(part * 3, part * 3 + 3)]}, schema=Total.schema)


@flowc.stage(reads=["total"], picks=True)
def large(rows: pa.RecordBatch) -> pa.Array:
    """Keeps large ones."""
    return pc.greater(rows["total"], 1)
"#;

#[test]
fn rows_out_of_nothing_go_to_a_neighbour() {
    let project = Project::new();
    python(&project, "made", NUMBERS);
    let text = r#"
        stage "numbers" { python "made" entry="stage:numbers" }
        stage "large" { in "numbers"; python "made" entry="stage:large" }
        sink "out" { in "large"; file "out.csv" }
    "#;
    project.write("flow.kdl", text);
    assert_eq!(units(&project), 1);
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = std::fs::read_to_string(project.folder().join("out.csv")).unwrap();
    assert_eq!(rows, "total\n2.0\n3.0\n4.0\n5.0\n");
}
