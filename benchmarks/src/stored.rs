//! Stored segments in containers.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::report::{Finding, Section, row};
use xtask::containers::Engine;
use xtask::{process, python};

/// What the example prints, in GB/s.
#[derive(Deserialize)]
struct Found {
    native: f64,
    stored: f64,
    lent: f64,
}

/// A Python stage in a container that reads a stored segment, against a program that maps the file itself.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let (engine, uv) = (Engine::find(bench.workspace)?, python::uv(bench.workspace)?);
    let mut build = bench.workspace.cargo();
    build.args(["build", "--release", "--locked", "--workspace", "--example", "stored"]);
    process::run(&mut build)?;
    let mut example = Command::new(bench.workspace.target.join("release/examples/stored"));
    example.arg(bench.workspace.root.join("executor/python/examples/reader"));
    let printed = process::output(example.env("FLOWC_UV", &uv).env("DOCKER_HOST", &engine.host))?;
    let found: Found = serde_json::from_str(printed.trim()).context("what the example printed")?;
    let rate = |name: &str, rate: f64| row([name.to_owned(), format!("{rate:.2}")]);
    Ok(Section {
        title: "Reading a stored segment in a container".to_owned(),
        text: "A segment file of 512 batches of a megabyte, in the page cache. The reader is the same Python code \
               (`executor/python/examples/reader/read.py`), which adds up all bytes: in a program that maps the file, and in a \
               stage in a container, which is handed the file to map, or its batches in shared memory. The container runs \
               already; opening and end of the invocation are included."
            .to_owned(),
        head: row(["who reads", "GB/s"]),
        rows: vec![
            rate("a program that maps the file", found.native),
            rate("a stage in a container, handed the file", found.stored),
            rate("a stage in a container, given the batches", found.lent),
        ],
        findings: vec![Finding::at_least(
            "handed the file, at least 0.9x of a program that maps it",
            found.stored / found.native,
            0.9,
            "x",
        )],
    })
}
