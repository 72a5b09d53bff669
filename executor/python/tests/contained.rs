//! Python stages in containers: what they can reach, and what becomes of those that go wrong. Needs an engine.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::LazyLock;

use flowc_planner::plan::{Isolate, Limits};
use flowc_platform::processors;
use flowc_runner::conformance::{Kept, batch, invocation, run};
use flowc_runner::{StageError, StageFault};
use support::Python;

static FAILING: LazyLock<Python> = LazyLock::new(|| Python::contained("failing"));

/// What becomes of two batches of ten rows, in a container.
fn outcome(what: &str, limits: Limits) -> (Result<(), StageError>, Kept) {
    let limits = Limits { isolate: Isolate::Container, ..limits };
    let invocation = invocation(&*FAILING, &format!(r#"{{"do": "{what}"}}"#), limits).unwrap();
    run(&FAILING.runner, &invocation, [batch(0, 10), batch(10, 10)])
}

fn fault(what: &str, limits: Limits) -> StageFault {
    outcome(what, limits).0.expect_err(what).fault
}

fn trap(what: &str) -> String {
    match fault(what, Limits::default()) {
        StageFault::Trap(said) => said,
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn it_does_what_it_does_elsewhere() {
    let (outcome, kept) = outcome("good", Limits::default());
    outcome.unwrap();
    assert_eq!(kept.ids(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_container_that_ends_says_how() {
    let how = |what| match fault(what, Limits::default()) {
        StageFault::Crashed(how) => how,
        other => panic!("{what}: {other:?}"),
    };
    assert!(how("segfault").contains("SIGSEGV"), "{}", how("segfault"));
    assert_eq!(how("leave"), "exit status 3");
}

#[test]
fn time_memory_and_processes_have_limits() {
    let limits = Limits { timeout_ms: Some(300), ..Limits::default() };
    assert_eq!(fault("loop", limits), StageFault::Timeout { milliseconds: 300 });
    let bytes = 128 << 20;
    assert_eq!(fault("memory", Limits { memory: Some(bytes), ..Limits::default() }), StageFault::Memory { bytes });
    let said = trap("forks");
    assert!(said.starts_with("BlockingIOError") || said.contains("Resource temporarily unavailable"), "{said}");
}

#[test]
fn nothing_but_its_own_can_be_reached() {
    assert!(
        trap("network").starts_with("OSError") || trap("network").starts_with("ConnectionRefused"),
        "{}",
        trap("network")
    );
    assert!(trap("read_home").starts_with("PermissionError") || trap("read_home").starts_with("FileNotFoundError"));
    assert!(trap("write_source").starts_with("OSError: [Errno 30] Read-only"), "{}", trap("write_source"));
    let (outcome, kept) = outcome("scratch", Limits::default());
    outcome.unwrap();
    assert_eq!(kept.ids().len(), 20);
}

#[test]
fn a_container_runs_on_as_many_processors_as_it_is_given() {
    let said = |cpus| {
        let (outcome, kept) = outcome("processors", Limits { cpus, ..Limits::default() });
        outcome.unwrap();
        kept.lines.into_iter().map(|(_, line)| line).take(3).collect::<Vec<_>>()
    };
    assert_eq!(said(None), ["runs on 1", "threads 1", "counts 1"]);
    let there = u32::try_from(processors().len()).unwrap();
    assert_eq!(said(Some(there)), ["runs on", "threads", "counts"].map(|what| format!("{what} {there}")));
    let more = fault("processors", Limits { cpus: Some(there + 1), ..Limits::default() });
    assert!(matches!(&more, StageFault::Problem { message, .. } if message.contains("asks for more")), "{more:?}");
}

/// What a look inside shows: rights, users, networks, and what can be written.
#[test]
fn inside_there_are_no_rights() {
    let (outcome, kept) = outcome("look", Limits::default());
    outcome.unwrap();
    let said: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).collect();
    for due in ["capabilities 0", "no new privileges 1", "root no", "networks lo", "writable root no", "docker no"] {
        assert!(said.contains(&due), "{due}: {said:?}");
    }
}

#[test]
fn what_is_printed_goes_to_the_log() {
    let (outcome, kept) = outcome("noise", Limits::default());
    outcome.unwrap();
    let lines: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.contains(&"printed in Python"), "{lines:?}");
}

/// The same list as in a sandbox.
#[test]
fn the_kernel_refuses_what_leads_out() {
    let (outcome, kept) = outcome("refused", Limits::default());
    outcome.unwrap();
    let said: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).take(support::REFUSED.len()).collect();
    assert_eq!(said, support::REFUSED);
}
