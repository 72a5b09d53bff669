//! What is on its way between flowc and a stage is bounded, whoever is slow.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use flowc_planner::plan::Limits;
use flowc_runner::conformance::{invocation, run};
use flowc_runner::{Batch, Outlet, Runner, StageError};
use support::Python;

/// Rows of a batch whose one column that is read has a megabyte.
const MEGABYTE: usize = 1 << 17;

fn batch() -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..MEGABYTE as i64));
    Batch::new(MEGABYTE, vec![Some(ids), None, None])
}

/// Forgets everything, and takes its time for the first batch.
#[derive(Clone, Default)]
struct Slow {
    batches: Arc<AtomicU64>,
    last: Arc<Mutex<Option<Batch>>>,
}

impl Outlet for Slow {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        if self.batches.fetch_add(1, Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
        *self.last.lock().unwrap() = Some(batch);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, _: &str) {}
}

#[test]
fn a_slow_stage_stops_what_feeds_it() {
    let python = Python::of("flow", "stage:slow");
    let invocation = invocation(&python, "{}", Limits::default()).unwrap();
    let mut instance = python.runner.open(&invocation, Box::new(Slow::default())).unwrap();
    let pushed = Arc::new(AtomicU64::new(0));
    let count = pushed.clone();
    let feed = std::thread::spawn(move || {
        for _ in 0..14 {
            instance.push(0, batch()).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
        instance.end_of_input(0).unwrap();
        instance.finish().unwrap();
    });
    // The stage has all that it may have, and works on the first batch.
    std::thread::sleep(Duration::from_millis(700));
    let early = pushed.load(Ordering::Relaxed);
    assert!(early <= 8, "{early} megabytes were sent, the credit is 8");
    feed.join().unwrap();
    assert_eq!(pushed.load(Ordering::Relaxed), 14);
}

#[test]
fn a_slow_consumer_stops_the_stage() {
    let python = Python::of("flow", "stage:flood");
    let invocation = invocation(&python, "{}", Limits::default()).unwrap();
    let slow = Slow::default();
    let mut instance = python.runner.open(&invocation, Box::new(slow.clone())).unwrap();
    instance.push(0, flowc_runner::conformance::batch(0, 1)).unwrap();
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    assert_eq!(slow.batches.load(Ordering::Relaxed), 1001);
    let last = slow.last.lock().unwrap().take().unwrap();
    let kibibytes = last.column(0).unwrap().as_primitive::<Int64Type>().value(0);
    assert!(kibibytes < 300 << 10, "a gigabyte went through {kibibytes} KiB");
}

#[test]
fn a_stage_that_is_no_longer_wanted_ends() {
    let python = Python::of("flow", "stage:flood");
    let invocation = invocation(&python, "{}", Limits::default()).unwrap();
    for _ in 0..3 {
        let mut instance = python.runner.open(&invocation, Box::new(Slow::default())).unwrap();
        instance.push(0, flowc_runner::conformance::batch(0, 1)).unwrap();
        instance.end_of_input(0).unwrap();
        drop(instance);
    }
    let (outcome, kept) = run(&python.runner, &invocation, []);
    outcome.unwrap();
    assert_eq!(kept.batches.len(), 1001);
}
