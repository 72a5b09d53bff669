//! `flowc log STAGE`: what a stage logged when it last ran.

use flowc_executor::LogLine;
use serde_json::json;

use super::{Context, printed};
use crate::args::LogArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal::{self, Paint, harmless};

pub(super) fn run(args: &LogArgs, context: &Context) -> Result<Exit, Failure> {
    let lines = context.session(&args.pipeline, false)?.log(&args.stage)?;
    if lines.is_empty() && !args.json {
        return printed(&format!("{} logged nothing\n", args.stage));
    }
    let show = if args.json { json_line } else { text_line };
    let paint = terminal::stdout_paint();
    printed(&lines.iter().map(|line| show(line, paint)).collect::<String>())
}

fn json_line(line: &LogLine, _: Paint) -> String {
    let LogLine { segment, level, message } = line;
    format!("{}\n", json!({ "segment": segment, "level": level, "message": message }))
}

fn text_line(line: &LogLine, paint: Paint) -> String {
    let level = match line.level.as_str() {
        "error" => paint.red("error"),
        "warn" => paint.yellow("warn"),
        other => paint.dim(&harmless(other)),
    };
    format!("segment {} {level} {}\n", line.segment, harmless(&line.message))
}
