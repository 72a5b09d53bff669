//! Measurements of flowc against named peers and limits: each a ratio within one run, so that the machine drops out.
//!
//! A benchmark gives a [`report::Section`]; `docs/benchmarks.md` is made from the last section of each. Runs that are
//! compared take turns, so that what disturbs the machine disturbs all of them.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod changed;
mod chart;
mod containers;
mod databases;
mod edges;
mod first_minute;
mod first_run;
mod first_sql;
mod flink;
mod gpu;
mod groups;
mod interconnect;
mod isolated;
mod measure;
mod native;
mod noop;
mod objects;
mod one_column;
mod peers;
mod project;
mod records;
mod report;
mod rewrite;
mod serve;
mod stored;
mod text;
mod topics;
mod tpch;
mod windows;
mod wordcount;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use xtask::workspace::Workspace;
use xtask::{corpus, setup};

/// What a benchmark needs.
struct Bench<'a> {
    workspace: &'a Workspace,
    /// The binary that is measured.
    flowc: PathBuf,
    /// Another one, with which figures are compared that have no other peer.
    against: Option<PathBuf>,
    /// How many rows `databases`, `flink`, `gpu`, `groups`, `objects`, `serve`, `topics`, `tpch` and `windows` take, if the command says.
    rows: Option<u64>,
    /// Emptied before each benchmark.
    folder: PathBuf,
}

type Run = fn(&Bench<'_>) -> Result<report::Section>;

/// All benchmarks, in the order of the report.
const ALL: [(&str, &str, Run); 22] = [
    ("noop", "runs with nothing to do, against ninja on the same shape", noop::run),
    ("changed", "one changed file of 1000, against that file's work alone", changed::run),
    ("edges", "a chain of 1 to 32 stages that pass batches on", edges::run),
    (
        "one-column",
        "a stage that rewrites a column of text, against copies, validation and the native kernel",
        one_column::run,
    ),
    ("wordcount", "1 GB of text, against DuckDB, Polars and a native program", wordcount::run),
    ("windows", "windows of event time, against DuckDB, and one block more of a day", windows::run),
    ("flink", "the same windows, against Flink SQL", flink::run),
    ("groups", "aggregates of 1000 and a million groups, against DuckDB", groups::run),
    ("records", "flat JSON and Avro into columns, against serde_json into structs", records::run),
    ("topics", "a topic of flat JSON from a broker into a count, against a plain consumer", topics::run),
    ("first-minute", "a new project and its first run in an empty store", first_minute::run),
    ("first-run", "the first run of 100 and 1000 stages that do nothing", first_run::run),
    ("first-sql", "the first query of a run, against a filter", first_sql::run),
    ("tpch", "TPC-H's queries, against DataFusion alone, and after one changed row group", tpch::run),
    ("objects", "Parquet from a server that speaks S3, against object_store alone", objects::run),
    ("serve", "results of the store to clients of Arrow Flight, against a bare server", serve::run),
    ("databases", "SQLite read by ADBC, and rows of PostgreSQL written over by key, against COPY", databases::run),
    ("stored", "a stored segment in a container, against a program that maps it", stored::run),
    ("isolated", "a Python stage that gives its input, against bare Flight, PySpark and Ray", isolated::run),
    (
        "interconnect",
        "an edge as JSON, Parquet and Arrow, over TLS, over a Unix socket and collapsed",
        interconnect::run,
    ),
    ("containers", "a stage in a container, against the same one in a process and in flowc's own", containers::run),
    ("gpu", "kernels on the best adapter: one, a chain, counting, top-k", gpu::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["-h" | "--help"] => {
            print!("{}", help());
            Ok(())
        }
        // What is compared with flowc, in a process of its own.
        ["count-natively", output, files @ ..] => native::run(output, files),
        ["read-database", driver, database] => databases::read_alone(driver, database),
        ["read-object", url, threads] => objects::read_alone(url, threads),
        ["consume", broker, what] => topics::consume(broker, what),
        ["fill", broker, records] => topics::fill(broker, records),
        ["rewrite-natively", part, times, file] => rewrite::run(part, times, file),
        names => run(&Workspace::find()?, names),
    }
}

/// `cargo xtask bench --help`.
fn help() -> String {
    let list: String = ALL.iter().map(|(name, what, _)| format!("  {name:<12} {what}\n")).collect();
    format!(
        "Measures flowc against peers, and writes docs/benchmarks.md.\n\nUsage: cargo xtask bench \
         [--flowc FILE] [--against FILE] [--rows N] [NAME..]\n\nNames (all of them if none is given; the others keep their last figures):\n{list}\n  \
         --flowc FILE    measure this binary instead of building one\n  \
         --against FILE  compare `first-minute` with this binary, of another version\n  \
         --rows N        give `databases`, `flink`, `gpu`, `groups`, `objects`, `serve`, `topics`, `tpch` or `windows` so many rows, instead of millions\n\nIt needs `ninja` (Debian: \
         `apt-get install ninja-build`), python3 with venv, Java 17 for `isolated`, a JDK 17 and Maven for `flink` and `topics`; DuckDB, Polars, PySpark and Ray are \
         installed\nbelow the target folder. Leave the machine alone meanwhile.\n"
    )
}

/// The file of an option that stands first, and what comes after it.
fn file_option<'a>(name: &'static str, arguments: &'a [&'a str]) -> Result<(Option<PathBuf>, &'a [&'a str])> {
    match arguments {
        [option, file, rest @ ..] if *option == name => Ok((Some(Path::new(file).canonicalize().context(name)?), rest)),
        arguments => Ok((None, arguments)),
    }
}

/// Runs the benchmarks with these names, or all, and writes the report after each.
fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let (binary, arguments) = file_option("--flowc", arguments)?;
    let (against, arguments) = file_option("--against", arguments)?;
    let (rows, names) = match arguments {
        ["--rows", rows, rest @ ..] => (Some(rows.parse().context("--rows")?), rest),
        arguments => (None, arguments),
    };
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|(known, _, _)| known == *name)) {
        bail!("there is no benchmark `{unknown}`\n\n{}", help());
    }
    let flowc = match binary {
        Some(binary) => binary,
        None => {
            setup::targets(workspace)?;
            workspace.build("flowc")?
        }
    };
    corpus::gather(workspace)?;
    for (name, what, run) in ALL.iter().filter(|(name, _, _)| names.is_empty() || names.contains(name)) {
        eprintln!("\n{name}: {what}");
        let folder = workspace.root.join("target/bench").join(name);
        project::empty(&folder)?;
        let bench = Bench { workspace, flowc: flowc.clone(), against: against.clone(), rows, folder };
        let section = run(&bench).with_context(|| format!("benchmark `{name}`"))?;
        report::keep(workspace, name, section)?;
        report::write(workspace, &ALL.map(|(name, _, _)| name))?;
    }
    Ok(())
}
