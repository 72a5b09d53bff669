//! Adjacent stages of one program, seen from outside as a single stage.
//!
//! Within the program, batches go from one stage to the next as they are. What travels is what has to: the columns of the
//! first stage's input that any of them reads, and the columns of the last one's output that any of them wrote. The rest
//! stays here and is attached, as for a single stage.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flowc_planner::plan::{Limits, OutputColumn, Rows};
use flowc_runner::{InputPort, Invocation, OutputPort, Secrets};

use crate::wire::{OpeningStep, WireFrameColumn, WireSchema, WireSecrets};

/// Where a column of a stream within the chain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A column of the first stage's main input.
    Input(usize),
    /// A column that a stage of the chain writes, by the stage's place in the chain.
    Written { step: usize, column: usize },
}

/// What a stage of a chain does, as its program is told.
#[derive(Debug)]
pub(crate) struct ChainStep {
    /// The columns that it reads, by their place in the frame before it; their fields are those of its input.
    pub(crate) reads: Vec<usize>,
    /// The columns that it reads.
    pub(crate) input: SchemaRef,
    /// What becomes of the rows.
    pub(crate) rows: Rows,
    /// The columns that it writes.
    pub(crate) written: SchemaRef,
    /// The columns after it that anything later needs.
    pub(crate) frame: Vec<LiveColumn>,
}

/// A column of a frame: of those that go from one stage to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveColumn {
    /// A column of the frame before.
    Kept(usize),
    /// A column that the stage writes.
    Written(usize),
}

/// A chain as one invocation, with what its program has to know.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The inputs of the first stage and the output of the last one.
    pub(crate) invocation: Invocation,
    /// One per stage.
    pub(crate) steps: Vec<ChainStep>,
}

impl Chain {
    /// Puts stages together, each of which but the first has one input: the one output of the stage before it.
    ///
    /// # Panics
    /// If there is no stage, or the first of several has no input: the planner makes no such chains.
    pub(crate) fn new(stages: &[Invocation]) -> Self {
        let (first, last) = (&stages[0], &stages[stages.len() - 1]);
        let main = first.main_input.expect("a chain starts with an input");
        let streams = places(stages, first.inputs[main].schema.fields().len());
        let frames = frames(stages, &streams);
        let steps = (0..stages.len()).map(|step| ChainStep::new(&stages[step], step, &streams, &frames)).collect();
        let mut inputs = first.inputs.to_vec();
        let reads = frames[0].iter().filter_map(|place| match place {
            Place::Input(column) => Some(*column),
            Place::Written { .. } => None,
        });
        inputs[main] = InputPort { schema: inputs[main].schema.clone(), reads: reads.collect() };
        let origin = |place: &Place| match place {
            Place::Input(column) => OutputColumn::Passed { column: *column },
            Place::Written { .. } => OutputColumn::Written,
        };
        let output = OutputPort {
            rows: overall(stages.iter().map(|stage| stage.outputs[0].rows), main),
            columns: streams[stages.len()].iter().map(origin).collect(),
            ..last.outputs[0].clone()
        };
        // Each step has secrets of its own.
        let (secrets, limits) = (Secrets::default(), limits(stages));
        let (inputs, outputs) = (inputs.into(), Arc::new([output]));
        let invocation = Invocation { inputs, outputs, limits, secrets, ..first.clone() };
        Self { invocation, steps }
    }

    /// As the program is told of it, which knows the stages by these names.
    pub(crate) fn opening(&self, entries: &[String], stages: &[Invocation]) -> Result<Vec<OpeningStep>, String> {
        self.steps.iter().zip(entries).zip(stages).map(|((step, entry), stage)| step.opening(entry, stage)).collect()
    }
}

