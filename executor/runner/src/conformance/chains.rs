//! What a runner of chains must do besides: of a chain comes what its stages give one by one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use flowc_planner::key::Phase;
use flowc_planner::plan::{Limits, OutputColumn, Rows, Serialization};

use super::Subject;
use super::harness::{Keeper, Kept, batch, input_schema, planned};
use crate::{
    Batch, ChainRunner, Edge, EdgeObserver, InputPort, InputRows, Instance, Invocation, Outlet, OutputPort, StageError,
    StageFault, open_stages,
};

/// A chain: the configs of its stages, and which of them fails.
pub(super) type Case = (&'static [&'static str], Option<usize>);

const GOOD: &str = r#"{"do": "good", "rows": "same"}"#;
const SLICES: &str = r#"{"do": "slices", "rows": "same"}"#;
const CALLS: &str = r#"{"do": "calls", "rows": "same"}"#;
const FILTER: &str = r#"{"do": "filter", "rows": "subset"}"#;
const LATE: &str = r#"{"do": "late", "rows": "subset"}"#;
const SUM: &str = r#"{"class": "combining"}"#;
const PROBLEM: &str = r#"{"do": "problem", "rows": "same"}"#;
const PANIC: &str = r#"{"do": "panic", "rows": "same"}"#;
const IN_OPEN: &str = r#"{"do": "panic-in-open", "rows": "same"}"#;
const SKIP: &str = r#"{"do": "skip", "rows": "same"}"#;
const LOOP: &str = r#"{"do": "loop", "rows": "same"}"#;
const MEMORY: &str = r#"{"do": "memory", "rows": "same"}"#;

/// All of them.
pub(super) const CASES: [Case; 14] = [
    (&[GOOD, SLICES, GOOD], None),
    (&[CALLS, SLICES, CALLS], None),
    (&[GOOD, FILTER, SLICES], None),
    (&[FILTER, LATE, FILTER], None),
    (&[LATE, FILTER, LATE, CALLS], None),
    (&[SLICES, FILTER, SUM], None),
    (&[LATE, SUM], None),
    (&[PROBLEM, GOOD], Some(0)),
    (&[FILTER, PROBLEM, GOOD], Some(1)),
    (&[SLICES, LATE, PANIC], Some(2)),
    (&[GOOD, IN_OPEN, GOOD], Some(1)),
    (&[GOOD, SKIP, GOOD], Some(1)),
    (&[GOOD, LOOP, GOOD], Some(1)),
    (&[FILTER, MEMORY], Some(1)),
];

/// Runs chains of the subject's stage, by its own runner in one instance per stage, and by `runner` in one; says where what
/// comes out differs.
pub fn chain_failures(subject: &dyn Subject, runner: &dyn ChainRunner, serialization: Serialization) -> Vec<String> {
    let failure = |case: &Case| Some(format!("{case:?}: {}", differs(subject, runner, serialization, case).err()?));
    CASES.iter().filter_map(failure).collect()
}

fn differs(
    subject: &dyn Subject,
    runner: &dyn ChainRunner,
    serialization: Serialization,
    (configs, failing): &Case,
) -> Result<(), String> {
    let stages = stages(subject, configs, serialization)?;
    let due = outcome(&stages, false, |heard, keeper| one_by_one(subject, &stages, heard, Box::new(keeper)))?;
    let failed = due.end.as_ref().map(|(stage, ..)| stage.clone());
    if failed != failing.map(name) {
        return Err(format!("{failed:?} fails by itself: {:?}", due.end));
    }
    for has_boundaries in [false, true] {
        let found = outcome(&stages, has_boundaries, |heard, keeper| {
            let between = heard[..stages.len() - 1].iter().map(|heard| Box::new(heard.clone()) as _).collect();
            runner.open_chain(&stages, between, Box::new(keeper))
        })?;
        if found != due {
            return Err(format!("boundaries: {has_boundaries}: {found:?} instead of {due:?}"));
        }
    }
    Ok(())
}

fn name(place: usize) -> String {
    format!("stage {place}")
}

