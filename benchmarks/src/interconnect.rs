//! Edges by what batches are made of and by how they travel.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::chart::{Look, Panel, Plot, svg};
use super::report::{Finding, Section, row, table};
use xtask::process;

/// The stage, and the chart, in the repository.
const GUEST: &str = "executor/worker/examples/interconnect/guest";
const CHART: &str = "interconnect.svg";

/// Serializations in their order, with their names and colours.
const SERIALIZATIONS: [(&str, &str, &str); 3] =
    [("json", "JSON", "#d9822b"), ("parquet", "Parquet", "#4c8fd6"), ("arrow", "Arrow", "#2fa36b")];

/// Ways in their order, with their names and how their lines are dashed.
const TRANSPORTS: [(&str, &str, &str); 4] = [
    ("unix", "Unix socket", ""),
    ("tls", "TCP with TLS", "6 4"),
    ("shared", "shared memory", "9 3 2 3"),
    ("collapsed", "collapsed", "2 3"),
];

/// What the example finds of one edge.
#[derive(Deserialize)]
struct Edge {
    transport: String,
    serialization: String,
    entities_a_second: f64,
    split: Vec<Split>,
    latencies: Vec<Latency>,
}

/// Entities in a thousand batches.
#[derive(Deserialize)]
struct Split {
    entities: u64,
    seconds: f64,
}

/// Seconds that entities take together.
#[derive(Deserialize)]
struct Latency {
    entities: u64,
    times: usize,
    min: f64,
    average: f64,
    median: f64,
    p99: f64,
    max: f64,
}

/// JSON, Parquet and Arrow, each over TLS, over a Unix socket, and without either.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let mut build = bench.workspace.cargo();
    build.args(["build", "--release", "--locked", "--workspace", "--example", "interconnect"]);
    process::run(&mut build)?;
    let mut example = Command::new(bench.workspace.target.join("release/examples/interconnect"));
    example.arg(&bench.flowc).arg(bench.workspace.root.join(GUEST));
    let printed = process::output(&mut example)?;
    let edges: Vec<Edge> = serde_json::from_str(printed.trim()).context("what the example printed")?;
    let chart = bench.workspace.root.join("docs").join(CHART);
    fs::write(&chart, drawn(&edges)).with_context(|| chart.display().to_string())?;
    Ok(section(&edges))
}

fn section(edges: &[Edge]) -> Section {
    let split = edges.first().map_or(&[][..], |edge| &edge.split);
    let head = split.iter().map(|Split { entities, .. }| format!("{entities} in batches of {}", entities / 1000));
    Section {
        title: "The gain of Arrow between stages".to_owned(),
        text: text(edges),
        head: ["edge".to_owned(), "entities a second".to_owned()].into_iter().chain(head).collect(),
        rows: edges.iter().map(Edge::rates).collect(),
        findings: findings(edges),
    }
}

fn text(edges: &[Edge]) -> String {
    let head = row(["edge", "entities", "times", "min", "average", "median", "p99", "max"]);
    let latencies: Vec<_> = edges.iter().flat_map(Edge::latency_rows).collect();
    format!(
        "One stage, a component that reads and writes all columns, through the same code with another `serialization`, and in \
         other places: collapsed in flowc's process, where batches are handed on as they are; in a process of this machine, \
         behind a Unix socket, also with memory that is shared; and on a worker (`flowc worker --listen` on this machine) behind TCP with TLS. An entity is an \
         id, a score, a name of 20 characters and a time. Everything is in memory, nothing is stored; programs are started and \
         connected before. Parquet is written as is fastest for it: plain, without compression, dictionaries and statistics. \
         JSON is read and written by arrow-json.\n\n![Entities a second, and median latency, of each edge]({CHART})\n\nHow \
         long entities take together, from here to the stage and back: each time an invocation of its own, opening and end \
         included.\n\n{}\nHow many entities pass in a second, a million of them in batches of 8192; and how long it takes for \
         some to pass in a thousand batches. Medians of five rounds, taken by turns.",
        table(&head, &latencies)
    )
}

