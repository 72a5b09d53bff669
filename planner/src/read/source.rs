//! `source "orders" { files "*.csv" }`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::format::{self, Holder};
use super::{EventTimeDecl, Name, Taken, database, delta, flight, form, kafka, objects, schema};
use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, suggest};
use crate::pattern::Pattern;
use crate::place::Place;
use crate::plan::{BadRows, Declared, Format, KafkaTopic, Location, ObjectAddress, Rest, SourceSpec};
use crate::read::form::{Children, Form, Takes};
use crate::syntax::{Arg, Node};

const FORM: Form = Form {
    takes: Takes::One("source \"orders\" { files \"orders.csv\" }"),
    props: &[],
    children: Children::Once(&CHILDREN),
};
const CHILDREN: [&str; 11] = form::joined(&PLACES, &["format", "compression", "schema", "bad-rows", "event-time"]);
/// Says whether the names of folders have columns.
const PARTITIONS: &str = "partitions";
/// The properties of `files` where it has addresses.
const OBJECT_PROPS: [&str; 4] = form::joined(&[PARTITIONS], &objects::REACH);
/// What to do about files that are elsewhere.
const FETCH: &str = "copy the files to this machine first, and name them there";
const HOLDER: Holder = Holder {
    what: "a source",
    formats: &["csv", "jsonl", "parquet", "arrow", "avro", "lines", "bytes"],
    dialect: format::DIALECT,
    is_topic: false,
};
const TOPIC: Holder = Holder { what: "a topic", formats: format::RECORDS, dialect: &[], is_topic: true };

/// A kind of place that a source may read from.
struct Kind {
    node: &'static str,
    read: fn(&Node, &mut Problems) -> Option<Located>,
    /// The formats that the text may state.
    holder: Holder,
    /// The format of all such places, where it is not the text that states it.
    format: Option<fn() -> Format>,
    refuses: Option<Refused>,
}

/// Nodes of sources that mean nothing at a place, and what is said of them.
#[derive(Clone, Copy)]
struct Refused(&'static [&'static str], fn(&'static str) -> PlaceProblem);

/// Where the bytes are, with the places of the patterns, or of the node.
type Located = (Location, Vec<Place>);

/// Bytes that are told apart by endings, or by what the text states.
const OF_BYTES: Kind = Kind { node: "files", read: files, holder: HOLDER, format: None, refuses: None };

/// All of them.
const KINDS: [Kind; 6] = [
    OF_BYTES,
    Kind { node: "stdin", read: stdin, ..OF_BYTES },
    Kind {
        node: "kafka",
        read: |node, problems| at(node, Location::Kafka(Box::new(kafka::read(node, problems)?))),
        holder: TOPIC,
        refuses: Some(Refused(&["compression"], |node| {
            let reason = "the topic says how its records are compressed";
            PlaceProblem::NotForTopic { node, reason }
        })),
        ..OF_BYTES
    },
    Kind {
        node: "adbc",
        read: database,
        format: Some(|| Format::Arrow),
        refuses: Some(Refused(&["format", "compression", "bad-rows"], |node| {
            let reason = "its rows have columns with types, and are not bytes";
            PlaceProblem::NotForDatabase { node: node.to_owned(), reason }
        })),
        ..OF_BYTES
    },
    Kind {
        node: "flight",
        read: |node, problems| at(node, Location::Flight(Box::new(flight::read(node, problems)?))),
        format: Some(|| Format::Arrow),
        refuses: Some(Refused(&["format", "compression"], |node| {
            let reason = "servers say themselves what their messages are and how they are compressed";
            PlaceProblem::NotForFlight { node, reason }
        })),
        ..OF_BYTES
    },
    Kind {
        node: "delta",
        read: |node, problems| {
            Some((Location::Delta(Box::new(delta::read(node, problems)?)), vec![node.args.first()?.place]))
        },
        format: Some(|| Format::Parquet),
        refuses: Some(Refused(&["format", "compression", "bad-rows"], |node| {
            let reason = "the table says how its files are written, and its rows are good or a file is damaged";
            PlaceProblem::NotForDelta { node: node.to_owned(), reason }
        })),
        ..OF_BYTES
    },
];

/// The names of their nodes.
const PLACES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut next = 0;
    while next < names.len() {
        names[next] = KINDS[next].node;
        next += 1;
    }
    names
};

