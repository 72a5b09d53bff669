//! A runner with the hostile guest, and an outlet that keeps everything.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Code, Limits};
use flowc_runner::{Batch, InputPort, Invocation, Outlet, OutputPort, Runner, StageError, StageFault};
use flowc_wasm::{CompiledCache, WasmRunner};

/// Keeps compiled components in a folder.
pub struct Folder(pub PathBuf);

impl CompiledCache for Folder {
    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.join(name)).filter(|path| path.exists())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf> {
        let (path, temporary) =
            (self.0.join(name), self.0.join(format!("{name}.{:?}.tmp", std::thread::current().id())));
        std::fs::write(&temporary, bytes).ok()?;
        std::fs::rename(&temporary, &path).ok()?;
        Some(path)
    }
}

/// A runner and the hostile guest's component, built once for all tests of a file.
pub struct Hostile {
    pub runner: WasmRunner,
    pub component: Vec<u8>,
    pub digest: StageDigest,
    _folder: tempfile::TempDir,
}

pub static HOSTILE: LazyLock<Hostile> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/hostile");
    let component = flowc_componentize::build(&guest, &target, &mut |_| ()).expect("the guest builds");
    let folder = tempfile::tempdir().expect("a folder");
    let runner = WasmRunner::new(Arc::new(Folder(folder.path().to_owned()))).expect("a runner");
    let digest = WasmRunner::digest(&component);
    runner.add(component.clone(), digest);
    Hostile { runner, component, digest, _folder: folder }
});

pub fn input_schema() -> SchemaRef {
    let id = Field::new("id", DataType::Int64, false);
    let text = Field::new("text", DataType::Utf8, true);
    let score = Field::new("score", DataType::Int64, true);
    Schema::new(vec![id, text, score]).into()
}

/// Rows `start..start + rows`.
pub fn batch(start: i64, rows: usize) -> Batch {
    let ids = start..start + rows as i64;
    let texts = StringArray::from_iter_values(ids.clone().map(|id| format!("text number {id}")));
    let scores = Int64Array::from_iter(ids.clone().map(|id| (id % 2 == 0).then_some(id)));
    let ids = Int64Array::from_iter_values(ids);
    let columns = vec![Arc::new(ids) as _, Arc::new(texts) as _, Arc::new(scores) as _];
    Batch::from_record_batch(&RecordBatch::try_new(input_schema(), columns).expect("a batch"))
}

pub fn describe(config: &str) -> Result<Description, Problem> {
    let config = config.parse().expect("JSON");
    let (code, digest) = (Code::Wasm("hostile.wasm".to_owned()), HOSTILE.digest);
    HOSTILE.runner.describe(&Question { code, digest, config, inputs: vec![input_schema()] })
}

/// An invocation as the engine would make it of what the stage describes.
pub fn invocation(config: &str, limits: Limits) -> Invocation {
    let description = describe(config).expect("a description");
    let input = InputPort { schema: input_schema(), reads: description.inputs[0].reads.clone() };
    let output = |output: flowc_planner::catalogue::OutputDescription| OutputPort {
        needed: vec![true; output.columns.len()],
        schema: output.schema,
        rows: output.rows,
        columns: output.columns,
    };
    Invocation {
        stage: "hostile".into(),
        digest: HOSTILE.digest,
        config: config.into(),
        phase: Phase::Run,
        part: 0,
        inputs: [input].into(),
        outputs: description.outputs.into_iter().map(output).collect(),
        limits,
    }
}

/// What an outlet got.
#[derive(Debug, Default)]
pub struct Kept {
    pub batches: Vec<(usize, Batch)>,
    pub lines: Vec<(String, String)>,
    pub closed: bool,
}

/// Keeps everything; fails at the batch with this number.
pub struct Keeper {
    pub kept: Arc<Mutex<Kept>>,
    pub fail_at: usize,
}

impl Outlet for Keeper {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let mut kept = self.kept.lock().expect("no poison");
        if kept.batches.len() == self.fail_at {
            return Err(StageError { stage: "below".to_owned(), fault: StageFault::Cancelled });
        }
        kept.batches.push((port, batch));
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        self.kept.lock().expect("no poison").closed = true;
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.kept.lock().expect("no poison").lines.push((level.to_owned(), message.to_owned()));
    }
}

/// Runs an invocation over batches of these sizes.
pub fn run(invocation: &Invocation, sizes: &[usize]) -> (Result<(), StageError>, Kept) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let outcome = drive(invocation, sizes, Keeper { kept: kept.clone(), fail_at: usize::MAX });
    let kept = std::mem::take(&mut *kept.lock().expect("no poison"));
    (outcome, kept)
}

pub fn drive(invocation: &Invocation, sizes: &[usize], keeper: Keeper) -> Result<(), StageError> {
    let mut instance = HOSTILE.runner.open(invocation, Box::new(keeper))?;
    let mut start = 0;
    for &rows in sizes {
        instance.push(0, batch(start, rows))?;
        start += rows as i64;
    }
    instance.end_of_input(0)?;
    instance.finish()
}

/// What becomes of one misbehaviour, with the outputs' rows as given.
pub fn fault(mode: &str, rows: &str, limits: Limits) -> StageFault {
    let config = format!(r#"{{"do": "{mode}", "rows": "{rows}"}}"#);
    let (outcome, kept) = run(&invocation(&config, limits), &[10, 5]);
    assert!(!kept.closed, "an invocation that fails is not closed");
    let error = outcome.expect_err(mode);
    assert_eq!(error.stage, "hostile");
    error.fault
}
