//! Checks of sinks that need more than the sink alone: places that clash, and columns.

use std::collections::{BTreeMap, HashMap};

use arrow_schema::{DataType, Schema};

use crate::describe::Descriptions;
use crate::diagnostic::{PlaceProblem, Problems, suggest};
use crate::pattern::{Pattern, Step, normal};
use crate::place::Place;
use crate::plan::{
    Database, DatabaseRows, DatabaseSink, DeltaSink, Format, Location, ObjectAddress, SinkSpec, TableName, TablePlace,
    Target, WriteMode,
};
use crate::quantity::count;
use crate::read::{SinkDecl, SourceDecl};
use crate::text::Texts;
use crate::wiring::Resolved;

/// Says what is wrong between sinks, and between sinks and the streams that they write.
pub(crate) fn check(texts: &Texts, resolved: &Resolved, descriptions: &Descriptions, problems: &mut Problems) {
    clashes(&resolved.pipeline.sinks, problems);
    overwritten(texts, &resolved.pipeline.sinks, problems);
    fed_back(resolved, problems);
    for (sink, origin) in resolved.pipeline.sinks.iter().zip(&resolved.sinks) {
        if let Some(schema) = origin.as_ref().and_then(|origin| descriptions.schemas.get(origin)) {
            partitions(sink, schema, problems);
            parts(sink, schema, problems);
            lines(sink, schema, problems);
        }
    }
}

/// Two sinks in one place, or one within the folder of another, which is swapped whole.
fn clashes(sinks: &[SinkDecl], problems: &mut Problems) {
    let target = |sink: &SinkDecl| match &sink.spec.as_ref()?.target {
        Target::File(path) => Some((normal(path), false)),
        Target::Directory(path) => Some((normal(path), true)),
        Target::Objects(objects) => Some((objects.address.to_string(), objects.is_folder)),
        Target::Stdout => Some(("-".to_owned(), false)),
        // No path has two slashes in it, and no address starts so.
        Target::Kafka(kafka) => Some((format!("kafka//{}", kafka.id), false)),
        Target::Database(sink) => Some((table_place(sink), false)),
        Target::Delta(sink) => Some((delta_place(sink), false)),
    };
    let targets: Vec<Option<(String, bool)>> = sinks.iter().map(target).collect();
    let mut first_at: HashMap<&str, usize> = HashMap::new();
    for (i, (path, _)) in targets.iter().enumerate().filter_map(|(i, target)| Some((i, target.as_ref()?))) {
        match first_at.get(path.as_str()) {
            Some(&first) => {
                let (first, second) = (&sinks[first], &sinks[i]);
                let help = match second.spec.as_ref().map(|spec| &spec.target) {
                    Some(Target::Database(_)) => "append to or upsert into it, each with an `id` in `adbc`",
                    Some(Target::Delta(_)) => "append to it, each with an `id` in `delta`",
                    Some(Target::Kafka(_)) => "give each of them an `id` in `kafka`",
                    _ => "one would destroy what the other wrote; give one of them another place",
                };
                let (first_place, second_place) = (first.place, second.place);
                let (first, second) = (first.name.text.clone(), second.name.text.clone());
                let problem = PlaceProblem::SameTarget { first, second, help: Some(help.to_owned()) };
                problems.with(second_place, problem, first_place, "the other is here");
            }
            None => drop(first_at.insert(path, i)),
        }
    }
    for (i, (path, _)) in targets.iter().enumerate().filter_map(|(i, target)| Some((i, target.as_ref()?))) {
        let folders = path.match_indices('/').filter_map(|(at, _)| first_at.get(&path[..at]));
        let above = folders.copied().find(|&above| targets[above].as_ref().is_some_and(|(_, folder)| *folder));
        if let Some(folder) = above.map(|above| &sinks[above]) {
            let problem =
                PlaceProblem::WithinTarget { sink: sinks[i].name.text.clone(), folder: folder.name.text.clone() };
            problems.with(sinks[i].place, problem, folder.place, "the folder is here");
        }
    }
}

/// What a sink has of a database for itself: a table that it makes hold its rows alone, or what is noted under its id.
fn table_place(sink: &DatabaseSink) -> String {
    let DatabaseSink { database, table, mode, id, .. } = sink;
    let own = match mode {
        WriteMode::Create | WriteMode::Replace => String::new(),
        WriteMode::Append | WriteMode::Upsert => format!("//{id}"),
    };
    format!("adbc//{}//{}//{table}{own}", database.driver, database.uri.as_deref().unwrap_or_default())
}

/// What a sink has of a Delta table for itself.
fn delta_place(sink: &DeltaSink) -> String {
    let own = if sink.mode == WriteMode::Append { format!("//{}", sink.id) } else { String::new() };
    format!("delta//{}{own}", table_folder(&sink.table.place))
}

