//! Components that were built against released versions of the contract still run, and others are refused in words.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits};
use flowc_runner::conformance::{self, Kept, Subject};
use flowc_runner::{Batch, InputPort, Invocation, Runner, StageFault};
use flowc_wasm::{CompiledCache, WasmRunner};

/// The versions of the contract that were released.
const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// A component as it was built then.
fn released(version: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released");
    std::fs::read(folder.join(version).join(name)).unwrap()
}

/// Compiles each time: these components are small.
struct Nowhere;

impl CompiledCache for Nowhere {
    fn find(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn put(&self, _: &str, _: &[u8]) -> Option<std::path::PathBuf> {
        None
    }
}

struct Component {
    runner: WasmRunner,
    digest: StageDigest,
}

impl Component {
    fn new(bytes: Vec<u8>) -> Self {
        let (runner, digest) = (WasmRunner::new(Arc::new(Nowhere)).unwrap(), WasmRunner::digest(&bytes));
        runner.add(bytes, digest);
        Self { runner, digest }
    }

    /// Why it can't be used.
    fn refusal(&self) -> String {
        self.runner.signature(&self.digest).unwrap_err().message
    }

    fn invocation(&self) -> Invocation {
        let schema = numbers_schema();
        let invocation = conformance::invocation(self, "{}", Limits::default()).unwrap();
        Invocation { inputs: Arc::new([InputPort { schema, reads: vec![0], identity: None }]), ..invocation }
    }

    fn run(&self, numbers: &[i64]) -> Kept {
        let (outcome, kept) = conformance::run(&self.runner, &self.invocation(), [batch(numbers)]);
        outcome.unwrap();
        kept
    }
}

impl Subject for Component {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn describe(&self, config: &str, _: SchemaRef) -> Result<Description, Problem> {
        let (code, config) = (Code::Wasm("released.wasm".to_owned()), config.parse().unwrap());
        self.runner.describe(&Question { code, digest: self.digest, config, inputs: vec![numbers_schema()] })
    }
}

fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn batch(numbers: &[i64]) -> Batch {
    Batch::new(numbers.len(), vec![Some(Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef)])
}

/// What came out of a port.
fn port(kept: &Kept, port: usize) -> Vec<i64> {
    kept.batches.iter().filter(|(of, _)| *of == port).flat_map(|(_, batch)| conformance::ids(batch)).collect()
}

#[test]
fn components_of_every_released_contract_run() {
    for version in VERSIONS {
        let component = Component::new(released(version, "stage.wasm"));
        let signature = component.runner.signature(&component.digest).unwrap();
        assert_eq!((signature.inputs, signature.outputs), (vec!["in".to_owned()], vec!["odd".into(), "made".into()]));
        assert!(signature.runner.is_empty(), "it imports nothing but the contract");
        let kept = component.run(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(port(&kept, 0), [1, 3, 5, 7, 9], "{version}");
        assert_eq!(port(&kept, 1), [2, 4, 6, 8, 10, 12, 14, 16, 18, 20], "{version}");
        assert!(kept.closed);
        let line = |level: &str, text: &str| (level.to_owned(), text.to_owned());
        assert_eq!(kept.lines, [line("info", "opened for Phase::Run"), line("debug", "10 rows on port 0")]);
    }
}

#[test]
fn components_of_every_released_contract_report_their_problems() {
    for version in VERSIONS {
        let component = Component::new(released(version, "stage.wasm"));
        let (outcome, kept) = conformance::run(&component.runner, &component.invocation(), [batch(&[1]), batch(&[-1])]);
        let message = "minus one is not to be had".to_owned();
        assert_eq!(outcome.unwrap_err().fault, StageFault::Problem { message, config_path: None });
        assert!(!kept.closed);
    }
}

#[test]
fn the_contract_of_today_is_the_last_released_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let last = format!("tests/released/{}/stage.wit", VERSIONS[VERSIONS.len() - 1]);
    assert_eq!(text("../../sdk-rust-wasm/wit/stage.wit"), text(&last), "a changed contract gets another version");
}

#[test]
fn a_component_with_wasi_finds_it_empty_and_always_the_same() {
    let kept = Component::new(released("0.1.0", "stage-wasi.wasm")).run(&[1, 2]);
    let [double, quadruple, clock, passed, random, environment, 0] = port(&kept, 1)[..] else {
        panic!("{:?}", port(&kept, 1));
    };
    assert_eq!((double, quadruple), (2, 4));
    assert_eq!((clock, passed), (0, 0), "the clock stands");
    assert_ne!(random, 0);
    assert_eq!(environment, 0, "no variables, no arguments");
    let lines: Vec<&str> = kept.lines.iter().map(|(_, line)| line.as_str()).collect();
    for what in ["a file", "a folder", "a new file", "a connection", "a port", "an address"] {
        assert!(lines.contains(&format!("{what}: refused").as_str()), "{what}: {lines:?}");
    }
    assert!(lines.contains(&"said aloud"), "{lines:?}");
    let again = Component::new(released("0.1.0", "stage-wasi.wasm")).run(&[1, 2]);
    assert_eq!(port(&again, 1), port(&kept, 1), "random numbers too");
    assert_eq!(again.lines, kept.lines);
}

#[test]
fn wasi_is_in_the_key_of_those_who_import_it() {
    let component = Component::new(released("0.1.0", "stage-wasi.wasm"));
    let signature = component.runner.signature(&component.digest).unwrap();
    assert_eq!(signature.runner.keys().collect::<Vec<_>>(), ["wasi"]);
}

/// The component with one name written in the place of another of the same length, wherever it is.
fn renamed(from: &str, to: &str) -> Component {
    assert_eq!(from.len(), to.len());
    let mut bytes = released("0.1.0", "stage.wasm");
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    Component::new(bytes)
}

#[test]
fn a_component_of_another_contract_version_is_refused() {
    let message = renamed("@0.1.0", "@0.9.0").refusal();
    let expected = "the component speaks version 0.9.0 of the stage contract, this flowc speaks 0.2.0 and 0.1.0";
    assert_eq!(message, expected);
}

#[test]
fn a_component_that_imports_what_it_may_not_is_refused_by_the_name_of_the_import() {
    let message = renamed("flowc:stage/data", "acmes:cloud/keys").refusal();
    assert_eq!(message, "the component imports `acmes:cloud/keys@0.1.0`, which stages may not have");
}
