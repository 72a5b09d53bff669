//! Which windows there are, and which segments have rows of them: known from the times of the segments' rows before anything runs.
//!
//! Times are milliseconds since 1970 in UTC, rounded down: windows begin and end at whole ones. A *pane* is a stretch of time whose
//! rows are in the same windows.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use flowc_planner::key::{KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{CalendarUnit, KeyGroups, Window, WindowKind};

mod slices;

pub use slices::{Layout, SegmentTimes, Slice};

/// Times further from 1970 than this are no times: about 250,000 years, as far as calendars reach.
const FURTHEST_MS: i64 = 8_000_000_000_000_000;
/// 1970-01-01 in days of the calendar's own count.
const DAYS_BEFORE_1970: i32 = 719_163;

/// The windows of a kind, by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'k> {
    kind: &'k WindowKind,
    zone: Tz,
}

/// A time that can be in a window, if it is one.
pub fn placeable(time_ms: i64) -> Option<i64> {
    (-FURTHEST_MS..=FURTHEST_MS).contains(&time_ms).then_some(time_ms)
}

/// A time as people and sources write it: `2024-03-01T12:00:00Z`.
pub fn time_text(time_ms: i64) -> String {
    let text = DateTime::from_timestamp_millis(time_ms).map(|time| time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string());
    text.unwrap_or_else(|| format!("{time_ms} ms"))
}

/// A time as people write it: `2024-03-01T12:00:00Z`. Seconds, minutes or the time of day may be left out; without an offset it is UTC.
pub fn parse_time(text: &str) -> Option<i64> {
    const FORMS: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let text = text.trim().replacen(' ', "T", 1);
    if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
        return Some(time.timestamp_millis());
    }
    let bare = text.strip_suffix('Z').unwrap_or(&text);
    let mut times = FORMS.iter().filter_map(|form| NaiveDateTime::parse_from_str(bare, form).ok());
    let day = || NaiveDate::parse_from_str(bare, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    times.next().or_else(day).map(|time| time.and_utc().timestamp_millis())
}

impl<'k> Grid<'k> {
    /// Those of a kind.
    pub fn new(kind: &'k WindowKind) -> Self {
        let zone = match kind {
            WindowKind::Calendar { zone, .. } => zone.parse().unwrap_or(Tz::UTC),
            WindowKind::Tumbling { .. }
            | WindowKind::Sliding { .. }
            | WindowKind::Session { .. }
            | WindowKind::Count { .. } => Tz::UTC,
        };
        Self { kind, zone }
    }

    /// The pane of a time.
    pub fn pane(&self, time_ms: i64) -> i64 {
        match self.kind {
            WindowKind::Tumbling { size_ms, offset_ms } => (time_ms - *offset_ms as i64).div_euclid(*size_ms as i64),
            WindowKind::Sliding { slide_ms, offset_ms, .. } => {
                (time_ms - *offset_ms as i64).div_euclid(*slide_ms as i64)
            }
            WindowKind::Calendar { unit, .. } => {
                let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default().with_timezone(&self.zone);
                number_of(*unit, time.date_naive())
            }
            // Which windows there are only the rows tell.
            WindowKind::Session { .. } | WindowKind::Count { .. } => 0,
        }
    }

    /// The windows that the rows of a pane are in.
    pub fn windows(&self, pane: i64) -> RangeInclusive<i64> {
        match self.kind {
            WindowKind::Sliding { size_ms, slide_ms, .. } => pane - (size_ms / slide_ms) as i64 + 1..=pane,
            _ => pane..=pane,
        }
    }

    /// The panes whose rows are in a window.
    pub(crate) fn panes(&self, window: i64) -> RangeInclusive<i64> {
        match self.kind {
            WindowKind::Sliding { size_ms, slide_ms, .. } => window..=window + (size_ms / slide_ms) as i64 - 1,
            _ => window..=window,
        }
    }

    /// The times that are in a pane.
    fn times(&self, pane: i64) -> Range<i64> {
        match self.kind {
            WindowKind::Session { .. } | WindowKind::Count { .. } => i64::MIN..i64::MAX,
            _ => self.start(pane)..self.start(pane + 1),
        }
    }

