//! Derives the keys of every stream from those of the sources, without running anything (DESIGN section 4).

use std::borrow::Cow;
use std::collections::HashMap;

use arrow_schema::Schema;
use flowc_planner::key::{
    ColumnKey, FieldDigest, InvocationKey, KeyHasher, Phase, ReadKeys, RowsKey, SegmentKeys, StageKey,
};
use flowc_planner::plan::{Input, Output, OutputColumn, Plan, Producer, Rows, StreamId};

use crate::groups::group_keys;
use crate::lineage::Lineage;
use crate::selection::Above;

/// Partials that one merge takes. It is part of what results depend on, so it is fixed.
pub const MERGE_FAN_IN: usize = 16;

/// The formulas of keys, for one plan.
pub struct KeyDeriver<'a> {
    plan: &'a Plan,
    lineage: Lineage,
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
    fn new(plan: &Plan, mark: Option<[u8; 32]>, stage: usize) -> Self {
        let fields = |schema: &Schema| schema.fields().iter().map(|field| FieldDigest::of(field)).collect();
        let of = &plan.stages[stage];
        let key = plan.stage_key(stage);
        Self {
            key: mark.map_or(key, |mark| key.marked(&mark)),
            outputs: of.outputs.iter().map(|output| fields(&plan.stream(output.stream).schema)).collect(),
            partial: of.partial.as_deref().map(fields).unwrap_or_default(),
        }
    }
}

/// The keys of streams over given sources. What depends on files that were not read yet is absent.
#[derive(Default)]
pub struct Datasets {
    /// The segments of each stream.
    pub streams: HashMap<StreamId, Vec<SegmentKeys>>,
    /// The partials of each combining stage.
    pub partials: HashMap<usize, Partials>,
}

impl Datasets {
    /// What identifies the rows of a stream, with the names and types of its columns; none while they are not known.
    pub fn key(&self, plan: &Plan, stream: StreamId) -> Option<String> {
        let segments = self.streams.get(&stream)?;
        let mut hasher = KeyHasher::new("flowc stream 1");
        plan.stream(stream).schema.fields().iter().for_each(|field| {
            hasher.field(field);
        });
        for SegmentKeys { rows, columns } in segments {
            hasher.digest(rows.as_bytes());
            columns.iter().for_each(|column| {
                hasher.digest(column.as_bytes());
            });
        }
        Some(blake3::Hash::from_bytes(hasher.finish()).to_hex().to_string())
    }
}

/// The partials of a combining stage and the tree that merges them.
#[derive(Clone)]
pub struct Partials {
    /// Level 0 holds a partial per segment; each next level merges [`MERGE_FAN_IN`] of the one before. The last has one
    /// node, or none when there are no segments.
    pub levels: Vec<Vec<SegmentKeys>>,
}

impl Partials {
    /// The partials that a node of a level above 0 merges. A single child is not merged but stands for itself.
    pub fn children(&self, level: usize, index: usize) -> &[SegmentKeys] {
        let below = &self.levels[level - 1];
        let start = index * MERGE_FAN_IN;
        &below[start..below.len().min(start + MERGE_FAN_IN)]
    }

    /// What the finish phase takes in: the root of the tree.
    pub fn root(&self) -> &[SegmentKeys] {
        self.levels.last().map_or(&[], Vec::as_slice)
    }
}

impl<'a> KeyDeriver<'a> {
    /// Prepares the parts of the formulas that all segments share. `mark` gives what is in a stage's keys beside the plan.
    pub fn new(plan: &'a Plan, mark: impl Fn(usize) -> Option<[u8; 32]>) -> Self {
        let stages = (0..plan.stages.len()).map(|stage| StageFormulas::new(plan, mark(stage), stage)).collect();
        Self { plan, lineage: Lineage::of(plan), stages }
    }

