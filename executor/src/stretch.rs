//! Which stages of a chain run in one instance.
//!
//! In flowc's process each stage has its own, and batches pass by handle. Where they would travel, neighbours share one, so that
//! batches pass between them out there (`docs/flight-protocol.md`, Chains).

use std::ops::Range;

use flowc_planner::plan::Stage;
use flowc_runner::LONGEST_CHAIN;

use crate::chain::Chains;
use crate::task::Task;

impl Chains<'_> {
    /// The chain of a task in parts, each for one instance, in their order.
    pub(crate) fn stretches(&self, task: &Task) -> Vec<Range<usize>> {
        let mut stretches: Vec<Range<usize>> = Vec::new();
        for place in 0..task.chain.len() {
            match stretches.last_mut() {
                Some(above) if above.len() < LONGEST_CHAIN && self.share(task, place - 1) => above.end = place + 1,
                _ => stretches.push(place..place + 1),
            }
        }
        stretches.into_iter().flat_map(|stretch| self.without_settled_ends(task, stretch)).collect()
    }

    /// Whether a stage and the next one can share an instance. As they are of one unit, their runners are the same.
    fn share(&self, task: &Task, place: usize) -> bool {
        let [above, below] = [place, place + 1].map(|place| self.plan_stage(task.chain[place].stage));
        self.runners.chained(above).is_some()
            && is_straight(above)
            && is_straight(below)
            && below.inputs.len() == 1
            && above.limits.serialization == below.limits.serialization
    }

    /// What only passes columns on does so here at no cost, where batches come by anyway.
    fn without_settled_ends(&self, task: &Task, stretch: Range<usize>) -> Vec<Range<usize>> {
        let is_called = |place: &usize| self.settled(&task.chain[*place]).is_none();
        let first = stretch.clone().find(is_called).unwrap_or(stretch.end);
        let end = stretch.clone().rfind(is_called).map_or(first, |last| last + 1);
        let each = |places: Range<usize>| places.map(|place| place..place + 1);
        let called = Some(first..end).filter(|called| !called.is_empty());
        each(stretch.start..first).chain(called).chain(each(end..stretch.end)).collect()
    }
}

/// Whether one input drives it, and what it gives are rows of that one or new ones.
fn is_straight(stage: &Stage) -> bool {
    match (&stage.outputs[..], stage.driving()) {
        ([output], Some((driving, _))) => output.rows.input().is_none_or(|input| input == driving),
        _ => false,
    }
}
