//! All that must hold before a change goes in.

use std::process::Command;

use anyhow::{Result, bail};

use crate::containers::Engine;
use crate::kafka::Broker;
use crate::lints::{self, Clippy};
use crate::workspace::{GUESTS, Workspace};
use crate::{databases, process, python, setup, sites, tidy, vulkan, wheel};

/// `cargo xtask test --help`.
pub(crate) const HELP: &str = "\
Sets up what is missing, then: format, lints, architecture, all tests of the workspace, the native tests of the
workspaces for wasm32, flowc without any Cargo feature, the tests of the Python SDK, and the wheel in a fresh environment. It goes on
after a failure, and ends with a list of what passed and failed.

Usage: cargo xtask test [--long]

  --long   200 kills instead of a few, big inputs (sets FLOWC_LONG=1 and FLOWC_KILLS=200), encrypted connections to brokers, and
           each Cargo feature alone
";

/// Runs everything; fails if anything failed.
pub(crate) fn run(workspace: &Workspace, long: bool) -> Result<()> {
    setup::targets(workspace)?;
    setup::tools(workspace)?;
    let uv = python::uv(workspace)?;
    let engine = Engine::find(workspace)?;
    let broker = Broker::start(workspace)?;
    let vulkan = vulkan::program(workspace)?;
    let databases = databases::variables(workspace)?;
    setup::add_targets(workspace, &[&sites::target()])?;
    let mut outcomes = vec![
        ("tidy".to_owned(), tidy::run(workspace)),
        ("program of pipelines/sites".to_owned(), sites::build(workspace)),
    ];
    let python =
        python::commands(workspace, &uv).into_iter().map(|(name, command)| Check::new(name, process::run, command));
    for Check { name, run, mut command } in checks(workspace, long)?.into_iter().chain(python) {
        command.env("FLOWC_UV", &uv).env("DOCKER_HOST", &engine.host).env("FLOWC_VULKAN", &vulkan);
        command.envs(broker.variables()).envs(databases.clone());
        if long {
            command.env("FLOWC_LONG", "1").env("FLOWC_KILLS", "200");
        }
        outcomes.push((name, run(&mut command)));
    }
    outcomes.push(("wheel".to_owned(), wheel::test(workspace, &uv)));
    summary(&outcomes)
}

/// Runs a command, and finds out whether all is well.
type Run = fn(&mut Command) -> Result<()>;

/// Something that must hold, and what finds out.
struct Check {
    name: String,
    run: Run,
    command: Command,
}

impl Check {
    fn new(name: String, run: Run, command: Command) -> Self {
        Self { name, run, command }
    }
}

/// The checks of the workspaces. Lints come with the compiling of the tests, which then run.
fn checks(workspace: &Workspace, long: bool) -> Result<Vec<Check>> {
    const FORMAT: [&str; 3] = ["fmt", "--all", "--check"];
    const COMPILE: [&str; 5] = ["test", "--release", "--locked", "--workspace", "--no-run"];
    const TEST: [&str; 5] = ["test", "--release", "--locked", "--workspace", "--no-fail-fast"];
    let mut checks = Vec::new();
    let mut add = |name: &str, folder: &str, run: Run, mut command: Command, arguments: &[&str]| {
        command.args(arguments);
        checks.push(Check::new(format!("{name} {folder}").trim_end().to_owned(), run, command));
    };
    let clippy = Clippy::find(workspace)?;
    let config = workspace.write_checks()?;
    let own = || {
        let mut cargo = clippy.compiles(workspace.cargo());
        cargo.arg("--config").arg(&config);
        cargo
    };
    let of_guest = |guest| clippy.compiles(workspace.guest_cargo(guest));
    add("format", "", process::run, workspace.cargo(), &FORMAT);
    GUESTS.into_iter().for_each(|guest| add("format", guest, process::run, workspace.guest_cargo(guest), &FORMAT));
    add("lints", "", lints::run, own(), &COMPILE);
    GUESTS.into_iter().for_each(|guest| add("lints", guest, lints::run, of_guest(guest), &COMPILE));
    add("tests", "", process::run_tests, own(), &TEST);
    GUESTS.into_iter().for_each(|guest| add("tests", guest, process::run_tests, of_guest(guest), &TEST));
    if long {
        // OpenSSL takes minutes to compile.
        let encrypted = ["--features", "flowc/kafka-tls", "--test", "kafka"];
        add("tests", "kafka-tls", process::run_tests, own(), &[&TEST[..], &encrypted].concat());
    }
    for features in feature_sets(long) {
        let check =
            ["check", "--release", "--locked", "--package", "flowc", "--no-default-features", "--features", features];
        add("features", features, lints::run, workspace.cargo(), &check);
    }
    Ok(checks)
}

/// Sets of features that flowc must compile with: none, and each alone. The default is what all tests are compiled with.
fn feature_sets(long: bool) -> Vec<&'static str> {
    let alone = [
        "avro",
        "containers",
        "databases",
        "delta",
        "flights",
        "gpu",
        "kafka",
        "objects",
        "otlp",
        "processes",
        "python",
        "rust",
        "serve",
        "sql",
        "wasi",
        "workers",
    ];
    [""].into_iter().chain(alone.into_iter().filter(|_| long)).collect()
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
