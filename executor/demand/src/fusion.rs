//! Which stages of a chain run in one instance.
//!
//! In flowc's process each stage has its own, and batches pass by handle. Where they would travel, to a program or to a GPU, neighbours
//! share one, so that batches pass between them out there (`docs/flight-protocol.md`, Chains).

use std::ops::Range;

use flowc_planner::plan::{Plan, Stage};

use crate::passthrough::passthrough;
use crate::task::ChainStage;

/// The places of a chain in groups, each for one instance, in their order. `longest` is the most stages of a group, and
/// `has_chains` says whether a stage's runner runs several in one instance.
pub fn fused_groups(
    plan: &Plan,
    chain: &[&ChainStage],
    longest: usize,
    has_chains: impl Fn(&Stage) -> bool,
) -> Vec<Range<usize>> {
    let can_share = |place: usize| {
        let [above, below] = [place, place + 1].map(|place| &plan.stages[chain[place].stage]);
        has_chains(above) && can_follow(above, below)
    };
    let mut groups: Vec<Range<usize>> = Vec::new();
    for place in 0..chain.len() {
        match groups.last_mut() {
            Some(above) if above.len() < longest && can_share(place - 1) => above.end = place + 1,
            _ => groups.push(place..place + 1),
        }
    }
    groups.into_iter().flat_map(|group| without_passing_ends(plan, chain, group)).collect()
}

/// Whether a stage can share the instance of the one above it. Those of a unit run alike, but for kernels and components.
fn can_follow(above: &Stage, below: &Stage) -> bool {
    above.code.runner() == below.code.runner()
        && is_straight(above)
        && is_straight(below)
        && below.inputs.len() == 1
        && above.limits.serialization == below.limits.serialization
}

/// A stage that only passes columns on does so in flowc's process at no cost, where batches come by anyway.
fn without_passing_ends(plan: &Plan, chain: &[&ChainStage], group: Range<usize>) -> Vec<Range<usize>> {
    let is_called = |place: &usize| passthrough(plan, chain[*place]).is_none();
    let first = group.clone().find(is_called).unwrap_or(group.end);
    let end = group.clone().rfind(is_called).map_or(first, |last| last + 1);
    let each = |places: Range<usize>| places.map(|place| place..place + 1);
    let called = Some(first..end).filter(|called| !called.is_empty());
    each(group.start..first).chain(called).chain(each(end..group.end)).collect()
}

/// Whether one input drives it, and what it gives are rows of that one or new ones.
fn is_straight(stage: &Stage) -> bool {
    match (&stage.outputs[..], stage.driving()) {
        ([output], Some((driving, _))) => output.rows.input().is_none_or(|input| input == driving),
        _ => false,
    }
}
