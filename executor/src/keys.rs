//! Derives the keys of every stream from those of the sources, without running anything (DESIGN section 4).

use std::collections::HashMap;

use arrow_schema::Schema;
use flowc_planner::key::{
    ColumnKey, FieldDigest, InvocationKey, KeyHasher, Phase, ReadKeys, RowsKey, SegmentKeys, StageKey,
};
use flowc_planner::plan::{Class, OutputColumn, Plan, Producer, Rows, StreamId};

/// Partials that one merge takes. It is part of what results depend on, so it is fixed.
pub(crate) const MERGE_FAN_IN: usize = 16;

/// Number of groups that a keyed input is split into. Fixed for the same reason.
pub(crate) const KEY_GROUPS: u64 = 16;

/// The formulas of keys, for one plan.
pub(crate) struct Deriver<'a> {
    plan: &'a Plan,
    stages: Vec<StageFormulas>,
}

/// What the keys of a stage's results are made from, whatever the segment.
struct StageFormulas {
    key: StageKey,
    /// The columns of each output.
    outputs: Vec<Vec<FieldDigest>>,
    /// The columns of a partial.
    partial: Vec<FieldDigest>,
}

impl StageFormulas {
    fn new(plan: &Plan, stage: usize) -> Self {
        let fields = |schema: &Schema| schema.fields().iter().map(|field| FieldDigest::of(field)).collect();
        let of = &plan.stages[stage];
        Self {
            key: plan.stage_key(stage),
            outputs: of.outputs.iter().map(|output| fields(&plan.stream(output.stream).schema)).collect(),
            partial: of.partial.as_deref().map(fields).unwrap_or_default(),
        }
    }
}

/// The keys of streams over given sources. What depends on files that were not read yet is absent.
#[derive(Default)]
pub(crate) struct Datasets {
    /// The segments of each stream.
    pub streams: HashMap<StreamId, Vec<SegmentKeys>>,
    /// The partials of each combining stage.
    pub partials: HashMap<usize, Partials>,
}

/// The partials of a combining stage and the tree that merges them.
#[derive(Clone)]
pub(crate) struct Partials {
    /// Level 0 holds a partial per segment; each next level merges [`MERGE_FAN_IN`] of the one before. The last has one
    /// node, or none when there are no segments.
    pub levels: Vec<Vec<SegmentKeys>>,
}

impl Partials {
    /// The partials that a node of a level above 0 merges. A single child is not merged but stands for itself.
    pub(crate) fn children(&self, level: usize, index: usize) -> &[SegmentKeys] {
        let below = &self.levels[level - 1];
        let start = index * MERGE_FAN_IN;
        &below[start..below.len().min(start + MERGE_FAN_IN)]
    }

    /// What the finish phase takes in: the root of the tree.
    pub(crate) fn root(&self) -> &[SegmentKeys] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }
}