impl Edge {
    fn name(&self) -> String {
        let of = |list: &[(&str, &'static str, &str)], key: &str| {
            list.iter().find(|(known, ..)| *known == key).map_or("?", |(_, name, _)| name)
        };
        format!("{}, {}", of(&SERIALIZATIONS, &self.serialization), of(&TRANSPORTS, &self.transport))
    }

    fn rates(&self) -> Vec<String> {
        let split = self.split.iter().map(|split| time(split.seconds));
        [self.name(), count(self.entities_a_second)].into_iter().chain(split).collect()
    }

    fn latency_rows(&self) -> impl Iterator<Item = Vec<String>> {
        let name = self.name();
        self.latencies.iter().map(move |latency| {
            let Latency { entities, times, min, average, median, p99, max } = latency;
            let counts = [name.clone(), entities.to_string(), times.to_string()];
            counts.into_iter().chain([min, average, median, p99, max].map(|seconds| time(*seconds))).collect()
        })
    }

    fn look(&self) -> Look {
        let of = |list: &[(&str, &str, &'static str)], key: &str| {
            list.iter().find(|(known, ..)| *known == key).map_or("", |(.., look)| look)
        };
        let (color, dashes) = (of(&SERIALIZATIONS, &self.serialization), of(&TRANSPORTS, &self.transport));
        Look { name: self.name(), color, dashes }
    }
}

/// Arrow against the others on the same way, and the ways against each other.
fn findings(edges: &[Edge]) -> Vec<Finding> {
    let find = |transport: &str, serialization: &str| {
        edges.iter().find(|edge| edge.transport == transport && edge.serialization == serialization)
    };
    let ratio = |(transport, way, _): &(&str, &str, &str), (key, name, _): &(&str, &str, &str)| {
        let (arrow, other) = (find(transport, "arrow")?, find(transport, key)?);
        let rates = arrow.entities_a_second / other.entities_a_second;
        let (least, most) = (arrow.latencies.last()?, other.latencies.last()?);
        let (together, part) = (least.entities, most.median / least.median);
        let found = format!("{rates:.1}x the entities a second; {together} together take 1/{part:.1} of the time");
        Some(Finding::figure(format!("Arrow against {name}, {way}"), found))
    };
    let others = &SERIALIZATIONS[..2];
    let findings = TRANSPORTS.iter().flat_map(|way| others.iter().filter_map(move |other| ratio(way, other)));
    let collapsed = find("collapsed", "arrow").zip(find("unix", "json")).map(|(collapsed, json)| {
        let ratio = collapsed.entities_a_second / json.entities_a_second;
        Finding::figure("collapsed against JSON, Unix socket", format!("{ratio:.0}x the entities a second"))
    });
    findings.chain(collapsed).collect()
}

fn drawn(edges: &[Edge]) -> String {
    let looks: Vec<Look> = edges.iter().map(Edge::look).collect();
    let length = |transport: &str| edges.iter().filter(|edge| edge.transport == transport).count();
    let groups = TRANSPORTS.iter().map(|(key, name, _)| ((*name).to_owned(), length(key))).collect();
    let rates = edges.iter().map(|edge| edge.entities_a_second).collect();
    let points = |edge: &Edge| edge.latencies.iter().map(|found| (found.entities as f64, found.median)).collect();
    let panels = [
        Panel {
            title: "entities a second".to_owned(),
            below: "a million entities in batches of 8192".to_owned(),
            unit: count,
            plot: Plot::Bars(rates, groups),
        },
        Panel {
            title: "there and back, median".to_owned(),
            below: "entities together".to_owned(),
            unit: time,
            plot: Plot::Lines(edges.iter().map(points).collect()),
        },
    ];
    svg(&looks, &panels)
}

/// `850 us`, `12.3 ms`, `1.50 s`.
fn time(seconds: f64) -> String {
    match seconds {
        micro if micro < 0.999e-3 => format!("{:.0} us", seconds * 1e6),
        milli if milli < 99.9e-3 => format!("{:.1} ms", seconds * 1e3),
        milli if milli < 0.999 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// `950 k`, `12.3 M`.
fn count(number: f64) -> String {
    match number {
        small if small < 0.999e6 => format!("{:.0} k", number / 1e3),
        large if large < 99.9e6 => format!("{:.1} M", number / 1e6),
        _ => format!("{:.0} M", number / 1e6),
    }
}
