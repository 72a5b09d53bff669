//! Follows the event time from sources to windows, and resolves windows.
//!
//! Which rows are late depends on the rows before them in their file. So a stage between a source and a window may change columns and
//! leave out rows, but has to hand on the rows with their time. Where rows are left out, all that is left go with [`Marks`], which are
//! added where all rows still are ([`crate::assemble`]).

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::catalogue::{Description, OutputDescription};
use crate::diagnostic::{Problems, WindowProblem, suggest};
use crate::plan::{
    Class, EventTime, Location, Marks, OutputColumn, RecordField, RowPosition, Rows, SourceSpec, WINDOW_COLUMNS,
    Window, WindowKind, bound_type, is_time,
};
use crate::read::{EventTimeDecl, Name, StageDecl, WindowDecl};

/// What became of the event time on the way to a stream.
#[derive(Clone, Debug)]
pub(crate) enum Time {
    /// It is a column of the stream.
    Kept(EventTime),
    /// A stage above did not hand it on.
    Lost { why: String, help: &'static str },
}

/// The event time of a source's rows.
pub(crate) fn of_source(
    decl: &EventTimeDecl,
    (source, spec): (&Name, Option<&SourceSpec>),
    schema: &Schema,
    problems: &mut Problems,
) -> Option<Time> {
    let EventTimeDecl { column, delay_ms, place } = decl;
    let (source_name, name) = (source.text.clone(), column.clone());
    let Ok(index) = schema.index_of(column) else {
        let help = suggest(column, schema.fields().iter().map(|field| field.name().as_str()));
        problems.at(*place, WindowProblem::UnknownColumn { source_name, column: name, help });
        return None;
    };
    let data_type = schema.field(index).data_type();
    if !is_time(data_type) {
        let data_type = data_type.to_string();
        problems.at(*place, WindowProblem::NotATime { source_name, column: name, data_type });
        return None;
    }
    let position = match spec.map(|spec| &spec.location) {
        Some(Location::Kafka(topic)) => {
            let offset = topic.column_of(RecordField::Offset, schema.fields().len());
            offset.map_or(RowPosition::Absent, RowPosition::Offset)
        }
        _ => RowPosition::Number,
    };
    Some(Time::Kept(EventTime { column: index, delay_ms: *delay_ms, position, marks: None }))
}

/// The event time of an output's rows. `inputs` has those of the stage's inputs.
pub(crate) fn of_output(
    stage: &str,
    description: &Description,
    windows: &[Option<Window>],
    output: &OutputDescription,
    inputs: &[Option<Time>],
) -> Option<Time> {
    let lost = |what: &str, help| Some(Time::Lost { why: format!("the stage `{stage}` {what}"), help });
    let Some(input) = output.rows.input() else {
        return inputs.iter().flatten().next().map(|time| match time {
            Time::Lost { .. } => time.clone(),
            Time::Kept(_) => Time::Lost {
                why: format!("the stage `{stage}` makes new rows"),
                help: "put the window before that stage, or on the stage itself",
            },
        });
    };
    let time = match inputs.get(input)?.as_ref()? {
        Time::Kept(time) => *time,
        lost => return Some(lost.clone()),
    };
    let class = description.inputs[input].class;
    if class != Class::RowWise || windows.iter().any(Option::is_some) {
        return lost("brings rows together", "put the window before that stage, or on the stage itself");
    }
    let is_marked = time.marks.is_some() || matches!(output.rows, Rows::Subset { .. });
    let marks = is_marked.then(|| Marks::behind(output.columns.len()));
    let passed = |column| output.columns.iter().position(|passed| *passed == OutputColumn::Passed { column });
    let position = match time.position {
        RowPosition::Offset(column) => passed(column).map_or(RowPosition::Absent, RowPosition::Offset),
        other => other,
    };
    match passed(time.column) {
        Some(column) => Some(Time::Kept(EventTime { column, position, marks, ..time })),
        None => {
            lost("writes the column that holds it, or leaves it out", "have that stage pass the column on as it is")
        }
    }
}

/// The windows of a stage's inputs, port by port. `wired` has the declared ones, `times` the event times of the inputs, `inputs` their
/// columns.
pub(crate) fn windows(
    stage: &StageDecl,
    ports: &[String],
    description: &Description,
    wired: &[Option<&WindowDecl>],
    times: &[Option<Time>],
    inputs: &[Option<SchemaRef>],
    problems: &mut Problems,
) -> Vec<Option<Window>> {
    let name = || stage.name.text.clone();
    let mut windows: Vec<Option<Window>> = Vec::new();
    let wired_ports: Vec<usize> = (0..wired.len()).filter(|&port| wired[port].is_some()).collect();
    for (port, (wired, time)) in wired.iter().zip(times).enumerate() {
        let window = wired.and_then(|wired| {
            let is_alone = wired_ports.iter().all(|&other| other == port);
            if description.inputs[port].class == Class::RowWise && is_alone {
                problems.at(wired.place, WindowProblem::RowWise { stage: name(), port: ports[port].clone() });
                return None;
            }
            let window = |time, problems: &mut Problems| {
                let kind = with_columns(wired, &name(), inputs[port].as_ref()?, problems)?;
                Some(Window { kind, lateness_ms: wired.lateness_ms, time })
            };
            if let WindowKind::Count { .. } = wired.kind {
                return window(None, problems);
            }
            match time {
                Some(Time::Kept(time)) => window(Some(*time), problems),
                Some(Time::Lost { why, help }) => {
                    problems.at(wired.place, WindowProblem::TimeLost { stage: name(), why: why.clone(), help });
                    None
                }
                None => {
                    problems.at(wired.place, WindowProblem::NoEventTime { stage: name() });
                    None
                }
            }
        });
        windows.push(window);
    }
    let Some((place, first)) = wired.iter().flatten().next().zip(windows.iter().flatten().next()) else {
        return windows;
    };
    let place = place.place;
    if windows.iter().flatten().any(|window| !window.matches(first)) {
        problems.at(place, WindowProblem::Different { stage: name() });
    }
    if windows.iter().flatten().filter(|window| window.is_made_by_rows()).count() > 1 {
        problems.at(place, WindowProblem::MadeByRows { stage: name() });
    }
    let is_bare = |port: &usize| wired[*port].is_none() && description.inputs[*port].class != Class::Whole;
    if let Some(port) = (0..ports.len()).find(is_bare) {
        problems.at(place, WindowProblem::Without { stage: name(), port: ports[port].clone() });
    }
    let fields = description.outputs.iter().flat_map(|output| output.schema.fields());
    if let Some(field) = fields.into_iter().find(|field| WINDOW_COLUMNS.contains(&field.name().as_str())) {
        problems.at(place, WindowProblem::Taken { stage: name(), column: field.name().clone() });
    }
    windows
}

/// A declared kind of windows, with the columns that it names.
fn with_columns(decl: &WindowDecl, stage: &str, schema: &Schema, problems: &mut Problems) -> Option<WindowKind> {
    let mut by = Vec::new();
    for (column, place) in &decl.by {
        let Ok(index) = schema.index_of(column) else {
            let help = suggest(column, schema.fields().iter().map(|field| field.name().as_str()));
            let (stage, column) = (stage.to_owned(), column.clone());
            problems.at(*place, WindowProblem::UnknownKey { stage, column, help });
            return None;
        };
        let data_type = schema.field(index).data_type();
        if data_type.is_nested() {
            let (column, data_type) = (column.clone(), data_type.to_string());
            problems.at(*place, WindowProblem::NestedKey { column, data_type });
            return None;
        }
        by.push(index);
    }
    Some(match decl.kind.clone() {
        WindowKind::Session { gap_ms, .. } => WindowKind::Session { gap_ms, by },
        WindowKind::Count { rows, .. } => WindowKind::Count { rows, by },
        kind @ (WindowKind::Tumbling { .. } | WindowKind::Sliding { .. } | WindowKind::Calendar { .. }) => kind,
    })
}

/// What an output of a stage is that works on windows: it begins with their bounds, which are of this type.
pub(crate) fn with_bounds(output: OutputDescription, bounds: &DataType) -> OutputDescription {
    let OutputDescription { schema, rows, columns } = output;
    let bounds = WINDOW_COLUMNS.map(|name| Arc::new(Field::new(name, bounds.clone(), false)));
    let fields: Vec<_> = bounds.into_iter().chain(schema.fields().iter().cloned()).collect();
    let columns = [OutputColumn::Written; 2].into_iter().chain(columns).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    OutputDescription { schema, rows, columns }
}

/// The columns of the rows that came too late for a window: the input's, and why they are late.
pub(crate) fn late_schema(input: &Schema, time: &DataType) -> SchemaRef {
    let why = [
        Field::new(WINDOW_COLUMNS[1], bound_type(time), true),
        Field::new("late-by", DataType::Int64, true),
        Field::new("partition", DataType::Utf8, false),
        Field::new("position", DataType::UInt64, false),
    ];
    let fields: Vec<_> = input.fields().iter().cloned().chain(why.map(Arc::new)).collect();
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

/// Says what keeps the late rows of a stage from being told. `schema` has their columns.
pub(crate) fn check_late(stage: &str, wired: &WindowDecl, window: &Window, schema: &Schema, problems: &mut Problems) {
    if let Some(name) = repeated_name(schema) {
        let (stage, column) = (format!("{stage}.late"), name.to_owned());
        problems.at(wired.place, WindowProblem::Taken { stage, column });
    }
    if window.time.is_some_and(|time| time.position == RowPosition::Absent) {
        problems.at(wired.place, WindowProblem::NoOffset { stage: stage.to_owned() });
    }
}

/// A name that two columns have.
fn repeated_name(schema: &Schema) -> Option<&str> {
    let mut names = HashSet::new();
    schema.fields().iter().map(|field| field.name().as_str()).find(|name| !names.insert(*name))
}
