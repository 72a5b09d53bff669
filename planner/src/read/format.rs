//! Formats and compressions: by name, by the endings of paths, and the dialects of CSV.

use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, list, suggest};
use crate::place::Place;
use crate::plan::{Compression, CsvDialect, Format};
use crate::read::form::{self, Form, Takes};
use crate::read::records;
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "format \"csv\"";
/// The properties of CSV.
pub(super) const DIALECT: &[&str] = &["header", "delimiter", "quote", "escape", "comment", "null-text"];
/// The same without `comment`: nothing that is written is one.
pub(super) const WRITTEN_DIALECT: &[&str] = &["header", "delimiter", "quote", "escape", "null-text"];

/// The formats of a topic's records, by the names that they have there.
pub(super) const RECORDS: &[&str] = &["json", "avro", "protobuf", "arrow", "text", "bytes"];
/// The properties of formats of records.
const RECORD_PROPS: &[&str] =
    &["schema", "schema-file", "descriptors", "message", "registry", "subject", "version", "user", records::ENVELOPE];

/// What may hold a format, with the formats that it may have.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    /// With an article, for messages.
    pub(super) what: &'static str,
    pub(super) formats: &'static [&'static str],
    /// The properties that CSV has there.
    pub(super) dialect: &'static [&'static str],
    /// Whether each record has the format by itself.
    pub(super) is_topic: bool,
}

impl Holder {
    /// What a node `format` may hold there.
    fn form(self) -> Form {
        match self.is_topic {
            true => records::form("format \"json\"", RECORD_PROPS),
            false => Form { takes: Takes::One(EXAMPLE), props: self.dialect, ..Form::LEAF },
        }
    }

    /// The properties of a format there.
    fn props(self, format: &str) -> Vec<&'static str> {
        match format {
            "csv" => self.dialect.to_vec(),
            "avro" if self.is_topic => [records::AVRO, &[records::ENVELOPE]].concat(),
            "protobuf" => [records::PROTOBUF, &[records::ENVELOPE]].concat(),
            "json" => vec![records::ENVELOPE],
            _ => Vec::new(),
        }
    }
}

fn named(name: &str) -> Option<Format> {
    Some(match name {
        "csv" => Format::Csv(CsvDialect::default()),
        "jsonl" => Format::JsonLines,
        "parquet" => Format::Parquet,
        "arrow" => Format::Arrow,
        "lines" => Format::Lines,
        "bytes" => Format::Bytes,
        "table" => Format::Table,
        _ => return None,
    })
}

/// A format by the name that it has for records of a topic. Protocol Buffers have settings of their own.
fn of_records(name: &str) -> Option<Format> {
    let formats = [Format::JsonLines, Format::Lines, Format::Bytes, Format::Arrow];
    formats.into_iter().find(|format| format.record_name() == name)
}

/// The format that a path's ending tells; the ending of a compression is passed over.
pub(super) fn by_ending(path: &str) -> Option<Format> {
    let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let file = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(&file);
    Some(match file.rsplit_once('.')?.1 {
        "csv" => Format::Csv(CsvDialect::default()),
        "tsv" => Format::Csv(CsvDialect { delimiter: '\t', ..CsvDialect::default() }),
        "jsonl" | "ndjson" => Format::JsonLines,
        "parquet" | "pq" => Format::Parquet,
        "arrow" | "arrows" | "ipc" | "feather" => Format::Arrow,
        "avro" => Format::Avro(Box::default()),
        "txt" | "log" => Format::Lines,
        _ => return None,
    })
}

/// The format that a node's `format` child states. The outer option says whether it is there.
pub(super) fn stated(node: &Node, holder: Holder, problems: &mut Problems) -> Option<Option<Format>> {
    let child = node.child("format")?;
    holder.form().check(child, "`format`", problems);
    let Some(arg) = child.args.first() else { return Some(None) };
    let topic = node.child("kafka").and_then(|kafka| kafka.prop("topic")?.value.as_str());
    Some(form::string("format", arg, problems).and_then(|name| choose(name, arg, child, holder, topic, problems)))
}

