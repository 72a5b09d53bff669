//! The status of a plan as text: what a run would do, and why.

use std::fmt::Write;

use flowc_executor::{Reason, SinkOutlook, SinkStatus, SourceStatus, StageOutlook, StageRan, Status};
use flowc_planner::LockChange;
use flowc_planner::quantity::count;

use crate::reasons::{because, some_of};
use crate::terminal::{Paint, harmless};

/// So many reasons are given for a stage in a plan; `why` gives them all.
const REASONS: usize = 3;
/// Above so many parts, those with nothing to do are only counted.
const ALL_SHOWN: usize = 50;

/// The plan's own text, with its headings in bold.
pub(super) fn plan(text: &str, paint: Paint) -> String {
    let line = |line: &str| match line.is_empty() || line.starts_with(' ') {
        true => format!("{line}\n"),
        false => format!("{}\n", paint.bold(line)),
    };
    text.lines().map(line).collect()
}

/// The status of a whole plan. `+` is to be done, `=` stands, `?` is unknown until changed sources are read.
pub(super) fn status(status: &Status, pins: &[LockChange], paint: Paint) -> String {
    let parts = status.sources.len() + status.stages.len() + status.sinks.len();
    if parts == 0 {
        return "The pipeline is empty: a run would do nothing.\n".to_owned();
    }
    let all = parts <= ALL_SHOWN;
    let mut text = format!("{}\n", paint.bold("A run would do this (+ do, = nothing to do, ? known later):"));
    status.sources.iter().filter(|one| all || !one.to_read.is_empty()).for_each(|one| source(&mut text, one, paint));
    status.stages.iter().filter(|one| all || has_work(one)).for_each(|one| stage(&mut text, one, REASONS, paint));
    status
        .sinks
        .iter()
        .filter(|one| all || one.outlook != SinkOutlook::UpToDate)
        .for_each(|one| sink(&mut text, one, paint));
    for pin in pins {
        let _ = writeln!(text, "  {} lock: {}", paint.green("+"), harmless(&pin.to_string()));
    }
    let _ = writeln!(text, "\n{}", closing(status, paint));
    text
}

/// Everything about one stage.
pub(super) fn outlook(outlook: &StageOutlook, paint: Paint) -> String {
    let mut text = String::new();
    stage(&mut text, outlook, usize::MAX, paint);
    text
}

/// Why a stage ran when it last did.
pub(super) fn ran(ran: &StageRan, paint: Paint) -> String {
    let segments = count(ran.segments, "segment");
    let outcome = match (ran.failed, ran.segments) {
        (false, _) => format!("ran, over {segments}"),
        (true, 0) => "failed, before it finished a segment".to_owned(),
        (true, _) => format!("failed, after it finished {segments}"),
    };
    let mut text = format!("  last time it {outcome}\n");
    for reason in &ran.reasons {
        let _ = writeln!(text, "      {}", paint.dim(&format!("because {}", harmless(&because(reason)))));
    }
    text
}

fn has_work(outlook: &StageOutlook) -> bool {
    outlook.to_run > 0 || outlook.merges || outlook.unknown
}

fn mark(does: bool, unknown: bool, paint: Paint) -> String {
    match (does, unknown) {
        (true, _) => paint.green("+"),
        (_, true) => paint.yellow("?"),
        _ => paint.dim("="),
    }
}

fn source(text: &mut String, source: &SourceStatus, paint: Paint) {
    let mark = mark(!source.to_read.is_empty(), false, paint);
    let _ = write!(text, "  {mark} source {}: {}", source.name, count(source.files, source.part));
    if let Some(version) = source.version {
        let _ = write!(text, ", version {version}");
    }
    if !source.to_read.is_empty() {
        let _ = write!(text, ", {} to read: {}", source.to_read.len(), some_of(&source.to_read));
    }
    text.push('\n');
}

