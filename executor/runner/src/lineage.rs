//! Where the columns of adjacent stages come from, where these run as one: which of them the first stage has to be given, which must be
//! there between two stages, and which come out.

use std::collections::BTreeSet;

use flowc_planner::plan::{Limits, OutputColumn, Rows};

use crate::{InputPort, Invocation, OutputPort, Secrets};

/// Where a column of a stream within a chain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A column of the first stage's main input.
    Input(usize),
    /// A column that a stage of the chain writes.
    Written {
        /// The stage's place in the chain.
        step: usize,
        /// Its place among the columns that the stage writes.
        column: usize,
    },
}

/// The columns of a chain of stages, each of which but the first has one input: the one output of the stage before it.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// Of each stream, where its columns come from: of the first stage's input, then of each stage's output.
    pub streams: Vec<Vec<Origin>>,
    /// The columns that must be there before each stage, and after the last one: those that something later needs. In order.
    pub live: Vec<Vec<Origin>>,
}

impl Lineage {
    /// The columns of a chain.
    ///
    /// # Panics
    /// If there is no stage, or the first of several has no input: the planner makes no such chains.
    pub fn of(stages: &[Invocation]) -> Self {
        let main = main_input(&stages[0]);
        let streams = streams(stages, stages[0].inputs[main].schema.fields().len());
        let live = live(stages, &streams);
        Self { streams, live }
    }

    /// The chain as one invocation: the inputs of the first stage and the output of the last one. Each stage has secrets of its own.
    ///
    /// # Panics
    /// As [`Lineage::of`].
    pub fn invocation(&self, stages: &[Invocation]) -> Invocation {
        let (first, last) = (&stages[0], &stages[stages.len() - 1]);
        let main = main_input(first);
        let mut inputs = first.inputs.to_vec();
        let reads = self.live[0].iter().filter_map(|origin| match origin {
            Origin::Input(column) => Some(*column),
            Origin::Written { .. } => None,
        });
        inputs[main] = InputPort { schema: inputs[main].schema.clone(), reads: reads.collect(), identity: None };
        let column = |origin: &Origin| match origin {
            Origin::Input(column) => OutputColumn::Passed { column: *column },
            Origin::Written { .. } => OutputColumn::Written,
        };
        let output = OutputPort {
            rows: overall(stages.iter().map(|stage| stage.outputs[0].rows), main),
            columns: self.streams[stages.len()].iter().map(column).collect(),
            ..last.outputs[0].clone()
        };
        let secrets = Secrets::default();
        Invocation { inputs: inputs.into(), outputs: [output].into(), limits: limits(stages), secrets, ..first.clone() }
    }
}

fn main_input(first: &Invocation) -> usize {
    first.main_input.expect("a chain starts with an input")
}

fn streams(stages: &[Invocation], width: usize) -> Vec<Vec<Origin>> {
    let mut streams: Vec<Vec<Origin>> = vec![(0..width).map(Origin::Input).collect()];
    for (step, stage) in stages.iter().enumerate() {
        let above = &streams[step];
        let mut written = 0..;
        let origin = |column: &OutputColumn| match *column {
            OutputColumn::Passed { column } => above[column],
            OutputColumn::Written => Origin::Written { step, column: written.next().unwrap_or_default() },
        };
        streams.push(stage.outputs[0].columns.iter().map(origin).collect());
    }
    streams
}

fn live(stages: &[Invocation], streams: &[Vec<Origin>]) -> Vec<Vec<Origin>> {
    let given = streams[stages.len()].iter().copied().filter(|origin| matches!(origin, Origin::Written { .. }));
    // What is given is in the order of the output's columns.
    let mut live = vec![given.collect::<Vec<_>>()];
    for (step, stage) in stages.iter().enumerate().rev() {
        let kept =
            live[0].iter().copied().filter(|of| !matches!(of, Origin::Written { step: writer, .. } if *writer == step));
        let read = stage.inputs[stage.main_input.unwrap_or(0)].reads.iter().map(|&column| streams[step][column]);
        let needed: BTreeSet<Origin> = kept.chain(read).collect();
        live.insert(0, needed.into_iter().collect());
    }
    live
}

/// What is held here may be any stage's. Time is measured where each has its own.
fn limits(stages: &[Invocation]) -> Limits {
    let memory = stages.iter().map(|stage| stage.limits.memory);
    let memory = memory.reduce(|one, other| Some(one?.max(other?))).flatten();
    Limits { memory, timeout_ms: None, ..stages[0].limits.clone() }
}

/// What becomes of an input's rows in total, where stages do this to them one after the other.
pub fn overall(rows: impl Iterator<Item = Rows>, input: usize) -> Rows {
    rows.fold(Rows::Same { input }, |so_far, next| match (so_far, next) {
        (Rows::New, _) | (_, Rows::New) => Rows::New,
        (Rows::Same { .. }, Rows::Same { .. }) => Rows::Same { input },
        _ => Rows::Subset { input },
    })
}
