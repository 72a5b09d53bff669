//! Stages in processes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::report::{Finding, Section, row};
use xtask::{process, python};

/// The peers, with the versions that were measured against.
const PROJECT: &str = "[project]\nname = \"peers\"\nversion = \"0\"\nrequires-python = \">=3.10\"\n\
                       dependencies = [\"pyarrow\", \"pyspark==4.2.0\", \"pandas<3\", \"ray[data]==2.60.0\"]\n";

const FLIGHT: &str = include_str!("peers/flight_identity.py");
const SPARK: &str = include_str!("peers/spark_identity.py");
const RAY: &str = include_str!("peers/ray_identity.py");

/// What one of the programs prints; the edge more than the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    gigabytes_a_second: f64,
    pair_collapsed: f64,
    pair_separate: f64,
    shared: f64,
    shared_collapsed: f64,
    shared_separate: f64,
    row_us: f64,
    row_p99_us: f64,
    invocation_us: f64,
    invocation_p99_us: f64,
}

impl Found {
    /// Times of single rows, as cells.
    fn times(&self) -> [String; 4] {
        [self.row_us, self.row_p99_us, self.invocation_us, self.invocation_p99_us].map(|us| format!("{us:.0} us"))
    }

    /// The mean of two.
    fn mean(&self, other: &Self) -> Self {
        let mean = |of: fn(&Self) -> f64| (of(self) + of(other)) / 2.0;
        Self {
            gigabytes_a_second: mean(|found| found.gigabytes_a_second),
            row_us: mean(|found| found.row_us),
            row_p99_us: mean(|found| found.row_p99_us),
            invocation_us: mean(|found| found.invocation_us),
            invocation_p99_us: mean(|found| found.invocation_p99_us),
            ..Self::default()
        }
    }
}

/// A stage that gives its input, in Python, against a bare exchange, PySpark and Ray.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let uv = python::uv(bench.workspace)?;
    let mut build = bench.workspace.cargo();
    build.args(["build", "--release", "--locked", "--workspace", "--example", "edge"]);
    process::run(&mut build)?;
    let project = bench.workspace.root.join("executor/python/examples/identity");
    let edge = || {
        let mut edge = Command::new(bench.workspace.target.join("release/examples/edge"));
        edge.arg(&project).env("FLOWC_UV", &uv);
        found(&mut edge)
    };
    let peers = bench.folder.join("peers");
    std::fs::create_dir_all(&peers)?;
    std::fs::write(peers.join("pyproject.toml"), PROJECT)?;
    let peer = |name: &str, text: &str| {
        let script: PathBuf = peers.join(name);
        std::fs::write(&script, text)?;
        let mut run = Command::new(&uv);
        run.args(["run", "--quiet", "--project"]).arg(&peers).arg(Path::new(&script)).env_remove("VIRTUAL_ENV");
        found(&mut run)
    };
    // By turns, the bare exchange on both sides of the stage.
    let (before, stage) = (peer("flight_identity.py", FLIGHT)?, edge()?);
    let after = peer("flight_identity.py", FLIGHT)?;
    let (spark, ray) = (peer("spark_identity.py", SPARK)?, peer("ray_identity.py", RAY)?);
    let bare = before.mean(&after);
    let line = |name: &str, rate: f64, times: [String; 4]| {
        [name.to_owned(), format!("{rate:.2}")].into_iter().chain(times).collect::<Vec<_>>()
    };
    let mut rows =
        vec![line("bare exchange", bare.gigabytes_a_second, bare.times()), line("flowc", stage.shared, stage.times())];
    let rates = [
        ("flowc, through the socket alone", stage.gigabytes_a_second),
        ("flowc, a pair in one process", stage.shared_collapsed),
        ("flowc, a pair in two", stage.shared_separate),
        ("flowc, a pair in one process, through the socket alone", stage.pair_collapsed),
        ("flowc, a pair in two, through the socket alone", stage.pair_separate),
        ("PySpark mapInArrow", spark.gigabytes_a_second),
        ("Ray Data map_batches", ray.gigabytes_a_second),
    ];
    rows.extend(rates.map(|(name, rate)| line(name, rate, Default::default())));
    Ok(Section {
        title: "Stages in processes".to_owned(),
        text: "A Python stage that gives its input: a thousand batches of a megabyte (whole numbers, floats, texts of 100 \
               bytes), in memory, nothing stored; then single rows, one after the other in an invocation that is open, \
               and each an invocation of its own, opening and end included. The bare exchange is pyarrow on both sides of a Unix socket and nothing else. PySpark and Ray use \
               all processors, flowc here one process for the stage. A pair is two such stages, in one process or in two. \
               Batches lie in memory that both processes have mapped, unless the line says otherwise."
            .to_owned(),
        head: row(["", "GB/s there and back", "one row", "p99", "an invocation of one row", "p99"]),
        rows,
        findings: findings(&stage, bare.gigabytes_a_second, spark.gigabytes_a_second, ray.gigabytes_a_second),
    })
}

fn findings(stage: &Found, bare: f64, spark: f64, ray: f64) -> Vec<Finding> {
    let at_least = |what: &str, one: f64, other: f64, target| Finding::at_least(what, one / other, target, "x");
    vec![
        at_least("through the socket, at least 0.9x of a bare exchange", stage.gigabytes_a_second, bare, 0.9),
        at_least("in shared memory, at least 3x through the socket", stage.shared, stage.gigabytes_a_second, 3.0),
        Finding::at_most("one row there and back, p99, under 1 ms", stage.row_p99_us / 1e3, 1.0, " ms"),
        Finding::at_most("the same as an invocation of its own", stage.invocation_p99_us / 1e3, 1.0, " ms"),
        at_least("at least 3x PySpark's mapInArrow", stage.shared, spark, 3.0),
        at_least("ahead of Ray Data's map_batches", stage.shared, ray, 1.0),
        at_least(
            "a pair in one process at least 1.8x a pair in two, through the socket",
            stage.pair_collapsed,
            stage.pair_separate,
            1.8,
        ),
        at_least("the same in shared memory", stage.shared_collapsed, stage.shared_separate, 1.8),
    ]
}

/// The last line that a program prints.
fn found(command: &mut Command) -> Result<Found> {
    let printed = process::output(command)?;
    let line = printed.lines().last().context("a benchmark printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("a benchmark printed `{line}`"))
}
