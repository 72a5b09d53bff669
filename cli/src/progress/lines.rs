//! Events as lines for people.

use std::time::{Duration, Instant};

use flowc_executor::{Event, IgnoredMember, Largest, Other, TimedBy};
use flowc_planner::LockChange;
use flowc_planner::quantity::count;

use crate::report;
use crate::terminal::{self, Paint, harmless};

/// Of each kind of line, so many are shown.
const SHOWN: usize = 20;
/// Of a file's members that no column takes, so many are named.
const SHOWN_MEMBERS: usize = 12;
/// Without a bar, a line says so often how far the work is.
const PULSE: Duration = Duration::from_secs(10);

/// Turns events into lines, and keeps long runs from flooding the screen.
pub(super) struct Lines {
    paint: Paint,
    /// Whether there is no bar to show what goes on.
    alone: bool,
    sinks: usize,
    bad_files: usize,
    ignoring_files: usize,
    tasks: usize,
    done: usize,
    last_pulse: Instant,
    devices: Option<Devices>,
}

/// What devices did in all.
struct Devices {
    nanoseconds: u64,
    /// Whether all of that was measured by devices.
    is_measured: bool,
    up: u64,
    down: u64,
}

impl Lines {
    /// `alone`: there is no bar.
    pub(super) fn new(alone: bool) -> Self {
        let paint = terminal::stderr_paint();
        Self {
            paint,
            alone,
            sinks: 0,
            bad_files: 0,
            ignoring_files: 0,
            tasks: 0,
            done: 0,
            last_pulse: Instant::now(),
            devices: None,
        }
    }

