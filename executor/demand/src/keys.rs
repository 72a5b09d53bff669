//! Derives the keys of every stream from those of the sources, without running anything (DESIGN section 4).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::Schema;
use flowc_planner::key::{FieldDigest, InvocationKey, KeyHasher, Phase, ReadKeys, SegmentKeys, StageKey};
use flowc_planner::plan::{Input, OutputColumn, Plan, Producer, Rows, StreamId};

use crate::groups::group_keys;
use crate::lineage::Lineage;
use crate::segments::Segments;
use crate::selection::Above;

/// The formulas of keys, for one plan.
pub struct KeyDeriver<'a> {
    plan: &'a Plan,
    lineage: Lineage,
    stages: Vec<Arc<StageFormulas>>,
}

/// What the keys of a stage's results are made from, whatever the segment.
struct StageFormulas {
    key: StageKey,
    /// What invocations are over segments, or over all.
    phase: Phase,
    /// Per input, the columns that the stage reads.
    reads: Vec<Vec<usize>>,
    outputs: Vec<OutputFormula>,
    /// The columns of a partial.
    partial: Vec<FieldDigest>,
}

/// What the keys of an output are made from.
struct OutputFormula {
    rows: Rows,
    columns: Vec<(OutputColumn, FieldDigest)>,
}

impl StageFormulas {
    fn new(plan: &Plan, mark: Option<[u8; 32]>, stage: usize) -> Self {
        let fields = |schema: &Schema| schema.fields().iter().map(|field| FieldDigest::of(field)).collect::<Vec<_>>();
        let of = &plan.stages[stage];
        let key = plan.stage_key(stage);
        let outputs = of.outputs.iter().map(|output| OutputFormula {
            rows: output.rows,
            columns: output.columns.iter().copied().zip(fields(&plan.stream(output.stream).schema)).collect(),
        });
        Self {
            key: mark.map_or(key, |mark| key.marked(&mark)),
            phase: if of.is_combining() { Phase::Partial } else { Phase::Run },
            reads: of.inputs.iter().map(|input| input.reads.clone()).collect(),
            outputs: outputs.collect(),
            partial: of.partial.as_deref().map(fields).unwrap_or_default(),
        }
    }

    fn invocation(&self, taken: &InvocationInputs<'_>) -> InvocationKey {
        let keys: Vec<SegmentKeys> = (0..self.reads.len()).map(|input| taken.keys(input)).collect();
        let inputs = keys.iter().zip(&self.reads);
        let inputs = inputs.map(|(keys, reads)| ReadKeys { segments: std::slice::from_ref(keys), reads });
        InvocationKey::derive(&self.key, self.phase, taken.part, &inputs.collect::<Vec<_>>())
    }

    fn output(&self, port: usize, invocation: &InvocationKey, taken: &InvocationInputs<'_>) -> SegmentKeys {
        let OutputFormula { rows: origin_of_rows, columns } = &self.outputs[port];
        let input = origin_of_rows.input().map(|input| taken.as_segment(input));
        let rows = match (origin_of_rows, &input) {
            (Rows::Same { .. }, Some(input)) => input.rows,
            _ => invocation.written_rows(port),
        };
        let column = |(index, (origin, field)): (usize, &(OutputColumn, FieldDigest))| match (origin, &input) {
            (OutputColumn::Passed { column }, Some(input)) => match origin_of_rows {
                Rows::Same { .. } => input.columns[*column],
                _ => input.columns[*column].selected(&rows),
            },
            _ => invocation.written_column(port, index, field),
        };
        SegmentKeys { rows, columns: columns.iter().enumerate().map(column).collect() }
    }

    fn partial(&self, invocation: &InvocationKey) -> SegmentKeys {
        let fields = self.partial.iter().enumerate();
        let columns = fields.map(|(i, field)| invocation.written_column(0, i, field));
        SegmentKeys { rows: invocation.written_rows(0), columns: columns.collect() }
    }

    fn of_partials(&self, phase: Phase, partials: &[SegmentKeys]) -> InvocationKey {
        let reads: Vec<usize> = (0..self.partial.len()).collect();
        InvocationKey::derive(&self.key, phase, 0, &[ReadKeys { segments: partials, reads: &reads }])
    }
}

/// The keys of streams over given sources. What depends on files that were not read yet is absent.
#[derive(Clone, Default)]
pub struct Datasets {
    /// The segments of each stream.
    pub streams: HashMap<StreamId, Segments>,
    /// The partials of each combining stage: of a node, what its children's partials are merged to.
    pub partials: HashMap<usize, Segments>,
}

impl Datasets {
    /// What identifies the rows of a stream, with the names and types of its columns; none while they are not known.
    pub fn key(&self, plan: &Plan, stream: StreamId) -> Option<String> {
        let SegmentKeys { rows, columns } = self.streams.get(&stream)?.key();
        let mut hasher = KeyHasher::new("flowc stream 1");
        plan.stream(stream).schema.fields().iter().for_each(|field| {
            hasher.field(field);
        });
        hasher.digest(rows.as_bytes());
        columns.iter().for_each(|column| {
            hasher.digest(column.as_bytes());
        });
        Some(blake3::Hash::from_bytes(hasher.finish()).to_hex().to_string())
    }
}

impl<'a> KeyDeriver<'a> {
    /// Prepares the parts of the formulas that all segments share. `mark` gives what is in a stage's keys beside the plan.
    pub fn new(plan: &'a Plan, mark: impl Fn(usize) -> Option<[u8; 32]>) -> Self {
        let of = |stage| Arc::new(StageFormulas::new(plan, mark(stage), stage));
        Self { plan, lineage: Lineage::of(plan), stages: (0..plan.stages.len()).map(of).collect() }
    }

