//! What of a plan a request is about, and what is read of each stream. Known before any file is looked at.

use std::collections::{BTreeMap, BTreeSet};

use flowc_planner::plan::{OnFailure, OutputColumn, Plan, Producer, Rows, Stage, StreamId, shown_columns};
use flowc_planner::suggest;
use thiserror::Error;

use crate::task::input_columns;

/// Names of stages that a request gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Only these stages, and what they need that is not stored; no sinks.
    pub only: &'a [String],
    /// These stages and everything upstream; sinks too where they read from these stages alone, and asserts of streams that are made.
    pub until: &'a [String],
    /// Stages that run even if their results are stored.
    pub force: &'a [String],
    /// Stages that run again and must give what they gave before.
    pub verify: &'a [String],
}

impl Request<'_> {
    /// Whether it is about the whole pipeline.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty() && self.until.is_empty()
    }
}

/// The part of a plan that a request is about.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Stages that may have to run.
    pub stages: BTreeSet<usize>,
    /// Sinks that are written.
    pub sinks: Vec<usize>,
    /// Streams whose rows are wanted though no sink takes them.
    pub streams: Vec<StreamId>,
    /// Sources that are needed.
    pub sources: BTreeSet<usize>,
    /// Stages that run even if their results are stored.
    pub forced: BTreeSet<usize>,
    /// Those of them that must give what they gave before.
    pub verified: BTreeSet<usize>,
    /// Those of them that are forced by their name.
    pub named: BTreeSet<usize>,
}

/// A name that no stage has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UnknownStage(String);

impl Selection {
    /// The streams whose rows are wanted: those of the sinks, then the others.
    pub(crate) fn wanted<'s>(&'s self, plan: &'s Plan) -> impl Iterator<Item = StreamId> + 's {
        self.sinks.iter().map(|&sink| plan.sinks[sink].stream).chain(self.streams.iter().copied())
    }

    /// Resolves the stage names of a request.
    ///
    /// # Errors
    /// If there is no stage of a name.
    pub fn new(plan: &Plan, request: &Request<'_>) -> Result<Self, UnknownStage> {
        let chosen = named(plan, request.only.iter().chain(request.until))?;
        let verified = named(plan, request.verify)?;
        let named_stages = named(plan, request.force)?;
        let forced = &named_stages | &verified;
        let mut selection = Self {
            stages: BTreeSet::new(),
            sinks: (0..plan.sinks.len()).collect(),
            streams: Vec::new(),
            sources: BTreeSet::new(),
            forced,
            verified,
            named: named_stages,
        };
        let is_assert = |stage: &usize| plan.stages[*stage].asserts.is_some();
        let asserts = (0..plan.stages.len()).filter(is_assert);
        if chosen.is_empty() {
            selection.streams = outputs(plan, asserts).collect();
        } else {
            let until = named(plan, request.until)?;
            // What is checked is there anyway.
            let made = Above::of(plan, outputs(plan, until.iter().copied())).streams;
            let reads_made =
                |stage: &usize| plan.stages[*stage].inputs.iter().all(|input| made.contains(&input.stream));
            let asserts: BTreeSet<usize> = asserts.filter(reads_made).collect();
            selection.streams = outputs(plan, &chosen | &asserts).collect();
            selection.sinks.retain(|&sink| feeds_only(plan, plan.sinks[sink].stream, &until));
        }
        selection.streams.extend(compared(plan, &selection.verified));
        selection.reach(plan);
        Ok(selection)
    }

    /// The stages of a whole run of which no sink and no stage reads anything, so that they do not run.
    pub fn unread<'p>(&self, plan: &'p Plan, request: Request<'_>) -> impl Iterator<Item = &'p str> {
        let is_whole = request.is_whole();
        let of_stages = plan.stages.iter().flat_map(|stage| stage.inputs.iter().map(|input| input.stream));
        let read: BTreeSet<usize> =
            of_stages.filter_map(|stream| plan.producing_stage(stream)).map(|(stage, _)| stage).collect();
        let is_reference =
            |stage: usize| plan.stages.iter().any(|of| of.reference.as_ref() == Some(&plan.stages[stage].name));
        let is_unread = |stage: &usize| !self.stages.contains(stage) && !read.contains(stage) && !is_reference(*stage);
        let unread = (0..plan.stages.len()).filter(is_unread);
        let unread: Vec<usize> = unread.filter(|_| is_whole).collect();
        unread.into_iter().map(|stage| plan.stages[stage].name.as_str())
    }

