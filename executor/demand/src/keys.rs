//! Derives the keys of every stream from those of the sources, without running anything (DESIGN section 4).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Fields, Schema};
use flowc_planner::key::{FieldDigest, InvocationKey, KeyHasher, Phase, ReadKeys, SegmentKeys, StageKey};
use flowc_planner::plan::{Input, OutputColumn, Plan, Producer, Rows, StreamId, Window, WindowKind};

use crate::groups::{Part, group_keys};
use crate::lineage::{Lineage, SourceColumn};
use crate::segments::Segments;
use crate::selection::Above;
use crate::sliced::{Slices, merges_slices};
use crate::windows::{Beginning, SegmentClock, Slice, WindowPart, beginnings, windows};

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

    fn of_partials(&self, phase: Phase, part: u64, partials: &[SegmentKeys]) -> InvocationKey {
        let reads: Vec<usize> = (0..self.partial.len()).collect();
        InvocationKey::derive(&self.key, phase, part, &[ReadKeys { segments: partials, reads: &reads }])
    }

    /// The partial of a slice, which has these keys.
    fn of_slice(&self, slice: &SegmentKeys) -> SegmentKeys {
        let inputs = [ReadKeys { segments: std::slice::from_ref(slice), reads: &self.reads[0] }];
        self.partial(&InvocationKey::derive(&self.key, Phase::Partial, 0, &inputs))
    }
}

/// The keys of streams over given sources. What depends on files that were not read yet is absent.
#[derive(Clone, Default)]
pub struct Datasets {
    /// The segments of each stream.
    pub streams: HashMap<StreamId, Segments>,
    /// The partials of each combining stage: of a node, what its children's partials are merged to.
    pub partials: HashMap<usize, Segments>,
    /// The windows of each stage that is invoked by windows.
    pub windows: HashMap<usize, Arc<[WindowPart]>>,
    /// The slices of the input of each such stage that merges partials of them.
    pub slices: HashMap<usize, Arc<Slices>>,
    /// Of each stage that picks late rows: where the segments of its input begin in their partitions.
    pub beginnings: HashMap<usize, Arc<[Beginning]>>,
}

/// Gives the times of all segments of a source, by a column of it and a kind of windows; none while they are not known.
pub type Clocks<'c> = dyn Fn(SourceColumn, &WindowKind) -> Option<Vec<SegmentClock>> + 'c;

/// Where no times are known, and so no windows.
pub fn no_clocks(_: SourceColumn, _: &WindowKind) -> Option<Vec<SegmentClock>> {
    None
}

impl Datasets {
    /// What stands for the number of an invocation of a stage in its key: windows are known by where they begin.
    pub(crate) fn part(&self, stage: usize, number: usize) -> u64 {
        self.windows.get(&stage).map_or(number as u64, |windows| windows[number].start as u64)
    }

    /// What an invocation of a stage takes of a segment of an input, where rows are divided.
    pub fn part_of<'p>(&'p self, stage: usize, input: &'p Input, number: usize) -> Option<Part<'p>> {
        match (&input.window, self.windows.get(&stage)) {
            (Some(window), Some(windows)) if window.is_made_by_rows() => {
                let (group, beginnings) = (windows[number].number as u64, self.beginnings.get(&stage)?);
                Some(Part::Sessions { window, group, beginnings })
            }
            (Some(window), Some(windows)) => Some(Part::Window { window, number: windows[number].number }),
            _ => input.key.as_ref().map(|key| Part::Group { key, group: number as u64 }),
        }
    }

    /// The segments of an input that an invocation of a stage takes.
    pub fn segments_of(&self, plan: &Plan, stage: usize, input: usize, number: usize) -> Vec<usize> {
        let of = &plan.stages[stage].inputs[input];
        match (&of.window, self.windows.get(&stage)) {
            (Some(_), Some(windows)) => windows[number].segments[input].clone(),
            _ => (0..self.streams.get(&of.stream).map_or(0, |segments| segments.len())).collect(),
        }
    }

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

