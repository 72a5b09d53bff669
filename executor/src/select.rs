//! What a request is about, and why it makes stages run.

use flowc_demand::{Selection, UnknownStage};
use flowc_planner::plan::Plan;

use crate::{Error, Reason, RunRequest};

/// The part of a plan that a request is about.
///
/// # Errors
/// If there is no stage of a name, or a sink of the request prints where something else is printed.
pub(crate) fn select(plan: &Plan, request: &RunRequest) -> Result<Selection, Error> {
    let selection = Selection::new(plan, &request.stages())?;
    let prints = |sink: &&usize| plan.sinks[**sink].spec.is_printed();
    match selection.sinks.iter().find(prints) {
        Some(&sink) if request.stdout_taken => Err(stdout_taken(&plan.sinks[sink].name)),
        _ => Ok(selection),
    }
}

/// Why a request makes a stage run, if it does so by the stage's name.
pub(crate) fn reasons_of_request(selection: &Selection, stage: usize) -> Vec<Reason> {
    let forced = selection.named.contains(&stage).then_some(Reason::Forced);
    let verified = selection.verified.contains(&stage).then_some(Reason::Verified);
    forced.into_iter().chain(verified).collect()
}

fn stdout_taken(sink: &str) -> Error {
    Error::Request(format!(
        "the sink `{sink}` prints rows to standard output, where --json prints events; give it a `file`, or run without \
         --json"
    ))
}

impl From<UnknownStage> for Error {
    fn from(unknown: UnknownStage) -> Self {
        Self::Request(unknown.to_string())
    }
}
