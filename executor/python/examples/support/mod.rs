//! What the benchmarks of isolated edges have in common.
#![allow(unreachable_pub, dead_code, reason = "each example uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use flowc_code::{Digests, PipelineFiles, Reader, Snapshots, Tools};
use flowc_planner::catalogue::Question;
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Code, Limits};
use flowc_process::Host;
use flowc_python::{Environments, Launch, Project, PythonLauncher, PythonRunner};
use flowc_runner::{Batch, InputPort, Invocation, Outlet, OutputPort, Secrets, StageError};

/// The one stage of a project, ready to be opened.
pub struct Stage {
    pub runner: PythonRunner,
    /// The interpreter of its environment.
    pub python: PathBuf,
    pub invocation: Invocation,
}

impl Stage {
    /// The stage of this folder, for batches of these columns. `home` keeps its environment.
    pub fn new(project: &Path, home: &Path, host: Host, schema: &SchemaRef) -> Self {
        let files = PipelineFiles::default();
        let snapshots = Snapshots::new(home.join("code"));
        let reader = Reader::new(&files, Some(&snapshots), Digests::default());
        let project = Project::find(project, home, Tools::direct(), &reader).unwrap();
        let environments = Environments { home: home.to_owned(), snapshots: snapshots.clone() };
        let python = environments.install(&project, Tools::direct(), &mut |_| ()).unwrap().join("bin/python");
        let runner = PythonRunner::new(PythonLauncher::new(Arc::new(host), environments), 512 << 20);
        let digest = runner.add(Launch { project, entry: String::new() });
        let invocation = invocation(&runner, digest, schema.clone());
        Self { runner, python, invocation }
    }
}

/// Bytes that a batch shows.
pub fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap()).sum()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whole numbers, floating numbers, and texts of 100 bytes.
pub fn batch(rows: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let xs: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0100}"))));
    RecordBatch::try_from_iter([("id", ids), ("x", xs), ("text", texts)]).unwrap()
}

fn invocation(runner: &PythonRunner, digest: StageDigest, schema: SchemaRef) -> Invocation {
    runner.signature(&digest).unwrap();
    let code = Code::Python { dir: String::new(), entry: String::new() };
    let question = Question { code, digest, config: serde_json::json!({}), inputs: vec![schema.clone()] };
    let output = runner.describe(&question).unwrap().outputs.remove(0);
    let needed = vec![true; output.columns.len()];
    Invocation {
        stage: "stage".into(),
        digest,
        config: "{}".into(),
        phase: Phase::Run,
        part: 0,
        inputs: Arc::new([InputPort { reads: (0..schema.fields().len()).collect(), schema, identity: None }]),
        main_input: Some(0),
        outputs: Arc::new([OutputPort { schema: output.schema, rows: output.rows, columns: output.columns, needed }]),
        limits: Limits::default(),
        secrets: Secrets::default(),
    }
}

/// Counts rows.
#[derive(Clone, Default)]
pub struct Seen(pub Arc<AtomicU64>);

impl Outlet for Seen {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.0.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, _: &str) {}
}
