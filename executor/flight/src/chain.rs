//! Adjacent stages of one program, seen from outside as a single stage.
//!
//! Within the program, batches go from one stage to the next as they are. What travels is what has to: the columns of the
//! first stage's input that any of them reads, and the columns of the last one's output that any of them wrote. The rest
//! stays here and is attached, as for a single stage.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flowc_planner::plan::{OutputColumn, Rows};
use flowc_runner::{Invocation, Lineage, Origin};

use crate::wire::{OpeningStep, WireFrameColumn, WireSchema, WireSecrets};

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
        let lineage = Lineage::of(stages);
        let steps = (0..stages.len()).map(|step| ChainStep::new(&stages[step], step, &lineage)).collect();
        Self { invocation: lineage.invocation(stages), steps }
    }

    /// As the program is told of it, which knows the stages by these names.
    pub(crate) fn opening(&self, entries: &[String], stages: &[Invocation]) -> Result<Vec<OpeningStep>, String> {
        self.steps.iter().zip(entries).zip(stages).map(|((step, entry), stage)| step.opening(entry, stage)).collect()
    }
}

impl ChainStep {
    fn new(stage: &Invocation, step: usize, Lineage { streams, live }: &Lineage) -> Self {
        let main = stage.main_input.unwrap_or(0);
        let (input, output) = (&stage.inputs[main], &stage.outputs[0]);
        let at = |origin: Origin| live[step].iter().position(|other| *other == origin).unwrap_or_default();
        let column = |origin: &Origin| match *origin {
            Origin::Written { step: writer, column } if writer == step => LiveColumn::Written(column),
            other => LiveColumn::Kept(at(other)),
        };
        let fields = output.columns.iter().zip(output.schema.fields());
        let written = fields.filter(|(origin, _)| **origin == OutputColumn::Written).map(|(_, field)| field.clone());
        let reads = input.reads.iter().map(|&column| at(streams[step][column])).collect();
        let fields: Vec<_> = input.reads.iter().map(|&column| input.schema.fields()[column].clone()).collect();
        Self {
            reads,
            input: Arc::new(Schema::new(fields)),
            rows: output.rows,
            written: Arc::new(Schema::new(written.collect::<Vec<_>>())),
            frame: live[step + 1].iter().map(column).collect(),
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

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};
    use flowc_planner::key::{Phase, StageDigest};
    use flowc_planner::plan::Limits;
    use flowc_runner::{InputPort, OutputPort, Secrets};

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
            inputs: Arc::new([InputPort { schema: schema("i", width), reads: reads.to_vec(), identity: None }]),
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
