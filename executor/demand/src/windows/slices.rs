//! What windows have in common of a segment. A combining stage makes a partial of each slice once, and a window merges those of its
//! slices: so the rows of sliding windows are taken in once, and not once for each window.
//!
//! What a stage combines may depend on the order of rows, and slices keep it. Where rows of several panes are mixed, as they are where a
//! log is out of order, a slice has the rows of neighbouring panes, and several slices may have the same rows.

use std::ops::{Range, RangeInclusive};

use flowc_planner::key::{KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{Window, WindowKind};
use serde::{Deserialize, Serialize};

use super::Grid;

/// What is known of the times of a segment's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentTimes {
    /// The latest.
    pub latest: Option<i64>,
    /// The panes that have rows: first and last of each run, ascending.
    pub panes: Vec<(i64, i64)>,
    /// The earliest.
    pub earliest: Option<i64>,
    /// By how much at most a row is behind the latest time before it in the segment, in milliseconds.
    pub most_behind: i64,
    /// How many rows have no time.
    pub timeless: u64,
    /// The rows in their order, cut where all panes before are at most those after.
    stretches: Vec<Stretch>,
}

/// Rows that follow one another in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    /// The panes that have rows in it: first and last of each run, ascending.
    panes: Vec<(i64, i64)>,
    /// Panes with rows that came after the end of the first window that they are in, ascending.
    behind: Vec<Behind>,
}

/// How late the rows of a pane came: by the latest times before each of them in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Behind {
    pane: i64,
    /// That of the row with the earliest one.
    least: i64,
    /// That of the row with the latest one.
    most: i64,
}

/// Rows of a segment that a partial is made of: those of some panes in one stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slice {
    stretch: usize,
    /// The first pane, and the last one.
    panes: (i64, i64),
    /// The window that its late rows are left out for, where there are some.
    late_for: Option<i64>,
}

impl Slice {
    /// The keys of its rows in a segment with these keys. They serve as those of an invocation's input, and for nothing else: the
    /// columns' are the segment's.
    pub(crate) fn keys(&self, window: &Window, segment: &SegmentKeys) -> SegmentKeys {
        let Self { stretch, panes: (first, last), late_for } = *self;
        let SegmentKeys { rows, columns } = segment;
        let mut hasher = KeyHasher::new("flowc window slice 1");
        window.hash_into(&mut hasher);
        hasher.number(stretch as u64).number(first as u64).number(last as u64);
        hasher.number(u64::from(late_for.is_some())).number(late_for.unwrap_or_default() as u64);
        hasher.digest(rows.as_bytes());
        if let Some(time) = window.time {
            hasher.digest(columns[time.column].as_bytes());
        }
        SegmentKeys { rows: RowsKey::new(hasher.finish()), columns: columns.clone() }
    }
}

impl SegmentTimes {
    /// Of these times, in the order of the rows.
    pub fn of(grid: Grid<'_>, times: impl Iterator<Item = Option<i64>>) -> Self {
        Layout::of(grid, times).times
    }

    /// Whether rows may be late for the first window that they are in, `latest` being the latest time before the segment in its partition.
    pub fn may_be_late(&self, window: &Window, latest: Option<i64>) -> bool {
        let before = latest.zip(self.earliest).map_or(i64::MIN, |(latest, earliest)| latest - earliest);
        before.max(self.most_behind) > window.patience_ms()
    }

    /// The windows that its rows are in, if they are not late: ascending.
    pub fn windows(&self, grid: Grid<'_>) -> impl Iterator<Item = i64> {
        let mut next = i64::MIN;
        self.panes.iter().flat_map(move |&(first, last)| {
            let windows = (*grid.windows(first).start()).max(next)..=*grid.windows(last).end();
            next = windows.end() + 1;
            windows
        })
    }

