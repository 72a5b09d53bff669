//! What every runner must do, done by a component on a worker.

use std::sync::LazyLock;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Limits, Serialization};
use flowc_runner::conformance::{Subject, batch, chain_failures, failures, invocation, run};
use flowc_runner::{Batch, Runner, StageFault};
use flowc_worker::WorkerRunner;

use crate::support::{GUEST, Running, runner};

pub(crate) struct Hostile {
    runner: WorkerRunner,
    _worker: Running,
    _folder: tempfile::TempDir,
}

static HOSTILE: LazyLock<Hostile> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Running::start(folder.path().join("worker.json"));
    Hostile { runner: runner(&[&worker.file]), _worker: worker, _folder: folder }
});

impl Subject for Hostile {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn digest(&self) -> StageDigest {
        GUEST.digest
    }

    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem> {
        GUEST.describe(config, input)
    }
}

#[test]
fn chains_give_what_their_stages_give_one_by_one() {
    for serialization in Serialization::ALL {
        assert_eq!(chain_failures(&*GUEST, &HOSTILE.runner, serialization), [""; 0], "{serialization:?}");
    }
}

#[test]
fn the_runner_does_what_every_runner_must() {
    assert_eq!(failures(&*HOSTILE), [""; 0]);
}

#[test]
fn results_are_those_of_the_wasm_runner() {
    for (mode, rows) in
        [("good", "same"), ("slices", "same"), ("filter", "subset"), ("take", "subset"), ("late", "subset")]
    {
        let config = format!(r#"{{"do": "{mode}", "rows": "{rows}"}}"#);
        let invocation = invocation(&*HOSTILE, &config, Limits::default()).unwrap();
        let of = |runner: &dyn Runner| {
            let (outcome, kept) = run(runner, &invocation, [batch(0, 10), batch(10, 5)]);
            outcome.unwrap();
            kept.batches.into_iter().map(|(port, batch)| (port, batch.columns().to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(of(&HOSTILE.runner), of(&*GUEST.components), "{mode}");
    }
}

#[test]
fn memory_is_what_the_invocation_says() {
    let limits = Limits { memory: Some(16 << 20), ..Limits::default() };
    let config = r#"{"do": "keep-picks", "rows": "subset"}"#;
    let invocation = invocation(&*HOSTILE, config, limits).unwrap();
    let batches = (0..30).map(|number| batch(number * 50_000, 50_000)).collect::<Vec<Batch>>();
    let (outcome, _) = run(&HOSTILE.runner, &invocation, batches);
    assert!(matches!(outcome.unwrap_err().fault, StageFault::Memory { bytes } if bytes == 16 << 20));
}
