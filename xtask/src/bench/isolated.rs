//! Stages in processes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::report::{Finding, Section, row};
use crate::{process, python};

/// The peers, with the versions that were measured against.
const PROJECT: &str = "[project]\nname = \"peers\"\nversion = \"0\"\nrequires-python = \">=3.10\"\n\
                       dependencies = [\"pyarrow\", \"pyspark==4.2.0\", \"pandas<3\", \"ray[data]==2.60.0\"]\n";

const FLIGHT: &str = include_str!("peers/flight_identity.py");
const SPARK: &str = include_str!("peers/spark_identity.py");
const RAY: &str = include_str!("peers/ray_identity.py");

/// What one of the programs prints.
#[derive(Deserialize)]
struct Found {
    gigabytes_a_second: f64,
    #[serde(default)]
    row_us: f64,
    #[serde(default)]
    row_p99_us: f64,
    #[serde(default)]
    pair_collapsed: f64,
    #[serde(default)]
    pair_separate: f64,
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
    let bare = (before.gigabytes_a_second + after.gigabytes_a_second) / 2.0;
    let bare_row = (before.row_us + after.row_us) / 2.0;
    Ok(Section {
        title: "Stages in processes".to_owned(),
        text: "A Python stage that gives its input: a thousand batches of a megabyte (whole numbers, floats, texts of 100 \
               bytes), in memory, nothing stored; then single rows, each an invocation of its own, opening and end \
               included. The bare exchange is pyarrow on both sides of a Unix socket and nothing else. PySpark and Ray use \
               all processors, flowc here one process for the stage. A pair is two such stages, in one process or in two."
            .to_owned(),
        head: row(["", "GB/s there and back", "one row", "p99"]),
        rows: vec![
            row(["bare exchange".to_owned(), number(bare), us(bare_row), us((before.row_p99_us + after.row_p99_us) / 2.0)]),
            row(["flowc".to_owned(), number(stage.gigabytes_a_second), us(stage.row_us), us(stage.row_p99_us)]),
            row(["flowc, a pair in one process".to_owned(), number(stage.pair_collapsed), String::new(), String::new()]),
            row(["flowc, a pair in two".to_owned(), number(stage.pair_separate), String::new(), String::new()]),
            row(["PySpark mapInArrow".to_owned(), number(spark.gigabytes_a_second), String::new(), String::new()]),
            row(["Ray Data map_batches".to_owned(), number(ray.gigabytes_a_second), String::new(), String::new()]),
        ],
        findings: vec![
            Finding::at_least("at least 0.9x of a bare exchange", stage.gigabytes_a_second / bare, 0.9, "x"),
            Finding::at_most("one row there and back, p99, under 1 ms", stage.row_p99_us / 1e3, 1.0, " ms"),
            Finding::at_least(
                "at least 3x PySpark's mapInArrow",
                stage.gigabytes_a_second / spark.gigabytes_a_second,
                3.0,
                "x",
            ),
            Finding::at_least(
                "ahead of Ray Data's map_batches",
                stage.gigabytes_a_second / ray.gigabytes_a_second,
                1.0,
                "x",
            ),
            Finding::at_least(
                "a pair in one process at least 1.8x a pair in two",
                stage.pair_collapsed / stage.pair_separate,
                1.8,
                "x",
            ),
        ],
    })
}

/// The last line that a program prints.
fn found(command: &mut Command) -> Result<Found> {
    let printed = process::output(command)?;
    let line = printed.lines().last().context("a benchmark printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("a benchmark printed `{line}`"))
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

fn us(value: f64) -> String {
    format!("{value:.0} us")
}
