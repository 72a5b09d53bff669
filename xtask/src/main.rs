//! Development tasks: `cargo xtask corpus`, `demo`, `test`, `fuzz`, `bench`, `tidy`. One module each.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod containers;
mod corpus;
mod demo;
mod fuzz;
mod process;
mod python;
mod setup;
mod sites;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

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
  corpus          Gather the text of the crates in Cargo.lock into target/corpus
  tidy            Check what the architecture asks for and compilers do not see
";

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
        [] | ["help" | "-h" | "--help"] => print_help(HELP),
        ["demo", "-h" | "--help"] => print_help(demo::HELP),
        ["test", "-h" | "--help"] => print_help(test::HELP),
        ["corpus", "-h" | "--help"] => print_help(corpus::HELP),
        ["fuzz", "-h" | "--help"] => print_help(fuzz::HELP),
        ["tidy", "-h" | "--help"] => print_help(tidy::HELP),
        ["bench", "-h" | "--help"] => print_help(&bench::help()),
        ["demo"] => demo::run(&Workspace::find()?),
        ["test"] => test::run(&Workspace::find()?, false),
        ["test", "--long"] => test::run(&Workspace::find()?, true),
        ["corpus"] => corpus::run(&Workspace::find()?),
        ["fuzz", arguments @ ..] => fuzz::run(&Workspace::find()?, arguments),
        ["tidy"] => tidy::run(&Workspace::find()?),
        ["count-natively", output, files @ ..] => bench::count_natively(output, files),
        ["rewrite-natively", part, times, file] => bench::rewrite_natively(part, times, file),
        ["bench", names @ ..] => bench::run(&Workspace::find()?, names),
        other => bail!("`{}` is no task; `cargo xtask --help` lists them", other.join(" ")),
    }
}

fn print_help(text: &str) -> Result<()> {
    print!("{text}");
    Ok(())
}