/// The folder of a Delta table.
fn table_folder(place: &TablePlace) -> String {
    match place {
        TablePlace::Folder(path) => normal(path),
        TablePlace::Objects(address) => address.to_string(),
    }
}

/// Sinks in the place of the pipeline's own texts or its lock.
fn overwritten(texts: &Texts, sinks: &[SinkDecl], problems: &mut Problems) {
    let lock = format!("{}.lock", texts.pipeline());
    for sink in sinks {
        let Some(Target::File(path)) = sink.spec.as_ref().map(|spec| &spec.target) else { continue };
        let path = normal(path);
        if path == lock || texts.paths().any(|text| text == path) {
            problems.at(sink.place, PlaceProblem::OverwritesPipeline { sink: sink.name.text.clone(), path });
        }
    }
}

/// Sinks that write where a source reads: they would destroy its files, or the next run would read what they wrote.
fn fed_back(resolved: &Resolved, problems: &mut Problems) {
    // There may be thousands of both: patterns are found by the name that they start with, if it is one.
    let mut read: BTreeMap<Option<String>, Vec<Reader<'_>>> = BTreeMap::new();
    for source in &resolved.pipeline.sources {
        let patterns = match source.spec.as_ref().map(|spec| &spec.location) {
            Some(Location::Files(patterns)) => patterns.clone(),
            Some(Location::Objects(objects)) => objects.patterns.iter().map(as_path).collect(),
            _ => continue,
        };
        for (text, &place) in patterns.iter().zip(&source.places) {
            // What is no glob has been said where it stands.
            if let Ok(pattern) = Pattern::new(text) {
                let reader = Reader { name: &source.name.text, place, pattern };
                read.entry(reader.pattern.first_name().map(str::to_owned)).or_default().push(reader);
            }
        }
    }
    for sink in &resolved.pipeline.sinks {
        let Some(written) = sink.spec.as_ref().and_then(Written::of) else { continue };
        let near: Vec<&Vec<Reader<'_>>> = match written.names().next() {
            Some(first) => [Some(first.to_owned()), None].iter().filter_map(|first| read.get(first)).collect(),
            None => read.values().collect(),
        };
        if let Some(reader) = near.into_iter().flatten().find(|reader| written.may_feed(&reader.pattern)) {
            let problem = PlaceProblem::FeedsSource { sink: sink.name.text.clone(), name: reader.name.clone() };
            problems.with(sink.place, problem, reader.place, "it reads these");
        }
    }
    feed_tables_back(resolved, problems);
}

/// Sinks that write the table or the topic that a source reads.
fn feed_tables_back(resolved: &Resolved, problems: &mut Problems) {
    let mut read: BTreeMap<Service<'_>, &SourceDecl> = BTreeMap::new();
    for source in &resolved.pipeline.sources {
        let service = source.spec.as_ref().and_then(|spec| Service::of_source(&spec.location));
        read.extend(service.map(|service| (service, source)));
    }
    for sink in &resolved.pipeline.sinks {
        let service = sink.spec.as_ref().and_then(|spec| Service::of_sink(&spec.target));
        if let Some(source) = service.and_then(|service| read.get(&service)) {
            let problem = PlaceProblem::FeedsSource { sink: sink.name.text.clone(), name: source.name.text.clone() };
            problems.with(sink.place, problem, source.name.place, "it reads what the sink writes");
        }
    }
}

/// A place outside of this machine's files, as the text names it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Service<'a> {
    /// A driver, an address, a schema and a table.
    Table(&'a str, Option<&'a str>, Option<&'a str>, &'a str),
    /// The folder of a Delta table.
    Delta(String),
    /// Brokers and a topic.
    Topic(&'a [String], &'a str),
}

impl<'a> Service<'a> {
    fn of_source(location: &'a Location) -> Option<Self> {
        match location {
            Location::Database(source) => match &source.rows {
                DatabaseRows::Table { table, .. } => Some(Self::table(&source.database, table)),
                DatabaseRows::Query { .. } => None,
            },
            Location::Kafka(topic) => Some(Self::Topic(&topic.brokers, &topic.topic)),
            Location::Files(_) | Location::Stdin | Location::Objects(_) | Location::Flight(_) => None,
            // A version that is named stays what it is.
            Location::Delta(source) => source.version.is_none().then(|| Self::Delta(table_folder(&source.table.place))),
        }
    }

    fn of_sink(target: &'a Target) -> Option<Self> {
        match target {
            Target::Database(sink) => Some(Self::table(&sink.database, &sink.table)),
            Target::Kafka(sink) => Some(Self::Topic(&sink.brokers, &sink.topic)),
            Target::Delta(sink) => Some(Self::Delta(table_folder(&sink.table.place))),
            Target::File(_) | Target::Directory(_) | Target::Objects(_) | Target::Stdout => None,
        }
    }

