//! What can be run before all sources have been read.
//!
//! Whether a result is needed is certain only once every source is known: then [`crate::demand`] says what is missing. What is made of
//! rows that no run has seen is as good as certain before. So a segment that arrives makes tasks due of the stages that take
//! its source segment by segment, and the end of a source makes those due that need all of it. Anything may be left out here: the
//! demand finds it.

use std::collections::BTreeSet;

use flowc_planner::plan::{Plan, Producer, StreamId};

use crate::demand::{Demand, TaskPlanner};
use crate::lineage::Lineage;
use crate::location::{Locator, Lookup};
use crate::selection::{Selection, columns_read, driven_by_source};
use crate::task::Work;

/// Decides what of a selection runs while its sources are being read.
pub struct Ahead {
    /// Per source, the stages that its segments drive; none where one of them is forced.
    driven: Vec<Vec<usize>>,
    /// Per stream, the columns that something reads.
    read: Vec<BTreeSet<usize>>,
    /// Streams that sinks and the request want.
    wanted: BTreeSet<StreamId>,
    stages: BTreeSet<usize>,
    forced: BTreeSet<usize>,
}

impl Ahead {
    /// Of this selection.
    pub fn new(plan: &Plan, selection: &Selection) -> Self {
        let mut driven = driven_by_source(plan, selection);
        driven.iter_mut().filter(|of| of.iter().any(|stage| selection.forced.contains(stage))).for_each(Vec::clear);
        Self {
            driven,
            read: columns_read(plan, selection),
            wanted: selection.wanted(plan).collect(),
            stages: selection.stages.clone(),
            forced: selection.forced.clone(),
        }
    }

    /// The stages that a segment of a source drives, in order.
    pub fn driven(&self, source: usize) -> &[usize] {
        &self.driven[source]
    }

    /// The stages that read these sources, which as good as certainly run where the sources have files that no run has seen; none that
    /// something else has to be known of first.
    pub fn reading(&self, plan: &Plan, sources: &BTreeSet<usize>) -> BTreeSet<usize> {
        let reads = |&stage: &usize| {
            plan.stages[stage].inputs.iter().any(|input| match plan.stream(input.stream).producer {
                Producer::Source { source } => sources.contains(&source),
                Producer::Stage { .. } | Producer::Rejects { .. } => false,
            })
        };
        self.stages.iter().copied().filter(reads).collect()
    }

    /// The sources that must be known before a segment of a source can drive its stages: those that the stages take whole.
    pub fn awaited(&self, plan: &Plan, source: usize) -> BTreeSet<usize> {
        let inputs = self.driven[source].iter().flat_map(|&stage| &plan.stages[stage].inputs);
        let whole = inputs.filter(|input| !input.is_driving());
        let sources = whole.filter_map(|input| match plan.stream(input.stream).producer {
            Producer::Source { source } => Some(source),
            Producer::Stage { .. } | Producer::Rejects { .. } => None,
        });
        sources.collect()
    }

    /// The tasks that are due when a segment of a source arrives, which is the only one of its source for the locator. The partials of
    /// stages of which `leaves_out` has the number are left out.
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn of_segment<L: Lookup>(
        &self,
        locator: Locator<'_, L>,
        stored: &[bool],
        source: usize,
        leaves_out: &BTreeSet<usize>,
    ) -> Result<Demand, L::Error> {
        let (plan, driven) = (locator.plan, &self.driven[source]);
        let mut planner = TaskPlanner::new(locator, stored, &self.forced, leaves_out);
        for &stage in driven.iter().filter(|stage| !leaves_out.contains(stage)) {
            let of = &plan.stages[stage];
            if of.is_combining() {
                planner.want_partial(stage, 0)?;
                continue;
            }
            for stream in of.outputs.iter().map(|output| output.stream).filter(|stream| stored[stream.0]) {
                planner.want(stream, 0, &self.columns(stream));
            }
        }
        let demand = planner.resolve()?;
        Ok(demand.only(|task| task.id.work == Work::Segment(0) && driven.contains(&task.id.stage)))
    }

    /// The streams that can be made once a source has ended and could not before, while others are being read. Those whose segments
    /// are made one by one have had their turn as each arrived.
    pub fn at_end(
        &self,
        plan: &Plan,
        lineage: &Lineage,
        source: usize,
        has_ended: &dyn Fn(usize) -> bool,
    ) -> Vec<StreamId> {
        if !self.forced.is_empty() {
            return Vec::new();
        }
        let (mut known, mut new) = (vec![false; plan.streams.len()], vec![false; plan.streams.len()]);
        for (id, stream) in plan.streams.iter().enumerate() {
            (known[id], new[id]) = match stream.producer {
                Producer::Source { source: of } | Producer::Rejects { source: of } => (has_ended(of), of == source),
                Producer::Stage { stage, .. } => {
                    let inputs = || plan.stages[stage].inputs.iter().map(|input| input.stream.0);
                    (
                        self.stages.contains(&stage) && inputs().all(|input| known[input]),
                        inputs().any(|input| new[input]),
                    )
                }
            };
        }
        let of_unknown = self.stages.iter().map(|&stage| &plan.stages[stage].inputs);
        let of_unknown = of_unknown.filter(|inputs| inputs.iter().any(|input| !known[input.stream.0]));
        let read: BTreeSet<StreamId> = of_unknown.flatten().map(|input| input.stream).collect();
        let targets = read.union(&self.wanted).copied();
        targets.filter(|&id| known[id.0] && new[id.0] && lineage.file(id).is_none()).collect()
    }

    /// The tasks that make streams of which all sources are known; `unreduced` as for [`crate::demand`].
    ///
    /// # Errors
    /// If the look-up fails.
    pub fn of_streams<L: Lookup>(
        &self,
        locator: Locator<'_, L>,
        stored: &[bool],
        streams: &[StreamId],
        unreduced: &BTreeSet<usize>,
    ) -> Result<Demand, L::Error> {
        let mut planner = TaskPlanner::new(locator, stored, &self.forced, unreduced);
        for &stream in streams {
            planner.want_all(stream, &self.columns(stream))?;
        }
        planner.resolve()
    }

    fn columns(&self, stream: StreamId) -> Vec<usize> {
        self.read[stream.0].iter().copied().collect()
    }
}
