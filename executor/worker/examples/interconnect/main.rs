//! What an edge costs, by what batches are made of and by how they travel: the same component in flowc's process, in a process
//! behind a Unix socket, there with shared memory too, and on a worker behind TLS. Nothing is stored; starting is no part of it. Prints JSON.
//!
//! `cargo run --release --example interconnect -- FLOWC GUEST`, with the binary that a worker is started of, and the folder of
//! the stage; `cargo xtask bench interconnect` does it, and draws what is found.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]

mod edges;
mod entities;

use std::path::Path;

use edges::{Edge, Places};
use entities::entities;
use flowc_planner::plan::Serialization;
use flowc_runner::Runner;
use serde_json::json;

/// Entities whose rate is measured, in batches as flowc makes them.
const MANY: usize = 1_000_000;
const BATCH: usize = 8192;
/// Numbers of entities that are sent in a thousand batches.
const SPLIT: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 5;
/// Numbers of entities that travel together, and how often.
const TOGETHER: [(usize, usize); 6] = [(1, 1000), (10, 1000), (100, 1000), (1_000, 500), (10_000, 200), (100_000, 100)];

fn main() {
    flowc_sandbox::main();
    flowc_wasm_process::main();
    let mut arguments = std::env::args().skip(1);
    let (Some(flowc), Some(guest)) = (arguments.next(), arguments.next()) else {
        panic!("usage: interconnect FLOWC GUEST");
    };
    let places = Places::new(Path::new(&flowc), Path::new(&guest));
    let edges = edges(&places);
    // Once, so that programs are started and connected.
    for edge in &edges {
        edge.pass(&entities(0, 1), 1);
    }
    let rates = by_turns(&edges, |edge| MANY as f64 / edge.pass(&entities(0, MANY), BATCH));
    let splits = SPLIT.map(|count| by_turns(&edges, |edge| edge.pass(&entities(0, count), count / 1000)));
    let found = edges.iter().enumerate().map(|(number, edge)| {
        let split =
            SPLIT.iter().zip(&splits).map(|(count, times)| json!({"entities": count, "seconds": times[number]}));
        json!({
            "transport": edge.transport,
            "serialization": edge.serialization().name(),
            "entities_a_second": rates[number],
            "split": split.collect::<Vec<_>>(),
            "latencies": TOGETHER.map(|(count, times)| latencies(edge, count, times)),
        })
    });
    println!("{}", serde_json::Value::Array(found.collect()));
}

/// Collapsed, batches are handed on: there is nothing to choose. Shared memory is for Arrow as it is.
fn edges(places: &Places) -> Vec<Edge<'_>> {
    let apart: [(&str, &dyn Runner); 2] = [("unix", &places.process), ("tls", &places.worker)];
    let packed = [Serialization::Json, Serialization::Parquet, Serialization::Arrow];
    let apart = apart.into_iter().flat_map(|(transport, runner)| {
        packed.map(|serialization| Edge::new(places, transport, runner, serialization))
    });
    let as_they_are: [(&str, &dyn Runner); 2] = [("shared", &places.sharing), ("collapsed", &*places.inside)];
    let as_they_are = as_they_are.map(|(transport, runner)| Edge::new(places, transport, runner, Serialization::Arrow));
    apart.chain(as_they_are).collect()
}

/// What is found of each edge, taking turns: medians.
fn by_turns(edges: &[Edge<'_>], measure: impl Fn(&Edge<'_>) -> f64) -> Vec<f64> {
    let mut found = vec![Vec::new(); edges.len()];
    for _ in 0..ROUNDS {
        edges.iter().zip(&mut found).for_each(|(edge, found)| found.push(measure(edge)));
    }
    found.into_iter().map(|found| at(&sorted(found), 0.5)).collect()
}

/// Seconds that entities take from here to the stage and back, each time in an invocation of their own, as those of a stream
/// do: opening and end included.
fn latencies(edge: &Edge<'_>, count: usize, times: usize) -> serde_json::Value {
    let together = entities(0, count);
    let seconds = sorted((0..times).map(|_| edge.pass(&together, BATCH)).collect());
    let average = seconds.iter().sum::<f64>() / times as f64;
    json!({
        "entities": count,
        "times": times,
        "min": seconds[0],
        "average": average,
        "median": at(&seconds, 0.5),
        "p99": at(&seconds, 0.99),
        "max": seconds[times - 1],
    })
}

fn sorted(mut seconds: Vec<f64>) -> Vec<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds
}

/// The number that this part of them does not exceed.
fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((part * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}
