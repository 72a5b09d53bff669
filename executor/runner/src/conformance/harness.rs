//! Runs the stage of a [`Subject`] as the engine would, and keeps what comes of it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::catalogue::{Description, OutputDescription, Problem};
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::Limits;

use super::Subject;
use crate::{Batch, InputPort, Invocation, Outlet, OutputPort, Runner, Secrets, StageError, StageFault};

/// The columns of the input: `id`, `text` and `score`.
pub fn input_schema() -> SchemaRef {
    let id = Field::new("id", DataType::Int64, false);
    let text = Field::new("text", DataType::Utf8, true);
    let score = Field::new("score", DataType::Int64, true);
    Arc::new(Schema::new(vec![id, text, score]))
}

/// Rows of the input whose `id`s count from `start`.
pub fn batch(start: i64, rows: usize) -> Batch {
    let ids = start..start + rows as i64;
    let texts = StringArray::from_iter_values(ids.clone().map(|id| format!("text number {id}")));
    let scores = Int64Array::from_iter(ids.clone().map(|id| (id % 2 == 0).then_some(id)));
    let ids = Int64Array::from_iter_values(ids);
    Batch::new(rows, vec![Some(Arc::new(ids) as _), Some(Arc::new(texts) as _), Some(Arc::new(scores) as _)])
}

/// An invocation as the engine would make it of what the stage describes, in the phase `run`.
///
/// # Errors
/// What the stage says is wrong with its config or input.
pub fn invocation(subject: &dyn Subject, config: &str, limits: Limits) -> Result<Invocation, Problem> {
    let input = input_schema();
    Ok(planned(subject.describe(config, input.clone())?, subject.digest(), config, input, limits))
}

/// The same of a stage that describes itself so, with an input of these columns.
pub(super) fn planned(
    description: Description,
    digest: StageDigest,
    config: &str,
    input: SchemaRef,
    limits: Limits,
) -> Invocation {
    let output = |output: OutputDescription| OutputPort {
        needed: vec![true; output.columns.len()],
        schema: output.schema,
        rows: output.rows,
        columns: output.columns,
    };
    let reads = description.inputs.first().map_or(Vec::new(), |input| input.reads.clone());
    Invocation {
        stage: "subject".into(),
        digest,
        config: config.into(),
        phase: Phase::Run,
        part: 0,
        inputs: Arc::new([InputPort { schema: input, reads, identity: None }]),
        main_input: Some(0),
        outputs: description.outputs.into_iter().map(output).collect(),
        limits,
        secrets: Secrets::default(),
    }
}

/// What an outlet got.
#[derive(Debug, Default)]
pub struct Kept {
    /// Batches, with their ports.
    pub batches: Vec<(usize, Batch)>,
    /// Lines of the log: level and text.
    pub lines: Vec<(String, String)>,
    /// Boundaries that were told.
    pub boundaries: usize,
    /// Whether the instance finished.
    pub closed: bool,
}

impl Kept {
    /// The `id`s of all rows, whatever the port.
    pub fn ids(&self) -> Vec<i64> {
        self.batches.iter().flat_map(|(_, batch)| ids(batch)).collect()
    }
}

/// The numbers in a batch's first column.
pub fn ids(batch: &Batch) -> Vec<i64> {
    let numbers = batch.column(0).and_then(|column| column.as_any().downcast_ref::<Int64Array>());
    numbers.map_or(Vec::new(), |numbers| numbers.values().to_vec())
}

/// Keeps everything; fails as `below` was cancelled at the batch with this number.
pub struct Keeper {
    /// Shared with whoever looks at it.
    pub kept: Arc<Mutex<Kept>>,
    /// `usize::MAX` for an outlet that never fails.
    pub fail_at: usize,
}

impl Keeper {
    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Outlet for Keeper {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.with(|kept| match kept.batches.len() == self.fail_at {
            true => Err(StageError::new("below", StageFault::Cancelled)),
            false => {
                kept.batches.push((port, batch));
                Ok(())
            }
        })
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.with(|kept| kept.boundaries += 1);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        self.with(|kept| kept.closed = true);
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.with(|kept| kept.lines.push((level.to_owned(), message.to_owned())));
    }
}

/// Runs an invocation over these batches of its one input, to the end or to its first error. Of an input that the runner holds nothing is
/// pushed.
///
/// # Errors
/// The first error of the stage, of the runner or of the outlet.
pub fn drive(
    runner: &dyn Runner,
    invocation: &Invocation,
    batches: impl IntoIterator<Item = Batch>,
    keeper: Keeper,
) -> Result<(), StageError> {
    let mut instance = runner.open(invocation, Box::new(keeper))?;
    if !instance.holds(0) {
        batches.into_iter().try_for_each(|batch| instance.push(0, batch))?;
    }
    instance.end_of_input(0)?;
    instance.finish()
}

/// Runs an invocation over batches; gives what was emitted, also of one that failed.
pub fn run(
    runner: &dyn Runner,
    invocation: &Invocation,
    batches: impl IntoIterator<Item = Batch>,
) -> (Result<(), StageError>, Kept) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let outcome = drive(runner, invocation, batches, Keeper { kept: kept.clone(), fail_at: usize::MAX });
    let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    (outcome, kept)
}
