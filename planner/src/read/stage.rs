//! `stage "words" { in "orders"; std "tokenize@1"; config { ... } }`, and `assert "paid" { in "orders"; sql "SELECT ..." }`.

use std::collections::BTreeMap;

use super::measure::{self, Measure};
use super::numbers::{self, NumbersDecl};
use super::{Name, Taken, WindowDecl, code, form, kernel, secret};
use crate::catalogue::KERNEL_COLUMNS;
use crate::diagnostic::{Problems, ShapeProblem, StageProblem};
use crate::place::Place;
use crate::plan::{Cache, Code, Isolate, Limits, OnFailure, SecretSource, Serialization};
use crate::quantity;
use crate::read::form::{Children, Form, Takes};
use crate::statement::{self, OUTPUT, SQL};
use crate::syntax::{Arg, Node, Value};
use crate::text::Texts;

/// More processors than machines have that run stages.
const MOST_CPUS: u32 = 256;
/// Nodes of a stage beside those that name its code.
const OWN: [&str; 7] = ["config", "isolate", "cache", "timeout", "memory", "cpus", "serialization"];
const OF_KERNEL: [&str; kernel::ONCE.len() + numbers::NODES.len()] = form::joined(&kernel::ONCE, &numbers::NODES);
const SETTINGS: [&str; OWN.len() + OF_KERNEL.len()] = form::joined(&OWN, &OF_KERNEL);
/// Nodes that may be repeated.
const MANY: [&str; 2 + kernel::MANY.len()] = form::joined(&["in", "secret"], &kernel::MANY);
const ONCE: [&str; SETTINGS.len() + code::NODES.len()] = form::joined(&SETTINGS, &code::NODES);
const FORM: Form = Form {
    takes: Takes::One("stage \"words\" { in \"lines\"; std \"tokenize@1\" }"),
    props: &[],
    children: Children::OnceAndMany(&ONCE, &MANY),
};

const OF_OUTPUTS: Form = Form {
    takes: Takes::One("stage \"report\" { in \"orders\"; output \"daily\" { sql \"SELECT ...\" } }"),
    props: &[],
    children: Children::OnceAndMany(
        &["isolate", "cache", "timeout", "memory", "cpus", "serialization"],
        &["in", OUTPUT],
    ),
};
const OUTPUT_FORM: Form = Form {
    takes: Takes::One("output \"daily\" { sql \"SELECT ...\" }"),
    props: &[],
    children: Children::Once(&[SQL, "config"]),
};

/// The node of an assert that says what follows if a row breaks its rule.
const ON_FAILURE: &str = "on-failure";
const ASSERT: Form = Form {
    takes: Takes::One("assert \"positive\" { in \"orders\"; sql \"SELECT * FROM orders WHERE amount <= 0\" }"),
    props: &[],
    children: Children::OnceAndMany(&[SQL, ON_FAILURE, "config", "isolate", "timeout", "memory"], &["in"]),
};

/// A stage, as declared.
#[derive(Debug)]
pub(crate) struct StageDecl {
    pub(crate) name: Name,
    pub(crate) inputs: Vec<Wire>,
    /// None where something in it is wrong; its outputs are unknown then. The place is that of its value.
    pub(crate) code: Option<(Code, Place)>,
    /// Where its statement is, if it has one.
    pub(crate) statement: Option<Place>,
    /// Where it says what of its kernel's columns, by the pointers of problems.
    pub(crate) kernel_columns: BTreeMap<String, Place>,
    /// What it says of its kernel's numbers.
    pub(crate) numbers: NumbersDecl,
    /// The `config` node.
    pub(crate) config: Option<Node>,
    pub(crate) limits: Limits,
    /// Where the text says how it is isolated, if it does.
    pub(crate) isolation: Option<Place>,
    /// Where the text says what batches are made of, if it does.
    pub(crate) serialization: Option<Place>,
    pub(crate) secrets: BTreeMap<String, SecretSource>,
    /// Of an assert: what follows if it has rows.
    pub(crate) asserts: Option<OnFailure>,
    /// The stage of the text whose output it is, if that has several statements.
    pub(crate) output_of: Option<Name>,
}

/// A stream that a stage reads, by name.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The input port, where the text names it.
    pub(crate) port: Option<String>,
    /// None where the text names no stream that could be; nothing is said about the port then.
    pub(crate) stream: Option<String>,
    pub(crate) place: Place,
    /// The windows in which the stage is given the stream.
    pub(crate) window: Option<WindowDecl>,
    /// Whether the text names some, be they right or wrong.
    pub(crate) is_windowed: bool,
}