/// A source, as declared.
#[derive(Debug)]
pub(crate) struct SourceDecl {
    pub(crate) name: Name,
    /// None where something in it is wrong; its columns are unknown then.
    pub(crate) spec: Option<SourceSpec>,
    /// Of its patterns.
    pub(crate) places: Vec<Place>,
    /// The event time of its rows, if the text names one.
    pub(crate) event_time: Option<EventTimeDecl>,
    /// Whether it has a stream of bad rows.
    pub(crate) rejects: bool,
}

impl SourceDecl {
    pub(super) fn read(node: &Node, taken: &mut Taken, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        FORM.check(node, "a source", problems);
        let name = super::name(node, taken, problems);
        let what = format!("the source `{}`", name.as_ref().map_or("?", |name| &name.text));
        // Of several places, which is an error, one whose rules are its own: those of bytes come first.
        let kind = KINDS.iter().rev().find(|kind| node.child(kind.node).is_some());
        let mut location = location(node, &what, problems);
        refuse(node, kind.and_then(|kind| kind.refuses), problems);
        let format = format_of(node, kind, location.as_ref(), &what, problems);
        let compression = format::compression(node, problems);
        // Where that node means nothing, this has been said.
        let refuses = kind.and_then(|kind| kind.refuses).is_some_and(|Refused(nodes, _)| nodes.contains(&"bad-rows"));
        let bad_rows = bad_rows(node, format.as_ref().filter(|_| !refuses), problems);
        let mut declared = schema::declared(node, problems).flatten();
        if let Some((Location::Kafka(topic), _)) = &location {
            declared = record_columns(node, topic, format.as_ref(), declared, what, problems);
        }
        let partitions = node.child("files").and_then(|files| files.prop(PARTITIONS));
        let partitions = partitions.and_then(|arg| form::boolean(PARTITIONS, arg, problems));
        fixed_schema(node, format.as_ref(), problems);
        let topic = location.as_mut().and_then(|(location, _)| match location {
            Location::Kafka(topic) => Some(topic.as_mut()),
            _ => None,
        });
        let event_time = EventTimeDecl::read(node, topic, problems);
        let good = problems.len() == before;
        let (location, places) = location.unzip();
        let places = places.unwrap_or_default();
        let spec = location.zip(format).filter(|_| good).map(|(location, format)| SourceSpec {
            location,
            format,
            compression,
            bad_rows,
            declared,
            partitions,
        });
        Some(Self { name: name?, spec, places, event_time, rejects: bad_rows == BadRows::Stream })
    }
}

/// Says which nodes of a source mean nothing at its place.
fn refuse(node: &Node, refused: Option<Refused>, problems: &mut Problems) {
    let Some(Refused(names, problem)) = refused else { return };
    for &name in names {
        if let Some(child) = node.child(name) {
            problems.at(child.place, problem(name));
        }
    }
}

/// The format that the place has, the text states, or the names of files tell.
fn format_of(
    node: &Node,
    kind: Option<&Kind>,
    location: Option<&Located>,
    what: &str,
    problems: &mut Problems,
) -> Option<Format> {
    if let Some(format) = kind.and_then(|kind| kind.format) {
        return Some(format());
    }
    match format::stated(node, kind.map_or(HOLDER, |kind| kind.holder), problems) {
        Some(format) => format,
        None => infer(kind?, location?, what.to_owned(), problems),
    }
}

