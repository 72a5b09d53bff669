//! In place of `flowc serve`, in a flowc that was built without the feature `serve`.

use super::Context;
use crate::args::ServeArgs;
use crate::exit::Exit;
use crate::report::Failure;

/// # Errors
/// Always.
pub(super) fn run(args: &ServeArgs, _: &Context) -> Result<Exit, Failure> {
    let listen = &args.listen;
    Err(Failure::command(format!("nothing is served at {listen}: this flowc was built without the feature `serve`")))
}
