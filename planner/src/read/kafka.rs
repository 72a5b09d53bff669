//! `kafka "broker:9092" topic="bids" { start "earliest"; until "latest"; sasl "plain" user="x" { secret "PASSWORD" }; tls }`.

use std::collections::BTreeMap;

use crate::diagnostic::{Problems, ShapeProblem, list, suggest};
use crate::instant::instant;
use crate::plan::{Bounds, KafkaTopic, Position, RecordColumn, RecordField, Sasl, SaslMechanism, Tls};
use crate::read::form::{self, Children, Form, Takes};
use crate::read::secret;
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "kafka \"broker:9092\" topic=\"bids\"";
const FORM: Form = Form {
    takes: Takes::AtLeast(1, EXAMPLE),
    props: &["topic"],
    children: Children::Once(&[
        "start",
        "until",
        "partitions",
        "isolation",
        "block",
        "columns",
        "topic-id",
        "sasl",
        "tls",
    ]),
};
const COLUMNS: &[&str] = &["key", "headers", "partition", "offset", "timestamp"];
const SASL: Form = Form {
    takes: Takes::One("sasl \"plain\" user=\"flowc\" { secret \"KAFKA_PASSWORD\" }"),
    props: &["user"],
    children: Children::Once(&["secret"]),
};
const WHERE: &str =
    "\"earliest\", \"latest\", a time such as \"2026-11-01T00:00Z\", or offsets such as \"0=1500\" \"1=1720\"";

/// Reads the node; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<KafkaTopic> {
    let before = problems.len();
    FORM.check(node, "`kafka`", problems);
    let brokers = node.args.iter().filter_map(|arg| broker(arg, problems)).collect();
    let topic = topic(node, problems);
    let start = bounds(node.child("start"), Position::Earliest, problems);
    let until = bounds(node.child("until"), Position::Latest, problems);
    let partitions = node.child("partitions").map(|child| partitions(child, problems));
    let uncommitted = isolation(node, problems);
    let block = block(node, problems);
    let columns = node.child("columns").map(|child| columns(child, problems)).unwrap_or_default();
    let topic_id = form::child_string(node, "topic-id", "topic-id \"M4kEr0aRTxK2TWjQ0mXk1w\"", problems);
    let sasl = node.child("sasl").and_then(|child| sasl(child, problems));
    let tls = node.child("tls").map(|child| tls(child, problems));
    let topic_id = topic_id.map(|(id, _)| id.to_owned());
    let topic = topic?.to_owned();
    let read = KafkaTopic {
        brokers,
        topic,
        topic_id,
        partitions,
        start,
        until,
        uncommitted,
        block,
        columns,
        sasl,
        tls,
        event_time: None,
    };
    (problems.len() == before).then_some(read)
}

pub(super) fn broker(arg: &Arg, problems: &mut Problems) -> Option<String> {
    let text = form::string("kafka", arg, problems)?;
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', ',']));
    if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
        form::bad_value("broker", arg, "a host and its port, for example \"broker:9092\"", problems);
    }
    Some(text.to_owned())
}

pub(super) fn topic<'a>(node: &'a Node, problems: &mut Problems) -> Option<&'a str> {
    let Some(arg) = node.prop("topic") else {
        let needs = "the property topic=".to_owned();
        problems.at(node.place, ShapeProblem::MissingArgument { node: node.name.clone(), needs, example: EXAMPLE });
        return None;
    };
    let name = form::string("topic", arg, problems)?;
    let is_name = (1..=249).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name {
        form::bad_value("topic", arg, "letters, digits, `.`, `_` and `-`, at most 249 of them", problems);
    }
    Some(name)
}

/// A place in general, and offsets of partitions.
fn bounds(node: Option<&Node>, default: Position, problems: &mut Problems) -> Bounds {
    let mut bounds = Bounds { position: default, offsets: BTreeMap::new() };
    let Some(node) = node else { return bounds };
    Form { takes: Takes::AtLeast(1, "start \"earliest\""), ..Form::LEAF }.check(node, "a range", problems);
    let mut stated = false;
    for arg in &node.args {
        let Some(text) = form::string(&node.name, arg, problems) else { continue };
        if let Some((partition, offset)) = offset(text) {
            if bounds.offsets.insert(partition, offset).is_some() {
                form::bad_value("place in a topic", arg, "name each partition once", problems);
            }
            continue;
        }
        match position(text) {
            Some(position) if !std::mem::replace(&mut stated, true) => bounds.position = position,
            Some(_) => form::bad_value("place in a topic", arg, "one place holds for all partitions", problems),
            None => form::bad_value("place in a topic", arg, format!("it is {WHERE}"), problems),
        }
    }
    bounds
}

