//! `sink "top" { in "words"; file "out/top.parquet" }`.

use super::format::{self, Holder};
use super::{Name, Taken, Wire, database, delta, form, kafka_sink, objects};
use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem};
use crate::place::Place;
use crate::plan::{Compression, Format, SinkSpec, Target};
use crate::read::form::{Children, Form, Takes};
use crate::syntax::{Arg, Node};

const FORM: Form = Form {
    takes: Takes::One("sink \"top\" { in \"words\"; file \"top.csv\" }"),
    props: &[],
    children: Children::Once(&CHILDREN),
};
const CHILDREN: [&str; 10] =
    form::joined(&["in"], &form::joined::<9>(&PLACES, &["format", "compression", "partition-by"]));
/// The places that a sink may write to.
const PLACES: [&str; 6] = ["file", "directory", "stdout", "kafka", "adbc", "delta"];
const FILE: Holder = Holder {
    what: "a file or folder",
    formats: &["csv", "jsonl", "parquet", "arrow", "avro", "lines"],
    dialect: format::WRITTEN_DIALECT,
    is_topic: false,
};
const STDOUT: Holder = Holder {
    what: "standard output",
    formats: &["table", "csv", "jsonl", "arrow", "lines"],
    dialect: format::WRITTEN_DIALECT,
    is_topic: false,
};

const TOPIC: Holder = Holder { what: "a topic", formats: format::RECORDS, dialect: &[], is_topic: true };

/// A sink, as declared.
#[derive(Debug)]
pub(crate) struct SinkDecl {
    pub(crate) name: Name,
    pub(crate) input: Option<Wire>,
    /// None where something in it is wrong.
    pub(crate) spec: Option<SinkSpec>,
    /// Of its target.
    pub(crate) place: Place,
    /// Of the columns in [`SinkSpec::partition_by`].
    pub(crate) partitions: Vec<Place>,
    /// The columns that parts of records come from.
    pub(crate) parts: Vec<(String, Place)>,
}

impl SinkDecl {
    pub(super) fn read(node: &Node, taken: &mut Taken, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        FORM.check(node, "a sink", problems);
        let name = super::name(node, taken, problems);
        let what = format!("the sink `{}`", name.as_ref().map_or("?", |name| &name.text));
        let input = input(node, &what, problems);
        let mut parts = Vec::new();
        let target = target(node, &what, &mut parts, problems);
        let format = format(node, target.as_ref(), what, problems);
        let compression = compression(node, target.as_ref().map(|(target, _)| target), problems);
        let columns = partition_by(node, target.as_ref().map(|(target, _)| target), problems);
        let partition_by = columns.iter().filter_map(|arg| arg.value.as_str().map(str::to_owned)).collect();
        let place = target.as_ref().map_or(node.place, |(_, place)| *place);
        let good = problems.len() == before;
        let spec = target.zip(format).filter(|_| good).map(|((target, _), format)| SinkSpec {
            target,
            format,
            compression,
            partition_by,
        });
        let partitions = columns.iter().map(|arg| arg.place).collect();
        Some(Self { name: name?, input, spec, place, partitions, parts })
    }
}

fn input(node: &Node, what: &str, problems: &mut Problems) -> Option<Wire> {
    const EXAMPLE: &str = "in \"words\"";
    if node.child("in").is_none() && !form::is_misspelt(node, FORM.children, &["in"]) {
        problems.at(node.place, ShapeProblem::MissingNode { within: what.to_owned(), node: "in", example: EXAMPLE });
    }
    let (stream, arg) = form::child_string(node, "in", EXAMPLE, problems)?;
    Some(Wire { port: None, stream: Some(stream.to_owned()), place: arg.place, window: None, is_windowed: false })
}

/// Where the rows go, with its place. `parts` takes in the columns that it names.
fn target(
    node: &Node,
    what: &str,
    parts: &mut Vec<(String, Place)>,
    problems: &mut Problems,
) -> Option<(Target, Place)> {
    let places: Vec<&Node> = PLACES.iter().filter_map(|name| node.child(name)).collect();
    match places[..] {
        [] if form::is_misspelt(node, FORM.children, &PLACES) => None,
        [] => {
            let (within, example) = (what.to_owned(), "file \"out/words.csv\"`, `directory \"out\"` or `stdout");
            problems.at(node.place, ShapeProblem::MissingNode { within, node: "file", example });
            None
        }
        [place] if place.name == "kafka" => {
            let read = kafka_sink::read(place, problems)?;
            *parts = read.columns;
            Some((Target::Kafka(Box::new(read.kafka)), place.place))
        }
        [place] if place.name == "adbc" => {
            let read = database::read_sink(place, problems)?;
            *parts = read.columns;
            Some((Target::Database(Box::new(read.sink)), place.place))
        }
        [place] if place.name == "delta" => {
            let sink = delta::read_sink(place, problems)?;
            Some((Target::Delta(Box::new(sink)), place.args.first()?.place))
        }
        [place] => one_target(node, place, problems),
        [first, second, ..] => {
            let (what, places) = (what.to_owned(), (first.name.clone(), second.name.clone()));
            let problem = PlaceProblem::SeveralPlaces { what, first: places.0, second: places.1 };
            problems.with(second.place, problem, first.place, "the other is here");
            None
        }
    }
}