fn stage(text: &mut String, stage: &StageOutlook, reasons: usize, paint: Paint) {
    let mark = mark(stage.to_run > 0 || stage.merges, stage.unknown, paint);
    let _ = writeln!(text, "  {mark} stage {}: {}", stage.name, work(stage));
    for reason in stage.reasons.iter().take(reasons) {
        let _ = writeln!(text, "      {}", paint.dim(&format!("because {}", harmless(&because(reason)))));
    }
    if stage.reasons.len() > reasons {
        let more =
            format!("and {}: see `flowc why {}`", count(stage.reasons.len() - reasons, "more reason"), stage.name);
        let _ = writeln!(text, "      {}", paint.dim(&more));
    }
}

fn work(stage: &StageOutlook) -> String {
    let run = format!("{} to run", count(stage.to_run, "segment"));
    match (stage.to_run, stage.cached, stage.unknown) {
        _ if is_unneeded(stage) => "does not run".to_owned(),
        _ if stage.passthrough => "passthrough: what is needed of it are rows and columns of its inputs".to_owned(),
        (0, 0, true) => "unknown until the changed sources are read".to_owned(),
        (0, cached, true) => format!("{cached} cached, the rest is unknown until the changed sources are read"),
        (0, cached, false) if stage.merges => format!("{} cached, to combine again", count(cached, "segment")),
        (0, cached, false) => format!("{cached} cached"),
        (_, 0, false) => run,
        (_, cached, false) => format!("{run}, {cached} cached"),
        (_, cached, true) => format!("{run} at least, {cached} cached"),
    }
}

fn is_unneeded(stage: &StageOutlook) -> bool {
    stage.reasons == [Reason::Unneeded]
}

fn sink(text: &mut String, sink: &SinkStatus, paint: Paint) {
    let (does, words) = match sink.outlook {
        SinkOutlook::UpToDate => (false, "up to date"),
        SinkOutlook::Write => (true, "write"),
        SinkOutlook::Restore => (true, "restore from the store: it was deleted or altered"),
        SinkOutlook::Print => (true, "print"),
    };
    let _ = writeln!(text, "  {} sink {}: {words}", mark(does, false, paint), sink.name);
}

