//! `stage "words" { in "orders"; std "tokenize@1"; config { ... } }`.

use std::collections::BTreeMap;

use super::{Name, Taken, form, secret};
use crate::diagnostic::{Problems, ShapeProblem, StageProblem, either, list};
use crate::place::Place;
use crate::plan::{Cache, Code, Isolate, Limits, SecretSource, Serialization, is_server};
use crate::quantity;
use crate::read::form::{Children, Form, Takes};
use crate::syntax::{Arg, Node, Value};

const CODES: &[&str] = &["std", "wasm", "rust", "python", "container", "image"];
/// More processors than machines have that run stages.
const MOST_CPUS: u32 = 256;
/// What to do about code that is elsewhere.
const FETCH: &str = "copy the code to this machine first, and name its path";
/// What to do about an image with a scheme.
const REFER: &str = "name the image as Docker and Podman do, without a scheme: `registry.example/name:tag`";
const RESERVED: &[&str] = &["wgsl", "sql"];
const PYTHON: Form = Form { takes: Takes::One("python \"my-stage\""), props: &["entry"], children: Children::None };
const CONTAINER: Form =
    Form { takes: Takes::One("container \"my-stage\""), props: &["entry"], children: Children::None };
const IMAGE: Form =
    Form { takes: Takes::One("image \"name@sha256:…\""), props: &["entry"], children: Children::None };
const FORM: Form = Form {
    takes: Takes::One("stage \"words\" { in \"lines\"; std \"tokenize@1\" }"),
    props: &[],
    children: Children::OnceAndMany(
        &[
            "in",
            "config",
            "isolate",
            "cache",
            "timeout",
            "memory",
            "cpus",
            "serialization",
            "std",
            "wasm",
            "rust",
            "python",
            "container",
            "image",
            "wgsl",
            "sql",
        ],
        &["secret"],
    ),
};

/// A stage, as declared.
#[derive(Debug)]
pub(crate) struct StageDecl {
    pub(crate) name: Name,
    pub(crate) inputs: Vec<Wire>,
    /// None where something in it is wrong; its outputs are unknown then.
    pub(crate) code: Option<(Code, Place)>,
    /// The `config` node.
    pub(crate) config: Option<Node>,
    pub(crate) limits: Limits,
    /// Where the text says what batches are made of, if it does.
    pub(crate) serialization: Option<Place>,
    pub(crate) secrets: BTreeMap<String, SecretSource>,
}

/// A stream that a stage reads, by name.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The input port, where the text names it.
    pub(crate) port: Option<String>,
    /// None where the text names no stream that could be; nothing is said about the port then.
    pub(crate) stream: Option<String>,
    pub(crate) place: Place,
}

impl StageDecl {
    pub(super) fn read(mut node: Node, taken: &mut Taken, problems: &mut Problems) -> Option<Self> {
        FORM.check(&node, "a stage", problems);
        let name = super::name(&node, taken, problems);
        let label = name.as_ref().map_or("?", |name| &name.text);
        let (inputs, code) = (wires(&node, problems), code(&node, label, problems));
        let limits = limits(&node, problems);
        let runs = code.as_ref().map(|(code, _)| code);
        check_isolation(&node, label, runs, limits.isolate, problems);
        check_cpus(&node, label, runs, problems);
        let serialization = node.child("serialization").and_then(|child| child.args.first()).map(|arg| arg.place);
        let secrets = secret::read_all(&node, label, runs, problems);
        let config = node.children.as_mut().and_then(|children| {
            let at = children.iter().position(|child| child.name == "config")?;
            Some(children.swap_remove(at))
        });
        Some(Self { name: name?, inputs, code, config, limits, serialization, secrets })
    }
}

fn wires(node: &Node, problems: &mut Problems) -> Vec<Wire> {
    let Some(child) = node.child("in") else { return Vec::new() };
    if child.children.is_some() {
        problems.at(child.place, ShapeProblem::ExtraBlock { node: child.name.clone() });
    }
    if child.args.is_empty() && child.props.is_empty() {
        let (node, needs) = (child.name.clone(), "a stream".to_owned());
        let example = "in \"orders\"` or `in rows=\"orders\" table=\"customers\"";
        problems.at(child.place, ShapeProblem::MissingArgument { node, needs, example });
    }
    let mut wire = |port: Option<&str>, arg: &Arg| {
        let stream = form::string("in", arg, problems).map(str::to_owned);
        Wire { port: port.map(str::to_owned), stream, place: arg.place }
    };
    let mut wires: Vec<Wire> = child.args.iter().map(|arg| wire(None, arg)).collect();
    wires.extend(child.props.iter().map(|prop| wire(Some(&prop.name), &prop.arg)));
    wires
}