    /// Where the plan's streams come from.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The key of one invocation.
    pub fn invocation(&self, stage: usize, taken: &InvocationInputs<'_>) -> InvocationKey {
        let inputs = self.plan.stages[stage].inputs.iter().enumerate();
        let inputs = inputs.map(|(index, input)| ReadKeys { segments: taken.segments(index), reads: &input.reads });
        let phase = if self.plan.stages[stage].is_combining() { Phase::Partial } else { Phase::Run };
        InvocationKey::derive(&self.stages[stage].key, phase, taken.part, &inputs.collect::<Vec<_>>())
    }

    /// The keys of what an invocation gives on a port.
    pub fn output(
        &self,
        stage: usize,
        port: usize,
        invocation: &InvocationKey,
        taken: &InvocationInputs<'_>,
    ) -> SegmentKeys {
        let Output { rows: origin_of_rows, columns, port: _, stream: _ } = &self.plan.stages[stage].outputs[port];
        let fields = &self.stages[stage].outputs[port];
        let input = origin_of_rows.input().map(|input| {
            let stream = self.plan.stages[stage].inputs[input].stream;
            concatenated(taken.segments(input), self.plan.stream(stream).schema.fields().len())
        });
        let rows = match (origin_of_rows, &input) {
            (Rows::Same { .. }, Some(input)) => input.rows,
            _ => invocation.written_rows(port),
        };
        let column = |(index, origin): (usize, &OutputColumn)| match (origin, &input) {
            (OutputColumn::Passed { column }, Some(input)) => match origin_of_rows {
                Rows::Same { .. } => input.columns[*column],
                _ => input.columns[*column].selected(&rows),
            },
            _ => invocation.written_column(port, index, &fields[index]),
        };
        SegmentKeys { rows, columns: columns.iter().enumerate().map(column).collect() }
    }

    /// The keys of the partial that an invocation gives.
    pub fn partial(&self, stage: usize, invocation: &InvocationKey) -> SegmentKeys {
        let fields = self.stages[stage].partial.iter().enumerate();
        let columns = fields.map(|(i, field)| invocation.written_column(0, i, field));
        SegmentKeys { rows: invocation.written_rows(0), columns: columns.collect() }
    }

    /// The invocation that merges partials, or finishes the last.
    pub fn of_partials(&self, stage: usize, phase: Phase, partials: &[SegmentKeys]) -> InvocationKey {
        let reads: Vec<usize> = (0..self.stages[stage].partial.len()).collect();
        InvocationKey::derive(&self.stages[stage].key, phase, 0, &[ReadKeys { segments: partials, reads: &reads }])
    }

