//! `flowc why STAGE`: why a stage would run again.

use super::{Context, printed, printed_json, status_text};
use crate::args::WhyArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(args: &WhyArgs, context: &Context) -> Result<Exit, Failure> {
    let outlook = context.session(&args.pipeline, false)?.why(&args.stage)?;
    if args.json {
        return printed_json(&outlook);
    }
    printed(&status_text::outlook(&outlook, terminal::stdout_paint()))
}
