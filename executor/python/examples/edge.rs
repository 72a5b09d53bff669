//! What an isolated edge costs: batches through a stage that gives its input, one row there and back, and two such stages
//! in one process against two processes. Prints JSON.
//!
//! `cargo run --release --example edge -- PROJECT` with the project of such a stage; `cargo xtask bench isolated` does
//! it, and compares.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use flowc_planner::catalogue::Question;
use flowc_planner::key::Phase;
use flowc_planner::plan::{Code, Limits};
use flowc_process::Host;
use flowc_python::{Environments, Launch, Project, PythonRunner};
use flowc_runner::{
    Batch, Between, ChainRunner, InputPort, Instance, Invocation, Outlet, OutputPort, Runner, Secrets, StageError,
};

const BATCHES: usize = 1000;
const ROWS: usize = 5000;
const ROUNDS: usize = 5;

fn main() {
    flowc_sandbox::main();
    let project = std::env::args().nth(1).expect("the folder of a project with a stage `identity`");
    let home = tempfile::tempdir().unwrap();
    let project = Project::find(Path::new(&project), home.path()).unwrap();
    let environment = Environments { home: home.path().to_owned() }.install(&project, &mut |_| ()).unwrap();
    let host = Arc::new(Host::new(std::env::current_exe().unwrap(), home.path().to_owned()));
    let runner = PythonRunner::new(host, home.path().to_owned(), 512 << 20);
    let digest = runner.add(Launch { project, environment, entry: String::new() });
    let megabyte = batch(8500);
    let invocation = invocation(&runner, digest, megabyte.schema());
    let bytes: usize = megabyte.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap()).sum();
    let rate = |open: &dyn Fn(Seen) -> Box<dyn Instance>| (bytes * BATCHES) as f64 / throughput(open, &megabyte) / 1e9;
    let single = |seen: Seen| runner.open(&invocation, Box::new(seen)).unwrap();
    let collapsed = |seen: Seen| {
        let stages = [invocation.clone(), invocation.clone()];
        runner.open_chain(&stages, vec![Box::new(Unheard)], Box::new(seen)).unwrap()
    };
    let separate = |seen: Seen| runner.open(&invocation, Box::new(Handover(Some(single(seen))))).unwrap();
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let round = [rate(&single), rate(&collapsed), rate(&separate)];
        rates.iter_mut().zip(round).for_each(|(rates, rate)| rates.push(rate));
    }
    let [single, collapsed, separate] = rates.map(median);
    let mut times = latencies(&runner, &invocation, &batch(1));
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[(part * (times.len() - 1) as f64) as usize] * 1e6;
    println!(
        "{}",
        serde_json::json!({
            "gigabytes_a_second": single,
            "pair_collapsed": collapsed,
            "pair_separate": separate,
            "row_us": at(0.5),
            "row_p99_us": at(0.99),
        })
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whole numbers, floating numbers, and texts of 100 bytes.
fn batch(rows: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let xs: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0100}"))));
    RecordBatch::try_from_iter([("id", ids), ("x", xs), ("text", texts)]).unwrap()
}

fn invocation(runner: &PythonRunner, digest: flowc_planner::key::StageDigest, schema: SchemaRef) -> Invocation {
    runner.signature(&digest).unwrap();
    let code = Code::Python { dir: String::new(), entry: String::new() };
    let question = Question { code, digest, config: serde_json::json!({}), inputs: vec![schema.clone()] };
    let output = runner.describe(&question).unwrap().outputs.remove(0);
    let needed = vec![true; output.columns.len()];
    Invocation {
        stage: "identity".into(),
        digest,
        config: "{}".into(),
        phase: Phase::Run,
        part: 0,
        inputs: Arc::new([InputPort { reads: (0..schema.fields().len()).collect(), schema }]),
        main_input: Some(0),
        outputs: Arc::new([OutputPort { schema: output.schema, rows: output.rows, columns: output.columns, needed }]),
        limits: Limits::default(),
        secrets: Secrets::default(),
    }
}

/// Seconds for all batches, one after the other, while as much comes back.
fn throughput(open: &dyn Fn(Seen) -> Box<dyn Instance>, one: &RecordBatch) -> f64 {
    let seen = Seen::default();
    let mut instance = open(seen.clone());
    let start = Instant::now();
    for _ in 0..BATCHES {
        instance.push(0, Batch::from_record_batch(one)).unwrap();
    }
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    assert_eq!(seen.0.load(Ordering::Relaxed), (BATCHES * one.num_rows()) as u64);
    start.elapsed().as_secs_f64()
}

/// Seconds from one row to its answer, again and again: each is an invocation of its own, as a streaming source has them.
fn latencies(runner: &PythonRunner, invocation: &Invocation, row: &RecordBatch) -> Vec<f64> {
    let once = |_| {
        let start = Instant::now();
        let mut instance = runner.open(invocation, Box::new(Seen::default())).unwrap();
        instance.push(0, Batch::from_record_batch(row)).unwrap();
        instance.end_of_input(0).unwrap();
        instance.finish().unwrap();
        start.elapsed().as_secs_f64()
    };
    (0..ROWS).map(once).collect()
}

/// Counts rows.
#[derive(Clone, Default)]
struct Seen(Arc<AtomicU64>);

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

/// Hands batches on to another process.
struct Handover(Option<Box<dyn Instance>>);

impl Outlet for Handover {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.0.as_mut().map_or(Ok(()), |next| next.push(0, batch))
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        let Some(mut next) = self.0.take() else { return Ok(()) };
        next.end_of_input(0)?;
        next.finish()
    }

    fn log(&mut self, _: &str, _: &str) {}
}

/// Hears of the first stage of a pair, and forgets it.
struct Unheard;

impl Between for Unheard {
    fn gave(&mut self, _: u64) {}

    fn log(&mut self, _: &str, _: &str) {}
}
