//! `flowc run`: does what is to be done.

use std::sync::Arc;

use flowc_executor::{Cancel, RunRequest, Session, run_if_up_to_date};

use super::Context;
use crate::args::RunArgs;
use crate::ending::Ending;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::{Mode, Progress};
use crate::report::Failure;
use crate::telemetry;

pub(super) fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    let mode = args.mode();
    let options = context.options(args.pipeline.file.as_deref(), &args.pipeline.settings, args.update)?;
    let request = args.request();
    let progress = Arc::new(Progress::new(mode));
    let cancel = Cancel::new();
    let ending = Arc::new(Ending::new(mode, Arc::clone(&progress)));
    // `flowc` has looked already, unless spans are to tell of it.
    if telemetry::is_wanted(&context.env)
        && let Some(report) = run_if_up_to_date(&options, &request, &*progress)
    {
        return Ok(ending.close(Ok(report)));
    }
    let session = Arc::new(Session::new(options));
    interrupt::install(Arc::downgrade(&session), cancel.clone(), Arc::clone(&ending));
    Ok(ending.close(session.run(&request, progress, cancel)))
}

impl RunArgs {
    /// How the run is shown.
    pub(crate) fn mode(&self) -> Mode {
        match (self.json, self.quiet) {
            (true, _) => Mode::Json,
            (_, true) => Mode::Quiet,
            _ => Mode::People,
        }
    }

    /// What is asked for.
    pub(crate) fn request(self) -> RunRequest {
        let stdout_taken = self.mode() == Mode::Json;
        RunRequest { keep_going: self.keep_going, stdout_taken, ..RunRequest::from(self.stages) }
    }
}