    /// The tree over partials.
    pub fn tree(&self, stage: usize, leaves: Vec<SegmentKeys>) -> Partials {
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
    pub fn parts(&self, stage: usize) -> u64 {
        let stage = &self.plan.stages[stage];
        stage.inputs.iter().find_map(|input| input.key.as_ref()).map_or(stage.parts, |key| key.groups)
    }

    /// All keys. `source` gives the segments of a source's stream (or of its rejects), if they are all known.
    pub fn datasets(&self, source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>) -> Datasets {
        let mut datasets = Datasets::default();
        for (id, stream) in self.plan.streams.iter().enumerate() {
            if let Some(segments) = source(stream.producer) {
                datasets.streams.insert(StreamId(id), segments);
            }
        }
        self.derive_stages(0..self.plan.stages.len(), &mut datasets);
        datasets
    }

    /// The keys of some streams, and of all that they are made of. `source` is as in [`KeyDeriver::datasets`].
    pub fn datasets_of(&self, streams: &[StreamId], source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>) -> Datasets {
        let above = Above::of(self.plan, streams.iter().copied());
        let mut datasets = Datasets::default();
        for (id, stream) in self.plan.streams.iter().enumerate() {
            if let Producer::Source { source: of } | Producer::Rejects { source: of } = stream.producer
                && above.sources.contains(&of)
                && let Some(segments) = source(stream.producer)
            {
                datasets.streams.insert(StreamId(id), segments);
            }
        }
        self.derive_stages(above.stages, &mut datasets);
        datasets
    }

    /// Adds the keys of what these stages give, in topological order, as far as their inputs are known.
    pub fn derive_stages(&self, stages: impl IntoIterator<Item = usize>, datasets: &mut Datasets) {
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
        let driving = self.plan.stages[stage].driving().map(|(index, input)| (index, whole(input.stream)));
        let parts = if driving.is_some() { 1 } else { self.parts(stage) };
        let others: Vec<Vec<_>> = (0..parts).map(|part| self.others(stage, part, &whole)).collect();
        let taken: Vec<InvocationInputs<'_>> = match driving {
            Some((index, segments)) => {
                let taken = |segment| InvocationInputs { part: 0, driving: Some((index, segment)), others: &others[0] };
                segments.iter().map(taken).collect()
            }
            None => (0..).zip(&others).map(|(part, others)| InvocationInputs { part, driving: None, others }).collect(),
        };
        let invocations: Vec<InvocationKey> = taken.iter().map(|taken| self.invocation(stage, taken)).collect();
        if self.plan.stages[stage].is_combining() {
            let leaves = invocations.iter().map(|invocation| self.partial(stage, invocation)).collect();
            let tree = self.tree(stage, leaves);
            let finish = self.of_partials(stage, Phase::Finish, tree.root());
            for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
                datasets
                    .streams
                    .insert(output.stream, vec![self.output(stage, port, &finish, &InvocationInputs::default())]);
            }
            datasets.partials.insert(stage, tree);
            return Some(());
        }
        let mut outputs = Vec::new();
        for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
            let segments = invocations.iter().zip(&taken).map(|(key, taken)| self.output(stage, port, key, taken));
            outputs.push((output.stream, segments.collect()));
        }
        datasets.streams.extend(outputs);
        Some(())
    }

    /// What an invocation takes in beside what drives it, input by input.
    fn others<'k>(
        &self,
        stage: usize,
        part: u64,
        whole: &dyn Fn(StreamId) -> &'k [SegmentKeys],
    ) -> Vec<Cow<'k, [SegmentKeys]>> {
        let other = |input: &Input| match &input.key {
            Some(key) => {
                let partitions = whole(input.stream).iter().map(|segment| group_keys(segment, key, part));
                Cow::Owned(partitions.collect())
            }
            None if input.class.is_driving() => Cow::default(),
            None => Cow::Borrowed(whole(input.stream)),
        };
        self.plan.stages[stage].inputs.iter().map(other).collect()
    }
}

/// What one invocation takes in.
#[derive(Clone, Copy, Default)]
pub struct InvocationInputs<'k> {
    /// The number of the invocation, for a stage without a driving input.
    pub part: u64,
    /// The input that drives it, and the segment of it.
    pub driving: Option<(usize, &'k SegmentKeys)>,
    /// Per input: the segments of one that is whole, or of one that is keyed the partition of each for the group.
    pub others: &'k [Cow<'k, [SegmentKeys]>],
}

impl<'k> InvocationInputs<'k> {
    /// What it takes in of one input.
    fn segments(&self, input: usize) -> &'k [SegmentKeys] {
        match self.driving {
            Some((driving, segment)) if driving == input => std::slice::from_ref(segment),
            _ => self.others.get(input).map_or(&[], |segments| segments),
        }
    }
}

/// The keys of a dataset of so many columns, taken as one segment.
fn concatenated(segments: &[SegmentKeys], columns: usize) -> Cow<'_, SegmentKeys> {
    if let [only] = segments {
        return Cow::Borrowed(only);
    }
    let all = |part: &dyn Fn(&SegmentKeys) -> [u8; 32]| {
        let mut hasher = KeyHasher::new("flowc concatenation 1");
        segments.iter().for_each(|segment| {
            hasher.digest(&part(segment));
        });
        hasher.finish()
    };
    Cow::Owned(SegmentKeys {
        rows: RowsKey::new(all(&|segment| *segment.rows.as_bytes())),
        columns: (0..columns).map(|c| ColumnKey::new(all(&|segment| *segment.columns[c].as_bytes()))).collect(),
    })
}