fn closing(status: &Status, paint: Paint) -> String {
    let run = status.stages.iter().filter(|stage| stage.to_run > 0 || stage.merges).count();
    let unknown = status.stages.iter().filter(|stage| stage.to_run == 0 && !stage.merges && stage.unknown).count();
    let passthrough = status.stages.iter().filter(|stage| stage.passthrough).count();
    let unneeded = status.stages.iter().filter(|stage| is_unneeded(stage)).count();
    let cached = status.stages.len() - run - unknown - passthrough - unneeded;
    let sinks = status.sinks.iter().filter(|sink| sink.outlook != SinkOutlook::UpToDate).count();
    let parts = [
        (run, "to run"),
        (unknown, "known later"),
        (cached, "cached"),
        (passthrough, "passthrough"),
        (unneeded, "not needed"),
    ];
    let stages = parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
    let stages = stages.collect::<Vec<_>>().join(", ");
    if run + unknown + sinks == 0 {
        let all = count(status.stages.len(), "stage");
        let told = if cached == status.stages.len() { format!("{all} cached") } else { format!("{all}: {stages}") };
        return paint.bold(&format!("Nothing to do: {told}."));
    }
    let colon = if stages.is_empty() { "" } else { ": " };
    let all = count(status.stages.len(), "stage");
    paint.bold(&format!("Plan: {all}{colon}{stages}; {} to write.", count(sinks, "sink")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook_of(to_run: usize, cached: usize, reasons: Vec<Reason>) -> StageOutlook {
        StageOutlook {
            name: "words".into(),
            to_run,
            merges: false,
            cached,
            passthrough: false,
            unknown: false,
            reasons,
        }
    }

    fn whole(stages: Vec<StageOutlook>) -> Status {
        let to_read = (0..7).map(|i| format!("data/{i}.txt")).collect();
        let sources =
            vec![SourceStatus { name: "text".into(), part: "file", files: 9, version: None, to_read, segments: 2 }];
        Status { sources, stages, sinks: vec![SinkStatus { name: "top".into(), outlook: SinkOutlook::Restore }] }
    }

    #[test]
    fn a_plans_headings_are_bold() {
        let text = "source a  a.csv\n    csv\n\nsink b\n";
        assert_eq!(plan(text, Paint::PLAIN), text);
        let bold = plan(text, Paint::BRIGHT);
        assert_eq!(bold, "\u{1b}[1msource a  a.csv\u{1b}[0m\n    csv\n\n\u{1b}[1msink b\u{1b}[0m\n");
    }

    #[test]
    fn a_plan_says_what_and_why() {
        let column = Reason::Column { input: "in".into(), column: "line".into(), segments: vec!["data/0.txt".into()] };
        let code = Reason::Code { before: "aa".into(), now: "bb".into(), parts: vec!["py/stage.py".into()] };
        let text = status(&whole(vec![outlook_of(1, 8, vec![code, column])]), &[], Paint::PLAIN);
        let expected = "\
A run would do this (+ do, = nothing to do, ? known later):
  + source text: 9 files, 7 to read: data/0.txt, data/1.txt, data/2.txt, data/3.txt, data/4.txt and 2 more
  + stage words: 1 segment to run, 8 cached
      because its code changed: py/stage.py
      because column `line` of input `in` differs in 1 segment: data/0.txt
  + sink top: restore from the store: it was deleted or altered

Plan: 1 stage: 1 to run; 1 sink to write.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn combining_anew_is_work_without_segments() {
        let combining = StageOutlook { merges: true, ..outlook_of(0, 3, vec![]) };
        assert_eq!(outlook(&combining, Paint::PLAIN), "  + stage words: 3 segments cached, to combine again\n");
        let text = status(&whole(vec![combining]), &[], Paint::PLAIN);
        assert!(text.ends_with("Plan: 1 stage: 1 to run; 1 sink to write.\n"), "{text}");
    }

    #[test]
    fn of_many_stages_only_those_with_work_are_shown() {
        let mut stages = vec![outlook_of(0, 3, vec![]); 100];
        stages[5].to_run = 1;
        let text = status(&whole(stages), &[], Paint::PLAIN);
        assert_eq!(text.matches("stage words").count(), 1, "{text}");
        assert!(text.ends_with("Plan: 100 stages: 1 to run, 99 cached; 1 sink to write.\n"), "{text}");
    }

    #[test]
    fn a_plan_says_when_there_is_nothing_to_do() {
        let mut standing = whole(vec![outlook_of(0, 3, vec![])]);
        standing.sinks[0].outlook = SinkOutlook::UpToDate;
        assert!(status(&standing, &[], Paint::PLAIN).ends_with("\nNothing to do: 1 stage cached.\n"));
        let empty = Status { sources: vec![], stages: vec![], sinks: vec![] };
        assert_eq!(status(&empty, &[], Paint::PLAIN), "The pipeline is empty: a run would do nothing.\n");
    }

    #[test]
    fn a_stage_that_failed_did_not_run_over_nothing() {
        let failed = |segments| ran(&StageRan { finished: 0, segments, failed: true, reasons: vec![] }, Paint::PLAIN);
        assert_eq!(failed(0), "  last time it failed, before it finished a segment\n");
        assert_eq!(failed(2), "  last time it failed, after it finished 2 segments\n");
    }

    #[test]
    fn why_gives_every_reason_and_a_plan_the_first() {
        let reasons: Vec<_> = (0..9).map(|i| Reason::Upstream { stage: format!("s{i}") }).collect();
        let one = outlook_of(1, 0, reasons);
        assert_eq!(outlook(&one, Paint::PLAIN).matches("because").count(), 9);
        let text = status(&whole(vec![one]), &[], Paint::PLAIN);
        assert!(text.contains("and 6 more reasons: see `flowc why words`"), "{text}");
    }
}
