//! The stages of an invocation: one, or those of a chain.
//!
//! From one stage of a chain to the next go *frames* (`docs/flight-protocol.md`). A stage's input has the columns that it reads
//! and those that go past it, which its output passes on. Where rows of a chain are picked, so are their numbers: these lie
//! beside every frame, and go past every stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::{FieldRef, Schema};
use flowc_planner::key::{Phase, StageDigest, canonical_json};
use flowc_planner::plan::{Limits, OutputColumn, Rows};
use flowc_runner::{InputPort, Invocation, LONGEST_CHAIN, OutputPort, Secrets, overall};

use crate::wire::{OpeningStep, WireFrameColumn};

/// A stage of an invocation, as its client wants it.
pub(super) struct ChainStep {
    /// Its name among those that are served.
    pub(super) stage: Arc<str>,
    /// What its client asks for.
    pub(super) limits: Limits,
    pub(super) config: Arc<str>,
    pub(super) phase: Phase,
    pub(super) part: u64,
    pub(super) inputs: Arc<[InputPort]>,
    pub(super) main: Option<usize>,
    pub(super) outputs: Arc<[OutputPort]>,
    pub(super) secrets: Secrets,
    /// Per output: which of its columns go on, to the next stage or to the client, in their order.
    pub(super) gives: Vec<Vec<usize>>,
}

impl ChainStep {
    fn new(wire: &OpeningStep, whole: &Self, inputs: Arc<[InputPort]>, main: usize, output: OutputPort) -> Self {
        let memory = wire.memory.or(whole.limits.memory);
        let timeout_ms = wire.timeout_ms.or(whole.limits.timeout_ms);
        Self {
            stage: wire.stage.as_str().into(),
            limits: Limits { memory, timeout_ms, ..Limits::default() },
            config: canonical_json(&wire.config).into(),
            phase: wire.phase,
            part: whole.part,
            inputs,
            main: Some(main),
            outputs: Arc::new([output]),
            secrets: wire.secrets.0.clone(),
            gives: Vec::new(),
        }
    }

    /// As a runner knows it.
    pub(super) fn invocation(&self, digest: StageDigest, limits: Limits) -> Invocation {
        Invocation {
            stage: self.stage.clone(),
            digest,
            config: self.config.clone(),
            phase: self.phase,
            part: self.part,
            inputs: self.inputs.clone(),
            main_input: self.main,
            outputs: self.outputs.clone(),
            limits,
            secrets: self.secrets.clone(),
        }
    }
}

/// The stages of a chain that are to do what `whole` does; and which columns of its main input the first one takes, in their
/// order.
///
/// # Errors
/// In words, if they do not fit each other.
pub(super) fn chain(whole: &ChainStep, steps: &[OpeningStep]) -> Result<(Vec<usize>, Vec<ChainStep>), String> {
    let (Some(main), [sent]) = (whole.main, &*whole.outputs) else {
        return Err("a chain has a main input, and one output".to_owned());
    };
    check(steps, main, sent.rows)?;
    let (mut frame, mut takes, mut chain) =
        (LiveColumns::coming(&whole.inputs[main]), Vec::new(), Vec::<ChainStep>::new());
    for (number, wire) in steps.iter().enumerate() {
        let StepWiring { takes: taken, input, output, after } =
            StepWiring::new(wire, &frame).map_err(|what| format!("step {number}: {what}"))?;
        match chain.last_mut() {
            Some(above) => {
                above.gives = vec![taken];
                chain.push(ChainStep::new(wire, whole, Arc::new([input]), 0, output));
            }
            None => {
                takes = taken;
                let mut inputs = whole.inputs.to_vec();
                inputs[main] = input;
                chain.push(ChainStep::new(wire, whole, inputs.into(), main, output));
            }
        }
        frame = after;
    }
    if let Some(last) = chain.last_mut() {
        last.gives = vec![frame.sent(&sent.schema)?];
    }
    Ok((takes, chain))
}

/// Whether the steps are some that can follow each other, and together do this to the rows of the main input.
fn check(steps: &[OpeningStep], main: usize, rows: Rows) -> Result<(), String> {
    let count = steps.len();
    if count > LONGEST_CHAIN {
        return Err(format!("a chain has {LONGEST_CHAIN} steps at most, and this one has {count}"));
    }
    for (number, step) in steps.iter().enumerate() {
        if step.phase != Phase::Run && number + 1 < count {
            return Err(format!("step {number}: only the last step can be in another phase than `run`"));
        }
        let (due, of) = (if number == 0 { main } else { 0 }, Rows::from(step.rows).input());
        if let Some(of) = of.filter(|of| *of != due) {
            return Err(format!("step {number}: it has the rows of input {of}, which does not drive it"));
        }
    }
    match overall(steps.iter().map(|step| step.rows.into()), main) == rows {
        true => Ok(()),
        false => Err("what the steps do to rows is not what the output says".to_owned()),
    }
}

/// The columns that go from one stage to the next.
struct LiveColumns {
    /// Each with its place in what the stage before gives.
    columns: Vec<(FieldRef, usize)>,
    /// Those of the rows' numbers, if these go along.
    numbers: Option<(FieldRef, usize)>,
}

