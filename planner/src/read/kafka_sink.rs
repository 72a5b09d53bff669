//! `kafka "broker:9092" topic="totals" key="auction" { headers "trace"; partition "p"; on-change "append" }` in a sink.

use crate::diagnostic::{Problems, suggest};
use crate::place::Place;
use crate::plan::{ChangedRows, KafkaSink, RecordParts};
use crate::read::form::{self, Children, Form, Takes};
use crate::read::kafka::{broker, sasl, tls, topic};
use crate::syntax::{Arg, Node};

const FORM: Form = Form {
    takes: Takes::AtLeast(1, "kafka \"broker:9092\" topic=\"totals\""),
    props: &["topic", "key"],
    children: Children::Once(&[
        "headers",
        "partition",
        "timestamp",
        "value",
        "on-change",
        "id",
        "anchor",
        "sasl",
        "tls",
    ]),
};

/// A topic, with the columns that its text names.
pub(super) struct ReadSink {
    pub(super) kafka: KafkaSink,
    pub(super) columns: Vec<(String, Place)>,
}

/// Reads the node; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<ReadSink> {
    let before = problems.len();
    FORM.check(node, "`kafka`", problems);
    let brokers = node.args.iter().filter_map(|arg| broker(arg, problems)).collect();
    let topic = topic(node, problems);
    let mut columns = Vec::new();
    let parts = parts(node, &mut columns, problems);
    let changed = changed(node, parts.key.is_some(), problems);
    let id = name(node, "id", "id \"flowc.totals\"", problems);
    let anchor = name(node, "anchor", "anchor \"flowc-sinks\"", problems);
    let sasl = node.child("sasl").and_then(|child| sasl(child, problems));
    let tls = node.child("tls").map(|child| tls(child, problems));
    let topic = topic?.to_owned();
    let id = id.unwrap_or_else(|| format!("flowc.{topic}"));
    let anchor = anchor.unwrap_or_else(|| KafkaSink::ANCHOR.to_owned());
    let kafka = KafkaSink { brokers, topic, id, anchor, parts, changed, sasl, tls };
    (problems.len() == before).then_some(ReadSink { kafka, columns })
}

fn parts(node: &Node, columns: &mut Vec<(String, Place)>, problems: &mut Problems) -> RecordParts {
    let mut column = |what: &str, arg: &Arg, problems: &mut Problems| {
        let name = form::string(what, arg, problems)?.to_owned();
        columns.push((name.clone(), arg.place));
        Some(name)
    };
    let key = node.prop("key").and_then(|arg| column("key", arg, problems));
    let mut one = |child: &'static str, example, problems: &mut Problems| {
        form::only_arg(node, child, example, problems).and_then(|arg| column(child, arg, problems))
    };
    let partition = one("partition", "partition \"p\"", problems);
    let timestamp = one("timestamp", "timestamp \"at\"", problems);
    let mut several = |child: &Node, example, problems: &mut Problems| -> Vec<String> {
        Form { takes: Takes::AtLeast(1, example), ..Form::LEAF }.check(child, "columns", problems);
        child.args.iter().filter_map(|arg| column(&child.name, arg, problems)).collect()
    };
    let headers = node.child("headers").map(|child| several(child, "headers \"trace\"", problems)).unwrap_or_default();
    let value = node.child("value").map(|child| several(child, "value \"price\"", problems));
    RecordParts { key, headers, partition, timestamp, value }
}

/// Where records have keys the newest one of a key counts, so that rows which changed are appended.
pub(super) fn changed(node: &Node, has_key: bool, problems: &mut Problems) -> ChangedRows {
    let default = if has_key { ChangedRows::Append } else { ChangedRows::Fail };
    let Some((text, arg)) = form::child_string(node, "on-change", "on-change \"append\"", problems) else {
        return default;
    };
    match text {
        "append" => ChangedRows::Append,
        "fail" => ChangedRows::Fail,
        _ => {
            let help = suggest(text, ["append", "fail"]).unwrap_or_else(|| "\"append\" or \"fail\"".to_owned());
            form::bad_value("on-change", arg, help, problems);
            default
        }
    }
}

pub(super) fn name(node: &Node, child: &'static str, example: &'static str, problems: &mut Problems) -> Option<String> {
    let (text, arg) = form::child_string(node, child, example, problems)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        form::bad_value(child, arg, "letters, digits, `.`, `_` and `-`", problems);
    }
    Some(text.to_owned())
}
