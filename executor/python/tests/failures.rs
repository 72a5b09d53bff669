//! What goes wrong in a Python stage is a clear error, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use flowc_planner::plan::Limits;
use flowc_platform::processors;
use flowc_runner::conformance::{Kept, Subject, batch, input_schema, invocation, run};
use flowc_runner::{InputRows, StageError, StageFault};
use support::Python;

static FAILING: LazyLock<Python> = LazyLock::new(|| Python::of("failing", ""));

/// What becomes of two batches of ten rows.
fn outcome(what: &str, limits: Limits) -> (Result<(), StageError>, Kept) {
    let invocation = invocation(&*FAILING, &format!(r#"{{"do": "{what}"}}"#), limits).unwrap();
    run(&FAILING.runner, &invocation, [batch(0, 10), batch(10, 10)])
}

fn error(what: &str, limits: Limits) -> StageError {
    let (outcome, kept) = outcome(what, limits);
    assert!(!kept.closed, "{what}");
    outcome.expect_err(what)
}

fn trap(what: &str) -> String {
    match error(what, Limits::default()).fault {
        StageFault::Trap(said) => said,
        other => panic!("{what}: {other:?}"),
    }
}

fn crash(what: &str) -> String {
    match error(what, Limits::default()).fault {
        StageFault::Crashed(how) => how,
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn an_exception_comes_with_its_traceback_and_rows() {
    let error = error("reject", Limits::default());
    assert_eq!(error.rows, Some(InputRows { port: 0, rows: 0..10 }));
    let StageFault::Trap(said) = error.fault else { panic!("{error:?}") };
    assert!(said.starts_with("ValueError: no wish to see 0\n"), "{said}");
    assert!(said.contains("stage.py") && said.contains("in reject"), "{said}");
    assert!(!said.contains("flowc/"), "frames of the SDK are noise: {said}");
}

#[test]
fn a_problem_has_a_place_in_the_config() {
    let fault = error("problem", Limits::default()).fault;
    let message = "this row is not to my taste (choose another)".to_owned();
    assert_eq!(fault, StageFault::Problem { message, config_path: Some("/do".to_owned()) });
}

#[test]
fn what_a_stage_returns_is_checked() {
    let said = trap("wrong_type");
    assert!(said.contains("extra") && said.contains("int64") && said.contains("string"), "{said}");
    let said = trap("too_short");
    assert!(said.contains("9") && said.contains("10"), "{said}");
}

#[test]
fn a_process_that_ends_says_how() {
    assert!(crash("segfault").contains("SIGSEGV"));
    assert_eq!(crash("leave"), "exit status 3");
}

#[test]
fn time_and_memory_have_limits() {
    let limits = Limits { timeout_ms: Some(300), ..Limits::default() };
    assert_eq!(error("loop", limits).fault, StageFault::Timeout { milliseconds: 300 });
    let bytes = 256 << 20;
    let limits = Limits { memory: Some(bytes), ..Limits::default() };
    assert_eq!(error("memory", limits.clone()).fault, StageFault::Memory { bytes });
    assert_eq!(error("memory_of_several", limits).fault, StageFault::Memory { bytes });
}

/// What the kernel says of a process after its name: its state, the process that started it, and more.
fn stat(process: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().trim_start().to_owned()
}

/// Whether this process started it, or one that this process started did.
fn is_ours(process: &str) -> bool {
    let stat = stat(process);
    let parent = stat.split_whitespace().nth(1).unwrap_or("0");
    parent == std::process::id().to_string() || (parent != "0" && is_ours(parent))
}

#[test]
fn a_process_that_answers_no_more_is_replaced() {
    let subject = Python::of("subject", "server.py");
    let invocation = invocation(&subject, r#"{"do": "good", "rows": "same"}"#, Limits::default()).unwrap();
    let works = || {
        let (outcome, kept) = run(&subject.runner, &invocation, [batch(0, 10)]);
        outcome.unwrap();
        assert_eq!(kept.ids().len(), 10);
    };
    works();
    std::thread::sleep(Duration::from_millis(1100));
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // It runs from a snapshot, whose program is the one of the folder.
    let own = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/subject/server.py")).unwrap();
    let serves = |line: Vec<u8>| {
        let program = String::from_utf8_lossy(&line).trim_end_matches('\0').rsplit('\0').next().map(str::to_owned);
        program.is_some_and(|path| std::fs::read(path).is_ok_and(|program| program == own))
    };
    let ours = processes.filter(|entry| is_ours(&entry.file_name().to_string_lossy()));
    let stopped = ours.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(serves));
    let stopped: Vec<String> = stopped.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!stopped.is_empty());
    assert!(Command::new("kill").arg("-STOP").args(&stopped).status().unwrap().success());
    // The signal is on its way when `kill` ends.
    while !stopped.iter().all(|process| stat(process).starts_with('T')) {
        std::thread::sleep(Duration::from_millis(5));
    }
    works();
    let has_ended = |process: &String| !Path::new("/proc").join(process).exists();
    assert!(stopped.iter().any(has_ended), "what does not answer is ended");
}

#[test]
fn a_process_runs_on_as_many_processors_as_it_is_given() {
    let said = |cpus| {
        let (outcome, kept) = outcome("processors", Limits { cpus, ..Limits::default() });
        outcome.unwrap();
        kept.lines.into_iter().map(|(_, line)| line).take(3).collect::<Vec<_>>()
    };
    assert_eq!(said(None), ["runs on 1", "threads 1", "counts 1"]);
    let there = u32::try_from(processors().len()).unwrap();
    assert_eq!(said(Some(there)), ["runs on", "threads", "counts"].map(|what| format!("{what} {there}")));
    let more = error("processors", Limits { cpus: Some(there + 1), ..Limits::default() }).to_string();
    assert!(more.contains(&format!("`cpus {}` asks for more", there + 1)), "{more}");
}

#[test]
fn processes_have_a_limit() {
    let said = trap("forks");
    assert!(said.starts_with("BlockingIOError") || said.contains("Resource temporarily unavailable"), "{said}");
}

#[test]
fn what_is_printed_goes_to_the_log() {
    let (outcome, kept) = outcome("noise", Limits::default());
    outcome.unwrap();
    let lines: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).collect();
    for due in ["printed in Python", "written to standard output", "written to standard error"] {
        assert_eq!(lines.iter().filter(|line| **line == due).count(), 2, "{due}: {lines:?}");
    }
}

#[test]
fn nothing_but_its_own_can_be_reached() {
    assert!(trap("network").starts_with("PermissionError"), "{}", trap("network"));
    assert!(trap("read_file").starts_with("FileNotFoundError"));
    assert!(trap("write_source").starts_with("PermissionError"));
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failing/left-behind").exists());
    let (outcome, kept) = outcome("scratch", Limits::default());
    outcome.unwrap();
    assert_eq!(kept.ids().len(), 20);
}

#[test]
fn another_version_of_the_protocol_is_named() {
    let future = Python::of("versions", "server.py");
    let problem = future.runner.signature(&future.digest()).unwrap_err();
    assert!(problem.message.contains("version 2") && problem.message.contains("version 1"), "{}", problem.message);
}

#[test]
fn all_problems_of_a_description_come_with_their_places() {
    let first = FAILING.describe(r#"{"do": 1, "x": 2, "y": 3}"#, input_schema()).unwrap_err();
    let places: Vec<_> = std::iter::once(&first).chain(&first.also).map(|one| one.config_path.as_deref()).collect();
    assert_eq!(places, [Some("/do"), Some("/x"), Some("/y")]);
}

#[test]
fn a_foreign_stage_needs_no_sdk() {
    let plain = Python::of("plain", "server.py");
    let invocation = invocation(&plain, "{}", Limits::default()).unwrap();
    let (outcome, kept) = run(&plain.runner, &invocation, [batch(0, 10)]);
    outcome.unwrap();
    let schema = plain.describe("{}", input_schema()).unwrap().outputs.remove(0).schema;
    assert_eq!(schema.field(3).name(), "length");
    assert_eq!((kept.batches.len(), kept.batches[0].1.columns().len()), (1, 4));
}

/// The same list as in a container.
#[test]
fn the_kernel_refuses_what_leads_out() {
    let (outcome, kept) = outcome("refused", Limits::default());
    outcome.unwrap();
    let said: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).take(support::REFUSED.len()).collect();
    assert_eq!(said, support::REFUSED);
}