impl LiveColumns {
    /// What comes on the main input.
    fn coming(input: &InputPort) -> Self {
        let mut fields = input.schema.fields().iter().cloned().zip(0..);
        Self { columns: fields.by_ref().take(input.reads.len()).collect(), numbers: fields.next() }
    }

    /// The places of what is sent: the numbers of picked rows come first.
    fn sent(&self, due: &Schema) -> Result<Vec<usize>, String> {
        let columns: Vec<_> = self.numbers.iter().chain(&self.columns).collect();
        let types = columns.iter().map(|(field, _)| field.data_type());
        match types.eq(due.fields().iter().map(|field| field.data_type())) {
            true => Ok(columns.into_iter().map(|(_, place)| *place).collect()),
            false => Err("the last frame does not have the columns of the output".to_owned()),
        }
    }
}

/// A stage between two frames.
struct StepWiring {
    /// The places of its input's columns in what the stage before gives.
    takes: Vec<usize>,
    input: InputPort,
    output: OutputPort,
    after: LiveColumns,
}

impl StepWiring {
    fn new(step: &OpeningStep, before: &LiveColumns) -> Result<Self, String> {
        let (input, written) = (step.input.decode()?, step.written.decode()?);
        check_places(step, &input, &written, before)?;
        let reads: BTreeSet<usize> = step.reads.iter().copied().collect();
        let kept: BTreeSet<usize> = step.frame.iter().filter_map(WireFrameColumn::kept).collect();
        let past: Vec<usize> = kept.difference(&reads).copied().collect();
        let taken: Vec<usize> = step.reads.iter().chain(&past).copied().collect();
        let (columns, numbers) = (&before.columns, before.numbers.as_ref());
        let takes = taken.iter().map(|&place| columns[place].1).chain(numbers.map(|(_, place)| *place)).collect();
        let fields = input.fields().iter().chain(past.iter().map(|&place| &columns[place].0));
        let fields = fields.chain(numbers.map(|(field, _)| field)).cloned().collect::<Vec<_>>();
        let input =
            InputPort { schema: Arc::new(Schema::new(fields)), reads: (0..step.reads.len()).collect(), identity: None };
        let output = output(step, &written, &kept, &taken, before);
        Ok(Self { takes, input, output, after: after(step, &written, &kept, before) })
    }
}

/// Whether every place that is named is there, and holds what it is said to.
fn check_places(step: &OpeningStep, input: &Schema, written: &Schema, before: &LiveColumns) -> Result<(), String> {
    let columns = &before.columns;
    let kept = step.frame.iter().filter_map(WireFrameColumn::kept);
    if let Some(place) = step.reads.iter().copied().chain(kept).find(|place| *place >= columns.len()) {
        return Err(format!("there is no column {place} in the frame before it, which has {}", columns.len()));
    }
    let types = step.reads.iter().map(|&place| columns[place].0.data_type());
    if !types.eq(input.fields().iter().map(|field| field.data_type())) {
        return Err("the columns of its input are not those that it reads".to_owned());
    }
    let width = written.fields().len();
    if let Some(place) = step.frame.iter().filter_map(WireFrameColumn::written).find(|place| *place >= width) {
        return Err(format!("there is no column {place} among those that it writes, which are {width}"));
    }
    let keeps = step.frame.iter().any(|column| column.kept().is_some());
    match Rows::from(step.rows) {
        Rows::New if keeps => Err("its rows are new, so nothing of the frame before it can be kept".to_owned()),
        _ => Ok(()),
    }
}

/// What the stage gives: the columns that are kept, all that it writes, and the numbers of rows.
fn output(
    step: &OpeningStep,
    written: &Schema,
    kept: &BTreeSet<usize>,
    taken: &[usize],
    before: &LiveColumns,
) -> OutputPort {
    let places: BTreeMap<usize, usize> = taken.iter().copied().zip(0..).collect();
    let goes_on: BTreeSet<usize> = step.frame.iter().filter_map(WireFrameColumn::written).collect();
    let passed = |column| (OutputColumn::Passed { column }, true);
    let past = kept.iter().map(|&place| (before.columns[place].0.clone(), passed(places[&place])));
    let own = written.fields().iter().cloned().zip(0..);
    let own = own.map(|(field, column)| (field, (OutputColumn::Written, goes_on.contains(&column))));
    let numbers = before.numbers.iter().map(|(field, _)| (field.clone(), passed(taken.len())));
    let (fields, columns): (Vec<FieldRef>, Vec<_>) = past.chain(own).chain(numbers).unzip();
    let (columns, needed) = columns.into_iter().unzip();
    OutputPort { schema: Arc::new(Schema::new(fields)), rows: step.rows.into(), columns, needed }
}

/// The frame after a stage that gives this.
fn after(step: &OpeningStep, written: &Schema, kept: &BTreeSet<usize>, before: &LiveColumns) -> LiveColumns {
    let places: BTreeMap<usize, usize> = kept.iter().copied().zip(0..).collect();
    let column = |column: &WireFrameColumn| match *column {
        WireFrameColumn::Kept(place) => (before.columns[place].0.clone(), places[&place]),
        WireFrameColumn::Written(place) => (written.fields()[place].clone(), kept.len() + place),
    };
    let width = kept.len() + written.fields().len();
    LiveColumns {
        columns: step.frame.iter().map(column).collect(),
        numbers: before.numbers.as_ref().map(|(field, _)| (field.clone(), width)),
    }
}