/// The stages of a chain. One that combines does so with what the stage before it wrote.
fn stages(subject: &dyn Subject, configs: &[&str], serialization: Serialization) -> Result<Vec<Invocation>, String> {
    let mut above = input_schema();
    let stage = |(place, config): (usize, &&str)| {
        let timeout_ms = (*config == LOOP).then_some(50);
        let limits = Limits { memory: Some(64 << 20), timeout_ms, serialization, ..Limits::default() };
        let described = subject.describe(config, above.clone()).map_err(|problem| problem.message)?;
        let partial = described.partial.clone();
        let mut stage = planned(described, subject.digest(), config, above.clone(), limits);
        stage.stage = name(place).into();
        stage.outputs = stage.outputs.iter().take(1).cloned().collect();
        if let Some(schema) = partial {
            let port = OutputPort { schema, rows: Rows::New, columns: vec![OutputColumn::Written], needed: vec![true] };
            stage.phase = Phase::Partial;
            stage.inputs = Arc::new([InputPort { schema: above.clone(), reads: vec![2], identity: None }]);
            stage.outputs = Arc::new([port]);
        }
        above = stage.outputs[0].schema.clone();
        Ok(stage)
    };
    configs.iter().enumerate().map(stage).collect()
}

/// What comes of a chain.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// All rows, column by column. None of a chain that fails, since some may be on their way then.
    columns: Vec<ArrayRef>,
    /// What is heard of each stage but the last.
    heard: Vec<Lines>,
    /// Of the last one.
    lines: Vec<(String, String)>,
    /// Which stage fails, of what, and at which rows; of the first nobody says which these are.
    end: Option<(String, StageFault, Option<InputRows>)>,
}

/// Rows and lines of the log of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
struct Lines {
    rows: u64,
    lines: Vec<(String, String)>,
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Lines>>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EdgeObserver for Heard {
    fn gave(&mut self, rows: u64) {
        self.lock().rows += rows;
    }

    fn log(&mut self, level: &str, message: &str) {
        self.lock().lines.push((level.to_owned(), message.to_owned()));
    }
}

type Opened = Result<Box<dyn Instance>, StageError>;

/// Runs a chain, with a boundary after each batch or without any.
fn outcome(
    stages: &[Invocation],
    has_boundaries: bool,
    open: impl FnOnce(&[Heard], Keeper) -> Opened,
) -> Result<Outcome, String> {
    let heard: Vec<Heard> = stages.iter().map(|_| Heard::default()).collect();
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let run = || {
        let mut instance = open(&heard, keeper)?;
        for batch in [batch(0, 10), batch(10, 0), batch(10, 5), batch(15, 50)] {
            instance.push(0, batch)?;
            if has_boundaries {
                instance.boundary()?;
            }
        }
        instance.end_of_input(0)?;
        instance.finish()
    };
    let failed = run().err();
    let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    let first = name(0);
    let columns = if failed.is_some() { Ok(Vec::new()) } else { columns(&kept.batches) };
    Ok(Outcome {
        columns: columns.map_err(|error| error.to_string())?,
        heard: heard[..stages.len() - 1].iter().map(|heard| heard.lock().of(failed.is_none())).collect(),
        lines: kept.lines,
        end: failed.map(|StageError { rows, stage, fault }| {
            let rows = rows.filter(|_| stage != first);
            (stage, fault, rows)
        }),
    })
}

impl Lines {
    /// How many rows a stage gave is said of a chain that comes to its end.
    fn of(&self, is_ended: bool) -> Self {
        Self { rows: if is_ended { self.rows } else { 0 }, lines: self.lines.clone() }
    }
}

fn columns(batches: &[(usize, Batch)]) -> Result<Vec<ArrayRef>, ArrowError> {
    let width = batches.first().map_or(0, |(_, batch)| batch.columns().len());
    let column = |column: usize| {
        let pieces: Vec<_> = batches.iter().filter_map(|(_, batch)| batch.column(column)).map(AsRef::as_ref).collect();
        concat(&pieces)
    };
    (0..width).map(column).collect()
}

/// Instances of their own, each of which hands what it gives to the next.
fn one_by_one(subject: &dyn Subject, stages: &[Invocation], heard: &[Heard], last: Box<dyn Outlet>) -> Opened {
    let open = |number: usize, outlet| subject.runner().open(&stages[number], outlet);
    let edge = |number: usize| Edge { port: 0, observer: Box::new(heard[number].clone()) };
    open_stages(stages.len(), last, open, edge)
}
