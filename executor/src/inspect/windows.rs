//! The windows of a stage: which files have rows of them, and whether their results are there.

use flowc_demand::{WindowPart, parse_time, stage_named, time_text};

use crate::Error;
use crate::inspect::status_query::StatusQuery;

/// A window of a stage.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WindowStatus {
    /// Where it begins.
    pub start: String,
    /// Where it ends.
    pub end: String,
    /// The files that have rows of it.
    pub files: Vec<String>,
    /// Whether a run would take its results from the store.
    #[serde(rename = "cached")]
    pub is_cached: bool,
}

impl StatusQuery<'_> {
    /// The windows of a stage that a time is in.
    ///
    /// # Errors
    /// If there is no such stage, it has no windows that are known, or none of the time.
    pub(crate) fn windows(&self, stage: &str, time: &str) -> Result<Vec<WindowStatus>, Error> {
        let index = stage_named(self.plan(), stage).map_err(|error| Error::Request(error.to_string()))?;
        let found = windows_of(self.plan(), self.datasets(), index, time)?;
        found.into_iter().map(|(number, part)| self.window(index, number, part)).collect()
    }

    fn window(&self, stage: usize, number: usize, part: &WindowPart) -> Result<WindowStatus, Error> {
        let (plan, locator) = (self.plan(), self.locator());
        let mut files: Vec<String> = Vec::new();
        for (input, segments) in plan.stages[stage].inputs.iter().zip(&part.segments) {
            let Some(source) = locator.lineage.file(input.stream) else { continue };
            let of = locator.lookup.inventory.source(source);
            for &segment in segments {
                let name = of.files[of.segments[segment].file].name();
                if files.last().is_none_or(|last| last != name) {
                    files.push(name.to_owned());
                }
            }
        }
        let mut is_cached = true;
        for output in &plan.stages[stage].outputs {
            let all: Vec<usize> = (0..output.columns.len()).collect();
            is_cached &= locator.locate(output.stream, number, &all)?.iter().all(Option::is_some);
        }
        Ok(WindowStatus { start: time_text(part.start), end: time_text(part.end), files, is_cached })
    }
}

/// The windows of a stage that a time is in, with their numbers.
///
/// # Errors
/// If which windows there are is not known, or there are none of the time.
pub(crate) fn windows_of<'d>(
    plan: &flowc_planner::plan::Plan,
    datasets: &'d flowc_demand::Datasets,
    stage: usize,
    time: &str,
) -> Result<Vec<(usize, &'d WindowPart)>, Error> {
    let of = &plan.stages[stage];
    let name = &of.name;
    let refused = |message: String| Err(Error::Request(message));
    let Some(at) = parse_time(time) else {
        return refused(format!("`{time}` is no time; write it as 2024-03-01T12:00, in UTC or with an offset"));
    };
    match of.window() {
        None => return refused(format!("the stage `{name}` has no windows")),
        Some(window) if window.is_made_by_rows() => {
            return refused(format!(
                "the windows of the stage `{name}` are known by their rows alone; `flowc show {name}` shows them"
            ));
        }
        Some(_) => {}
    }
    let Some(windows) = datasets.windows.get(&stage) else {
        return refused(format!("the windows of the stage `{name}` are not known yet; run the pipeline first"));
    };
    let found: Vec<_> = windows.iter().enumerate().filter(|(_, part)| (part.start..part.end).contains(&at)).collect();
    match (found.is_empty(), windows.first(), windows.last()) {
        (false, ..) => Ok(found),
        (true, Some(first), Some(last)) => refused(format!(
            "no rows are in a window of the stage `{name}` at {}; its windows go from {} to {}",
            time_text(at),
            time_text(first.start),
            time_text(last.end)
        )),
        _ => refused(format!("the stage `{name}` has no windows with rows")),
    }
}