    /// The asserts that a run checks, in the plan's order.
    pub fn asserts<'p>(&self, plan: &'p Plan) -> impl Iterator<Item = (usize, OnFailure)> + use<'p, '_> {
        let is_wanted = |stage: &Stage| stage.outputs.iter().any(|output| self.streams.contains(&output.stream));
        let wanted = plan.stages.iter().enumerate().filter(move |(_, stage)| is_wanted(stage));
        wanted.filter_map(|(index, stage)| Some((index, stage.asserts?)))
    }

    /// Per sink the asserts that must have no rows before it may appear: those that read what its rows come from.
    pub fn guards(&self, plan: &Plan) -> BTreeMap<usize, Vec<usize>> {
        let failing = self.asserts(plan).filter(|(_, follows)| *follows == OnFailure::Fail);
        let failing: Vec<usize> = failing.map(|(stage, _)| stage).collect();
        // Looking behind every sink is not free.
        if failing.is_empty() {
            return BTreeMap::new();
        }
        let guards = |&sink: &usize| {
            let above = Above::of(plan, [plan.sinks[sink].stream]).streams;
            let reads = |stage: &usize| plan.stages[*stage].inputs.iter().any(|input| above.contains(&input.stream));
            (sink, failing.iter().copied().filter(reads).collect())
        };
        self.sinks.iter().map(guards).collect()
    }

    /// Finds the stages and sources behind the sinks and streams.
    fn reach(&mut self, plan: &Plan) {
        let wanted = self.wanted(plan);
        let above = Above::of(plan, wanted);
        (self.stages, self.sources) = (above.stages, above.sources);
    }

    /// Gives up what depends on these sources. Tells which sinks that leaves as they are.
    pub fn give_up(&mut self, plan: &Plan, sources: &BTreeSet<usize>) -> Vec<usize> {
        // As good as always there is nothing to give up, and looking behind every sink is not free.
        if sources.is_empty() {
            return Vec::new();
        }
        let is_lost = |stream: StreamId| !Above::of(plan, [stream]).sources.is_disjoint(sources);
        self.streams.retain(|&stream| !is_lost(stream));
        let (lost, sinks) = self.sinks.iter().partition(|&&sink| is_lost(plan.sinks[sink].stream));
        self.sinks = sinks;
        self.reach(plan);
        lost
    }
}

/// All that streams come from.
#[derive(Default)]
pub(crate) struct Above {
    pub stages: BTreeSet<usize>,
    pub sources: BTreeSet<usize>,
    /// The streams themselves, and those that they come from.
    pub streams: BTreeSet<StreamId>,
}

impl Above {
    pub(crate) fn of(plan: &Plan, streams: impl IntoIterator<Item = StreamId>) -> Self {
        let (mut above, mut open) = (Self::default(), streams.into_iter().collect::<Vec<_>>());
        while let Some(stream) = open.pop() {
            above.streams.insert(stream);
            match plan.stream(stream).producer {
                Producer::Source { source } | Producer::Rejects { source } => {
                    above.sources.insert(source);
                }
                Producer::Stage { stage, .. } if above.stages.insert(stage) => {
                    open.extend(plan.stages[stage].inputs.iter().map(|input| input.stream));
                }
                Producer::Stage { .. } => {}
            }
        }
        above
    }
}

/// The streams that stages fill.
fn outputs(plan: &Plan, stages: impl IntoIterator<Item = usize>) -> impl Iterator<Item = StreamId> {
    stages.into_iter().flat_map(|stage| plan.stages[stage].outputs.iter().map(|output| output.stream))
}

fn named<'a>(plan: &Plan, names: impl IntoIterator<Item = &'a String>) -> Result<BTreeSet<usize>, UnknownStage> {
    names.into_iter().map(|name| stage_named(plan, name)).collect()
}

/// The stage of a name.
///
/// # Errors
/// If there is none; says what else has the name, or a similar one.
pub fn stage_named(plan: &Plan, name: &str) -> Result<usize, UnknownStage> {
    plan.stages.iter().position(|stage| stage.name == name).ok_or_else(|| {
        let of = name.split('.').next().unwrap_or(name);
        let kind = match () {
            () if plan.sources.iter().any(|source| source.name == of) => Some("source"),
            () if plan.sinks.iter().any(|sink| sink.name == name) => Some("sink"),
            () => None,
        };
        if let Some(kind) = kind {
            let show = format!("`flowc show {name}` shows its rows, `flowc plan` what a run would do with it");
            return UnknownStage(format!("`{name}` is a {kind}, not a stage; {show}"));
        }
        let help = suggest(name, plan.stages.iter().map(|stage| stage.name.as_str()));
        let help = help.map_or_else(String::new, |help| format!("; {help}"));
        UnknownStage(format!("there is no stage `{name}`{help}"))
    })
}