fn code(node: &Node, stage: &str, problems: &mut Problems) -> Option<(Code, Place)> {
    let is_code = |child: &&Node| CODES.contains(&child.name.as_str()) || RESERVED.contains(&child.name.as_str());
    let codes: Vec<&Node> = node.children.iter().flatten().filter(is_code).collect();
    if let [first, second, ..] = codes[..]
        && first.name != second.name
    {
        let problem = StageProblem::SeveralCodes { stage: stage.to_owned() };
        problems.with(second.place, problem, first.place, "the first is here");
        return None;
    }
    let Some(child) = codes.first() else {
        if form::is_misspelt(node, FORM.children, CODES) {
            return None;
        }
        problems.at(
            node.args.first().map_or(node.place, |arg| arg.place),
            StageProblem::NoCode { stage: stage.to_owned(), examples: either(CODES.iter().map(|code| example(code))) },
        );
        return None;
    };
    if RESERVED.contains(&child.name.as_str()) {
        problems
            .at(child.place, StageProblem::Reserved { kind: child.name.clone(), kinds: list(CODES.iter().copied()) });
        return None;
    }
    reference(node, child, problems)
}

fn reference(node: &Node, child: &Node, problems: &mut Problems) -> Option<(Code, Place)> {
    let (text, arg) = match child.name.as_str() {
        "python" => program(child, &PYTHON, problems)?,
        "container" => program(child, &CONTAINER, problems)?,
        "image" => program(child, &IMAGE, problems)?,
        "std" => form::child_string(node, "std", example("std"), problems)?,
        other => form::child_path(node, other, example(other), FETCH, problems)?,
    };
    if text.is_empty() {
        form::bad_value("code", arg, format!("for example: `{}`", example(&child.name)), problems);
        return None;
    }
    let code = match child.name.as_str() {
        "std" => Code::Std(text.to_owned()),
        "wasm" => Code::Wasm(text.to_owned()),
        "rust" => Code::Rust(text.to_owned()),
        "container" => Code::Container { dir: text.to_owned(), entry: served(child, problems)? },
        "image" => Code::Image { reference: text.to_owned(), entry: served(child, problems)? },
        _ => Code::Python { dir: text.to_owned(), entry: entry(child, problems)? },
    };
    Some((code, arg.place))
}

/// What names a program that serves stages.
fn program<'a>(child: &'a Node, form: &Form, problems: &mut Problems) -> Option<(&'a str, &'a Arg)> {
    form.check(child, &format!("`{}`", child.name), problems);
    let arg = child.args.first()?;
    Some((form::path(&child.name, arg, if child.name == "image" { REFER } else { FETCH }, problems)?, arg))
}

fn example(code: &str) -> &'static str {
    match code {
        "std" => "std \"count@1\"",
        "wasm" => "wasm \"stage.wasm\"",
        "rust" => "rust \"my-stage\"",
        "container" => "container \"my-stage\"",
        "image" => "image \"name@sha256:…\"",
        _ => "python \"my-stage\"",
    }
}

/// Which stage of a program in an image: any name that the program knows.
fn served(child: &Node, problems: &mut Problems) -> Option<String> {
    child.prop("entry").map_or(Some(String::new()), |arg| form::string("entry", arg, problems).map(str::to_owned))
}

/// Which stage of a Python project.
fn entry(child: &Node, problems: &mut Problems) -> Option<String> {
    let Some(arg) = child.prop("entry") else { return Some(String::new()) };
    let entry = form::string("entry", arg, problems)?;
    let (module, name) = entry.split_once(':').unwrap_or((entry, "stage"));
    let is_name = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let is_file = !entry.starts_with(['/', '.']) && !entry.contains("..") && is_server(entry);
    if is_file || (module.split('.').all(is_name) && is_name(name)) {
        return Some(entry.to_owned());
    }
    let help = "`module:name`, `module`, or a file of the project that serves the stage protocol: \"server.py\"";
    form::bad_value("entry", arg, help, problems);
    None
}

fn limits(node: &Node, problems: &mut Problems) -> Limits {
    let isolate = isolate(node, problems);
    let cache = cache(node, problems);
    let timeout_ms = TIMEOUT.read(node, problems);
    let memory = MEMORY.read(node, problems);
    let cpus = cpus(node, problems);
    let serialization = serialization(node, problems);
    Limits { isolate, cache, timeout_ms, memory, cpus, serialization }
}