    /// Where the plan's streams come from.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The key of one invocation.
    pub fn invocation(&self, stage: usize, taken: &InvocationInputs<'_>) -> InvocationKey {
        self.stages[stage].invocation(taken)
    }

    /// The keys of what an invocation gives on a port.
    pub fn output(
        &self,
        stage: usize,
        port: usize,
        invocation: &InvocationKey,
        taken: &InvocationInputs<'_>,
    ) -> SegmentKeys {
        self.stages[stage].output(port, invocation, taken)
    }

    /// The keys of the partial that an invocation gives.
    pub fn partial(&self, stage: usize, invocation: &InvocationKey) -> SegmentKeys {
        self.stages[stage].partial(invocation)
    }

    /// The invocation that merges partials, or finishes the last.
    pub fn of_partials(&self, stage: usize, phase: Phase, partials: &[SegmentKeys]) -> InvocationKey {
        self.stages[stage].of_partials(phase, partials)
    }

    /// How many invocations a stage without a driving input has.
    pub fn parts(&self, stage: usize) -> u64 {
        let stage = &self.plan.stages[stage];
        stage.inputs.iter().find_map(|input| input.key.as_ref()).map_or(stage.parts, |key| key.groups)
    }

    /// The segments of a stream of the plan that have these keys.
    pub fn segments(&self, stream: StreamId, keys: Vec<SegmentKeys>) -> Segments {
        Segments::listed(self.plan.stream(stream).schema.fields(), keys)
    }

    /// All keys. `source` gives the segments of a source's stream (or of its rejects), if they are all known.
    pub fn datasets(&self, source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>) -> Datasets {
        let mut datasets = Datasets::default();
        for (id, stream) in self.plan.streams.iter().enumerate() {
            if let Some(segments) = source(stream.producer) {
                datasets.streams.insert(StreamId(id), self.segments(StreamId(id), segments));
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
                datasets.streams.insert(StreamId(id), self.segments(StreamId(id), segments));
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
        let of = &self.plan.stages[stage];
        let whole = |input: &Input| datasets.streams.get(&input.stream).cloned();
        let inputs: Vec<Segments> = of.inputs.iter().map(whole).collect::<Option<_>>()?;
        let others = |part| -> Arc<[Segments]> {
            of.inputs.iter().zip(&inputs).map(|(input, segments)| beside(input, segments, part)).collect()
        };
        let Some((driving, _)) = of.driving() else {
            let others: Vec<_> = (0..self.parts(stage)).map(others).collect();
            self.derive_parts(stage, &others, datasets);
            return Some(());
        };
        let (above, others) = (&inputs[driving], others(0));
        if !of.is_combining() {
            for (port, output) in of.outputs.iter().enumerate() {
                let segments = self.driven(stage, driving, above, &others, move |formulas, invocation, taken| {
                    formulas.output(port, invocation, taken)
                });
                datasets.streams.insert(output.stream, segments);
            }
            return Some(());
        }
        let partials =
            self.driven(stage, driving, above, &others, |formulas, invocation, _| formulas.partial(invocation));
        let last: Vec<SegmentKeys> = (!partials.is_empty()).then(|| partials.key()).into_iter().collect();
        let finish = self.of_partials(stage, Phase::Finish, &last);
        for (port, output) in of.outputs.iter().enumerate() {
            let keys = self.output(stage, port, &finish, &InvocationInputs::default());
            datasets.streams.insert(output.stream, self.segments(output.stream, vec![keys]));
        }
        datasets.partials.insert(stage, partials);
        Some(())
    }

    /// What a stage gives over each segment of its driving input.
    fn driven(
        &self,
        stage: usize,
        driving: usize,
        above: &Segments,
        others: &Arc<[Segments]>,
        gives: impl Fn(&StageFormulas, &InvocationKey, &InvocationInputs<'_>) -> SegmentKeys + Send + Sync + 'static,
    ) -> Segments {
        let (formulas, others) = (self.stages[stage].clone(), others.clone());
        Segments::derived(above, move |keys| {
            let taken = InvocationInputs { part: 0, driving: Some((driving, keys)), others: &others };
            gives(&formulas, &formulas.invocation(&taken), &taken)
        })
    }

    /// What a stage gives that no input drives, over what each invocation takes in.
    fn derive_parts(&self, stage: usize, others: &[Arc<[Segments]>], datasets: &mut Datasets) {
        let taken = (0..).zip(others).map(|(part, others)| InvocationInputs { part, driving: None, others });
        let invocations: Vec<_> = taken.map(|taken| (self.invocation(stage, &taken), taken)).collect();
        for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
            let segments = invocations.iter().map(|(key, taken)| self.output(stage, port, key, taken)).collect();
            datasets.streams.insert(output.stream, self.segments(output.stream, segments));
        }
    }
}

/// What an invocation takes in of an input that does not drive it.
fn beside(input: &Input, segments: &Segments, part: u64) -> Segments {
    match &input.key {
        Some(key) => {
            let key = key.clone();
            Segments::derived(segments, move |keys| group_keys(keys, &key, part))
        }
        None if input.class.is_driving() => Segments::default(),
        None => segments.clone(),
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
    pub others: &'k [Segments],
}

impl InvocationInputs<'_> {
    /// The keys of what it takes in of one input.
    fn keys(&self, input: usize) -> SegmentKeys {
        match self.driving {
            Some((driving, segment)) if driving == input => segment.clone(),
            _ => self.others[input].key(),
        }
    }

    /// The keys of one segment with all rows that it takes in of one input.
    fn as_segment(&self, input: usize) -> SegmentKeys {
        match self.driving {
            Some((driving, segment)) if driving == input => segment.clone(),
            _ => self.others[input].concatenated(),
        }
    }
}