    /// The invocation that merges partials, or finishes the last. `part` stands for the window, where there is one, else it is 0.
    pub fn of_partials(&self, stage: usize, phase: Phase, part: u64, partials: &[SegmentKeys]) -> InvocationKey {
        self.stages[stage].of_partials(phase, part, partials)
    }

    /// The keys of the partial of a slice of a segment with these keys.
    pub fn of_slice(&self, stage: usize, slice: &Slice, segment: &SegmentKeys) -> Option<SegmentKeys> {
        let window = self.plan.stages[stage].window()?;
        Some(self.stages[stage].of_slice(&slice.keys(window, segment)))
    }

    /// How many invocations a stage has that neither an input nor windows drive.
    fn parts(&self, stage: usize) -> u64 {
        let stage = &self.plan.stages[stage];
        stage.inputs.iter().find_map(|input| input.key.as_ref()).map_or(stage.parts, |key| key.groups)
    }

    /// The segments of a stream of the plan that have these keys.
    pub fn segments(&self, stream: StreamId, keys: Vec<SegmentKeys>) -> Segments {
        Segments::listed(self.plan.stream(stream).schema.fields(), keys)
    }

    /// All keys. `source` gives the segments of a source's stream (or of its rejects), if they are all known.
    pub fn datasets(&self, source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>, clocks: &Clocks<'_>) -> Datasets {
        let mut datasets = Datasets::default();
        for (id, stream) in self.plan.streams.iter().enumerate() {
            if let Some(segments) = source(stream.producer) {
                datasets.streams.insert(StreamId(id), self.segments(StreamId(id), segments));
            }
        }
        self.derive_stages(0..self.plan.stages.len(), clocks, &mut datasets);
        datasets
    }

    /// The keys of some streams, and of all that they are made of. `source` is as in [`KeyDeriver::datasets`].
    pub fn datasets_of(
        &self,
        streams: &[StreamId],
        source: &dyn Fn(Producer) -> Option<Vec<SegmentKeys>>,
        clocks: &Clocks<'_>,
    ) -> Datasets {
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
        self.derive_stages(above.stages, clocks, &mut datasets);
        datasets
    }

    /// Adds the keys of what these stages give, in topological order, as far as their inputs are known.
    pub fn derive_stages(&self, stages: impl IntoIterator<Item = usize>, clocks: &Clocks<'_>, datasets: &mut Datasets) {
        for stage in stages {
            self.derive_stage(stage, clocks, datasets);
        }
    }

    fn derive_stage(&self, stage: usize, clocks: &Clocks<'_>, datasets: &mut Datasets) -> Option<()> {
        let of = &self.plan.stages[stage];
        let whole = |input: &Input| datasets.streams.get(&input.stream).cloned();
        let mut inputs: Vec<Segments> = of.inputs.iter().map(whole).collect::<Option<_>>()?;
        if of.window().is_some() {
            let clocks = self.clocks_of_inputs(stage, &inputs, clocks)?;
            let windows: Arc<[WindowPart]> = windows(&clocks).into();
            datasets.windows.insert(stage, windows.clone());
            for (window, clocks) in clocks.into_iter().flatten() {
                if window.is_made_by_rows() {
                    datasets.beginnings.insert(stage, beginnings(&clocks).into());
                } else if merges_slices(of) {
                    let (formulas, segments) = (self.stages[stage].clone(), inputs[0].clone());
                    let partial = move |window: &Window, slice: &Slice, segment: usize| {
                        Some(formulas.of_slice(&slice.keys(window, &segments.segment(segment)?)))
                    };
                    let columns = of.partial.as_ref().map_or_else(Fields::empty, |schema| schema.fields().clone());
                    let slices = Slices::new(columns, window.clone(), clocks, windows.clone(), partial);
                    datasets.slices.insert(stage, Arc::new(slices));
                }
            }
        }
        if let Some(window) = of.late_window() {
            let clocks = self.clocks(of.inputs[0].stream, &window, clocks)?;
            let beginnings: Arc<[Beginning]> = beginnings(&clocks).into();
            let placed = inputs[0].iter().zip(beginnings.iter()).map(|(keys, beginning)| beginning.placed(&keys));
            inputs[0] = self.segments(of.inputs[0].stream, placed.collect());
            datasets.beginnings.insert(stage, beginnings);
        }
        let others = |datasets: &Datasets, number| -> Arc<[Segments]> {
            let inputs = of.inputs.iter().zip(&inputs).enumerate();
            inputs
                .map(|(port, (input, segments))| self.beside(datasets, stage, (port, input), segments, number))
                .collect()
        };
        let Some((driving, _)) = of.driving() else {
            let numbers = datasets.windows.get(&stage).map_or(self.parts(stage) as usize, |windows| windows.len());
            let others: Vec<_> = (0..numbers).map(|number| others(datasets, number)).collect();
            self.derive_parts(stage, &others, datasets);
            return Some(());
        };
        let (above, others) = (&inputs[driving], others(datasets, 0));
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
        let finish = self.of_partials(stage, Phase::Finish, 0, &last);
        for (port, output) in of.outputs.iter().enumerate() {
            let keys = self.output(stage, port, &finish, &InvocationInputs::default());
            datasets.streams.insert(output.stream, self.segments(output.stream, vec![keys]));
        }
        datasets.partials.insert(stage, partials);
        Some(())
    }