impl<'a> Deriver<'a> {
    /// What all segments share is made once.
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self { plan, stages: (0..plan.stages.len()).map(|stage| StageFormulas::new(plan, stage)).collect() }
    }

    /// The key of one invocation. `driving` is the segment of the driving input, `whole` gives all segments of any
    /// other input.
    pub(crate) fn invocation<'k>(
        &self,
        stage: usize,
        part: u64,
        driving: Option<&'k SegmentKeys>,
        whole: &dyn Fn(StreamId) -> &'k [SegmentKeys],
    ) -> InvocationKey {
        let inputs = self.plan.stages[stage].inputs.iter().map(|input| {
            let driven = driving.filter(|_| input.class.is_driving());
            ReadKeys { segments: driven.map_or_else(|| whole(input.stream), std::slice::from_ref), reads: &input.reads }
        });
        let phase = if self.plan.stages[stage].is_combining() { Phase::Partial } else { Phase::Run };
        InvocationKey::derive(&self.stages[stage].key, phase, part, &inputs.collect::<Vec<_>>())
    }

    /// The keys of what an invocation gives on a port. `input` holds the keys of the rows that the port's rows relate
    /// to, when they relate to any.
    pub(crate) fn output(
        &self,
        stage: usize,
        port: usize,
        invocation: &InvocationKey,
        input: Option<&SegmentKeys>,
    ) -> SegmentKeys {
        let output = &self.plan.stages[stage].outputs[port];
        let fields = &self.stages[stage].outputs[port];
        let rows = match (output.rows, input) {
            (Rows::Same { .. }, Some(input)) => input.rows,
            _ => invocation.written_rows(port),
        };
        let column = |(index, origin): (usize, &OutputColumn)| match (origin, input) {
            (OutputColumn::Passed { column }, Some(input)) => match output.rows {
                Rows::Same { .. } => input.columns[*column],
                _ => input.columns[*column].selected(&rows),
            },
            _ => invocation.written_column(port, index, &fields[index]),
        };
        SegmentKeys { rows, columns: output.columns.iter().enumerate().map(column).collect() }
    }

    /// The keys of the partial that an invocation gives.
    pub(crate) fn partial(&self, stage: usize, invocation: &InvocationKey) -> SegmentKeys {
        let fields = self.stages[stage].partial.iter().enumerate();
        let columns = fields.map(|(i, field)| invocation.written_column(0, i, field));
        SegmentKeys { rows: invocation.written_rows(0), columns: columns.collect() }
    }

    /// The invocation that merges partials, or finishes the last.
    pub(crate) fn of_partials(&self, stage: usize, phase: Phase, partials: &[SegmentKeys]) -> InvocationKey {
        let reads: Vec<usize> = (0..self.stages[stage].partial.len()).collect();
        InvocationKey::derive(&self.stages[stage].key, phase, 0, &[ReadKeys { segments: partials, reads: &reads }])
    }

    /// The tree over partials.
    pub(crate) fn tree(&self, stage: usize, leaves: Vec<SegmentKeys>) -> Partials {
        let mut levels = vec![leaves];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            let next = last.chunks(MERGE_FAN_IN).map(|children| match children {
                [only] => only.clone(),
                several => self.partial(stage, &self.of_partials(stage, Phase::Merge, several)),
            });
            let next = next.collect();
            levels.push(next);
        }
        Partials { levels }
    }

    /// How many invocations a stage without a driving input has.
    pub(crate) fn parts(&self, stage: usize) -> u64 {
        let stage = &self.plan.stages[stage];
        match stage.inputs.iter().any(|input| input.class == Class::Keyed) {
            true => KEY_GROUPS,
            false => stage.parts,
        }
    }

    /// All keys. `source` gives the segments of a source's stream (or of its rejects), if they are all known.
    pub(crate) fn datasets(&self, source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>) -> Datasets {
        let mut datasets = Datasets::default();
        for (id, stream) in self.plan.streams.iter().enumerate() {
            if let Some(segments) = source(stream.producer) {
                datasets.streams.insert(StreamId(id), segments);
            }
        }
        self.derive_stages(0..self.plan.stages.len(), &mut datasets);
        datasets
    }

    /// Adds the keys of what these stages give, in topological order, as far as their inputs are known.
    pub(crate) fn derive_stages(&self, stages: impl IntoIterator<Item = usize>, datasets: &mut Datasets) {
        for stage in stages {
            self.derive_stage(stage, datasets);
        }
    }

    fn derive_stage(&self, stage: usize, datasets: &mut Datasets) -> Option<()> {
        let inputs = &self.plan.stages[stage].inputs;
        if inputs.iter().any(|input| !datasets.streams.contains_key(&input.stream)) {
            return None;
        }
        let whole = |id: StreamId| datasets.streams.get(&id).map_or(&[][..], Vec::as_slice);
        let driving = self.plan.stages[stage].driving().map(|(_, input)| whole(input.stream));
        let invocations: Vec<(InvocationKey, Option<&SegmentKeys>)> = match driving {
            Some(segments) => segments.iter().map(|s| (self.invocation(stage, 0, Some(s), &whole), Some(s))).collect(),
            None => (0..self.parts(stage)).map(|part| (self.invocation(stage, part, None, &whole), None)).collect(),
        };
        if self.plan.stages[stage].is_combining() {
            let leaves = invocations.iter().map(|(invocation, _)| self.partial(stage, invocation)).collect();
            let tree = self.tree(stage, leaves);
            let finish = self.of_partials(stage, Phase::Finish, tree.root());
            for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
                datasets.streams.insert(output.stream, vec![self.output(stage, port, &finish, None)]);
            }
            datasets.partials.insert(stage, tree);
            return Some(());
        }
        let mut outputs = Vec::new();
        for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
            let concatenated = match (driving, output.rows.input()) {
                (None, Some(input)) => Some(concatenated(whole(inputs[input].stream))),
                _ => None,
            };
            let segments = invocations
                .iter()
                .map(|(invocation, segment)| self.output(stage, port, invocation, segment.or(concatenated.as_ref())));
            outputs.push((output.stream, segments.collect()));
        }
        for (stream, segments) in outputs {
            datasets.streams.insert(stream, segments);
        }
        Some(())
    }
}

/// The keys of a dataset taken as one segment.
pub(crate) fn concatenated(segments: &[SegmentKeys]) -> SegmentKeys {
    if let [only] = segments {
        return only.clone();
    }
    let all = |part: &dyn Fn(&SegmentKeys) -> [u8; 32]| {
        let mut hasher = KeyHasher::new("flowc concatenation 1");
        segments.iter().for_each(|segment| {
            hasher.digest(&part(segment));
        });
        hasher.finish()
    };
    let columns = segments.first().map_or(0, |segment| segment.columns.len());
    SegmentKeys {
        rows: RowsKey::new(all(&|segment| *segment.rows.as_bytes())),
        columns: (0..columns).map(|c| ColumnKey::new(all(&|segment| *segment.columns[c].as_bytes()))).collect(),
    }
}
