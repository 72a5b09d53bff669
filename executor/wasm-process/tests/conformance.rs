//! What every runner must do, done by a component in a process of its own, behind the stage protocol.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits, Serialization};
use flowc_process::Host;
use flowc_runner::conformance::{Subject, batch, failures, invocation, run};
use flowc_runner::{Batch, Runner};
use flowc_wasm::{CompiledFolder, WasmRunner};
use flowc_wasm_process::{ComponentLauncher, RegisteredComponent, WasmProcessRunner};

/// The guest of the wasm runner's own tests.
struct Hostile {
    runner: WasmProcessRunner,
    components: Arc<WasmRunner>,
    digest: StageDigest,
    _folder: tempfile::TempDir,
}

static HOSTILE: LazyLock<Hostile> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm/tests/guests/hostile");
    let component = flowc_componentize::component(&guest, &target).expect("the guest builds");
    let folder = tempfile::tempdir().expect("a folder");
    let components = Arc::new(WasmRunner::new(Arc::new(CompiledFolder(folder.path().to_owned()))).expect("a runner"));
    let digest = WasmRunner::digest(&component);
    components.add(component, digest);
    let helper = PathBuf::from(env!("CARGO_BIN_EXE_flowc-served-component"));
    let host = Arc::new(Host::new(helper, folder.path().to_owned()));
    let runner = WasmProcessRunner::new(ComponentLauncher::new(host, components.clone()), 512 << 20);
    runner.add(RegisteredComponent(digest));
    Hostile { runner, components, digest, _folder: folder }
});

impl Subject for Hostile {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn describe(&self, config: &str, input: arrow_schema::SchemaRef) -> Result<Description, Problem> {
        let config = config.parse().expect("JSON");
        let (code, digest) = (Code::Wasm("hostile.wasm".to_owned()), self.digest);
        self.components.describe(&Question { code, digest, config, inputs: vec![input] })
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
        let of = |runner: &dyn Runner, serialization| {
            let limits = Limits { serialization, ..Limits::default() };
            let invocation = invocation(&*HOSTILE, &config, limits).unwrap();
            let (outcome, kept) = run(runner, &invocation, [batch(0, 10), batch(10, 5)]);
            outcome.unwrap();
            kept.batches.into_iter().map(|(port, batch)| (port, batch.columns().to_vec())).collect::<Vec<_>>()
        };
        let due = of(&*HOSTILE.components, Serialization::Arrow);
        for serialization in Serialization::ALL {
            assert_eq!(of(&HOSTILE.runner, serialization), due, "{mode} {serialization}");
        }
    }
}

#[test]
fn rows_that_a_stage_holds_are_kept_for_it() {
    let limits = Limits { memory: Some(16 << 20), ..Limits::default() };
    let config = r#"{"do": "keep-picks", "rows": "subset"}"#;
    let invocation = invocation(&*HOSTILE, config, limits).unwrap();
    let batches = (0..30).map(|number| batch(number * 50_000, 50_000)).collect::<Vec<Batch>>();
    let (outcome, _) = run(&HOSTILE.runner, &invocation, batches);
    assert!(matches!(outcome.unwrap_err().fault, flowc_runner::StageFault::Memory { .. }));
}
