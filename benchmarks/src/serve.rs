//! Results that `flowc serve` gives to clients of Arrow Flight.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::Bench;
use super::project::{Project, rows_of_three};
use super::report::{Finding, Section, ms, row};
use xtask::{process, python};

const ROWS: u64 = 4_000_000;
const ROUNDS: &str = "9";

const PROJECT: &str =
    "[project]\nname = \"peers\"\nversion = \"0\"\nrequires-python = \">=3.10\"\ndependencies = [\"pyarrow\"]\n";
const CLIENT: &str = include_str!("peers/flight_rows.py");

/// Median seconds that a client took for all rows.
#[derive(Deserialize)]
struct Found {
    flowc: f64,
    bare: f64,
}

/// A server that ends when it is dropped.
struct Served {
    process: Child,
    uri: String,
}

impl Served {
    /// Serves the results of a project's last run.
    fn start(project: &Project) -> Result<Self> {
        let mut command = project.command_for(&["serve", "--json", "--no-auth", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut first = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut first)?;
        let mut served = Self { process, uri: String::new() };
        let said: Value = serde_json::from_str(&first).context("what `flowc serve` says first")?;
        said["uri"].as_str().context("no `uri`")?.clone_into(&mut served.uri);
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All rows of a result, against a bare Flight server that has them in memory.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let uv = python::uv(bench.workspace)?;
    let project = Project::new(bench, "served")?;
    project.write("rows.csv", rows_of_three(rows))?;
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"rows.csv\" }\n\
         stage \"kept\" { in \"rows\"; sql \"SELECT n + 1 AS n, m + 1 AS m, concat(t, '!') AS t FROM rows\" }\n\
         sink \"kept\" { in \"kept\"; file \"kept.arrow\" }\n",
    )?;
    project.run()?;
    let file = project.folder().join("kept.arrow");
    let bytes = std::fs::metadata(&file)?.len();
    let peers = bench.folder.join("peers");
    std::fs::create_dir_all(&peers)?;
    std::fs::write(peers.join("pyproject.toml"), PROJECT)?;
    std::fs::write(peers.join("flight_rows.py"), CLIENT)?;
    let served = Served::start(&project)?;
    let mut client = Command::new(&uv);
    client.args(["run", "--quiet", "--project"]).arg(&peers).arg(peers.join("flight_rows.py"));
    client.arg(&served.uri).arg("kept").arg(&file).arg(ROUNDS).env_remove("VIRTUAL_ENV");
    let printed = process::output(&mut client)?;
    let found: Found = serde_json::from_str(&printed).with_context(|| format!("the client printed `{printed}`"))?;
    let rate = |seconds: f64| format!("{:.0} MB/s", bytes as f64 / seconds / 1e6);
    let line = |name: &str, seconds: f64| row([name.to_owned(), ms(seconds), rate(seconds)]);
    Ok(Section {
        title: "Serving results".to_owned(),
        text: format!(
            "{rows} rows of three columns, {} MB of Arrow, from the store by `flowc serve`, and from pyarrow's Flight server, which has \
             the same batches in memory and does nothing else. The client is pyarrow; it asks both by turns, and takes all rows.",
            bytes / 1_000_000
        ),
        head: row(["who serves", "wall time", "rate"]),
        rows: vec![line("flowc serve", found.flowc), line("a bare Flight server", found.bare)],
        findings: vec![Finding::at_least("at least 0.9x of a bare Flight server", found.bare / found.flowc, 0.9, "x")],
    })
}
