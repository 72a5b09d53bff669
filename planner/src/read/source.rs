//! `source "orders" { files "*.csv" }`.

use super::format::{self, Holder};
use super::{EventTimeDecl, Name, Taken, form, schema};
use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, suggest};
use crate::pattern::Pattern;
use crate::place::Place;
use crate::plan::{BadRows, Format, Location, SourceSpec};
use crate::read::form::{Children, Form, Takes};
use crate::syntax::{Arg, Node};

const FORM: Form = Form {
    takes: Takes::One("source \"orders\" { files \"orders.csv\" }"),
    props: &[],
    children: Children::Once(&["files", "stdin", "format", "compression", "schema", "bad-rows", "event-time"]),
};
/// Says whether the names of folders have columns.
const PARTITIONS: &str = "partitions";
/// What to do about files that are elsewhere.
const FETCH: &str = "copy the files to this machine first, and name them there";
const HOLDER: Holder = Holder {
    what: "a source",
    formats: &["csv", "jsonl", "parquet", "arrow", "lines", "bytes"],
    dialect: format::DIALECT,
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
        let location = location(node, &what, problems);
        let format = match format::stated(node, HOLDER, problems) {
            Some(format) => format,
            None => location.as_ref().and_then(|(location, places)| infer(location, places, what, problems)),
        };
        let compression = format::compression(node, problems);
        let bad_rows = bad_rows(node, format.as_ref(), problems);
        let declared = schema::declared(node, problems).flatten();
        let partitions = node.child("files").and_then(|files| files.prop(PARTITIONS));
        let partitions = partitions.and_then(|arg| form::boolean(PARTITIONS, arg, problems));
        fixed_schema(node, format.as_ref(), problems);
        let event_time = EventTimeDecl::read(node, problems);
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

/// Where the bytes are, with the places of the patterns or of `stdin`.
fn location(node: &Node, what: &str, problems: &mut Problems) -> Option<(Location, Vec<Place>)> {
    match (node.child("files"), node.child("stdin")) {
        (Some(files), None) => {
            let takes = Takes::AtLeast(1, "files \"data/*.csv\"");
            let form = Form { takes, props: &[PARTITIONS], ..Form::LEAF };
            form.check(files, "`files`", problems);
            let path = |arg| form::path("files", arg, FETCH, problems).map(str::to_owned);
            let patterns: Vec<Option<String>> = files.args.iter().map(path).collect();
            let patterns = patterns.into_iter().collect::<Option<Vec<_>>>()?;
            files.args.iter().for_each(|arg| check_pattern(arg, problems));
            let places: Vec<Place> = files.args.iter().map(|arg| arg.place).collect();
            (!places.is_empty()).then_some((Location::Files(patterns), places))
        }
        (None, Some(stdin)) => {
            Form::LEAF.check(stdin, "`stdin`", problems);
            Some((Location::Stdin, vec![stdin.place]))
        }
        (Some(files), Some(stdin)) => {
            let (what, first, second) = (what.to_owned(), "files".to_owned(), "stdin".to_owned());
            let (earlier, later) = (files.place.min(stdin.place), files.place.max(stdin.place));
            problems.with(later, PlaceProblem::SeveralPlaces { what, first, second }, earlier, "the other is here");
            None
        }
        (None, None) if form::is_misspelt(node, FORM.children, &["files", "stdin"]) => None,
        (None, None) => {
            let example = "files \"data/*.csv\"` or `stdin";
            problems.at(node.place, ShapeProblem::MissingNode { within: what.to_owned(), node: "files", example });
            None
        }
    }
}

fn check_pattern(arg: &Arg, problems: &mut Problems) {
    let Some(pattern) = arg.value.as_str() else { return };
    if pattern.is_empty() {
        form::bad_value("path", arg, "name a file, or a glob such as data/*.csv", problems);
    } else if let Err(reason) = Pattern::new(pattern) {
        form::bad_value("glob", arg, reason, problems);
    }
}

fn infer(location: &Location, places: &[Place], what: String, problems: &mut Problems) -> Option<Format> {
    let Location::Files(patterns) = location else {
        format::untold(what, "stdin", *places.first()?, HOLDER, problems);
        return None;
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
    if let Some(format @ (Format::Parquet | Format::Arrow | Format::Bytes)) = format
        && chosen != BadRows::Fail
    {
        let (choice, format) = (choice.to_owned(), format.name());
        problems.at(arg.place, PlaceProblem::BadRows { choice, format });
    }
    chosen
}

/// `lines` and `bytes` have columns of their own.
fn fixed_schema(node: &Node, format: Option<&Format>, problems: &mut Problems) {
    if let (Some(schema), Some(format @ (Format::Lines | Format::Bytes))) = (node.child("schema"), format) {
        problems.at(schema.place, PlaceProblem::FixedSchema { format: format.name() });
    }
}