fn one_target(node: &Node, place: &Node, problems: &mut Problems) -> Option<(Target, Place)> {
    if place.name == "stdout" {
        Form::LEAF.check(place, "`stdout`", problems);
        return Some((Target::Stdout, place.place));
    }
    if place.args.iter().any(objects::is_address) {
        let objects = objects::sink(place, problems)?;
        return Some((Target::Objects(Box::new(objects)), place.args.first()?.place));
    }
    let example = if place.name == "file" { "file \"out/words.csv\"" } else { "directory \"out/words\"" };
    let remedy = "name a place on this machine, or an address such as \"s3://bucket/key\"";
    let (path, arg) = form::child_path(node, &place.name, example, remedy, problems)?;
    if path.is_empty() || (place.name == "file" && path.ends_with('/')) {
        form::bad_value("path", arg, format!("for example: `{example}`"), problems);
        return None;
    }
    let target = if place.name == "file" { Target::File(path.to_owned()) } else { Target::Directory(path.to_owned()) };
    Some((target, arg.place))
}

fn format(node: &Node, target: Option<&(Target, Place)>, what: String, problems: &mut Problems) -> Option<Format> {
    let holder = match target {
        Some((Target::Stdout, _)) => STDOUT,
        _ if node.child("kafka").is_some() => TOPIC,
        _ => FILE,
    };
    let is_database = node.child("adbc").is_some();
    for name in ["format", "compression"].iter().filter(|_| is_database) {
        if let Some(child) = node.child(name) {
            let (node, reason) = (child.name.clone(), "a table has columns with types, and is not bytes");
            problems.at(child.place, PlaceProblem::NotForDatabase { node, reason });
        }
    }
    if is_database {
        return Some(Format::Arrow);
    }
    if node.child("delta").is_some() {
        for child in ["format", "compression"].iter().filter_map(|name| node.child(name)) {
            let reason = "the files of a table are Parquet";
            problems.at(child.place, PlaceProblem::NotForDelta { node: child.name.clone(), reason });
        }
        return Some(Format::Parquet);
    }
    if let Some(stated) = format::stated(node, holder, problems) {
        if let (Some(Format::Debezium(_)), Some(child)) = (&stated, node.child("format")) {
            problems.at(child.place, PlaceProblem::EnvelopeSink);
        }
        return stated;
    }
    let mut of_file = |path: &str, place: Place| {
        let told = format::by_ending(path).filter(|format| holder.formats.contains(&format.name()));
        if told.is_none() {
            format::untold(what.clone(), path, place, holder, problems);
        }
        told
    };
    match target? {
        (Target::Stdout, _) => Some(Format::Table),
        (Target::File(path), place) => of_file(path, *place),
        (Target::Objects(objects), place) if !objects.is_folder => of_file(&objects.address.key, *place),
        (Target::Objects(objects), place) => {
            format::untold(what, &objects.address.to_string(), *place, holder, problems);
            None
        }
        (Target::Directory(path), place) => {
            format::untold(what, path, *place, holder, problems);
            None
        }
        (Target::Database(_), _) => Some(Format::Arrow),
        (Target::Delta(_), _) => Some(Format::Parquet),
        (Target::Kafka(_), place) => {
            format::untold(what, "kafka", *place, holder, problems);
            None
        }
    }
}

/// Values of records are not compressed one by one.
fn compression(node: &Node, target: Option<&Target>, problems: &mut Problems) -> Compression {
    let stated = format::compression(node, problems);
    if let (Some(Target::Kafka(_)), Some(child)) = (target, node.child("compression")) {
        let reason = "the topic says how its records are compressed";
        problems.at(child.place, PlaceProblem::NotForTopic { node: "compression", reason });
    }
    stated
}

fn partition_by<'a>(node: &'a Node, target: Option<&Target>, problems: &mut Problems) -> &'a [Arg] {
    let Some(child) = node.child("partition-by") else { return &[] };
    Form { takes: Takes::AtLeast(1, "partition-by \"day\""), ..Form::LEAF }.check(child, "`partition-by`", problems);
    for arg in &child.args {
        form::string("partition-by", arg, problems);
    }
    let is_folder = match target {
        Some(Target::Objects(objects)) => objects.is_folder,
        other => matches!(other, Some(Target::Directory(_) | Target::Delta(_)) | None),
    };
    if !is_folder {
        problems.at(child.place, PlaceProblem::PartitionPlace);
    }
    for (i, arg) in child.args.iter().enumerate() {
        if let Some(first) = child.args[..i].iter().find(|other| other.value == arg.value) {
            let problem = PlaceProblem::RepeatedPartition { column: arg.value.to_string() };
            problems.with(arg.place, problem, first.place, "first named here");
        }
    }
    &child.args
}
