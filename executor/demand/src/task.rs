//! A task: one invocation of a stage, with the collapsed stages above it that must run to feed it.

use std::ops::Range;

use arrow_schema::SchemaRef;
use flowc_planner::key::{Phase, SegmentKeys};
use flowc_planner::plan::{OutputColumn, Plan, Stage, StreamId};

use crate::windows::Slice;

/// Identity of a task within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The stage whose results are stored.
    pub stage: usize,
    /// Which of its invocations.
    pub work: Work,
}

/// Which invocation of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Over the slices of one segment, one after the other: gives a partial of each, which windows merge.
    Slices(usize),
    /// Over one segment (or part); gives outputs, or a partial where the stage is combining. Of a window whose slices have partials it
    /// is the finish.
    Segment(usize),
    /// Merges partials to the node `index` of `level`, or makes that node of the rows below it.
    Merge {
        /// 1 for the level above the partials.
        level: usize,
        /// Position within the level.
        index: usize,
    },
    /// The last partial to outputs.
    Finish,
}

impl Work {
    /// Whether what it gives are partials of a stage, and not outputs.
    pub fn gives_partials(self, stage: &Stage) -> bool {
        match self {
            Work::Slices(_) | Work::Merge { .. } => true,
            Work::Segment(_) => stage.is_combining(),
            Work::Finish => false,
        }
    }
}

/// A chain of stages over one segment, and the outputs that are stored of it.
#[derive(Clone, Debug)]
pub struct Task {
    /// The last stage of the chain, and the segment, merge or finish that it works on.
    pub id: TaskId,
    /// Stages from the root to [`TaskId::stage`]; each takes the output of the one before on its driving input.
    pub chain: Vec<ChainStage>,
    /// What the first stage of the chain takes in.
    pub root: Root,
    /// What is kept of the last stage's outputs, port by port; of slices, a partial of each.
    pub outputs: Vec<StoredOutput>,
    /// The slices that it goes over, if it is about slices.
    pub slices: Vec<Slice>,
}

impl Task {
    /// The part of a stage's life that the last stage of the chain is in, which is this one.
    pub fn phase(&self, stage: &Stage) -> Phase {
        match (self.id.work, &self.root) {
            (Work::Slices(_), _) | (Work::Merge { .. }, Root::Segments { .. }) => Phase::Partial,
            (Work::Segment(_), _) if stage.is_combining() => Phase::Partial,
            (Work::Segment(_), _) => Phase::Run,
            (Work::Merge { .. }, _) => Phase::Merge,
            (Work::Finish, _) => Phase::Finish,
        }
    }
}

/// A stage of a chain.
#[derive(Clone, Debug)]
pub struct ChainStage {
    /// Index of the stage.
    pub stage: usize,
    /// Per output port and column: whether the next stage, or what is kept, needs it.
    pub needed: Vec<Vec<bool>>,
}

/// What a chain takes in.
#[derive(Clone, Debug)]
pub enum Root {
    /// Nothing: the first stage has no driving input.
    Nothing,
    /// A segment of a stream, with these columns.
    Segment {
        /// The stream that the chain reads.
        stream: StreamId,
        /// Position in its dataset.
        segment: usize,
        /// Columns that the chain needs, ascending.
        columns: Vec<usize>,
    },
    /// Segments of a stream, one after the other: the rows below a node of partials.
    Segments {
        /// The stream that the stage reads.
        stream: StreamId,
        /// Positions in its dataset.
        segments: Range<usize>,
        /// Columns that the stage needs, ascending.
        columns: Vec<usize>,
        /// How many of them the stage has given no partial of.
        lacking: usize,
    },
    /// Partials of the stage, in order.
    Partials(Vec<SegmentKeys>),
}

/// What is kept of one output port.
#[derive(Clone, Debug)]
pub struct StoredOutput {
    /// All columns of the port.
    pub schema: SchemaRef,
    /// The keys of these columns, and of their rows.
    pub keys: SegmentKeys,
    /// Indices of the columns that go into the store, ascending: those that can't be had elsewhere.
    pub columns: Vec<usize>,
}

/// The columns of its driving (or other) input that a stage needs for given outputs: those that it reads, and those
/// that it passes on. Ascending.
pub fn input_columns(plan: &Plan, stage: usize, input: usize, needed: &[Vec<bool>]) -> Vec<usize> {
    let stage = &plan.stages[stage];
    let mut columns = stage.inputs[input].reads.clone();
    for (output, needed) in stage.outputs.iter().zip(needed) {
        if output.rows.input() != Some(input) {
            continue;
        }
        columns.extend(output.columns.iter().zip(needed).filter_map(|(origin, needed)| match origin {
            OutputColumn::Passed { column } if *needed => Some(*column),
            _ => None,
        }));
    }
    ascending(columns)
}

/// Numbers in order, each once.
pub(crate) fn ascending(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Marks columns in a list of `len` flags.
pub(crate) fn column_flags(len: usize, columns: &[usize]) -> Vec<bool> {
    let mut flags = vec![false; len];
    columns.iter().for_each(|&column| flags[column] = true);
    flags
}
