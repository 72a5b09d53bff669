//! The closing summary of a run: what became of each stage, and what the sinks hold.

use std::fmt::Write;
use std::time::Duration;

use flowc_executor::{AssertReport, Reason, RunReport, StageReport, StageStatus};
use flowc_planner::plan::OnFailure;
use flowc_planner::quantity::count;

use crate::reasons::because;
use crate::terminal::{Paint, harmless};

/// Above so many stages, those that were cached are only counted.
const ALL_SHOWN: usize = 50;

/// The reasons of so many stages are shown.
const REASONS_SHOWN: usize = 10;

/// In the order in which they are counted.
const STATES: [StageStatus; 5] =
    [StageStatus::Ran, StageStatus::Cached, StageStatus::Passthrough, StageStatus::Failed, StageStatus::Skipped];

/// The summary as lines.
pub(crate) fn text(report: &RunReport, took: Duration, paint: Paint) -> String {
    let shown = shown(&report.stages);
    let mut text = table(&shown, paint);
    let hidden = report.stages.len() - shown.len();
    if hidden > 0 {
        let more = format!("and {}, all cached or passthrough", count(hidden, "more stage"));
        let _ = writeln!(text, "{}", paint.dim(&more));
    }
    text.push_str(&reasons(&report.stages, paint));
    text.push_str(&asserts(&report.asserts, paint));
    let _ = writeln!(text, "{}", closing(report, took, paint));
    text
}

/// Why stages ran, where something changed: that they never ran before needs no line. The most telling reason of each.
fn reasons(stages: &[StageReport], paint: Paint) -> String {
    let telling = stages.iter().filter(|stage| stage.reasons.first().is_some_and(|first| *first != Reason::NeverRan));
    let told: Vec<&StageReport> = telling.collect();
    let mut text = String::new();
    for stage in told.iter().take(REASONS_SHOWN) {
        let more = match stage.reasons.len() - 1 {
            0 => String::new(),
            more => format!(", and {}", count(more, "more reason")),
        };
        let line = format!("{} ran because {}{more}", stage.name, because(&stage.reasons[0]));
        let _ = writeln!(text, "{}", paint.dim(&harmless(&line)));
    }
    if let Some(more) = told.len().checked_sub(REASONS_SHOWN).filter(|more| *more > 0) {
        let line = format!("and {}: `flowc why STAGE` says why each ran", count(more, "more stage"));
        let _ = writeln!(text, "{}", paint.dim(&line));
    }
    text
}

/// The asserts that have rows: those that have none are counted.
fn asserts(asserts: &[AssertReport], paint: Paint) -> String {
    let broken = asserts.iter().filter(|assert| assert.rows > 0);
    let line = |AssertReport { name, rows, on_failure }: &AssertReport| {
        let rows = count(*rows, "row");
        let told = harmless(&format!("assert {name}: {rows}"));
        match on_failure {
            OnFailure::Fail => paint.red(&format!("{told}, failed")),
            OnFailure::Warn => paint.yellow(&format!("{told}, warned")),
            OnFailure::Stream => told,
        }
    };
    broken.map(|assert| line(assert) + "\n").collect()
}

fn shown(stages: &[StageReport]) -> Vec<&StageReport> {
    let all = stages.len() <= ALL_SHOWN;
    stages.iter().filter(|stage| all || !is_quiet(stage.status)).collect()
}

/// Whether nothing was to be done for a stage.
fn is_quiet(status: StageStatus) -> bool {
    matches!(status, StageStatus::Cached | StageStatus::Passthrough)
}

fn table(stages: &[&StageReport], paint: Paint) -> String {
    let width = stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = String::new();
    if !stages.is_empty() {
        let head = format!(
            "{:width$}  {:11}  {:>9}  {:>9}  {:>12}  {:>9}",
            "stage", "status", "ran", "cached", "rows", "seconds"
        );
        let _ = writeln!(text, "{}", paint.bold(&head));
    }
    for stage in stages {
        let status = colored(stage.status, paint);
        let (ran, cached) = (stage.segments_ran, stage.segments_cached);
        let (name, rows, seconds) = (&stage.name, stage.rows_out, stage.seconds);
        let _ = writeln!(text, "{name:width$}  {status}  {ran:>9}  {cached:>9}  {rows:>12}  {seconds:>9.3}");
    }
    text
}