    /// Where a window begins.
    pub fn start(&self, window: i64) -> i64 {
        match self.kind {
            WindowKind::Tumbling { size_ms, offset_ms } => window * *size_ms as i64 + *offset_ms as i64,
            WindowKind::Sliding { slide_ms, offset_ms, .. } => window * *slide_ms as i64 + *offset_ms as i64,
            WindowKind::Calendar { unit, .. } => self.midnight(first_day(*unit, window)),
            WindowKind::Session { .. } | WindowKind::Count { .. } => window,
        }
    }

    /// Where a window ends: the first time after it.
    pub fn end(&self, window: i64) -> i64 {
        match self.kind {
            WindowKind::Tumbling { size_ms, .. } | WindowKind::Sliding { size_ms, .. } => {
                self.start(window) + *size_ms as i64
            }
            WindowKind::Calendar { .. } | WindowKind::Session { .. } | WindowKind::Count { .. } => {
                self.start(window + 1)
            }
        }
    }

    /// The windows that a row of this time is in, each with its end. A session that began with the row would end after the gap.
    pub fn of_row(&self, time_ms: i64) -> impl Iterator<Item = (i64, i64)> {
        let pane = self.pane(time_ms);
        self.windows(pane).map(move |window| match self.kind {
            WindowKind::Session { gap_ms, .. } => (window, time_ms + *gap_ms as i64),
            _ => (window, self.end(window)),
        })
    }

    /// The first moment of a day. Where clocks are put forward at midnight, the day begins later.
    fn midnight(&self, day: NaiveDate) -> i64 {
        let midnight = day.and_time(NaiveTime::MIN);
        let hours = (0..=48).map(|halves| midnight + TimeDelta::minutes(30 * halves));
        let mut there = hours.filter_map(|time| self.zone.from_local_datetime(&time).earliest());
        there.next().map_or_else(|| midnight.and_utc().timestamp_millis(), |time| time.timestamp_millis())
    }
}

fn number_of(unit: CalendarUnit, day: NaiveDate) -> i64 {
    let days = i64::from(day.num_days_from_ce() - DAYS_BEFORE_1970);
    match unit {
        CalendarUnit::Day => days,
        // 1970-01-01 was a Thursday.
        CalendarUnit::Week => (days + 3).div_euclid(7),
        CalendarUnit::Month => i64::from(day.year()) * 12 + i64::from(day.month0()),
    }
}

fn first_day(unit: CalendarUnit, number: i64) -> NaiveDate {
    let epoch = NaiveDate::default();
    let days_after = |days: i64| match days {
        0.. => epoch.checked_add_days(Days::new(days as u64)),
        _ => epoch.checked_sub_days(Days::new(days.unsigned_abs())),
    };
    let day = match unit {
        CalendarUnit::Day => days_after(number),
        CalendarUnit::Week => days_after(number * 7 - 3),
        CalendarUnit::Month => {
            let year = i32::try_from(number.div_euclid(12)).ok();
            year.and_then(|year| {
                NaiveDate::from_ymd_opt(year, 1, 1)?.checked_add_months(Months::new(number.rem_euclid(12) as u32))
            })
        }
    };
    day.unwrap_or(epoch)
}

/// A segment of a source, with its place among the rows of its partition. A file is a partition, and so are the blocks of one of a topic.
#[derive(Clone, Debug)]
pub struct SegmentClock {
    /// The name of its partition.
    pub partition: Arc<str>,
    /// The number of the segment's first row in the file; 0 in a topic, where rows have offsets.
    pub first_row: u64,
    /// The times of its rows.
    pub times: Arc<SegmentTimes>,
}

/// Where a segment begins in its partition: what decides, beside its own rows, which of them are late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The latest time of the rows before it.
    pub latest: Option<i64>,
    /// The partition's name.
    pub partition: Arc<str>,
    /// The number of its first row in the file; 0 in a topic.
    pub first_row: u64,
}

impl Beginning {
    /// The keys of a segment that begins there.
    pub fn placed(&self, keys: &SegmentKeys) -> SegmentKeys {
        let Self { latest, partition, first_row } = self;
        let mut hasher = KeyHasher::new("flowc segment in its partition 1");
        hasher.digest(keys.rows.as_bytes()).number(u64::from(latest.is_some())).number(latest.unwrap_or(0) as u64);
        hasher.bytes(partition.as_bytes()).number(*first_row);
        SegmentKeys { rows: RowsKey::new(hasher.finish()), columns: keys.columns.clone() }
    }
}