impl ChainStep {
    fn new(stage: &Invocation, step: usize, streams: &[Vec<Place>], frames: &[Vec<Place>]) -> Self {
        let main = stage.main_input.unwrap_or(0);
        let (input, output) = (&stage.inputs[main], &stage.outputs[0]);
        let at = |frame: &[Place], place: Place| frame.iter().position(|other| *other == place).unwrap_or_default();
        let column = |place: &Place| match *place {
            Place::Written { step: writer, column } if writer == step => LiveColumn::Written(column),
            other => LiveColumn::Kept(at(&frames[step], other)),
        };
        let fields = output.columns.iter().zip(output.schema.fields());
        let written = fields.filter(|(origin, _)| **origin == OutputColumn::Written).map(|(_, field)| field.clone());
        let reads = input.reads.iter().map(|&column| at(&frames[step], streams[step][column])).collect();
        let fields: Vec<_> = input.reads.iter().map(|&column| input.schema.fields()[column].clone()).collect();
        Self {
            reads,
            input: Arc::new(Schema::new(fields)),
            rows: output.rows,
            written: Arc::new(Schema::new(written.collect::<Vec<_>>())),
            frame: frames[step + 1].iter().map(column).collect(),
        }
    }

    fn opening(&self, entry: &str, stage: &Invocation) -> Result<OpeningStep, String> {
        let column = |column: &LiveColumn| match *column {
            LiveColumn::Kept(place) => WireFrameColumn::Kept(place),
            LiveColumn::Written(place) => WireFrameColumn::Written(place),
        };
        Ok(OpeningStep {
            stage: entry.to_owned(),
            config: serde_json::from_str(&stage.config).map_err(|error| format!("its config: {error}"))?,
            phase: stage.phase,
            reads: self.reads.clone(),
            input: WireSchema::of(&self.input)?,
            rows: self.rows.into(),
            written: WireSchema::of(&self.written)?,
            frame: self.frame.iter().map(column).collect(),
            memory: stage.limits.memory,
            timeout_ms: stage.limits.timeout_ms,
            secrets: WireSecrets(stage.secrets.clone()),
        })
    }
}

/// Where the columns of each stream come from: of the first stage's input, then of each stage's output.
fn places(stages: &[Invocation], width: usize) -> Vec<Vec<Place>> {
    let mut streams: Vec<Vec<Place>> = vec![(0..width).map(Place::Input).collect()];
    for (step, stage) in stages.iter().enumerate() {
        let above = &streams[step];
        let mut written = 0..;
        let place = |origin: &OutputColumn| match *origin {
            OutputColumn::Passed { column } => above[column],
            OutputColumn::Written => Place::Written { step, column: written.next().unwrap_or_default() },
        };
        streams.push(stage.outputs[0].columns.iter().map(place).collect());
    }
    streams
}

/// The columns that must be there before each stage, and after the last one: those that something later needs. In order.
fn frames(stages: &[Invocation], streams: &[Vec<Place>]) -> Vec<Vec<Place>> {
    let sent = streams[stages.len()].iter().copied().filter(|place| matches!(place, Place::Written { .. }));
    // What is sent is in the order of the output's columns.
    let mut frames = vec![sent.collect::<Vec<_>>()];
    for (step, stage) in stages.iter().enumerate().rev() {
        let kept =
            frames[0].iter().copied().filter(|p| !matches!(p, Place::Written { step: writer, .. } if *writer == step));
        let read = stage.inputs[stage.main_input.unwrap_or(0)].reads.iter().map(|&column| streams[step][column]);
        let needed: BTreeSet<Place> = kept.chain(read).collect();
        frames.insert(0, needed.into_iter().collect());
    }
    frames
}

/// What is held here may be any stage's. Time is measured where each has its own.
fn limits(stages: &[Invocation]) -> Limits {
    let memory = stages.iter().map(|stage| stage.limits.memory);
    let memory = memory.reduce(|one, other| Some(one?.max(other?))).flatten();
    Limits { memory, timeout_ms: None, ..stages[0].limits.clone() }
}

