//! In place of `flowc worker`, in a flowc that was built without the feature `workers`.

use crate::args::WorkerArgs;
use crate::exit::Exit;
use crate::report::Failure;

/// # Errors
/// Always.
pub(super) fn run(args: &WorkerArgs) -> Result<Exit, Failure> {
    let WorkerArgs { listen, credentials, json: _ } = args;
    Err(Failure::command(format!(
        "no worker listens at {listen}, and {} is not written: this flowc was built without the feature `workers`",
        credentials.display()
    )))
}
