//! `flowc why STAGE`: why a stage would run again, and why it ran.

use super::{Context, printed, printed_json, status_text};
use crate::args::WhyArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(args: &WhyArgs, context: &Context) -> Result<Exit, Failure> {
    let why = context.session(&args.pipeline, false)?.why(&args.stage)?;
    if args.json {
        return printed_json(&why);
    }
    let paint = terminal::stdout_paint();
    let ran = why.ran.as_ref().map_or_else(String::new, |ran| status_text::ran(ran, paint));
    printed(&format!("{}{ran}", status_text::outlook(&why.next, paint)))
}
