//! Development tasks, as `cargo xtask TASK`: one module each, beside what they share with the benchmarks.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod containers;
pub mod corpus;
pub mod databases;
mod demo;
mod fuzz;
pub mod kafka;
mod lints;
pub mod maven;
pub mod process;
pub mod python;
pub mod setup;
mod sites;
mod stages;
mod test;
mod tidy;
mod vulkan;
mod wheel;
pub mod workspace;

use anyhow::{Result, bail};
use workspace::Workspace;

const HELP: &str = "\
Development tasks of flowc.

Usage: cargo xtask <TASK>

Tasks:
  demo            Set up what is missing, gather the text, run wordcount twice: the second run comes from the cache
  test [--long]   Set up what is missing, then format, lints, architecture and all tests; --long adds the long ones
  fuzz [TARGET..] Feed the parsers what nobody would write, led by coverage; `cargo xtask fuzz --help` says how long
  bench [NAME..]  Measure against peers, and write docs/benchmarks.md; `cargo xtask bench --help` lists the names
  stages          Write the components of the standard stages, and the bindings of the SDK, anew from their sources
  wheel           Build one wheel with the program and the Python package
  install [ENV]   Install that wheel into a Python environment
  corpus          Gather the text of the crates in Cargo.lock into target/corpus
  kafka COMMAND.. Run a command that sees a broker of Apache Kafka, as the tests do
  databases COMMAND..  Run a command that finds drivers of databases and PostgreSQL, as the tests do
  vulkan          Unpack a Vulkan driver for the CPU, and print the program to run others with it, for FLOWC_VULKAN
  tidy            Check what the architecture asks for and compilers do not see
";

/// Does the task that the arguments name.
///
/// # Errors
/// If there is no such task, or if it fails.
pub fn dispatch(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] | ["help" | "-h" | "--help"] => print_help(HELP),
        ["demo", "-h" | "--help"] => print_help(demo::HELP),
        ["test", "-h" | "--help"] => print_help(test::HELP),
        ["corpus", "-h" | "--help"] => print_help(corpus::HELP),
        ["fuzz", "-h" | "--help"] => print_help(fuzz::HELP),
        ["stages", "-h" | "--help"] => print_help(stages::HELP),
        ["wheel" | "install", "-h" | "--help"] => print_help(wheel::HELP),
        ["tidy", "-h" | "--help"] => print_help(tidy::HELP),
        ["demo"] => demo::run(&Workspace::find()?),
        ["test"] => test::run(&Workspace::find()?, false),
        ["test", "--long"] => test::run(&Workspace::find()?, true),
        ["corpus"] => corpus::run(&Workspace::find()?),
        ["fuzz", arguments @ ..] => fuzz::run(&Workspace::find()?, arguments),
        ["stages"] => stages::run(&Workspace::find()?),
        ["wheel", arguments @ ..] => wheel::run(&Workspace::find()?, &wheel::Request::read(arguments)?),
        ["install", arguments @ ..] => wheel::install(&Workspace::find()?, &wheel::Request::read(arguments)?),
        ["kafka", command @ ..] => kafka::run(&Workspace::find()?, command),
        ["databases", command @ ..] => databases::run(&Workspace::find()?, command),
        ["vulkan"] => print_help(&format!("{}\n", vulkan::program(&Workspace::find()?)?.display())),
        ["tidy"] => tidy::run(&Workspace::find()?),
        ["bench", arguments @ ..] => bench(&Workspace::find()?, arguments),
        other => bail!("`{}` is no task; `cargo xtask --help` lists them", other.join(" ")),
    }
}

/// Builds the benchmarks, and runs them.
fn bench(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    process::run(std::process::Command::new(workspace.build("flowc-benchmarks")?).args(arguments))
}

fn print_help(text: &str) -> Result<()> {
    print!("{text}");
    Ok(())
}