/// What becomes of an input's rows in total, where stages do this to them one after the other.
pub(crate) fn overall(rows: impl Iterator<Item = Rows>, input: usize) -> Rows {
    rows.fold(Rows::Same { input }, |so_far, next| match (so_far, next) {
        (Rows::New, _) | (_, Rows::New) => Rows::New,
        (Rows::Same { .. }, Rows::Same { .. }) => Rows::Same { input },
        _ => Rows::Subset { input },
    })
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};
    use flowc_planner::key::{Phase, StageDigest};
    use flowc_planner::plan::Limits;

    use super::*;

    const WRITTEN: OutputColumn = OutputColumn::Written;

    fn passed(column: usize) -> OutputColumn {
        OutputColumn::Passed { column }
    }

    fn schema(prefix: &str, width: usize) -> SchemaRef {
        let field = |i| Field::new(format!("{prefix}{i}"), DataType::Int64, false);
        Arc::new(Schema::new((0..width).map(field).collect::<Vec<_>>()))
    }

    /// A stage with an input of `width` columns.
    fn stage(width: usize, reads: &[usize], rows: Rows, columns: &[OutputColumn]) -> Invocation {
        Invocation {
            stage: "s".into(),
            digest: StageDigest::new([0; 32]),
            config: "{}".into(),
            phase: Phase::Run,
            part: 0,
            inputs: Arc::new([InputPort { schema: schema("i", width), reads: reads.to_vec() }]),
            main_input: Some(0),
            outputs: Arc::new([OutputPort {
                schema: schema("o", columns.len()),
                rows,
                columns: columns.to_vec(),
                needed: vec![true; columns.len()],
            }]),
            limits: Limits::default(),
            secrets: Secrets::default(),
        }
    }

    const SAME: Rows = Rows::Same { input: 0 };
    const SUBSET: Rows = Rows::Subset { input: 0 };

    #[test]
    fn what_is_passed_on_does_not_travel() {
        // The first adds a column made of column 2; the second picks rows by that column and drops it.
        let first = stage(3, &[2], SAME, &[passed(0), passed(1), passed(2), WRITTEN]);
        let second = stage(4, &[3], SUBSET, &[passed(0), passed(2)]);
        let chain = Chain::new(&[first, second]);
        assert_eq!(chain.invocation.inputs[0].reads, [2]);
        let output = &chain.invocation.outputs[0];
        assert_eq!((output.rows, &output.columns[..]), (SUBSET, &[passed(0), passed(2)][..]));
        assert_eq!(chain.steps[0].frame, [LiveColumn::Written(0)]);
        assert_eq!((&chain.steps[1].reads[..], &chain.steps[1].frame[..]), (&[0][..], &[][..]));
    }

    #[test]
    fn columns_written_early_come_back_at_the_end() {
        // The first writes two columns; the second reads the input's and one of those, and writes one; all come out.
        let first = stage(2, &[1], SAME, &[passed(0), WRITTEN, WRITTEN]);
        let second = stage(3, &[0, 2], SAME, &[WRITTEN, passed(2), passed(1), passed(0)]);
        let chain = Chain::new(&[first, second]);
        assert_eq!(chain.invocation.inputs[0].reads, [0, 1]);
        assert_eq!(chain.invocation.outputs[0].columns, [WRITTEN, WRITTEN, WRITTEN, passed(0)]);
        let [first, second] = &chain.steps[..] else { panic!("{chain:?}") };
        assert_eq!(first.reads, [1]);
        assert_eq!(first.frame, [LiveColumn::Kept(0), LiveColumn::Written(0), LiveColumn::Written(1)]);
        assert_eq!(second.reads, [0, 2]);
        assert_eq!(second.frame, [LiveColumn::Written(0), LiveColumn::Kept(2), LiveColumn::Kept(1)]);
        assert_eq!(second.input.field(1).name(), "i2");
    }

    #[test]
    fn new_rows_keep_nothing() {
        let first = stage(2, &[0], Rows::New, &[WRITTEN, WRITTEN]);
        let second = stage(2, &[1], SUBSET, &[passed(1), passed(0)]);
        let chain = Chain::new(&[first, second]);
        assert_eq!(chain.invocation.outputs[0].rows, Rows::New);
        assert_eq!(chain.invocation.outputs[0].columns, [WRITTEN, WRITTEN]);
        assert_eq!(chain.steps[1].frame, [LiveColumn::Kept(1), LiveColumn::Kept(0)]);
    }
}