fn choose(
    name: &str,
    arg: &Arg,
    child: &Node,
    holder: Holder,
    topic: Option<&str>,
    problems: &mut Problems,
) -> Option<Format> {
    let known = || list(holder.formats.iter().copied());
    let is_here = holder.formats.contains(&name);
    let is_known = named(name).is_some() || matches!(name, "avro" | "protobuf");
    if !is_known && !is_here {
        let help = suggest(name, holder.formats.iter().copied()).unwrap_or_else(known);
        form::bad_value("format", arg, help, problems);
        return None;
    }
    if !is_here {
        let (format, what) = (name.to_owned(), holder.what);
        problems.at(arg.place, PlaceProblem::FormatPlace { format, what, known: known() });
        return None;
    }
    let before = problems.len();
    check_props(name, child, holder, problems);
    let rows = match (name, named(name)) {
        ("avro", _) => records::avro(child, topic, problems),
        ("protobuf", _) => records::protobuf(child, topic, problems),
        (_, Some(Format::Csv(dialect))) => self::dialect(child, dialect, problems).map(Format::Csv),
        (_, other) => other.or_else(|| of_records(name)),
    };
    records::enveloped(child, rows?, problems).filter(|_| problems.len() == before)
}

/// Refuses properties of other formats.
fn check_props(name: &str, child: &Node, holder: Holder, problems: &mut Problems) {
    let own = holder.props(name);
    for prop in child.props.iter().filter(|prop| !own.contains(&prop.name.as_str())) {
        let has = |format: &&&str| holder.props(format).contains(&prop.name.as_str());
        let formats: Vec<&str> = holder.formats.iter().filter(has).copied().collect();
        // What no format has was told before.
        if formats.is_empty() {
            continue;
        }
        let (node, name) = (format!("format {name}"), prop.name.clone());
        let verb = if formats.len() == 1 { "has" } else { "have" };
        let help = Some(format!("only {} {verb} it", list(formats)));
        problems.at(prop.arg.place, ShapeProblem::UnknownProperty { node, name, help });
    }
}

fn dialect(node: &Node, mut dialect: CsvDialect, problems: &mut Problems) -> Option<CsvDialect> {
    let before = problems.len();
    if let Some(arg) = node.prop("header") {
        dialect.header = form::boolean("header", arg, problems)?;
    }
    if let Some(arg) = node.prop("null-text") {
        dialect.null = form::string("null-text", arg, problems)?.to_owned();
    }
    let mut one = |name: &'static str| node.prop(name).and_then(|arg| character(name, arg, problems));
    dialect.delimiter = one("delimiter").unwrap_or(dialect.delimiter);
    dialect.quote = one("quote").unwrap_or(dialect.quote);
    dialect.escape = one("escape");
    dialect.comment = one("comment");
    let same = |c: Option<char>| c == Some(dialect.delimiter) || c == Some(dialect.quote);
    if dialect.delimiter == dialect.quote || same(dialect.escape) || same(dialect.comment) {
        let arg = ["delimiter", "quote", "escape", "comment"].iter().rev().find_map(|name| node.prop(name))?;
        form::bad_value("CSV dialect", arg, "delimiter, quote, escape and comment must differ", problems);
    }
    (problems.len() == before).then_some(dialect)
}

fn character(name: &'static str, arg: &Arg, problems: &mut Problems) -> Option<char> {
    let text = form::string(name, arg, problems)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() && c != '\n' && c != '\r' => Some(c),
        _ => {
            form::bad_value(
                "single ASCII character",
                arg,
                "it is one character, for example \";\" or \"\\t\"",
                problems,
            );
            None
        }
    }
}

/// The compression that a node states; by ending otherwise.
pub(super) fn compression(node: &Node, problems: &mut Problems) -> Compression {
    let Some((name, arg)) = form::child_string(node, "compression", "compression \"gzip\"", problems) else {
        return Compression::Auto;
    };
    match name {
        "auto" => Compression::Auto,
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        other => {
            let known = ["auto", "none", "gzip", "zstd"];
            form::bad_value("compression", arg, suggest(other, known).unwrap_or_default(), problems);
            Compression::Auto
        }
    }
}

/// Says that the format cannot be told.
pub(super) fn untold(what: String, path: &str, place: Place, holder: Holder, problems: &mut Problems) {
    let known = list(holder.formats.iter().copied());
    problems.at(place, PlaceProblem::NoFormat { what, path: path.to_owned(), known });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_formats_through_compression() {
        assert_eq!(by_ending("a/b.csv.gz"), Some(Format::Csv(CsvDialect::default())));
        assert_eq!(by_ending("a/*.NDJSON.zst"), Some(Format::JsonLines));
        assert_eq!(by_ending("a.csv/b"), None);
        assert_eq!(by_ending("b.gz"), None);
    }
}
