//! `flowc worker`: executes components for runs on other hosts.

use flowc_executor::{Worker, WorkerError};
use serde_json::json;

use crate::args::WorkerArgs;
use crate::exit::{self, Exit};
use crate::interrupt;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(args: &WorkerArgs) -> Result<Exit, Failure> {
    // Before there is a file to be removed.
    let ended = interrupt::signal()?;
    let failed = |error: WorkerError| match error {
        // The address was typed.
        WorkerError::Listen { .. } | WorkerError::Unspecified(_) => {
            Failure::command(format!("the worker does not run: {error}"))
        }
        refused => Failure::system("the worker does not run")(refused),
    };
    let worker = Worker::listen(&args.listen, &args.credentials).map_err(failed)?;
    let (address, credentials) = (worker.address(), args.credentials.display().to_string());
    terminal::print(&match args.json {
        true => format!("{}\n", json!({"address": address, "credentials": credentials})),
        false => format!("listening at {address}; credentials in {credentials}\n"),
    })?;
    worker.serve(ended).map_err(failed)?;
    Ok(exit::OK)
}