    fn table(database: &'a Database, table: &'a TableName) -> Self {
        Self::Table(&database.driver, database.uri.as_deref(), table.schema.as_deref(), &table.table)
    }
}

/// An address as a path that no file of this machine has.
fn as_path(address: &ObjectAddress) -> String {
    format!("{}:/{}/{}", address.scheme.name(), address.bucket, address.key)
}

/// A pattern of a source.
struct Reader<'a> {
    name: &'a String,
    place: Place,
    pattern: Pattern,
}

/// The files of a sink, as far as the text tells.
struct Written {
    path: String,
    /// Of a folder: how the folders of its partitions start.
    partitions: Vec<String>,
    /// Of a folder: the ending of its files.
    ending: Option<String>,
}

impl Written {
    /// None for standard output.
    fn of(spec: &SinkSpec) -> Option<Self> {
        match &spec.target {
            Target::File(path) => Some(Self { path: normal(path), partitions: Vec::new(), ending: None }),
            Target::Directory(path) => {
                let partitions = spec.partition_by.iter().map(|column| folder(column)).collect();
                Some(Self { path: normal(path), partitions, ending: Some(spec.ending()) })
            }
            Target::Objects(objects) => {
                let partitions = spec.partition_by.iter().map(|column| folder(column)).collect();
                let ending = objects.is_folder.then(|| spec.ending());
                Some(Self { path: as_path(&objects.address), partitions, ending })
            }
            Target::Stdout | Target::Kafka(_) | Target::Database(_) | Target::Delta(_) => None,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|name| !name.is_empty())
    }

    /// Whether a file is matched.
    fn may_feed(&self, pattern: &Pattern) -> bool {
        let mut steps: Vec<Step<'_>> = self.names().map(Step::Known).collect();
        if let Some(ending) = &self.ending {
            steps.extend(self.partitions.iter().map(|start| Step::Like { start, end: "" }));
            steps.push(Step::Like { start: "", end: ending });
        }
        pattern.may_match(self.path.starts_with('/'), &steps)
    }
}

/// Whether a sink in this place may write a file that a pattern matches. Both are paths without links, as far as that is known.
pub fn may_feed(sink: &SinkSpec, place: &str, pattern: &Pattern) -> bool {
    let written = Written::of(sink).map(|written| Written { path: normal(place), ..written });
    written.is_some_and(|written| written.may_feed(pattern))
}

/// How the folders of a partition column start; characters that are escaped there are left open.
fn folder(column: &str) -> String {
    let plain = column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{column}=") } else { String::new() }
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

/// Columns that parts of records come from.
fn parts(sink: &SinkDecl, schema: &Schema, problems: &mut Problems) {
    for (column, place) in sink.parts.iter().filter(|(column, _)| schema.field_with_name(column).is_err()) {
        let help = suggest(column, schema.fields().iter().map(|field| field.name().as_str()));
        let stream = sink.input.as_ref().and_then(|wire| wire.stream.clone()).unwrap_or_default();
        problems.at(*place, PlaceProblem::UnknownColumn { stream, column: column.clone(), help });
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

/// Formats that write one column.
fn lines(sink: &SinkDecl, schema: &Schema, problems: &mut Problems) {
    let Some(spec) = &sink.spec else { return };
    let columns: Vec<&DataType> =
        written(spec, schema).into_iter().map(|column| schema.field(column).data_type()).collect();
    let (format, holds, other) = match (&spec.format, &spec.target) {
        (Format::Lines, Target::Kafka(_)) => ("text", "text", "json"),
        (Format::Bytes, Target::Kafka(_)) => ("bytes", "text or bytes", "json"),
        (Format::Lines, _) => ("lines", "text", "csv"),
        _ => return,
    };
    let found = match &columns[..] {
        [only] if is_text(only) || (spec.format == Format::Bytes && is_bytes(only)) => return,
        [only] => format!("one of type {only}"),
        several => count(several.len(), "column"),
    };
    let stream = sink.input.as_ref().and_then(|wire| wire.stream.clone()).unwrap_or_default();
    problems.at(sink.place, PlaceProblem::LinesColumns { format, holds, other, stream, found });
}

/// The columns that a format gets, but for those that name partitions or are other parts of a record.
fn written(spec: &SinkSpec, schema: &Schema) -> Vec<usize> {
    match &spec.target {
        Target::Kafka(kafka) => kafka.parts.value_columns(&spec.format, schema),
        _ => (0..schema.fields().len()).filter(|&i| !spec.partition_by.contains(schema.field(i).name())).collect(),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}
