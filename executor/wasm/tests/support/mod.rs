//! Runners with the guests of these tests. The hostile one is the subject of the conformance suite too.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits};
use flowc_runner::conformance::{self, Kept, Subject, input_schema};
use flowc_runner::{Invocation, Runner, StageError, StageFault};
use flowc_wasm::{CompiledFolder, WasmRunner};

/// A runner and a guest's component, built once for all tests of a file.
pub struct Guest {
    pub runner: WasmRunner,
    pub component: Vec<u8>,
    pub digest: StageDigest,
    _folder: tempfile::TempDir,
}

pub static HOSTILE: LazyLock<Guest> = LazyLock::new(|| Guest::build("hostile"));

impl Guest {
    pub fn build(name: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests").join(name);
        let component = flowc_componentize::component(&guest, &target).expect("the guest builds");
        let folder = tempfile::tempdir().expect("a folder");
        let runner = WasmRunner::new(Arc::new(CompiledFolder(folder.path().to_owned()))).expect("a runner");
        let digest = WasmRunner::digest(&component);
        runner.add(component.clone(), digest);
        Self { runner, component, digest, _folder: folder }
    }
}

impl Subject for Guest {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem> {
        let config = config.parse().expect("JSON");
        let (code, digest) = (Code::Wasm("guest.wasm".to_owned()), self.digest);
        self.runner.describe(&Question { code, digest, config, inputs: vec![input] })
    }
}

pub fn describe(config: &str) -> Result<Description, Problem> {
    HOSTILE.describe(config, input_schema())
}

pub fn invocation(config: &str, limits: Limits) -> Invocation {
    conformance::invocation(&*HOSTILE, config, limits).expect("a description")
}

/// Runs an invocation over batches of these sizes.
pub fn run(invocation: &Invocation, sizes: &[usize]) -> (Result<(), StageError>, Kept) {
    let starts = sizes.iter().scan(0, |start, &rows| Some(std::mem::replace(start, *start + rows)));
    let batches = starts.zip(sizes).map(|(start, &rows)| conformance::batch(start as i64, rows));
    conformance::run(&HOSTILE.runner, invocation, batches)
}

/// What becomes of one misbehaviour, with the outputs' rows as given.
pub fn fault(mode: &str, rows: &str, limits: Limits) -> StageFault {
    let config = format!(r#"{{"do": "{mode}", "rows": "{rows}"}}"#);
    let (outcome, kept) = run(&invocation(&config, limits), &[10, 5]);
    assert!(!kept.closed, "an invocation that fails is not closed");
    outcome.expect_err(mode).fault
}
