//! What it takes a stage in a container to read a stored segment, against a program that maps the file itself. Prints JSON.
//!
//! `cargo run --release --example stored -- PROJECT` with `examples/reader`, and DOCKER_HOST for an engine; `cargo xtask bench
//! stored` does it, and compares.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use flowc_container::Engines;
use flowc_planner::plan::{Isolate, Limits};
use flowc_process::Host;
use flowc_runner::{Batch, Invocation, Runner, StoredFile};

use support::{Seen, Stage, batch, bytes, median};

/// Batches of a megabyte in the file.
const BATCHES: usize = 512;
const ROUNDS: usize = 7;

fn main() {
    flowc_sandbox::main();
    let project = PathBuf::from(std::env::args().nth(1).expect("the folder of a project with a stage `reader`"));
    let home = tempfile::tempdir().unwrap();
    let megabyte = batch(8500);
    let path = home.path().join("segment");
    write(&path, &megabyte);
    let host = Host::new(std::env::current_exe().unwrap(), home.path().to_owned());
    let host = host.with_containers(Arc::new(Engines::default())).with_stored_files(home.path().to_owned());
    let stage = Stage::new(&project, home.path(), host, &megabyte.schema());
    let limits = Limits { isolate: Isolate::Container, ..stage.invocation.limits.clone() };
    let stage = Stage { invocation: Invocation { limits, ..stage.invocation.clone() }, ..stage };
    let columns: Vec<_> = (0..megabyte.num_columns()).map(Some).collect();
    let file = Arc::new(StoredFile { path: path.clone(), width: columns.len(), columns });
    // The first one of each starts the container, and has the file read from the disk.
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..=ROUNDS {
        let native = mapped(&stage.python, &project.join("read.py"), &path);
        let round = [native, pushed(&stage, &path, Some(&file)), pushed(&stage, &path, None)];
        times.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
    }
    let rate = |mut seconds: Vec<f64>| (bytes(&megabyte) * BATCHES) as f64 / median(seconds.split_off(1)) / 1e9;
    let [native, stored, lent] = times.map(rate);
    println!("{}", serde_json::json!({"native": native, "stored": stored, "lent": lent}));
}

fn write(path: &Path, batch: &RecordBatch) {
    let mut writer = FileWriter::try_new(File::create(path).unwrap(), &batch.schema()).unwrap();
    (0..BATCHES).for_each(|_| writer.write(batch).unwrap());
    writer.finish().unwrap();
}

/// Seconds that a program takes which maps the file; it says so itself.
fn mapped(python: &Path, program: &Path, file: &Path) -> f64 {
    let output = Command::new(python).arg(program).arg(file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim().parse().unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Seconds that the stage takes: it is handed the file, or its batches.
fn pushed(stage: &Stage, path: &Path, file: Option<&Arc<StoredFile>>) -> f64 {
    let batches: Vec<Batch> = FileReader::try_new(File::open(path).unwrap(), None)
        .unwrap()
        .enumerate()
        .map(|(number, batch)| match (Batch::from_record_batch(&batch.unwrap()), file) {
            (batch, Some(file)) => batch.stored(file.clone(), number),
            (batch, None) => batch,
        })
        .collect();
    let seen = Seen::default();
    let start = Instant::now();
    let mut instance = stage.runner.open(&stage.invocation, Box::new(seen.clone())).unwrap();
    batches.into_iter().for_each(|batch| instance.push(0, batch).unwrap());
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    assert_eq!(seen.0.load(Ordering::Relaxed), 1);
    start.elapsed().as_secs_f64()
}
