//! `flowc why STAGE`: why a stage would run again, and why it ran.

use flowc_executor::{MadeOn, WindowStatus};
use flowc_planner::quantity::count;

use super::{Context, printed, printed_json, status_text};
use crate::args::WhyArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal::{self, harmless};

pub(super) fn run(args: &WhyArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(time) = &args.window {
        let windows = context.session(&args.pipeline, false)?.windows(&args.stage, time)?;
        if args.json {
            return printed_json(&windows);
        }
        return printed(&windows.iter().map(|window| window_line(&args.stage, window)).collect::<String>());
    }
    let why = context.session(&args.pipeline, false)?.why(&args.stage)?;
    if args.json {
        return printed_json(&why);
    }
    let paint = terminal::stdout_paint();
    let ran = why.ran.as_ref().map_or_else(String::new, |ran| status_text::ran(ran, paint));
    let made_on = why.made_on.iter().map(made_on).collect::<String>();
    printed(&format!("{}{ran}{made_on}", status_text::outlook(&why.next, paint)))
}

/// A device that made results, in a line.
fn made_on(MadeOn { device, segments }: &MadeOn) -> String {
    format!("  made on {}: {}\n", harmless(device), count(*segments, "segment"))
}

/// What is known of a window, in a line.
fn window_line(stage: &str, window: &WindowStatus) -> String {
    let WindowStatus { start, end, files, is_cached } = window;
    let state = if *is_cached { "cached" } else { "to run" };
    harmless(&format!("{stage} from {start} to {end}: {state}; rows from {}\n", files.join(", ")))
}
