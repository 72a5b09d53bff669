//! Checks of sinks that need more than the sink alone: places that clash, and columns.

use std::collections::HashMap;

use arrow_schema::{DataType, Schema};

use crate::describe::Descriptions;
use crate::diagnostic::{PlaceProblem, Problems, suggest};
use crate::plan::{Format, Location, Target};
use crate::read::SinkDecl;
use crate::wiring::Resolved;

/// Says what is wrong between sinks, and between sinks and the streams that they write.
pub(crate) fn check(resolved: &Resolved, descriptions: &Descriptions, problems: &mut Problems) {
    clashes(&resolved.pipeline.sinks, problems);
    overwritten_sources(resolved, problems);
    for (sink, origin) in resolved.pipeline.sinks.iter().zip(&resolved.sinks) {
        if let Some(schema) = origin.as_ref().and_then(|origin| descriptions.schemas.get(origin)) {
            partitions(sink, schema, problems);
            lines(sink, schema, problems);
        }
    }
}

/// A path without what does not change it.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// Two sinks in one place, or one within the folder of another, which is swapped whole.
fn clashes(sinks: &[SinkDecl], problems: &mut Problems) {
    let target = |sink: &SinkDecl| match &sink.spec.as_ref()?.target {
        Target::File(path) => Some((normal(path), false)),
        Target::Directory(path) => Some((normal(path), true)),
        Target::Stdout => Some(("-".to_owned(), false)),
    };
    let targets: Vec<Option<(String, bool)>> = sinks.iter().map(target).collect();
    let mut first_at: HashMap<&str, usize> = HashMap::new();
    let mut clash = |first: usize, second: usize| {
        let (first, second) = (first.min(second), first.max(second));
        let (a, b) = (&sinks[first], &sinks[second]);
        let problem = PlaceProblem::SameTarget { first: a.name.text.clone(), second: b.name.text.clone() };
        problems.with(b.place, problem, a.place, "the other is here");
    };
    for (i, (path, _)) in targets.iter().enumerate().filter_map(|(i, target)| Some((i, target.as_ref()?))) {
        match first_at.get(path.as_str()) {
            Some(&first) => clash(first, i),
            None => drop(first_at.insert(path, i)),
        }
    }
    for (i, (path, _)) in targets.iter().enumerate().filter_map(|(i, target)| Some((i, target.as_ref()?))) {
        let folders = path.match_indices('/').filter_map(|(at, _)| first_at.get(&path[..at]));
        let above = folders.copied().find(|&above| targets[above].as_ref().is_some_and(|(_, folder)| *folder));
        above.into_iter().for_each(|above| clash(above, i));
    }
}

/// Sinks that name a file which a source names, too.
fn overwritten_sources(resolved: &Resolved, problems: &mut Problems) {
    let mut read = HashMap::new();
    for source in &resolved.pipeline.sources {
        if let Some(Location::Files(patterns)) = source.spec.as_ref().map(|spec| &spec.location) {
            read.extend(patterns.iter().map(|pattern| (normal(pattern), &source.name.text)));
        }
    }
    for sink in &resolved.pipeline.sinks {
        if let Some(Target::File(path)) = sink.spec.as_ref().map(|spec| &spec.target)
            && let Some(name) = read.get(&normal(path))
        {
            let (sink_name, name) = (sink.name.text.clone(), (*name).clone());
            problems.at(sink.place, PlaceProblem::OverwritesSource { sink: sink_name, name });
        }
    }
}

fn partitions(sink: &SinkDecl, schema: &Schema, problems: &mut Problems) {
    let Some(spec) = &sink.spec else { return };
    let mut found = 0;
    for (column, place) in spec.partition_by.iter().zip(&sink.partitions) {
        match schema.field_with_name(column) {
            Ok(field) if names_folders(field.data_type()) => found += 1,
            Ok(field) => {
                let (column, data_type) = (column.clone(), field.data_type().to_string());
                problems.at(*place, PlaceProblem::PartitionType { column, data_type });
            }
            Err(_) => {
                let help = suggest(column, schema.fields().iter().map(|field| field.name().as_str()));
                let stream = sink.input.as_ref().and_then(|wire| wire.stream.clone()).unwrap_or_default();
                problems.at(*place, PlaceProblem::UnknownColumn { stream, column: column.clone(), help });
            }
        }
    }
    if let Some(place) = sink.partitions.first()
        && found == schema.fields().len()
    {
        problems.at(*place, PlaceProblem::AllPartitioned);
    }
}

/// Whether values of a type can be written as the name of a folder and told apart.
fn names_folders(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => names_folders(values),
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => false,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => false,
        other => !other.is_nested(),
    }
}

fn lines(sink: &SinkDecl, schema: &Schema, problems: &mut Problems) {
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let Some(spec) = sink.spec.as_ref().filter(|spec| spec.format == Format::Lines) else { return };
    let written: Vec<_> = schema.fields().iter().filter(|field| !spec.partition_by.contains(field.name())).collect();
    let found = match &written[..] {
        [only] if is_text(only.data_type()) => return,
        [only] => format!("one of type {}", only.data_type()),
        several => format!("{} columns", several.len()),
    };
    let stream = sink.input.as_ref().and_then(|wire| wire.stream.clone()).unwrap_or_default();
    problems.at(sink.place, PlaceProblem::LinesColumns { stream, found });
}
