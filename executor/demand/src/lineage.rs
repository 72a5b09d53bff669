//! Where the rows and the columns of streams come from. Found once for a plan, from the sources down, so that a long chain of
//! stages costs a step for each of them, whoever asks how often.

use flowc_planner::plan::{OutputColumn, Plan, Producer, Rows, StreamId};

/// A column of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceColumn {
    /// Index of the source.
    pub source: usize,
    /// Index of the column in the source's schema.
    pub column: usize,
}

/// The origins of all streams of a plan.
#[derive(Default)]
pub struct Lineage {
    rows: Vec<StreamId>,
    columns: Vec<Vec<Option<SourceColumn>>>,
    /// The same for columns of which stages may have left out rows.
    picked: Vec<Vec<Option<SourceColumn>>>,
    files: Vec<Option<usize>>,
}

impl Lineage {
    /// The origins of a plan's streams. The plan has a stream after those that it is made of.
    pub fn of(plan: &Plan) -> Self {
        let mut lineage = Self::default();
        for id in (0..plan.streams.len()).map(StreamId) {
            let above = row_origin(plan, id);
            let rows = above.map_or(id, |above| lineage.rows[above.0]);
            let width = plan.stream(id).schema.fields().len();
            let columns = (0..width).map(|column| column_of(plan, id, &lineage.columns, above, column)).collect();
            let segments = segment_origin(plan, id);
            let picked = (0..width).map(|column| column_of(plan, id, &lineage.picked, segments, column)).collect();
            let file = lineage.file_of(plan, id);
            lineage.rows.push(rows);
            lineage.columns.push(columns);
            lineage.picked.push(picked);
            lineage.files.push(file);
        }
        lineage
    }

    /// The first of the streams whose rows, segment by segment, are exactly this stream's rows: all of them have one key.
    pub fn rows(&self, stream: StreamId) -> StreamId {
        self.rows[stream.0]
    }

    /// The source column that a column is, unchanged and row for row, if it is one.
    pub fn source_column(&self, stream: StreamId, column: usize) -> Option<SourceColumn> {
        self.columns[stream.0][column]
    }

    /// The source column whose values a column has, segment by segment: all of them, or those of the rows that are left.
    pub fn picked_column(&self, stream: StreamId, column: usize) -> Option<SourceColumn> {
        self.picked[stream.0][column]
    }

    /// The source whose files a stream's segments come from, row for row or through stages that take segment by segment.
    pub fn file(&self, stream: StreamId) -> Option<usize> {
        self.files[stream.0]
    }

    fn file_of(&self, plan: &Plan, id: StreamId) -> Option<usize> {
        match plan.stream(id).producer {
            Producer::Source { source } | Producer::Rejects { source } => Some(source),
            Producer::Stage { stage, .. } => {
                let stage = &plan.stages[stage];
                let (_, input) = stage.driving().filter(|_| !stage.is_combining())?;
                self.file(input.stream)
            }
        }
    }
}

/// The source column that a column of a stream is, those of the streams before it being `known`. Its rows are those of the stream above.
fn column_of(
    plan: &Plan,
    id: StreamId,
    known: &[Vec<Option<SourceColumn>>],
    above: Option<StreamId>,
    column: usize,
) -> Option<SourceColumn> {
    match plan.stream(id).producer {
        Producer::Source { source } => Some(SourceColumn { source, column }),
        Producer::Rejects { .. } => None,
        Producer::Stage { stage, port } => match plan.stages[stage].outputs[port].columns[column] {
            OutputColumn::Passed { column } => known[above?.0][column],
            OutputColumn::Written => None,
        },
    }
}

/// The stream above whose segments have the rows of this stream's, or more.
fn segment_origin(plan: &Plan, stream: StreamId) -> Option<StreamId> {
    let (stage, port) = plan.producing_stage(stream)?;
    let (driving, input) = plan.stages[stage].driving()?;
    (plan.stages[stage].outputs[port].rows.input() == Some(driving)).then_some(input.stream)
}

/// The stream above whose rows, segment by segment, are exactly this stream's rows.
pub fn row_origin(plan: &Plan, stream: StreamId) -> Option<StreamId> {
    let (stage, port) = plan.producing_stage(stream)?;
    let (driving, input) = plan.stages[stage].driving()?;
    (plan.stages[stage].outputs[port].rows == Rows::Same { input: driving }).then_some(input.stream)
}
