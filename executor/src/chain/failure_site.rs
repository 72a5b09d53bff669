//! Finds the segment and rows of its input at which a stage failed.

use flowc_demand::{Task, Work, time_text};
use flowc_planner::plan::{Producer, Stage, StreamId};
use flowc_runner::StageError;

use crate::error::{FailureSite, WorkItem};
use crate::inputs::read::Reading;

/// The segment and rows that the failed stage of a task was given last.
pub(crate) fn failure_site(error: &StageError, task: &Task, reading: &Reading<'_>) -> FailureSite {
    let plan = reading.locator.plan;
    let Some(stage) = plan.stages.iter().find(|stage| stage.name == error.stage) else { return FailureSite::default() };
    let (number, driving) = match task.id.work {
        Work::Segment(number) => (number, stage.driving().map(|(_, input)| input)),
        Work::Slices(segment) => (segment, stage.inputs.first()),
        Work::Merge { .. } | Work::Finish => return FailureSite::default(),
    };
    let item = match driving {
        Some(input) => {
            let stream = plan.stream(input.stream).name.clone();
            match file(reading, input.stream, number) {
                Some((file, segment)) => WorkItem::OfFile { segment, file: file.to_owned(), stream },
                None => WorkItem::OfStream { segment: number, stream },
            }
        }
        None if stage.window().is_some_and(|window| !window.is_made_by_rows()) => {
            let windows = reading.locator.datasets.windows.get(&task.id.stage);
            WorkItem::Window(windows.map_or_else(String::new, |windows| time_text(windows[number].start)))
        }
        None if is_keyed(stage) => WorkItem::Group(number),
        None => WorkItem::Part(number),
    };
    let rows = error.rows.as_ref().and_then(|rows| {
        let input = stage.inputs.get(rows.port)?;
        Some((plan.stream(input.stream).name.clone(), rows.rows.clone()))
    });
    FailureSite { item: Some(item), rows }
}

fn is_keyed(stage: &Stage) -> bool {
    stage.inputs.iter().any(|input| input.key.is_some() || input.window.is_some())
}

/// The file behind a segment, and the segment's number there. A stage gives one segment for each that drives it, so that
/// they are numbered alike.
fn file<'a>(reading: &Reading<'a>, mut stream: StreamId, number: usize) -> Option<(&'a str, u32)> {
    let (plan, inventory) = (reading.locator.plan, reading.locator.lookup.inventory);
    loop {
        match plan.stream(stream).producer {
            Producer::Source { source } | Producer::Rejects { source } => {
                let of = inventory.sources.get(&source)?;
                let segment = of.segments.get(number)?;
                let name = match reading.fresh {
                    Some(fresh) if fresh.source == source => fresh.file,
                    _ => of.files.get(segment.file)?.name(),
                };
                return Some((name, segment.scan.raw.ordinal));
            }
            Producer::Stage { stage, .. } if plan.stages[stage].is_combining() => return None,
            Producer::Stage { stage, .. } => stream = plan.stages[stage].driving()?.1.stream,
        }
    }
}