    /// The line of an event, if it deserves one.
    pub(super) fn of(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::BuildStarted { code } => Some(format!("building {}", harmless(code))),
            Event::BuildFinished { code, seconds } => Some(format!("built {} in {seconds:.1} s", harmless(code))),
            Event::CompileStarted { code } => self.alone.then(|| format!("compiling {}", harmless(code))),
            Event::Pinned { lock, pins } => Some(format!("{lock}: pinned {}", LockChange::summary(pins))),
            Event::BuildLog { message, .. } => self.alone.then(|| format!("  | {}", harmless(message))),
            Event::BadRows { source, file, rows } => self.bad_rows(source, file, *rows),
            Event::LateRows { stage, rows, stream, .. } => {
                let message = format!(
                    "stage `{stage}`: {} too late for its windows, or without a time, {} dropped; read `{stream}` to keep them",
                    count(*rows, "row"),
                    if *rows == 1 { "was" } else { "were" }
                );
                Some(report::warning(&harmless(&message), self.paint).trim_end().to_owned())
            }
            Event::IgnoredMembers { source, file, members, help } => self.ignored(source, file, members, help),
            Event::StageLog { stage, level, message } => log_line(stage, level, message),
            Event::SinkWritten { sink, files, files_in_all, rows } => self.sink(sink, (*files, *files_in_all), *rows),
            Event::SinkAppended { sink, records, rows } => self.appended(sink, *records, *rows),
            Event::Warning { message } => Some(report::warning(message, self.paint).trim_end().to_owned()),
            Event::WorkPlanned { tasks, .. } => self.planned(*tasks),
            Event::StageVerified { stage, segments: 0 } => {
                Some(format!("{stage}: nothing to verify, the store had no results of it"))
            }
            Event::StageVerified { stage, segments } => {
                Some(format!("{stage}: verified, the same results again over {}", count(*segments, "segment")))
            }
            Event::StageCompared { stage, other, column, rows, differing, largest, unaligned } => {
                let (all, column) = ([*rows, *differing, *unaligned], column.as_deref());
                Some(compared(stage, other, column, all, largest.as_ref()))
            }
            Event::SegmentRan { .. } | Event::SegmentUnchanged { .. } => self.pulse(),
            Event::DeviceUsed { nanoseconds, timed_by, bytes_up, bytes_down, .. } => {
                self.used(*nanoseconds, *timed_by, [*bytes_up, *bytes_down]);
                None
            }
            // Failures are told at the end, all of them, with what to do.
            Event::StageFailed { .. }
            | Event::Error(_)
            | Event::RunStarted { .. }
            | Event::FileRead { .. }
            | Event::TaskStarted { .. }
            | Event::TaskFailed { .. }
            | Event::RunFinished(_) => None,
        }
    }

    fn used(&mut self, nanoseconds: u64, timed_by: TimedBy, [up, down]: [u64; 2]) {
        let all = self.devices.get_or_insert(Devices { nanoseconds: 0, is_measured: true, up: 0, down: 0 });
        all.nanoseconds += nanoseconds;
        all.is_measured &= timed_by == TimedBy::Device;
        all.up += up;
        all.down += down;
    }

    /// What devices did in all, as a line; none where they did nothing.
    pub(super) fn devices(&self) -> Option<String> {
        let Devices { nanoseconds, is_measured, up, down } = self.devices.as_ref()?;
        let seconds = *nanoseconds as f64 / 1e9;
        let how = if *is_measured { "at work" } else { "at work or waited for" };
        let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
        Some(format!("gpu: {seconds:.3} s {how}, {:.1} MB up, {:.1} MB back", megabytes(up), megabytes(down)))
    }

    fn bad_rows(&mut self, source: &str, file: &str, rows: u64) -> Option<String> {
        self.bad_files += 1;
        let message = match self.bad_files {
            n if n <= SHOWN => format!("source `{source}`: {} in {file}", count(rows, "bad row")),
            n if n == SHOWN + 1 => "there are bad rows in more places".to_owned(),
            _ => return None,
        };
        Some(report::warning(&message, self.paint).trim_end().to_owned())
    }

    fn ignored(&mut self, source: &str, file: &str, members: &[IgnoredMember], help: &str) -> Option<String> {
        self.ignoring_files += 1;
        let message = match self.ignoring_files {
            n if n <= SHOWN => {
                let shown = members.iter().take(SHOWN_MEMBERS);
                let mut all: Vec<String> = shown
                    .map(|IgnoredMember { member, rows }| format!("`{member}` ({})", count(*rows, "row")))
                    .collect();
                if members.len() > SHOWN_MEMBERS {
                    all.push(format!("{} more", members.len() - SHOWN_MEMBERS));
                }
                format!("source `{source}`: {file} has members that no column takes: {}; {help}", all.join(", "))
            }
            n if n == SHOWN + 1 => "there are members that no column takes in more places".to_owned(),
            _ => return None,
        };
        Some(report::warning(&harmless(&message), self.paint).trim_end().to_owned())
    }

    fn sink(&mut self, sink: &str, (files, in_all): (usize, usize), rows: u64) -> Option<String> {
        if files == 0 {
            return None;
        }
        let of = if files < in_all { format!(" of {in_all}") } else { String::new() };
        let (files, rows) = (count(files, "file"), count(rows, "row"));
        self.wrote(format!("wrote {sink}: {files}{of}, {rows} in total"))
    }

    fn appended(&mut self, sink: &str, records: u64, rows: u64) -> Option<String> {
        if records == 0 {
            return None;
        }
        let (records, rows) = (count(records, "record"), count(rows, "row"));
        self.wrote(format!("wrote {sink}: {records} sent, {rows} in total"))
    }

    fn wrote(&mut self, line: String) -> Option<String> {
        self.sinks += 1;
        match self.sinks {
            n if n <= SHOWN => Some(line),
            n if n == SHOWN + 1 => Some("more sinks are written".to_owned()),
            _ => None,
        }
    }

    fn planned(&mut self, tasks: usize) -> Option<String> {
        self.tasks = tasks;
        None
    }

    fn pulse(&mut self) -> Option<String> {
        self.done += 1;
        if !self.alone || self.done >= self.tasks || self.last_pulse.elapsed() < PULSE {
            return None;
        }
        self.last_pulse = Instant::now();
        Some(format!("{} of {} steps done", self.done, self.tasks))
    }
}

/// How far results are from others of the same rows.
fn compared(
    stage: &str,
    other: &Other,
    column: Option<&str>,
    [compared, differing, unaligned]: [u64; 3],
    largest: Option<&Largest>,
) -> String {
    let (other, rows) = (harmless(&other.to_string()), count(compared, "row"));
    let which = "that can't be told apart by the columns that are passed on";
    if compared == 0 && unaligned > 0 {
        let what = column.map_or_else(|| "the kept rows are".to_owned(), |column| format!("`{column}` is"));
        return format!("{stage}: {what} not compared with {other}, for {} {which}", count(unaligned, "row"));
    }
    let unaligned = match unaligned {
        0 => String::new(),
        unaligned => format!("; without {} {which}", count(unaligned, "row")),
    };
    let Some(column) = column else {
        return match differing {
            0 => format!("{stage}: keeps the same rows as {other}, {rows}"),
            _ => format!("{stage}: keeps other rows than {other}, in {differing} of {rows}"),
        };
    };
    if differing == 0 {
        return format!("{stage}: `{column}` has the same bits as {other}, in {rows}{unaligned}");
    }
    let far = largest.map_or_else(String::new, |Largest { difference, segment, row }| {
        format!(", by {difference:e} at most (row {} of segment {segment})", row + 1)
    });
    format!("{stage}: `{column}` differs from {other} in {differing} of {rows}{far}{unaligned}")
}

