//! What is said of a stage whose results are further from others than they may be.

use flowc_planner::plan::{NUMBERS, Rows, Stage};

use crate::run::distance::{Distance, Nearness, RowPlace};
use crate::{Error, FailureSite, Other};

/// Whether a stage picks rows of its input.
pub(crate) fn picks(stage: &Stage) -> bool {
    stage.outputs.first().is_some_and(|output| matches!(output.rows, Rows::Subset { .. }))
}

/// The mistake, where columns of a stage are too far from another result; without a column, the rows that it keeps.
pub(crate) fn too_far(stage: &Stage, other: &Other, found: &[(Option<&str>, Distance)]) -> Option<Error> {
    let broken: Vec<_> = found.iter().filter(|(_, distance)| distance.broken > 0).collect();
    let what = |(column, distance): &&(Option<&str>, Distance)| {
        let RowPlace { segment, row } = distance.first.unwrap_or_default();
        let (broken, rows, row) = (distance.broken, distance.rows, row + 1);
        let far = distance.largest.map_or_else(String::new, |(far, _)| format!(", by up to {far:e}"));
        let what = match column {
            Some(column) => format!("`{column}` differs in {broken} of {rows} rows{far}"),
            // Devices are given the rows in the same order.
            None if matches!(other, Other::Stage(_)) => {
                format!("{broken} of the {rows} rows that either keeps are not kept by both, or in another order")
            }
            None => format!("{broken} of the {rows} rows that either keeps are not kept by both"),
        };
        format!("{what}; the first is row {row} of segment {segment}")
    };
    let whats: Vec<String> = broken.iter().map(what).collect();
    let is_of_numbers = broken.iter().any(|(column, _)| column.is_some());
    match &whats[..] {
        [] => None,
        _ if is_of_numbers => Some(unlike(stage, other, &whats.join("; "))),
        _ => Some(failed(stage, other, &whats.join("; "), "both have to keep the same rows")),
    }
}

/// The mistake, where something of a stage is unlike another result.
pub(crate) fn unlike(stage: &Stage, other: &Other, what: &str) -> Error {
    let demanded = match Nearness::of(stage) {
        Nearness::Bits => "its numbers are the same everywhere".to_owned(),
        Nearness::Within(_) => format!("its numbers are {}", stage.runner.get(NUMBERS).map_or("", String::as_str)),
        Nearness::Any => "both have the same rows".to_owned(),
    };
    failed(stage, other, what, &demanded)
}

fn failed(stage: &Stage, other: &Other, what: &str, demanded: &str) -> Error {
    let place = Box::new(FailureSite { item: None, rows: None });
    let message = format!("compared with {other}, {what}, while {demanded}");
    Error::Stage { stage: stage.name.clone(), place, message }
}
