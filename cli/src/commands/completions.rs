//! `flowc completions SHELL`: a script that completes commands.

use clap::CommandFactory;

use super::printed;
use crate::args::{Args, CompletionsArgs};
use crate::exit::Exit;
use crate::report::Failure;

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "flowc", &mut script);
    printed(&String::from_utf8_lossy(&script))
}