    /// The slices that have the rows of a window, in the order of the rows. None has no rows.
    pub fn slices(&self, window: &Window, number: i64) -> Vec<Slice> {
        let grid = Grid::new(&window.kind);
        let panes = grid.panes(number);
        let late_from = grid.end(number) + window.patience_ms();
        let is_before = |stretch: &Stretch| stretch.panes.last().is_none_or(|(_, last)| last < panes.start());
        let first = self.stretches.partition_point(is_before);
        let stretches = self.stretches.iter().enumerate().skip(first);
        let within = stretches.take_while(|(_, of)| of.panes.first().is_some_and(|(first, _)| first <= panes.end()));
        let slice = |(stretch, of): (usize, &Stretch)| of.slice(stretch, (panes.clone(), number), late_from);
        within.filter_map(slice).collect()
    }
}

impl Stretch {
    fn slice(&self, stretch: usize, (of, number): (RangeInclusive<i64>, i64), late_from: i64) -> Option<Slice> {
        let from = self.panes.partition_point(|(_, last)| last < of.start());
        let within = self.panes[from..].iter().take_while(|(first, _)| first <= of.end());
        let clipped = within.map(|&(first, last)| (first.max(*of.start()), last.min(*of.end())));
        let panes: Vec<(i64, i64)> = clipped.collect();
        let (first, last) = (panes.first()?.0, panes.last()?.1);
        let from = self.behind.partition_point(|behind| behind.pane < first);
        let behind = || self.behind[from..].iter().take_while(|behind| behind.pane <= last);
        let is_any_late = behind().any(|behind| behind.most >= late_from);
        if is_any_late {
            let all: i64 = panes.iter().map(|(first, last)| last - first + 1).sum();
            let late = behind().filter(|behind| behind.least >= late_from).count();
            if all == late as i64 {
                return None;
            }
        }
        Some(Slice { stretch, panes: (first, last), late_for: is_any_late.then_some(number) })
    }
}

/// Where the rows of a segment are: pane by pane, and in which order.
pub struct Layout {
    /// What is known of them all.
    pub times: SegmentTimes,
    /// Per stretch, its runs.
    runs: Vec<Vec<Run>>,
    /// Per row, the latest time before it.
    before: Vec<i64>,
}

/// Neighbouring rows of one pane.
#[derive(Clone, Debug)]
struct Run {
    pane: i64,
    rows: Range<usize>,
}

impl Layout {
    /// Of rows with these times.
    pub fn of(grid: Grid<'_>, times: impl Iterator<Item = Option<i64>>) -> Self {
        Self::of_rows(grid, times.map(|time| (time, None)), grid.shares_panes())
    }

    /// Of the rows of a segment that are left: each has its time, and the latest time before it in the segment when all rows were there.
    pub fn of_marked(grid: Grid<'_>, rows: impl Iterator<Item = (Option<i64>, i64)>) -> Self {
        Self::of_rows(grid, rows.map(|(time, before)| (time, Some(before))), false)
    }

    /// Where the latest time before a row is not given, it is that of the rows before it here.
    fn of_rows(grid: Grid<'_>, rows: impl Iterator<Item = (Option<i64>, Option<i64>)>, is_cut: bool) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut before = Vec::new();
        let mut latest = i64::MIN;
        let (mut earliest, mut most_behind, mut timeless) = (None::<i64>, 0, 0);
        // The pane of the row before, and its times.
        let mut here: Option<(i64, Range<i64>)> = None;
        for (row, (time, latest_then)) in rows.enumerate() {
            before.push(latest_then.unwrap_or(latest));
            let Some(time) = time else {
                timeless += 1;
                continue;
            };
            latest = latest.max(time);
            earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
            most_behind = most_behind.max(latest - time);
            let pane = match &here {
                Some((pane, times)) if times.contains(&time) => *pane,
                _ => {
                    let pane = grid.pane(time);
                    here = Some((pane, grid.times(pane)));
                    pane
                }
            };
            match runs.last_mut() {
                Some(run) if run.pane == pane && run.rows.end == row => run.rows.end = row + 1,
                _ => runs.push(Run { pane, rows: row..row + 1 }),
            }
        }
        let runs = if is_cut { stretches(runs) } else { vec![runs] };
        let known = runs.iter().filter(|runs| !runs.is_empty()).map(|runs| known(grid, runs, &before));
        let stretches: Vec<Stretch> = known.collect();
        let panes = united(stretches.iter().flat_map(|stretch| stretch.panes.iter().copied()));
        let latest = (latest > i64::MIN).then_some(latest);
        let times = SegmentTimes { latest, panes, earliest, most_behind, timeless, stretches };
        Self { times, runs, before }
    }