/// What is compared where kernels are verified: what they give, and what the stages give that are their references.
fn compared(plan: &Plan, verified: &BTreeSet<usize>) -> Vec<StreamId> {
    let kernels = verified.iter().copied().filter(|stage| plan.stages[*stage].code.is_kernel());
    let references = plan.stages.iter().enumerate().filter(|(_, stage)| {
        let is_its = |kernel: &usize| plan.stages[*kernel].reference.as_ref() == Some(&stage.name);
        verified.iter().any(is_its)
    });
    outputs(plan, kernels.chain(references.map(|(stage, _)| stage))).collect()
}

/// Whether a stream is an output of one of the stages: a sink on it belongs to a run `--until` them.
fn feeds_only(plan: &Plan, stream: StreamId, stages: &BTreeSet<usize>) -> bool {
    plan.producing_stage(stream).is_some_and(|(stage, _)| stages.contains(&stage))
}

/// Per stream, the columns that something reads, at most: sinks all, stages what they read and pass on.
pub(crate) fn columns_read(plan: &Plan, selection: &Selection) -> Vec<BTreeSet<usize>> {
    let width = |stream: StreamId| plan.stream(stream).schema.fields().len();
    let mut read = vec![BTreeSet::new(); plan.streams.len()];
    for stream in selection.wanted(plan) {
        read[stream.0].extend(0..shown_columns(&plan.stream(stream).schema).fields().len());
    }
    for stage in (0..plan.stages.len()).rev().filter(|stage| selection.stages.contains(stage)) {
        let needed: Vec<Vec<bool>> = plan.stages[stage]
            .outputs
            .iter()
            .map(|output| (0..width(output.stream)).map(|column| read[output.stream.0].contains(&column)).collect())
            .collect();
        for (index, input) in plan.stages[stage].inputs.iter().enumerate() {
            read[input.stream.0].extend(input_columns(plan, stage, index, &needed));
            read[input.stream.0].extend(input.dividing_columns());
        }
    }
    read
}

/// The stages of which something is needed that they make. All that is needed of the others is rows and columns of their
/// inputs, so nothing of theirs is stored, and they need not run.
pub fn makers(plan: &Plan, selection: &Selection) -> BTreeSet<usize> {
    let read = columns_read(plan, selection);
    selection.stages.iter().copied().filter(|&stage| makes(&plan.stages[stage], &read)).collect()
}

fn makes(stage: &Stage, read: &[BTreeSet<usize>]) -> bool {
    let makes_rows = || stage.outputs.iter().any(|output| !matches!(output.rows, Rows::Same { .. }));
    let makes_columns = || {
        let outputs = stage.outputs.iter();
        let mut columns =
            outputs.flat_map(|output| read[output.stream.0].iter().map(|&column| &output.columns[column]));
        columns.any(|origin| matches!(origin, OutputColumn::Written))
    };
    stage.is_combining() || makes_rows() || makes_columns()
}

/// Per source, the stages that take its segments one at a time, directly or one after the other, in order; the last of
/// such a row may be combining.
pub(crate) fn driven_by_source(plan: &Plan, selection: &Selection) -> Vec<Vec<usize>> {
    let mut driven = vec![Vec::new(); plan.sources.len()];
    let mut source_of: Vec<Option<usize>> = vec![None; plan.streams.len()];
    for (index, source) in plan.sources.iter().enumerate() {
        source_of[source.stream.0] = Some(index);
    }
    for (index, stage) in plan.stages.iter().enumerate().filter(|(index, _)| selection.stages.contains(index)) {
        let Some(source) = stage.driving().and_then(|(_, input)| source_of[input.stream.0]) else { continue };
        // Which rows are late depends on the segments before.
        if stage.code.picks_late_rows() {
            continue;
        }
        // All of a source that is taken beside its segments is there when it has ended.
        let mut whole = stage.inputs.iter().filter(|input| !input.is_driving());
        if whole.any(|input| source_of[input.stream.0] == Some(source)) {
            continue;
        }
        driven[source].push(index);
        if !stage.is_combining() {
            stage.outputs.iter().for_each(|output| source_of[output.stream.0] = Some(source));
        }
    }
    driven
}