fn log_line(stage: &str, level: &str, message: &str) -> Option<String> {
    matches!(level, "error" | "warn").then(|| format!("{stage}: {level}: {}", harmless(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink_written(rows: u64) -> Event {
        Event::SinkWritten { sink: "top".into(), files: 1, files_in_all: 1, rows }
    }

    #[test]
    fn of_a_folder_with_files_that_stayed_all_are_counted() {
        let event = Event::SinkWritten { sink: "days".into(), files: 2, files_in_all: 31, rows: 1 };
        let expected = "wrote days: 2 files of 31, 1 row in total";
        assert_eq!(Lines::new(true).of(&event).as_deref(), Some(expected));
        let none = Event::SinkWritten { sink: "days".into(), files: 0, files_in_all: 31, rows: 1 };
        assert_eq!(Lines::new(true).of(&none), None);
    }

    #[test]
    fn compilations_are_told_where_no_bar_tells_them() {
        let event = Event::CompileStarted { code: "std count@1".into() };
        assert_eq!(Lines::new(true).of(&event).as_deref(), Some("compiling std count@1"));
        assert_eq!(Lines::new(false).of(&event), None);
    }

    #[test]
    fn a_written_sink_has_a_line_and_ten_thousand_have_a_few() {
        let mut lines = Lines::new(true);
        assert_eq!(lines.of(&sink_written(1)).as_deref(), Some("wrote top: 1 file, 1 row in total"));
        let shown = (0..10_000).filter_map(|_| lines.of(&sink_written(2))).count();
        assert_eq!(shown, SHOWN);
    }

    #[test]
    fn devices_are_told_apart_by_the_largest_difference() {
        let of = |differing, largest| Event::StageCompared {
            stage: "a".into(),
            other: Other::Device("vulkan 1:2".into()),
            column: Some("s".into()),
            rows: 10,
            differing,
            largest,
            unaligned: 0,
        };
        let mut lines = Lines::new(true);
        assert_eq!(lines.of(&of(0, None)).as_deref(), Some("a: `s` has the same bits as vulkan 1:2, in 10 rows"));
        let largest = Largest { difference: 0.25, segment: 1, row: 6 };
        let expected = "a: `s` differs from vulkan 1:2 in 3 of 10 rows, by 2.5e-1 at most (row 7 of segment 1)";
        assert_eq!(lines.of(&of(3, Some(largest))).as_deref(), Some(expected));
        let kept = |differing| match of(differing, None) {
            Event::StageCompared { stage, other, rows, differing, largest, unaligned, .. } => {
                Event::StageCompared { stage, other, column: None, rows, differing, largest, unaligned }
            }
            other => other,
        };
        assert_eq!(lines.of(&kept(0)).as_deref(), Some("a: keeps the same rows as vulkan 1:2, 10 rows"));
        assert_eq!(lines.of(&kept(3)).as_deref(), Some("a: keeps other rows than vulkan 1:2, in 3 of 10 rows"));
        let other = Other::Device("vulkan 1:2".into());
        let some = compared("a", &other, Some("s"), [10, 0, 1], None);
        let which = "that can't be told apart by the columns that are passed on";
        assert_eq!(some, format!("a: `s` has the same bits as vulkan 1:2, in 10 rows; without 1 row {which}"));
        let none = compared("a", &other, Some("s"), [0, 0, 7], None);
        assert_eq!(none, format!("a: `s` is not compared with vulkan 1:2, for 7 rows {which}"));
    }

    #[test]
    fn what_devices_did_is_summed_up() {
        let used = |timed_by, bytes_up| Event::DeviceUsed {
            stage: "a".into(),
            segment: 0,
            device: "vulkan 1:2".into(),
            nanoseconds: 1_500_000,
            timed_by,
            bytes_up,
            bytes_down: 250_000,
        };
        let mut lines = Lines::new(true);
        assert_eq!(lines.devices(), None);
        assert_eq!(lines.of(&used(TimedBy::Device, 1_000_000)), None);
        assert_eq!(lines.devices().as_deref(), Some("gpu: 0.002 s at work, 1.0 MB up, 0.2 MB back"));
        lines.of(&used(TimedBy::Host, 0));
        assert_eq!(lines.devices().as_deref(), Some("gpu: 0.003 s at work or waited for, 1.0 MB up, 0.5 MB back"));
    }

    #[test]
    fn only_warnings_and_errors_of_stages_are_shown() {
        let log = |level: &str| Event::StageLog { stage: "a".into(), level: level.into(), message: "m\x07".into() };
        let mut lines = Lines::new(true);
        assert_eq!(lines.of(&log("warn")).as_deref(), Some("a: warn: m\\u{7}"));
        assert_eq!(lines.of(&log("info")), None);
    }
}