fn cache(node: &Node, problems: &mut Problems) -> Cache {
    let Some(arg) = form::only_arg(node, "cache", "cache #true", problems) else { return Cache::default() };
    let help = "`#true` keeps its results, \"1h\" keeps them for so long: a number and one of ms, s, m, h";
    match &arg.value {
        Value::Bool(kept) => return Cache::Flag(*kept),
        Value::String(text) => match quantity::milliseconds(text) {
            Some(ttl_ms) => return Cache::For { ttl_ms },
            None => form::bad_value("duration", arg, help, problems),
        },
        _ => {
            form::wrong_type("cache", "`#true`, `#false` or a duration in quotes", arg, Some(help.to_owned()), problems)
        }
    }
    Cache::default()
}

fn cpus(node: &Node, problems: &mut Problems) -> Option<u32> {
    let arg = form::only_arg(node, "cpus", "cpus 4", problems)?;
    let asked = form::integer("cpus", arg, problems)?;
    let cpus = u32::try_from(asked).ok().filter(|cpus| (1..=MOST_CPUS).contains(cpus));
    if cpus.is_none() {
        form::bad_value("number of processors", arg, format!("a whole number from 1 to {MOST_CPUS}"), problems);
    }
    cpus
}

fn serialization(node: &Node, problems: &mut Problems) -> Serialization {
    let read = form::child_string(node, "serialization", "serialization \"parquet\"", problems);
    let Some((name, arg)) = read else { return Serialization::default() };
    Serialization::named(name).unwrap_or_else(|| {
        form::bad_value("serialization", arg, "\"arrow\", \"parquet\" or \"json\"", problems);
        Serialization::default()
    })
}

fn isolate(node: &Node, problems: &mut Problems) -> Isolate {
    let Some(arg) = form::only_arg(node, "isolate", "isolate \"process\"", problems) else { return Isolate::No };
    let help = "`#true` for a unit of its own, \"process\" or \"container\" for one of those of its own";
    match &arg.value {
        Value::Bool(false) => return Isolate::No,
        Value::Bool(true) => return Isolate::Unit,
        Value::String(name) => match Isolate::named(name) {
            Some(isolate) => return isolate,
            None => form::bad_value("isolation", arg, help, problems),
        },
        _ => form::wrong_type("isolate", "`#true`, `#false` or a text", arg, Some(help.to_owned()), problems),
    }
    Isolate::No
}

/// Says that a stage can't be isolated in the way that its text asks for.
fn check_isolation(node: &Node, stage: &str, code: Option<&Code>, isolate: Isolate, problems: &mut Problems) {
    let arg = node.child("isolate").and_then(|child| child.args.first());
    if let (Isolate::Process, Some(Code::Container { .. } | Code::Image { .. }), Some(arg)) = (isolate, code, arg) {
        problems.at(arg.place, StageProblem::InContainer { stage: stage.to_owned() });
    }
}

/// Says that more processors are of no use to a stage.
fn check_cpus(node: &Node, stage: &str, code: Option<&Code>, problems: &mut Problems) {
    if let (Some(child), Some(code)) = (node.child("cpus"), code.filter(|code| code.is_component())) {
        problems.at(child.place, StageProblem::OneThread { stage: stage.to_owned(), code: code.to_string() });
    }
}

/// A limit with a unit.
struct Limit {
    node: &'static str,
    example: &'static str,
    /// With an article.
    expected: &'static str,
    /// Without an article.
    what: &'static str,
    /// The unit that a bare number was meant in most likely.
    unit: &'static str,
    help: &'static str,
    parse: fn(&str) -> Option<u64>,
}

const TIMEOUT: Limit = Limit {
    node: "timeout",
    example: "timeout \"5s\"",
    expected: "a duration in quotes",
    what: "duration",
    unit: "s",
    help: "a number and one of ms, s, m, h: \"500ms\", \"5s\"",
    parse: quantity::milliseconds,
};
const MEMORY: Limit = Limit {
    node: "memory",
    example: "memory \"256MiB\"",
    expected: "a size in quotes",
    what: "size",
    unit: "MiB",
    help: "a number and one of KiB, MiB, GiB, KB, MB, GB: \"256MiB\"",
    parse: quantity::bytes,
};

impl Limit {
    fn read(&self, node: &Node, problems: &mut Problems) -> Option<u64> {
        let arg = form::only_arg(node, self.node, self.example, problems)?;
        let Some(text) = arg.value.as_str() else {
            let help = match &arg.value {
                Value::Integer(_) | Value::Float(_) => format!("with its unit: \"{}{}\"", arg.value, self.unit),
                _ => self.help.to_owned(),
            };
            form::wrong_type(self.node, self.expected, arg, Some(help), problems);
            return None;
        };
        let told = (self.parse)(text);
        if told.is_none() {
            form::bad_value(self.what, arg, self.help, problems);
        }
        told
    }
}
