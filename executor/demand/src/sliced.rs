//! The slices of a stage's input, with the keys of their partials: which of them each window merges.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow_schema::Fields;
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{Plan, Stage, Window};

use crate::segments::Segments;
use crate::task::ascending;
use crate::windows::{SegmentClock, Slice, WindowPart};

/// A slice of a segment, and its partial.
#[derive(Clone, Debug)]
pub struct SliceOf {
    /// Which segment of the input.
    pub segment: usize,
    /// Which of its rows.
    pub slice: Slice,
    /// The keys of the partial.
    pub partial: SegmentKeys,
}

/// The slices of the input of a stage that has windows. They are found when they are asked for.
pub struct Slices {
    /// The columns of partials.
    columns: Fields,
    find: Box<dyn Fn() -> Found + Send + Sync>,
    found: OnceLock<Found>,
}

#[derive(Default)]
struct Found {
    all: Vec<SliceOf>,
    /// Per window, in the order of its rows.
    of_windows: Vec<Vec<usize>>,
}

/// Whether the windows of a stage merge partials of slices: it combines the rows of one input. Where stages above leave out rows, only
/// the rows that are left say which windows have some.
pub(crate) fn merges_slices(stage: &Stage) -> bool {
    let is_sliced = |window: &Window| !window.is_made_by_rows() && window.marks().is_none();
    match (&stage.inputs[..], &stage.partial) {
        ([input], Some(_)) => input.window.as_ref().is_some_and(is_sliced),
        _ => false,
    }
}

impl Slices {
    /// Those of an input with these segments and windows. `partial` gives the keys of what the stage makes of a slice.
    pub(crate) fn new(
        columns: Fields,
        window: Window,
        clocks: Vec<SegmentClock>,
        windows: Arc<[WindowPart]>,
        partial: impl Fn(&Window, &Slice, usize) -> Option<SegmentKeys> + Send + Sync + 'static,
    ) -> Self {
        let find = move || {
            let mut found = Found::default();
            let mut places: HashMap<(usize, Slice), usize> = HashMap::new();
            for part in windows.iter() {
                let mut of_window = Vec::new();
                for &segment in part.segments.iter().flatten() {
                    for slice in clocks[segment].times.slices(&window, part.number) {
                        if let Some(place) = places.get(&(segment, slice)) {
                            of_window.push(*place);
                        } else if let Some(partial) = partial(&window, &slice, segment) {
                            places.insert((segment, slice), found.all.len());
                            of_window.push(found.all.len());
                            found.all.push(SliceOf { segment, slice, partial });
                        }
                    }
                }
                found.of_windows.push(of_window);
            }
            found
        };
        Self { columns, find: Box::new(find), found: OnceLock::new() }
    }

    /// The keys of all partials.
    pub fn partials(&self) -> Segments {
        Segments::listed(&self.columns, self.all().iter().map(|of| of.partial.clone()).collect())
    }

    /// All slices.
    pub fn all(&self) -> &[SliceOf] {
        &self.found.get_or_init(&self.find).all
    }

    /// The slices that a window merges, in order, with their places among all.
    pub fn of_window(&self, number: usize) -> impl Iterator<Item = (usize, &SliceOf)> {
        let Found { all, of_windows } = self.found.get_or_init(&self.find);
        of_windows.get(number).into_iter().flatten().map(|&place| (place, &all[place]))
    }
}

/// The columns of its input that a stage needs for slices: those that it reads, and those that decide about rows. Ascending.
pub(crate) fn columns_of_slices(plan: &Plan, stage: usize) -> Vec<usize> {
    let input = &plan.stages[stage].inputs[0];
    ascending([&input.reads[..], &input.dividing_columns()].concat())
}