/// Reads the one place.
fn location(node: &Node, what: &str, problems: &mut Problems) -> Option<Located> {
    let found: Vec<(&Kind, &Node)> = KINDS.iter().filter_map(|kind| Some((kind, node.child(kind.node)?))).collect();
    match found[..] {
        [] if form::is_misspelt(node, FORM.children, &PLACES) => None,
        [] => {
            let example = "files \"data/*.csv\"` or `stdin";
            problems.at(node.place, ShapeProblem::MissingNode { within: what.to_owned(), node: "files", example });
            None
        }
        [(kind, one)] => (kind.read)(one, problems),
        [(_, first), (_, second), ..] => {
            let (earlier, later) = (first.place.min(second.place), first.place.max(second.place));
            let (what, first, second) = (what.to_owned(), first.name.clone(), second.name.clone());
            problems.with(later, PlaceProblem::SeveralPlaces { what, first, second }, earlier, "the other is here");
            None
        }
    }
}

fn at(node: &Node, location: Location) -> Option<Located> {
    Some((location, vec![node.place]))
}

fn stdin(node: &Node, problems: &mut Problems) -> Option<Located> {
    Form::LEAF.check(node, "`stdin`", problems);
    at(node, Location::Stdin)
}

/// What is wrong with the rows is wrong with the query, where there is one.
fn database(node: &Node, problems: &mut Problems) -> Option<Located> {
    let query = node.child("query").and_then(|query| query.args.first()).map(|arg| arg.place);
    let place = query.or(node.prop("table").map(|arg| arg.place)).unwrap_or(node.place);
    Some((Location::Database(Box::new(database::read_source(node, problems)?)), vec![place]))
}

fn files(node: &Node, problems: &mut Problems) -> Option<Located> {
    let takes = Takes::AtLeast(1, "files \"data/*.csv\"");
    let are_objects = node.args.iter().any(objects::is_address);
    let props = if are_objects { &OBJECT_PROPS[..] } else { &[PARTITIONS] };
    Form { takes, props, ..Form::LEAF }.check(node, "`files`", problems);
    let places: Vec<Place> = node.args.iter().map(|arg| arg.place).collect();
    if are_objects {
        return Some((Location::Objects(Box::new(objects::read(node, problems)?)), places));
    }
    let path = |arg| form::path("files", arg, FETCH, problems).map(str::to_owned);
    let patterns: Vec<Option<String>> = node.args.iter().map(path).collect();
    let patterns = patterns.into_iter().collect::<Option<Vec<_>>>()?;
    node.args.iter().for_each(|arg| check_pattern(arg, problems));
    (!places.is_empty()).then_some((Location::Files(patterns), places))
}

/// The columns of a topic's records: those of their values, which the format or the text tells, and the parts of records
/// that the text asks for.
fn record_columns(
    node: &Node,
    topic: &KafkaTopic,
    format: Option<&Format>,
    declared: Option<Declared>,
    what: String,
    problems: &mut Problems,
) -> Option<Declared> {
    let format = format?;
    let value = match format.of_rows() {
        Format::Lines => vec![Field::new("text", DataType::Utf8, true)],
        Format::Bytes => vec![Field::new("value", DataType::Binary, true)],
        // Their columns follow from their schema, and are asked for.
        Format::Avro(_) | Format::Protobuf(_) => return None,
        other => return declared_columns(node, topic, (format, other), declared, what, problems),
    };
    with_record_columns(node, topic, value.into_iter(), Rest::Unsaid, problems)
}

/// The columns of records whose format does not tell them. Those of objects are inferred where the text does not declare them.
fn declared_columns(
    node: &Node,
    topic: &KafkaTopic,
    (format, rows): (&Format, &Format),
    declared: Option<Declared>,
    what: String,
    problems: &mut Problems,
) -> Option<Declared> {
    let is_inferable = matches!(format, Format::JsonLines);
    let Some(Declared { columns, rest }) = declared else {
        if !is_inferable {
            problems.at(node.place, PlaceProblem::RecordSchema { what, format: rows.record_name() });
        }
        return None;
    };
    match (rest, node.child("schema")) {
        (Rest::Infer, _) if is_inferable => return Some(Declared { columns, rest }),
        (Rest::Infer, Some(schema)) => {
            let reason = "the columns of such records are declared";
            problems.at(schema.place, PlaceProblem::NotForTopic { node: "rest=\"infer\"", reason });
        }
        _ => {}
    }
    let columns = format.columns(columns.fields());
    with_record_columns(node, topic, columns.into_iter(), rest, problems)
}

