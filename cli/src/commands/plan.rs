//! `flowc plan`: what a run would do, and why.

use flowc_planner::render;
use serde_json::json;

use super::{Context, planned, printed, printed_json, status_text};
use crate::args::PlanArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(args: &PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.session(&args.pipeline, false)?;
    let planned = planned(&session)?;
    let status = session.status(&planned, &args.stages.clone().into())?;
    if args.json {
        return printed_json(&json!({
            "plan": planned.plan,
            "hash": planned.hash,
            "units": planned.units,
            "status": status,
            "lock_changes": planned.lock_changes,
        }));
    }
    let paint = terminal::stdout_paint();
    let mut text = status_text::plan(&render::plan_text(&planned.plan, &planned.units), paint);
    text.push('\n');
    if args.explain {
        session.explain(&planned)?.iter().for_each(|(stage, work)| text.push_str(&explained(stage, work)));
    }
    text.push_str(&status_text::status(&status, &planned.lock_changes, paint));
    printed(&text)
}

/// How a stage works, indented below its name.
fn explained(stage: &str, work: &str) -> String {
    let lines = work.lines().map(|line| format!("    {line}\n"));
    terminal::harmless(&format!("query {stage}\n{}\n", lines.collect::<String>()))
}
