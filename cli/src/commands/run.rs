//! `flowc run`: does what is to be done.

use std::sync::Arc;

use flowc_executor::{Cancel, RunRequest};

use super::Context;
use crate::args::RunArgs;
use crate::ending::Ending;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::{Mode, Progress};
use crate::report::Failure;

pub(super) fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    let mode = args.mode();
    let session = Arc::new(context.session(&args.pipeline, args.update)?);
    let request = args.request();
    let progress = Arc::new(Progress::new(mode));
    let cancel = Cancel::new();
    let ending = Arc::new(Ending::new(mode, Arc::clone(&progress)));
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