    /// The rows of a slice, ascending.
    pub fn rows(&self, window: &Window, slice: &Slice) -> Vec<Range<usize>> {
        let Slice { stretch, panes: (first, last), late_for } = *slice;
        let runs = self.runs.get(stretch).into_iter().flatten().filter(|run| (first..=last).contains(&run.pane));
        let Some(number) = late_for else { return joined(runs.map(|run| run.rows.clone())) };
        let late_from = Grid::new(&window.kind).end(number) + window.patience_ms();
        let in_time = runs.flat_map(|run| run.rows.clone()).filter(|&row| self.before[row] < late_from);
        joined(in_time.map(|row| row..row + 1))
    }

    /// The rows of a window, ascending.
    pub fn rows_of_window(&self, window: &Window, number: i64) -> Vec<Range<usize>> {
        let slices = self.times.slices(window, number);
        joined(slices.iter().flat_map(|slice| self.rows(window, slice)))
    }
}

/// Cuts runs where all before are of panes that are at most those of all after.
fn stretches(runs: Vec<Run>) -> Vec<Vec<Run>> {
    let mut least_after: Vec<i64> = vec![i64::MAX; runs.len() + 1];
    for (place, run) in runs.iter().enumerate().rev() {
        least_after[place] = least_after[place + 1].min(run.pane);
    }
    let mut stretches: Vec<Vec<Run>> = Vec::new();
    let mut most = i64::MIN;
    for (place, run) in runs.into_iter().enumerate() {
        // Rows without a time may lie between two runs of a pane: they cut nothing.
        let goes_on = |before: &Vec<Run>| before.last().is_some_and(|last| last.pane == run.pane);
        let is_cut = most <= least_after[place] && !stretches.last().is_some_and(goes_on);
        most = most.max(run.pane);
        match stretches.last_mut() {
            Some(stretch) if !is_cut => stretch.push(run),
            _ => stretches.push(vec![run]),
        }
    }
    stretches
}

/// What is known of the rows of some runs.
fn known(grid: Grid<'_>, runs: &[Run], before: &[i64]) -> Stretch {
    let mut panes: Vec<i64> = runs.iter().map(|run| run.pane).collect();
    panes.sort_unstable();
    panes.dedup();
    let mut lates: Vec<(i64, Behind)> = Vec::with_capacity(panes.len());
    for &pane in &panes {
        lates.push((grid.end(*grid.windows(pane).start()), Behind { pane, least: i64::MAX, most: i64::MIN }));
    }
    for run in runs {
        let Ok(place) = panes.binary_search(&run.pane) else { continue };
        let Behind { least, most, .. } = &mut lates[place].1;
        for &latest in &before[run.rows.clone()] {
            *least = latest.min(*least);
            *most = latest.max(*most);
        }
    }
    let behind = lates.into_iter().filter(|(end, behind)| behind.most >= *end).map(|(_, behind)| behind);
    Stretch { behind: behind.collect(), panes: united(panes.into_iter().map(|pane| (pane, pane))) }
}

/// Ascending runs of panes, joined where they follow one another.
fn united(panes: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut united: Vec<(i64, i64)> = Vec::new();
    for (first, last) in panes {
        match united.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => united.push((first, last)),
        }
    }
    united
}

/// Ascending ranges, joined where they follow one another.
fn joined(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(before) if before.end == range.start => before.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

impl Grid<'_> {
    /// Whether rows of one pane are in several windows.
    fn shares_panes(&self) -> bool {
        matches!(self.kind, WindowKind::Sliding { .. })
    }
}
