//! What an isolated edge costs: batches through a stage that gives its input, one row there and back, and two such stages
//! in one process against two processes; through the socket alone, and with shared memory. Prints JSON.
//!
//! `cargo run --release --example edge -- PROJECT` with the project of such a stage; `cargo xtask bench isolated` does
//! it, and compares.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow_array::RecordBatch;
use flowc_process::Host;
use flowc_python::PythonRunner;
use flowc_runner::{Batch, ChainRunner, EdgeObserver, Instance, Invocation, Outlet, Runner, StageError};

use support::{Seen, Stage, batch, bytes, median};

const BATCHES: usize = 1000;
const ROWS: u64 = 5000;
const ROUNDS: usize = 5;

fn main() {
    flowc_sandbox::main();
    let project = std::env::args().nth(1).expect("the folder of a project with a stage `identity`");
    let home = tempfile::tempdir().unwrap();
    let megabyte = batch(8500);
    let stage = |host: Host| Stage::new(Path::new(&project), home.path(), host, &megabyte.schema());
    let host = || Host::new(std::env::current_exe().unwrap(), home.path().to_owned());
    let (shared, sent) = (stage(host()), stage(host().without_shared_memory()));
    let rate = |open: &dyn Fn(Seen) -> Box<dyn Instance>| {
        (bytes(&megabyte) * BATCHES) as f64 / throughput(open, &megabyte) / 1e9
    };
    let mut rates: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let figures = [&sent, &shared].map(|Stage { runner, invocation, .. }| {
            let single = |seen: Seen| runner.open(invocation, Box::new(seen)).unwrap();
            let collapsed = |seen: Seen| {
                let stages = [invocation.clone(), invocation.clone()];
                runner.open_chain(&stages, vec![Box::new(Unheard)], Box::new(seen)).unwrap()
            };
            let separate = |seen: Seen| runner.open(invocation, Box::new(Handover(Some(single(seen))))).unwrap();
            [rate(&single), rate(&collapsed), rate(&separate)]
        });
        rates.iter_mut().zip(figures.concat()).for_each(|(rates, rate)| rates.push(rate));
    }
    let [sent_single, sent_collapsed, sent_separate, single, collapsed, separate] = rates.map(median);
    let Stage { runner, invocation, .. } = &shared;
    let row = batch(1);
    let (opened, within) =
        (Times::of(invocations(runner, invocation, &row)), Times::of(rows(runner, invocation, &row)));
    println!(
        "{}",
        serde_json::json!({
            "gigabytes_a_second": sent_single,
            "pair_collapsed": sent_collapsed,
            "pair_separate": sent_separate,
            "shared": single,
            "shared_collapsed": collapsed,
            "shared_separate": separate,
            "row_us": within.at(0.5),
            "row_p99_us": within.at(0.99),
            "invocation_us": opened.at(0.5),
            "invocation_p99_us": opened.at(0.99),
        })
    );
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

/// Seconds from one row to its answer, again and again, within an invocation that is open: as a streaming source has them.
fn rows(runner: &PythonRunner, invocation: &Invocation, row: &RecordBatch) -> Vec<f64> {
    let seen = Seen::default();
    let mut instance = runner.open(invocation, Box::new(seen.clone())).unwrap();
    let once = |number| {
        let start = Instant::now();
        instance.push(0, Batch::from_record_batch(row)).unwrap();
        instance.boundary().unwrap();
        assert_eq!(seen.0.load(Ordering::Relaxed), number + 1);
        start.elapsed().as_secs_f64()
    };
    let times = (0..ROWS).map(once).collect();
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    times
}

/// The same where each row is an invocation of its own, opened and ended.
fn invocations(runner: &PythonRunner, invocation: &Invocation, row: &RecordBatch) -> Vec<f64> {
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

/// Times, in order.
struct Times(Vec<f64>);

impl Times {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// In microseconds, that which this part of them does not exceed.
    fn at(&self, part: f64) -> f64 {
        self.0[(part * (self.0.len() - 1) as f64) as usize] * 1e6
    }
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

impl EdgeObserver for Unheard {
    fn gave(&mut self, _: u64) {}

    fn log(&mut self, _: &str, _: &str) {}
}