impl StageDecl {
    pub(super) fn read(node: Node, taken: &mut Taken, problems: &mut Problems) -> Vec<Self> {
        if node.child(OUTPUT).is_some() {
            return Self::read_outputs(&node, taken, problems);
        }
        FORM.check(&node, "a stage", problems);
        Self::read_form(node, &FORM, taken, problems).into_iter().collect()
    }

    /// A stage of several statements: a stage for each, with all that the text says beside its outputs. So each is planned, and has keys,
    /// by itself.
    fn read_outputs(node: &Node, taken: &mut Taken, problems: &mut Problems) -> Vec<Self> {
        OF_OUTPUTS.check(node, "a stage with outputs", problems);
        let (name, mut ports) = (super::name(node, taken, problems), Taken::new());
        let known = node.children.iter().flatten().filter(|child| OF_OUTPUTS.children.has(&child.name));
        let (outputs, shared): (Vec<&Node>, Vec<&Node>) = known.partition(|child| child.name == OUTPUT);
        let read = |output: &Node| {
            OUTPUT_FORM.check(output, "an output", problems);
            let children = shared.iter().copied().chain(output.children.iter().flatten()).cloned().collect();
            let node = Node { children: Some(children), ..output.clone() };
            let stage = Self::read_form(node, &OUTPUT_FORM, &mut ports, problems)?;
            let (of, name) = (name.clone()?, stage.name);
            let name = Name { text: format!("{}.{}", of.text, name.text), ..name };
            Some(Self {
                name,
                output_of: Some(of),
                code: stage.code.map(|(code, place)| (of_output(code), place)),
                ..stage
            })
        };
        outputs.into_iter().filter_map(read).collect()
    }

    /// An assert: a stage whose rows break a rule.
    pub(super) fn read_assert(node: Node, taken: &mut Taken, problems: &mut Problems) -> Option<Self> {
        ASSERT.check(&node, "an assert", problems);
        let asserts = Some(on_failure(&node, problems));
        Some(Self { asserts, ..Self::read_form(node, &ASSERT, taken, problems)? })
    }

    fn read_form(mut node: Node, form: &Form, taken: &mut Taken, problems: &mut Problems) -> Option<Self> {
        let name = super::name(&node, taken, problems);
        let label = name.as_ref().map_or("?", |name| &name.text);
        let mut inputs = wires(&node, problems);
        let read = code::read(&node, label, form.children, problems);
        let statement = read.as_ref().filter(|(code, _)| matches!(code, Code::Sql { .. })).map(|(_, arg)| arg.place);
        // A file of its own is no place in the text of the stage.
        let named = node.child(SQL).filter(|child| statement.is_some_and(|place| place.file != child.place.file));
        let mut code =
            read.map(|(code, arg)| (with_tables(code, &mut inputs), named.map_or(arg.place, |child| child.place)));
        if let Some((code, _)) = &mut code {
            kernel::add_columns(&node, label, code, problems);
        }
        let kernel_columns = kernel::places(&node);
        let limits = limits(&node, problems);
        let runs = code.as_ref().map(|(code, _)| code);
        let numbers = NumbersDecl::read(&node, label, runs, problems);
        check_isolation(&node, label, runs, limits.isolate, problems);
        check_cpus(&node, label, runs, problems);
        let place_of = |name: &str| node.child(name).and_then(|child| child.args.first()).map(|arg| arg.place);
        let (isolation, serialization) = (place_of("isolate"), place_of("serialization"));
        let secrets = secret::read_all(&node, label, runs, problems);
        let config = node.children.as_mut().and_then(|children| {
            let at = children.iter().position(|child| child.name == "config")?;
            Some(children.swap_remove(at))
        });
        Some(Self {
            name: name?,
            inputs,
            code,
            statement,
            kernel_columns,
            numbers,
            config,
            limits,
            isolation,
            serialization,
            secrets,
            asserts: None,
            output_of: None,
        })
    }

    /// What of the stage's code a problem names by this path: a part of its statement, or what is said of its kernel's columns.
    pub(crate) fn code_part(&self, texts: &Texts, path: &str) -> Option<Place> {
        if let Some(pointer) = path.strip_prefix(KERNEL_COLUMNS) {
            return self.kernel_columns.get(pointer).copied();
        }
        let (Some((Code::Sql { statement, .. }, _)), Some(whole)) = (&self.code, self.statement) else { return None };
        Some(texts.part(whole, statement, statement::part(path)?))
    }
}