/// `PARTITION=OFFSET`.
fn offset(text: &str) -> Option<(i32, i64)> {
    let (partition, offset) = text.split_once('=')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(partition) || !is_number(offset) {
        return None;
    }
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn position(text: &str) -> Option<Position> {
    match text {
        "earliest" => Some(Position::Earliest),
        "latest" => Some(Position::Latest),
        _ => instant(text).map(Position::Time),
    }
}

fn partitions(node: &Node, problems: &mut Problems) -> Vec<i32> {
    Form { takes: Takes::AtLeast(1, "partitions 0 1"), ..Form::LEAF }.check(node, "`partitions`", problems);
    let mut all = Vec::new();
    for arg in &node.args {
        let Some(number) = form::integer("partitions", arg, problems) else { continue };
        match i32::try_from(number) {
            Ok(number) if number >= 0 && !all.contains(&number) => all.push(number),
            _ => form::bad_value("partition", arg, "numbers from 0, each once", problems),
        }
    }
    all.sort_unstable();
    all
}

/// Whether records are read that are not committed.
fn isolation(node: &Node, problems: &mut Problems) -> bool {
    let Some((text, arg)) = form::child_string(node, "isolation", "isolation \"read-uncommitted\"", problems) else {
        return false;
    };
    if !matches!(text, "read-committed" | "read-uncommitted") {
        let help = suggest(text, ["read-committed", "read-uncommitted"]).unwrap_or_default();
        form::bad_value("isolation", arg, help, problems);
    }
    text == "read-uncommitted"
}

fn block(node: &Node, problems: &mut Problems) -> u64 {
    let Some(arg) = form::only_arg(node, "block", "block 262144", problems) else { return KafkaTopic::BLOCK };
    let number = form::integer("block", arg, problems).and_then(|number| u64::try_from(number).ok());
    match number.filter(|number| number.is_power_of_two() && (1 << 8..=1 << 24).contains(number)) {
        Some(number) => number,
        None => {
            form::bad_value("number of offsets of a block", arg, "a power of two from 256 to 16777216", problems);
            KafkaTopic::BLOCK
        }
    }
}

/// `columns { key "id" as="text"; offset }`.
fn columns(node: &Node, problems: &mut Problems) -> Vec<RecordColumn> {
    Form { children: Children::Once(COLUMNS), ..Form::LEAF }.check(node, "`columns`", problems);
    let children = node.children.iter().flatten();
    children.filter_map(|child| column(child, problems)).collect()
}

fn column(node: &Node, problems: &mut Problems) -> Option<RecordColumn> {
    let props: &[&str] = if node.name == "key" { &["as"] } else { &[] };
    let form = Form { takes: Takes::Any, props, children: Children::None };
    form.check(node, "a column", problems);
    if let Some(extra) = node.args.get(1) {
        problems.at(extra.place, form::extra_argument(node, extra, "one value".to_owned()));
    }
    let name = match node.args.first() {
        Some(arg) => form::string("column", arg, problems)?.to_owned(),
        None => node.name.clone(),
    };
    let field = match node.name.as_str() {
        "key" => key(node, problems)?,
        "headers" => RecordField::Headers,
        "partition" => RecordField::Partition,
        "offset" => RecordField::Offset,
        "timestamp" => RecordField::Timestamp,
        _ => return None,
    };
    Some(RecordColumn { field, name })
}

fn key(node: &Node, problems: &mut Problems) -> Option<RecordField> {
    let Some(arg) = node.prop("as") else { return Some(RecordField::Key) };
    match form::string("as", arg, problems)? {
        "text" => Some(RecordField::KeyText),
        "bytes" => Some(RecordField::Key),
        other => {
            let help = suggest(other, ["text", "bytes"]).unwrap_or_else(|| list(["text", "bytes"]));
            form::bad_value("type of a key", arg, help, problems);
            None
        }
    }
}

pub(super) fn sasl(node: &Node, problems: &mut Problems) -> Option<Sasl> {
    SASL.check(node, "`sasl`", problems);
    let arg = node.args.first()?;
    let named = form::string("sasl", arg, problems)?;
    let mechanism = SaslMechanism::ALL.into_iter().find(|mechanism| mechanism.name() == named);
    if mechanism.is_none() {
        let known = || SaslMechanism::ALL.iter().map(|mechanism| mechanism.name());
        let help = suggest(named, known()).unwrap_or_else(|| list(known()));
        form::bad_value("mechanism", arg, help, problems);
    }
    let missing = |needs: &str| {
        let example = "sasl \"plain\" user=\"flowc\" { secret \"KAFKA_PASSWORD\" }";
        ShapeProblem::MissingArgument { node: "sasl".to_owned(), needs: needs.to_owned(), example }
    };
    let user = match node.prop("user") {
        Some(user) => form::string("user", user, problems).map(str::to_owned),
        None => {
            problems.at(node.place, missing("the property user="));
            None
        }
    };
    let Some(child) = node.child("secret") else {
        problems.at(node.place, missing("a node `secret`, which names the password"));
        return None;
    };
    let (secret, password) = secret::read(child, problems)?;
    Some(Sasl { mechanism: mechanism?, user: user?, secret, password })
}

pub(super) fn tls(node: &Node, problems: &mut Problems) -> Tls {
    Form { props: &["ca"], ..Form::LEAF }.check(node, "`tls`", problems);
    let remedy = "copy the certificates to this machine first, and name the file there";
    let ca = node.prop("ca").and_then(|arg| form::path("ca", arg, remedy, problems));
    Tls { ca: ca.map(str::to_owned) }
}