    /// The times of the segments of a stream's source.
    fn clocks(&self, stream: StreamId, window: &Window, clocks: &Clocks<'_>) -> Option<Vec<SegmentClock>> {
        clocks(self.lineage.picked_column(stream, window.time?.column)?, &window.kind)
    }

    /// The windows of each input of a stage that has some, with the times of its segments.
    fn clocks_of_inputs(
        &self,
        stage: usize,
        inputs: &[Segments],
        clocks: &Clocks<'_>,
    ) -> Option<Vec<Option<Windowed<'a>>>> {
        let of_input = |(input, segments): (&'a Input, &Segments)| match &input.window {
            // Where rows are counted no times matter.
            Some(window) if window.time.is_none() => {
                let clock = SegmentClock { partition: "".into(), first_row: 0, times: Arc::default() };
                Some(Some((window, vec![clock; segments.len()])))
            }
            Some(window) => self.clocks(input.stream, window, clocks).map(|clocks| Some((window, clocks))),
            None => Some(None),
        };
        self.plan.stages[stage].inputs.iter().zip(inputs).map(of_input).collect()
    }

    /// What an invocation takes in of an input that does not drive it.
    fn beside(
        &self,
        datasets: &Datasets,
        stage: usize,
        (port, input): (usize, &Input),
        segments: &Segments,
        number: usize,
    ) -> Segments {
        match (&input.window, &input.key) {
            (Some(_), _) => {
                let part = datasets.part_of(stage, input, number);
                let places = datasets.segments_of(self.plan, stage, port, number).into_iter();
                let keys = places.filter_map(|place| Some(part?.keys(place, &segments.segment(place)?)));
                self.segments(input.stream, keys.collect())
            }
            (None, Some(key)) => {
                let (key, group) = (key.clone(), number as u64);
                Segments::derived(segments, move |keys| group_keys(keys, &key, group))
            }
            (None, None) if input.class.is_driving() => Segments::default(),
            (None, None) => segments.clone(),
        }
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
        let part = |number| datasets.part(stage, number);
        let taken = (0..).zip(others).map(|(n, others)| InvocationInputs { part: part(n), driving: None, others });
        let invocations: Vec<_> = taken.map(|taken| (self.invocation(stage, &taken), taken)).collect();
        for (port, output) in self.plan.stages[stage].outputs.iter().enumerate() {
            let segments = invocations.iter().map(|(key, taken)| self.output(stage, port, key, taken)).collect();
            datasets.streams.insert(output.stream, self.segments(output.stream, segments));
        }
    }
}

/// The windows of an input, and the times of its segments.
type Windowed<'a> = (&'a Window, Vec<SegmentClock>);

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