fn colored(status: StageStatus, paint: Paint) -> String {
    let padded = format!("{:11}", word(status));
    match status {
        StageStatus::Ran => paint.green(&padded),
        StageStatus::Cached | StageStatus::Passthrough => paint.dim(&padded),
        StageStatus::Failed => paint.red(&padded),
        StageStatus::Skipped => paint.yellow(&padded),
    }
}

fn word(status: StageStatus) -> &'static str {
    match status {
        StageStatus::Ran => "ran",
        StageStatus::Cached => "cached",
        StageStatus::Passthrough => "passthrough",
        StageStatus::Failed => "failed",
        StageStatus::Skipped => "skipped",
    }
}

/// `3 stages: 1 ran, 2 cached; 1 sink; 0.12 s`.
fn closing(report: &RunReport, took: Duration, paint: Paint) -> String {
    let of = |status| report.stages.iter().filter(|stage| stage.status == status).count();
    let parts = STATES.into_iter().filter(|status| of(*status) > 0);
    let parts: Vec<String> = parts.map(|status| format!("{} {}", of(status), word(status))).collect();
    let stages = count(report.stages.len(), "stage");
    let states = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let sinks = count(report.outputs.len(), "sink");
    paint.bold(&format!("{stages}{states}; {}{sinks}; {:.2} s", rules(&report.asserts), took.as_secs_f64()))
}

/// `2 asserts: 1 holds, 1 broken; `, if there are some.
fn rules(asserts: &[AssertReport]) -> String {
    let broken = asserts.iter().filter(|assert| assert.rows > 0).count();
    let held = asserts.len() - broken;
    let parts = [(held, "passed"), (broken, "broken")].into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    match asserts.len() {
        0 => String::new(),
        all => format!("{}: {}; ", count(all, "assert"), parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use flowc_executor::OutputReport;
    use flowc_planner::key::{ContentDigest, PlanHash};

    use super::*;

    fn stage(name: &str, status: StageStatus) -> StageReport {
        let reasons = vec![];
        StageReport {
            name: name.into(),
            status,
            segments_ran: 1,
            segments_cached: 2,
            rows_out: 30,
            seconds: 0.5,
            reasons,
        }
    }

    fn report(stages: Vec<StageReport>) -> RunReport {
        let outputs = vec![OutputReport {
            name: "top".into(),
            stream: "top".into(),
            digest: ContentDigest::new([1; 32]),
            rows: 30,
        }];
        RunReport { plan: PlanHash::new([0; 32]), stages, outputs, streams: vec![], asserts: vec![] }
    }

    #[test]
    fn each_stage_has_a_line() {
        let report = report(vec![stage("words", StageStatus::Ran), stage("count", StageStatus::Cached)]);
        let expected = "\
stage  status             ran     cached          rows    seconds
words  ran                  1          2            30      0.500
count  cached               1          2            30      0.500
2 stages: 1 ran, 1 cached; 1 sink; 1.25 s
";
        assert_eq!(text(&report, Duration::from_millis(1250), Paint::PLAIN), expected);
    }

    #[test]
    fn why_stages_ran_is_told_briefly() {
        let mut words = stage("words", StageStatus::Ran);
        words.reasons = vec![Reason::Evicted, Reason::Upstream { stage: "lines".into() }];
        let mut count = stage("count", StageStatus::Ran);
        count.reasons = vec![Reason::NeverRan];
        let text = text(&report(vec![words.clone(), count]), Duration::ZERO, Paint::PLAIN);
        let told: Vec<&str> = text.lines().filter(|line| line.contains("because")).collect();
        assert_eq!(told, ["words ran because `flowc store gc` removed its results, and 1 more reason"]);
        let many = report(vec![words; 12]);
        let text = super::text(&many, Duration::ZERO, Paint::PLAIN);
        assert!(text.contains("and 2 more stages: `flowc why STAGE` says why each ran"), "{text}");
    }

    #[test]
    fn of_many_stages_the_cached_ones_are_counted() {
        let mut stages: Vec<_> = (0..60).map(|i| stage(&format!("s{i}"), StageStatus::Cached)).collect();
        stages[7].status = StageStatus::Failed;
        let text = text(&report(stages), Duration::ZERO, Paint::PLAIN);
        assert!(text.contains("s7 ") && text.contains("and 59 more stages, all cached or passthrough"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }
}
