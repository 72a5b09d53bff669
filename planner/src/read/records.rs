//! Formats whose records have a schema of their own: `format "avro" schema-file="bids.avsc"`, `format "avro" registry="https://..."`,
//! `format "protobuf" descriptors="bids.desc" message="shop.Bid"`, and `envelope="debezium"`.

use super::form::{self, Takes};
use super::secret;
use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, suggest};
use crate::plan::{AvroFormat, Format, ProtobufFormat, Registry, RegistryLogin, SubjectVersion};
use crate::read::form::{Children, Form};
use crate::schema_file::{DESCRIPTORS, SCHEMA, SCHEMA_FILE};
use crate::syntax::{Arg, Node, Value};

/// The properties of Avro in a topic.
pub(super) const AVRO: &[&str] = &[SCHEMA, SCHEMA_FILE, "registry", "subject", "version", "user"];
/// The properties of Protocol Buffers.
pub(super) const PROTOBUF: &[&str] = &[DESCRIPTORS, "message", "registry", "subject", "version", "user"];
/// Names what records are besides rows.
pub(super) const ENVELOPE: &str = "envelope";

const USER: &str = "format \"avro\" registry=\"https://registry:8081\" user=\"flowc\" { secret \"REGISTRY_PASSWORD\" }";
const MESSAGE: &str = "format \"protobuf\" descriptors=\"bids.desc\" message=\"shop.Bid\"";

/// Avro, as a node `format` states it. `topic` is that of the source or sink.
pub(super) fn avro(node: &Node, topic: Option<&str>, problems: &mut Problems) -> Option<Format> {
    let before = problems.len();
    let schema = node.prop(SCHEMA).and_then(|arg| form::string(SCHEMA, arg, problems)).map(str::to_owned);
    if let (Some(first), Some(second)) = (node.prop(SCHEMA), node.prop(SCHEMA_FILE)) {
        problems.with(second.place, PlaceProblem::TwoRecordSchemas, first.place, "the other is here");
    }
    let registry = registry(node, topic, problems);
    let is_told = schema.is_some() || node.prop(SCHEMA).is_some() || node.prop("registry").is_some();
    if topic.is_some() && !is_told {
        problems.at(node.place, PlaceProblem::NoRecordSchema);
    }
    let avro = AvroFormat { schema, registry };
    (problems.len() == before).then(|| Format::Avro(Box::new(avro)))
}

/// Protocol Buffers, as a node `format` states it.
pub(super) fn protobuf(node: &Node, topic: Option<&str>, problems: &mut Problems) -> Option<Format> {
    let before = problems.len();
    let mut text = |name: &'static str, needs: &str| match node.prop(name) {
        Some(arg) => form::string(name, arg, problems).map(str::to_owned),
        None => {
            let (node_name, needs) = ("format \"protobuf\"".to_owned(), needs.to_owned());
            problems.at(node.place, ShapeProblem::MissingArgument { node: node_name, needs, example: MESSAGE });
            None
        }
    };
    let descriptors = text(
        DESCRIPTORS,
        "the property descriptors=, a `.proto` file, or one that `protoc --descriptor_set_out` wrote",
    );
    let message = text("message", "the property message=");
    let registry = registry(node, topic, problems);
    let protobuf = ProtobufFormat { descriptors: descriptors?, message: message?, registry };
    (problems.len() == before).then(|| Format::Protobuf(Box::new(protobuf)))
}

/// What a node `format` makes of a format by its envelope.
pub(super) fn enveloped(node: &Node, rows: Format, problems: &mut Problems) -> Option<Format> {
    let Some(arg) = node.prop(ENVELOPE) else { return Some(rows) };
    let name = form::string(ENVELOPE, arg, problems)?;
    if name != "debezium" {
        let help = suggest(name, ["debezium"]).unwrap_or_else(|| "it is \"debezium\"".to_owned());
        form::bad_value("envelope", arg, help, problems);
        return None;
    }
    Some(Format::Debezium(Box::new(rows)))
}

fn registry(node: &Node, topic: Option<&str>, problems: &mut Problems) -> Option<Registry> {
    let Some(arg) = node.prop("registry") else {
        for name in ["subject", "version", "user"] {
            if let Some(arg) = node.prop(name).map(|arg| arg.place) {
                problems.at(arg, PlaceProblem::NeedsRegistry { name });
            }
        }
        return None;
    };
    let url = url(arg, problems);
    let subject = match node.prop("subject") {
        Some(arg) => subject(arg, problems),
        None => topic.map(|topic| format!("{topic}-value")),
    };
    let version = node.prop("version").and_then(|arg| version(arg, problems));
    let login = login(node, problems);
    Some(Registry { url: url?, subject: subject?, version, login })
}

fn url(arg: &Arg, problems: &mut Problems) -> Option<String> {
    let text = form::string("registry", arg, problems)?;
    let (scheme, rest) = form::address(text).unwrap_or_default();
    let is_http = matches!(scheme, "http" | "https") && !rest.is_empty();
    if !is_http || text.contains(['?', '#', ' ']) {
        form::bad_value("registry", arg, "its address, for example \"https://registry:8081\"", problems);
        return None;
    }
    if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        let help = format!("leave the user out of the address: `{USER}`");
        problems.at(arg.place, PlaceProblem::Credentials { help });
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn subject(arg: &Arg, problems: &mut Problems) -> Option<String> {
    let name = form::string("subject", arg, problems)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        form::bad_value("subject", arg, "the name of a subject, for example \"bids-value\"", problems);
    }
    Some(name.to_owned())
}

fn version(arg: &Arg, problems: &mut Problems) -> Option<SubjectVersion> {
    match &arg.value {
        Value::String(text) if text == "latest" => return Some(SubjectVersion::Latest),
        Value::Integer(number) => {
            if let Some(number) = u32::try_from(*number).ok().filter(|number| *number > 0) {
                return Some(SubjectVersion::Number(number));
            }
        }
        _ => {}
    }
    form::bad_value("version", arg, "a number from 1, or \"latest\"", problems);
    None
}

fn login(node: &Node, problems: &mut Problems) -> Option<RegistryLogin> {
    let missing = |needs: &str| ShapeProblem::MissingArgument {
        node: "format".to_owned(),
        needs: needs.to_owned(),
        example: USER,
    };
    match (node.prop("user"), node.child("secret")) {
        (None, None) => None,
        (Some(arg), None) => {
            problems.at(arg.place, missing("a node `secret`, which names the password"));
            None
        }
        (None, Some(child)) => {
            problems.at(child.place, missing("the property user="));
            None
        }
        (Some(arg), Some(child)) => {
            let user = form::string("user", arg, problems)?.to_owned();
            let (secret, password) = secret::read(child, problems)?;
            Some(RegistryLogin { user, secret, password })
        }
    }
}

/// The form of a node `format` that may name a registry.
pub(super) const fn form(example: &'static str, props: &'static [&'static str]) -> Form {
    Form { takes: Takes::One(example), props, children: Children::Once(&["secret"]) }
}