/// The code of one of several statements.
fn of_output(code: Code) -> Code {
    match code {
        Code::Sql { statement, tables, .. } => Code::Sql { statement, tables, is_output: true },
        other => other,
    }
}

/// The tables of a statement are the stage's inputs. Where the text does not name an input, it has the name of its stream.
fn with_tables(code: Code, inputs: &mut [Wire]) -> Code {
    let Code::Sql { statement, is_output, .. } = code else { return code };
    for wire in inputs.iter_mut().filter(|wire| wire.port.is_none()) {
        wire.port.clone_from(&wire.stream);
    }
    let tables = inputs.iter().filter_map(|wire| wire.port.clone()).collect();
    Code::Sql { statement, tables, is_output }
}

fn wires(node: &Node, problems: &mut Problems) -> Vec<Wire> {
    let inputs = node.children.iter().flatten().filter(|child| child.name == "in");
    inputs.flat_map(|child| wires_of(child, problems)).collect()
}

/// The streams of one `in`. Its block says in which windows they are taken.
fn wires_of(child: &Node, problems: &mut Problems) -> Vec<Wire> {
    let any_props = Form { takes: Takes::Any, props: &[], children: Children::Once(&["window"]) };
    any_props.check_children(child, "`in`", problems);
    let window = WindowDecl::read(child, problems);
    let is_windowed = child.child("window").is_some();
    if child.args.is_empty() && child.props.is_empty() {
        let (node, needs) = (child.name.clone(), "a stream".to_owned());
        let example = "in \"orders\"` or `in rows=\"orders\" table=\"customers\"";
        problems.at(child.place, ShapeProblem::MissingArgument { node, needs, example });
    }
    let mut wire = |port: Option<&str>, arg: &Arg| {
        let stream = form::string("in", arg, problems).map(str::to_owned);
        Wire { port: port.map(str::to_owned), stream, place: arg.place, window: window.clone(), is_windowed }
    };
    let mut wires: Vec<Wire> = child.args.iter().map(|arg| wire(None, arg)).collect();
    wires.extend(child.props.iter().map(|prop| wire(Some(&prop.name), &prop.arg)));
    wires
}

fn limits(node: &Node, problems: &mut Problems) -> Limits {
    let isolate = isolate(node, problems);
    let cache = cache(node, problems);
    let mut limit = |name, example, measure: Measure| {
        form::only_arg(node, name, example, problems).and_then(|arg| measure.read(name, arg, problems))
    };
    let timeout_ms = limit("timeout", "timeout \"5s\"", measure::DURATION);
    let memory = limit("memory", "memory \"256MiB\"", measure::SIZE);
    let cpus = cpus(node, problems);
    let serialization = serialization(node, problems);
    Limits { isolate, cache, timeout_ms, memory, cpus, serialization }
}

fn on_failure(node: &Node, problems: &mut Problems) -> OnFailure {
    let read = form::child_string(node, ON_FAILURE, "on-failure \"warn\"", problems);
    let Some((name, arg)) = read else { return OnFailure::default() };
    OnFailure::named(name).unwrap_or_else(|| {
        form::bad_value(ON_FAILURE, arg, "\"fail\", \"warn\" or \"stream\"", problems);
        OnFailure::default()
    })
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
    let is_contained = code.is_some_and(Code::is_contained);
    if let (Isolate::Process, true, Some(arg)) = (isolate, is_contained, arg) {
        problems.at(arg.place, StageProblem::InContainer { stage: stage.to_owned() });
    }
    let is_kernel = code.is_some_and(Code::is_kernel);
    if let (Isolate::Process | Isolate::Container, true, Some(arg)) = (isolate, is_kernel, arg) {
        problems.at(arg.place, StageProblem::OnDevice { stage: stage.to_owned() });
    }
}

/// Says that more processors are of no use to a stage.
fn check_cpus(node: &Node, stage: &str, code: Option<&Code>, problems: &mut Problems) {
    if let (Some(child), Some(code)) = (node.child("cpus"), code.filter(|code| code.program().is_none())) {
        problems.at(child.place, StageProblem::OneThread { stage: stage.to_owned(), code: code.to_string() });
    }
}
