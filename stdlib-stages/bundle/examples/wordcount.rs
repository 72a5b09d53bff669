//! How fast tokenize and count are, as components, beside a plain native program of one thread.
//!
//! `cargo run --release -p flowc-stdlib --example wordcount -- FOLDER` reads the text files below a folder.
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::catalogue::{Description, Question};
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Code, Limits, OutputColumn, Rows};
use flowc_runner::{Batch, InputPort, Instance, Invocation, Outlet, OutputPort, Runner, Secrets, StageError};
use flowc_wasm::{CompiledCache, WasmRunner};

struct NoCache;

impl CompiledCache for NoCache {
    fn find(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn put(&self, _: &str, _: &[u8]) -> Option<PathBuf> {
        None
    }
}

/// Hands batches to the next instance.
struct Into(Option<Box<dyn Instance>>);

impl Outlet for Into {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.0.as_mut().unwrap().push(0, batch)
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        let mut next = self.0.take().unwrap();
        next.end_of_input(0)?;
        next.finish()
    }

    fn log(&mut self, level: &str, message: &str) {
        println!("{level}: {message}");
    }
}

/// Counts rows.
struct Rowcount(Arc<AtomicU64>);

impl Outlet for Rowcount {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.0.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        println!("{level}: {message}");
    }
}

/// A standard stage behind the runner.
struct Stage {
    digest: StageDigest,
    config: Arc<str>,
    input: SchemaRef,
    description: Description,
}

impl Stage {
    fn new(runner: &WasmRunner, name: &str, config: serde_json::Value, input: SchemaRef) -> Self {
        let stage = flowc_stdlib::find(name).unwrap();
        let digest = WasmRunner::digest(stage.component);
        runner.add(Cow::Borrowed(stage.component), digest);
        let text = config.to_string().into();
        let question = Question { code: Code::Std(name.to_owned()), digest, config, inputs: vec![input.clone()] };
        let description = runner.describe(&question).unwrap();
        Self { digest, config: text, input, description }
    }

    fn open(&self, runner: &WasmRunner, phase: Phase, outlet: Box<dyn Outlet>) -> Box<dyn Instance> {
        let input =
            InputPort { schema: self.input.clone(), reads: self.description.inputs[0].reads.clone(), identity: None };
        let output = match &self.description.partial {
            Some(partial) => OutputPort {
                schema: partial.clone(),
                rows: Rows::New,
                columns: vec![OutputColumn::Written; partial.fields().len()],
                needed: vec![true; partial.fields().len()],
            },
            None => {
                let output = &self.description.outputs[0];
                let needed = vec![true; output.columns.len()];
                OutputPort { schema: output.schema.clone(), rows: output.rows, columns: output.columns.clone(), needed }
            }
        };
        let invocation = Invocation {
            stage: "stage".into(),
            digest: self.digest,
            config: self.config.clone(),
            phase,
            part: 0,
            inputs: [input].into(),
            outputs: [output].into(),
            main_input: Some(0),
            limits: Limits::default(),
            secrets: Secrets::default(),
        };
        runner.open(&invocation, outlet).unwrap()
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder of text");
    let (batches, bytes) = read(Path::new(&folder));
    println!("{} MB in {} batches", bytes / 1_000_000, batches.len());
    for _ in 0..3 {
        let start = Instant::now();
        let distinct = native(&batches);
        report("native", bytes, start, distinct as u64);
    }
    let runner = WasmRunner::new(Arc::new(NoCache)).unwrap();
    let tokenize = Stage::new(&runner, "tokenize@1", serde_json::json!({"column": "line"}), batches[0].schema());
    let words = tokenize.description.outputs[0].schema.clone();
    let count = Stage::new(&runner, "count@1", serde_json::json!({"by": ["word"]}), words);
    for _ in 0..3 {
        let rows = Arc::new(AtomicU64::new(0));
        run(
            &batches,
            "wasm, tokenize",
            bytes,
            tokenize.open(&runner, Phase::Run, Box::new(Rowcount(rows.clone()))),
            &rows,
        );
        let rows = Arc::new(AtomicU64::new(0));
        let counting = count.open(&runner, Phase::Partial, Box::new(Rowcount(rows.clone())));
        let chain = tokenize.open(&runner, Phase::Run, Box::new(Into(Some(counting))));
        run(&batches, "wasm, both", bytes, chain, &rows);
    }
}

fn run(batches: &[RecordBatch], what: &str, bytes: usize, mut instance: Box<dyn Instance>, rows: &AtomicU64) {
    let start = Instant::now();
    for batch in batches {
        instance.push(0, Batch::from_record_batch(batch)).unwrap();
    }
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    report(what, bytes, start, rows.load(Ordering::Relaxed));
}

fn report(what: &str, bytes: usize, start: Instant, rows: u64) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:>16}: {:7.1} MB/s, {rows} rows", bytes as f64 / 1e6 / seconds);
}

/// What one would write by hand.
fn native(batches: &[RecordBatch]) -> usize {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut word = String::new();
    for batch in batches {
        let lines = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        for text in lines.iter().flatten().flat_map(|line| line.split(|c: char| !c.is_alphanumeric())) {
            if text.is_empty() {
                continue;
            }
            word.clear();
            word.push_str(text);
            match text.is_ascii() {
                true => word.make_ascii_lowercase(),
                false => word = text.to_lowercase(),
            }
            match counts.get_mut(word.as_str()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.clone(), 1)),
            }
        }
    }
    counts.len()
}

fn read(folder: &Path) -> (Vec<RecordBatch>, usize) {
    let mut files = Vec::new();
    list(folder, &mut files);
    let texts: Vec<String> = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let schema = Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, true)]));
    let batch = |lines: &[&str]| {
        let column: ArrayRef = Arc::new(StringArray::from(lines.to_vec()));
        RecordBatch::try_new(schema.clone(), vec![column]).unwrap()
    };
    (lines.chunks(8192).map(batch).collect(), texts.iter().map(String::len).sum())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => list(&path, files),
            false if path.extension().is_some_and(|e| ["rs", "md", "toml", "txt"].iter().any(|known| e == *known)) => {
                files.push(path)
            }
            false => {}
        }
    }
}
