//! All that must hold before a change goes in.

use std::process::Command;

use anyhow::{Result, bail};

use crate::containers::Engine;
use crate::workspace::{GUESTS, Workspace};
use crate::{process, python, setup, sites, tidy, wheel};

/// `cargo xtask test --help`.
pub(crate) const HELP: &str = "\
Sets up what is missing, then: format, lints, architecture, all tests of the workspace, the native tests of the
workspaces for wasm32, the tests of the Python SDK, and the wheel in a fresh environment. It goes on after a failure, and ends with a list of what passed and failed.

Usage: cargo xtask test [--long]

  --long   200 kills instead of a few, and big inputs (sets FLOWC_LONG=1 and FLOWC_KILLS=200)
";

/// Runs everything; fails if anything failed.
pub(crate) fn run(workspace: &Workspace, long: bool) -> Result<()> {
    setup::targets(workspace)?;
    setup::tools(workspace)?;
    let uv = python::uv(workspace)?;
    let engine = Engine::find(workspace)?;
    setup::add_targets(workspace, &[&sites::target()])?;
    let mut outcomes = vec![
        ("tidy".to_owned(), tidy::run(workspace)),
        ("program of pipelines/sites".to_owned(), sites::build(workspace)),
    ];
    for (name, mut command) in commands(workspace)?.into_iter().chain(python::commands(workspace, &uv)) {
        command.env("FLOWC_UV", &uv).env("DOCKER_HOST", &engine.host);
        if long {
            command.env("FLOWC_LONG", "1").env("FLOWC_KILLS", "200");
        }
        let outcome =
            if name.starts_with("tests") { process::run_tests(&mut command) } else { process::run(&mut command) };
        outcomes.push((name, outcome));
    }
    outcomes.push(("wheel".to_owned(), wheel::test(workspace, &uv)));
    summary(&outcomes)
}

/// Each with its name.
fn commands(workspace: &Workspace) -> Result<Vec<(String, Command)>> {
    let mut commands = Vec::new();
    let mut add = |name: &str, folder: &str, mut command: Command, arguments: &[&str]| {
        command.args(arguments);
        commands.push((format!("{name} {folder}").trim_end().to_owned(), command));
    };
    const FORMAT: [&str; 3] = ["fmt", "--all", "--check"];
    const LINTS: [&str; 9] =
        ["clippy", "--release", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    const TESTS: [&str; 5] = ["test", "--release", "--locked", "--workspace", "--no-fail-fast"];
    add("format", "", workspace.cargo(), &FORMAT);
    GUESTS.into_iter().for_each(|guest| add("format", guest, workspace.guest_cargo(guest), &FORMAT));
    add("lints", "", workspace.cargo(), &LINTS);
    GUESTS.into_iter().for_each(|guest| add("lints", guest, workspace.guest_cargo(guest), &LINTS));
    let mut tests = workspace.cargo();
    tests.arg("--config").arg(workspace.write_checks()?);
    add("tests", "", tests, &TESTS);
    GUESTS.into_iter().for_each(|guest| add("tests", guest, workspace.guest_cargo(guest), &TESTS));
    Ok(commands)
}

fn summary(outcomes: &[(String, Result<()>)]) -> Result<()> {
    println!();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => println!("ok      {name}"),
            Err(error) => println!("FAILED  {name}: {error:#}"),
        }
    }
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} failed", outcomes.len());
    }
    Ok(())
}
