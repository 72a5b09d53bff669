//! What a component gives does not depend on what its code was made for. Code is made to be there soon first, and to be fast
//! once it has worked.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowc_planner::plan::Limits;
use flowc_runner::conformance::{self, batch};
use flowc_wasm::{CompiledFolder, WasmRunner};
use support::{HOSTILE, invocation};

/// A runner that has the component, and keeps its code in a folder.
fn runner(folder: &Path, enough: Duration) -> WasmRunner {
    let runner = WasmRunner::new(Arc::new(CompiledFolder(folder.to_owned()))).unwrap().fast_after(enough);
    runner.add(HOSTILE.component.clone(), HOSTILE.digest);
    runner
}

/// The rows that the component gives.
fn run(runner: &WasmRunner) -> Vec<i64> {
    let invocation = invocation(r#"{"do": "good", "rows": "same"}"#, Limits::default());
    let (outcome, kept) = conformance::run(runner, &invocation, [batch(0, 10), batch(10, 5)]);
    outcome.unwrap();
    kept.ids()
}

fn kept_files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_has_worked_enough_is_compiled_to_be_fast_and_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let patient = runner(folder.path(), Duration::MAX);
    let first = run(&patient);
    assert_eq!(run(&patient), first);
    assert_eq!(kept_files(folder.path()), 1);
    let eager = runner(folder.path(), Duration::ZERO);
    assert_eq!(run(&eager), first);
    assert_eq!(kept_files(folder.path()), 2, "it is compiled once more");
}

#[test]
fn fast_code_is_taken_where_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = runner(folder.path(), Duration::MAX).files(&HOSTILE.digest).unwrap();
    assert!(files.compiled.exists() && files.component.exists(), "a process of its own gets fast code");
    run(&runner(folder.path(), Duration::MAX));
    assert_eq!(kept_files(folder.path()), 2);
}