/// Where each segment of a source begins.
pub fn beginnings(clocks: &[SegmentClock]) -> Vec<Beginning> {
    let mut beginnings: Vec<Beginning> = Vec::new();
    let mut latest = None;
    for SegmentClock { partition, first_row, times } in clocks {
        if beginnings.last().is_some_and(|before| before.partition != *partition) {
            latest = None;
        }
        beginnings.push(Beginning { latest, partition: partition.clone(), first_row: *first_row });
        latest = latest.max(times.latest);
    }
    beginnings
}

/// A window of which there are rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPart {
    /// Its number in the [`Grid`].
    pub number: i64,
    /// Where it begins.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// Per input of the stage: the segments that have rows of it, ascending. Of an input without windows nothing.
    pub segments: Vec<Vec<usize>>,
}

/// The windows of inputs, in order. `inputs` has the segments of each that has windows.
///
/// A row is late for a window by the rows before it in its partition. If those before its segment make it late, they make all rows late
/// that the segment has of the window; else they change nothing. So which rows of a segment a window has follows from the segment
/// alone, and what is before it decides only whether the window has any.
pub(crate) fn windows(inputs: &[Option<(&Window, Vec<SegmentClock>)>]) -> Vec<WindowPart> {
    let mut parts: BTreeMap<i64, Vec<Vec<usize>>> = BTreeMap::new();
    let mut first = None;
    if let Some((window, clocks)) = inputs.iter().flatten().find(|(window, _)| window.is_made_by_rows()) {
        return groups_of_rows(window, clocks.len(), inputs);
    }
    for (input, (window, clocks)) in inputs.iter().enumerate().filter_map(|(input, of)| Some((input, of.as_ref()?))) {
        let grid = Grid::new(&window.kind);
        first.get_or_insert(grid);
        for (segment, (clock, beginning)) in clocks.iter().zip(beginnings(clocks)).enumerate() {
            for number in clock.times.windows(grid) {
                if !is_late(window, beginning.latest, || grid.end(number)) {
                    parts.entry(number).or_insert_with(|| vec![Vec::new(); inputs.len()])[input].push(segment);
                }
            }
        }
    }
    let Some(grid) = first else { return Vec::new() };
    let part = |(number, segments)| WindowPart { number, start: grid.start(number), end: grid.end(number), segments };
    parts.into_iter().map(part).collect()
}

/// The groups of keys whose windows are made by rows: each has rows of all segments, for all that is known.
fn groups_of_rows(
    window: &Window,
    segments: usize,
    inputs: &[Option<(&Window, Vec<SegmentClock>)>],
) -> Vec<WindowPart> {
    let of_input = |input: &Option<_>| if input.is_some() { (0..segments).collect() } else { Vec::new() };
    let group =
        |number| WindowPart { number, start: number, end: number, segments: inputs.iter().map(of_input).collect() };
    (0..groups_of_keys(window).groups as i64).map(group).collect()
}

/// How the rows of an input are grouped whose windows are made by rows.
pub fn groups_of_keys(window: &Window) -> KeyGroups {
    match window.by() {
        [] => KeyGroups { groups: 1, ..KeyGroups::new(Vec::new()) },
        by => KeyGroups::new(by.to_vec()),
    }
}

/// How many of the rows with these times are late for the first window that they are in, `latest` being the latest time before them in
/// their partition.
pub fn late_rows(window: &Window, mut latest: Option<i64>, times: impl Iterator<Item = i64>) -> u64 {
    let grid = Grid::new(&window.kind);
    let mut late = 0;
    for time in times {
        let end = grid.of_row(time).next().map(|(_, end)| end);
        late += u64::from(end.is_some_and(|end| is_late(window, latest, || end)));
        latest = latest.max(Some(time));
    }
    late
}

/// Whether a row is late for a window that ends there, `latest` being the latest time before it in its partition.
pub fn is_late(window: &Window, latest: Option<i64>, end: impl FnOnce() -> i64) -> bool {
    latest.is_some_and(|latest| latest >= end() + window.patience_ms())
}

#[cfg(test)]
mod tests;
