//! `flowc run`: does what is to be done.

use std::sync::Arc;
use std::time::Instant;

use flowc_executor::{Cancel, RunFailure, RunReport, RunRequest};

use super::Context;
use crate::args::RunArgs;
use crate::exit::{self, Exit};
use crate::progress::{Mode, Progress, print_json};
use crate::report::{self, Failure};
use crate::{interrupt, summary, terminal};

pub(super) fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    let mode = mode(&args);
    perform(args, mode, context).or_else(|failure| Ok(failed(&failure, mode)))
}

fn mode(args: &RunArgs) -> Mode {
    match (args.json, args.quiet) {
        (true, _) => Mode::Json,
        (_, true) => Mode::Quiet,
        _ => Mode::People,
    }
}

fn perform(args: RunArgs, mode: Mode, context: &Context) -> Result<Exit, Failure> {
    let session = Arc::new(context.session(&args.pipeline, args.update)?);
    let RunArgs { only, until, force, verify, keep_going, .. } = args;
    let request = RunRequest { only, until, force, verify, keep_going, stdout_taken: mode == Mode::Json };
    let progress = Arc::new(Progress::new(mode));
    let cancel = Cancel::new();
    interrupt::install(Arc::clone(&session), cancel.clone(), Arc::clone(&progress));
    let started = Instant::now();
    let outcome = session.run(&request, Arc::clone(&progress) as _, cancel);
    progress.clear();
    Ok(close(outcome, &Ending { mode, started, progress: &progress }))
}

/// What the end of a run needs to know.
struct Ending<'a> {
    mode: Mode,
    started: Instant,
    progress: &'a Progress,
}

fn close(outcome: Result<RunReport, RunFailure>, ending: &Ending<'_>) -> Exit {
    let (report, failure) = match outcome {
        Ok(report) => (Some(report), None),
        Err(RunFailure { errors, report }) => (report.map(|report| *report), Some(Failure::Run(errors))),
    };
    let exit = failure.map_or(exit::OK, |failure| failed(&failure, ending.mode));
    if let Some(report) = report {
        if ending.mode == Mode::People {
            terminal::eprint(&summary::text(&report, ending.started.elapsed(), terminal::stderr_paint()));
        }
        ending.progress.finish(report);
    }
    exit
}

/// Tells a failure: to people always, and as `error` events under `--json`.
fn failed(failure: &Failure, mode: Mode) -> Exit {
    if mode == Mode::Json {
        failure.events().iter().for_each(print_json);
    }
    report::show(failure)
}