fn with_record_columns(
    node: &Node,
    topic: &KafkaTopic,
    value: impl Iterator<Item = Field>,
    rest: Rest,
    problems: &mut Problems,
) -> Option<Declared> {
    let fields: Vec<Field> = value.chain(topic.record_fields()).collect();
    let mut seen = HashSet::new();
    if let Some(field) = fields.iter().find(|field| !seen.insert(field.name())) {
        let column = format!("\"{}\"", field.name());
        problems.at(node.child("kafka")?.place, PlaceProblem::RepeatedColumn { column });
        return None;
    }
    Some(Declared { columns: Arc::new(Schema::new(fields)), rest })
}

fn check_pattern(arg: &Arg, problems: &mut Problems) {
    let Some(pattern) = arg.value.as_str() else { return };
    if pattern.is_empty() {
        form::bad_value("path", arg, "name a file, or a glob such as data/*.csv", problems);
    } else if let Err(reason) = Pattern::new(pattern) {
        form::bad_value("glob", arg, reason, problems);
    }
}

/// The format that the endings of all patterns tell.
fn infer(kind: &Kind, (location, places): &Located, what: String, problems: &mut Problems) -> Option<Format> {
    let patterns = match location {
        Location::Files(patterns) => patterns.clone(),
        Location::Objects(objects) => objects.patterns.iter().map(ObjectAddress::to_string).collect(),
        _ => {
            format::untold(what, kind.node, *places.first()?, kind.holder, problems);
            return None;
        }
    };
    let mut told: Option<(&str, Format, Place)> = None;
    for (pattern, &place) in patterns.iter().zip(places) {
        match (format::by_ending(pattern), &told) {
            // What is wrong with it has been said.
            (None, _) if pattern.is_empty() => return None,
            (None, _) => {
                format::untold(what, pattern, place, HOLDER, problems);
                return None;
            }
            (Some(format), Some((first, other, first_place))) if format != *other => {
                let (first, second) = ((*first).to_owned(), pattern.clone());
                let problem = PlaceProblem::MixedFormats { what, first, second };
                problems.with(place, problem, *first_place, "the other is here");
                return None;
            }
            (Some(format), _) => told = Some((pattern, format, place)),
        }
    }
    told.map(|(_, format, _)| format)
}

fn bad_rows(node: &Node, format: Option<&Format>, problems: &mut Problems) -> BadRows {
    let example = "bad-rows \"skip\"";
    let Some((choice, arg)) = form::child_string(node, "bad-rows", example, problems) else { return BadRows::Fail };
    let chosen = match choice {
        "fail" => BadRows::Fail,
        "skip" => BadRows::Skip,
        "stream" => BadRows::Stream,
        other => {
            let help = suggest(other, ["fail", "skip", "stream"]).unwrap_or_default();
            form::bad_value("way to treat bad rows", arg, help, problems);
            return BadRows::Fail;
        }
    };
    if let Some(format @ (Format::Parquet | Format::Arrow | Format::Avro(_) | Format::Bytes)) = format
        && node.child("kafka").is_none()
        && chosen != BadRows::Fail
    {
        let (choice, format) = (choice.to_owned(), format.name());
        problems.at(arg.place, PlaceProblem::BadRows { choice, format });
    }
    chosen
}

/// `lines` and `bytes` have columns of their own, and Avro and Protocol Buffers those of their schemas.
fn fixed_schema(node: &Node, format: Option<&Format>, problems: &mut Problems) {
    let has_own =
        |format: &&Format| matches!(format, Format::Lines | Format::Bytes | Format::Avro(_) | Format::Protobuf(_));
    if let (Some(schema), Some(format)) = (node.child("schema"), format.map(Format::of_rows).filter(has_own)) {
        let format = if node.child("kafka").is_some() { format.record_name() } else { format.name() };
        problems.at(schema.place, PlaceProblem::FixedSchema { format });
    }
}
