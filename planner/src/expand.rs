//! Puts the texts together: includes spliced in, loops unrolled, parameters filled in.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::diagnostic::{ExpansionProblem, Problems, ShapeProblem, suggest};
use crate::place::Place;
use crate::read::form::{self, Form};
use crate::schema_file::{self, DESCRIPTORS, FORMAT, SCHEMA, SCHEMA_FILE};
use crate::statement::{self, FILE, OUTPUT, SQL};
use crate::syntax::{Arg, Node, Prop, Value};
use crate::text::Texts;

/// The node of a source that may hold a query.
const ADBC: &str = "adbc";
/// The node with the query's text.
const QUERY: &str = "query";

/// Loops that make more top-level nodes than this are a mistake.
const MOST_NODES: usize = 1_000_000;

/// What the caller decides about a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Values of parameters (`--param name=value`).
    pub params: BTreeMap<String, String>,
    /// Names among them that the pipeline need not declare: what many pipelines share has names for others.
    pub ambient: BTreeSet<String>,
    /// Whether components run on other hosts, unless their text isolates them on this one.
    pub remote: bool,
}

/// The top-level nodes of a pipeline, without `include`, `foreach` and `param`, and without `${...}`.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) nodes: Vec<Node>,
    /// Whether all texts are there and are KDL. Else a name that is not known may be one of what is missing.
    pub(crate) is_whole: bool,
}

impl Document {
    pub(crate) fn new(texts: &Texts, settings: &Settings, problems: &mut Problems) -> Self {
        let mut raw = Vec::new();
        let broken = texts.is_broken();
        let before = problems.len();
        splice(texts, texts.main(), &mut vec![texts.main()], &mut HashSet::new(), &mut raw, problems);
        let is_whole = !broken && problems.len() == before;
        let mut scope = params(&raw, settings, is_whole, problems);
        let mut unroll = Unroll { nodes: Vec::new(), problems, too_long: false, is_whole };
        raw.into_iter().filter(|node| node.name != "param").for_each(|node| unroll.add(node, &mut scope, false));
        let mut nodes = unroll.nodes;
        let stages = nodes.iter_mut().filter(|node| statement::may_be_in(&node.name));
        stages.for_each(|stage| fill_statement(texts, stage, problems));
        let of_topic = |node: &&mut Node| schema_file::may_be_in(&node.name) && node.child("kafka").is_some();
        let endpoints = nodes.iter_mut().filter(of_topic);
        endpoints.for_each(|node| fill_schemas(texts, node, problems));
        Self { nodes, is_whole }
    }
}

/// A parameter with its value, if it has one, and the place of its name.
type Scope = BTreeMap<String, (Option<Value>, Place)>;

/// The nodes of a file and of all that it includes, where they are included; each file once.
fn splice<'a>(
    texts: &'a Texts,
    file: usize,
    chain: &mut Vec<usize>,
    done: &mut HashSet<usize>,
    nodes: &mut Vec<&'a Node>,
    problems: &mut Problems,
) {
    done.insert(file);
    for node in &texts.file(file).nodes {
        if node.name != "include" {
            nodes.push(node);
            continue;
        }
        for (place, path) in include_paths(texts, file, node, problems) {
            match texts.find(&path) {
                Err(reason) => problems.at(place, ExpansionProblem::Include { path, reason: reason.to_owned() }),
                Ok(found) if chain.contains(&found) => problems.at(place, cycle(texts, chain, found)),
                Ok(found) if done.contains(&found) => {}
                Ok(found) => {
                    chain.push(found);
                    splice(texts, found, chain, done, nodes, problems);
                    chain.pop();
                }
            }
        }
    }
}

fn include_paths(texts: &Texts, file: usize, node: &Node, problems: &mut Problems) -> Vec<(Place, String)> {
    const INCLUDE: Form = Form { takes: form::Takes::AtLeast(1, "include \"common.kdl\""), ..Form::LEAF };
    INCLUDE.check(node, "include", problems);
    let mut paths = Vec::new();
    for arg in &node.args {
        let remedy = "copy the text to this machine first, and name its path";
        match form::path("include", arg, remedy, problems).map(|written| texts.file(file).relative(written)) {
            Some(Some(path)) => paths.push((arg.place, path)),
            Some(None) => problems.at(arg.place, ExpansionProblem::IncludeParam),
            None => {}
        }
    }
    paths
}

fn cycle(texts: &Texts, chain: &[usize], found: usize) -> ExpansionProblem {
    let from = chain.iter().position(|&file| file == found).unwrap_or(0);
    let files = chain[from..].iter().chain([&found]);
    let chain: Vec<&str> = files.map(|&file| texts.file(file).path.as_str()).collect();
    ExpansionProblem::IncludeCycle { chain: chain.join(" -> ") }
}

/// Puts the statement of a file in the place of the file's name, in the stage and in its outputs.
fn fill_statement(texts: &Texts, stage: &mut Node, problems: &mut Problems) {
    for output in stage.children.iter_mut().flatten().filter(|child| child.name == OUTPUT) {
        fill_statement(texts, output, problems);
    }
    for child in stage.children.iter_mut().flatten().filter(|child| child.name == SQL) {
        let Some(at) = child.props.iter().position(|prop| prop.name == FILE) else { continue };
        let arg = child.props.remove(at).arg;
        let unknown = Arg { value: Value::Unknown, ..arg };
        // Beside another statement the file's name is one too many.
        let is_only = child.args.is_empty();
        let statement = named_text(texts, child.place.file, &arg, FILE, problems).filter(|_| is_only);
        child.args.push(statement.unwrap_or(unknown));
    }
}

/// Puts the schemas of files in the place of the files' names.
fn fill_schemas(texts: &Texts, node: &mut Node, problems: &mut Problems) {
    for child in node.children.iter_mut().flatten().filter(|child| child.name == FORMAT) {
        let (from, has_schema) = (child.place.file, child.prop(SCHEMA).is_some());
        for prop in &mut child.props {
            let name = if prop.name == SCHEMA_FILE { SCHEMA_FILE } else { DESCRIPTORS };
            if prop.name != name {
                continue;
            }
            let text = named_text(texts, from, &prop.arg, name, problems);
            // Beside a schema the file's name is one too many, and stays.
            if name == DESCRIPTORS || !has_schema {
                prop.arg = text.unwrap_or(Arg { value: Value::Unknown, ..prop.arg });
                prop.name = if name == SCHEMA_FILE { SCHEMA.to_owned() } else { name.to_owned() };
            }
        }
    }
}

/// The text of the file that a value names.
fn named_text(texts: &Texts, from: u32, arg: &Arg, what: &str, problems: &mut Problems) -> Option<Arg> {
    let written = form::path(what, arg, "copy the file to this machine first, and name its path", problems)?;
    let Some(path) = texts.file(from as usize).relative(written) else {
        problems.at(arg.place, ExpansionProblem::IncludeParam);
        return None;
    };
    match texts.find(&path) {
        Ok(file) => {
            let text = &texts.file(file).text;
            let place = Place { file: file as u32, start: 0, end: text.len() as u32 };
            Some(Arg { value: Value::String(text.to_string()), place, bare: false })
        }
        Err(reason) => {
            problems.at(arg.place, ExpansionProblem::Include { path, reason: reason.to_owned() });
            None
        }
    }
}

/// The declared parameters with their values; none where there is no good value (which has been said then).
fn params(nodes: &[&Node], settings: &Settings, is_whole: bool, problems: &mut Problems) -> Scope {
    const PARAM: Form = Form {
        takes: form::Takes::One("param \"day\" default=\"2024-01-01\""),
        props: &["default", "type"],
        ..Form::LEAF
    };
    let mut scope = Scope::new();
    for node in nodes.iter().filter(|node| node.name == "param") {
        PARAM.check(node, "param", problems);
        let Some(name) = node.args.first().and_then(|arg| form::string("param", arg, problems)) else { continue };
        let place = node.args[0].place;
        if let Some((_, first)) = scope.get(name) {
            let problem = ExpansionProblem::RepeatedParam { name: name.to_owned() };
            problems.with(place, problem, *first, "first declared here");
            continue;
        }
        let value = param(name, node, settings.params.get(name), problems);
        scope.insert(name.to_owned(), (value, place));
    }
    let is_stray = |name: &&String| !scope.contains_key(*name) && !settings.ambient.contains(*name);
    for name in settings.params.keys().filter(|_| is_whole).filter(is_stray) {
        let help = suggest(name, scope.keys().map(String::as_str));
        problems.anywhere(ExpansionProblem::UndeclaredParam { name: name.clone(), help });
    }
    scope
}

fn param(name: &str, node: &Node, setting: Option<&String>, problems: &mut Problems) -> Option<Value> {
    let default = node.prop("default").map(|arg| &arg.value);
    let written = node.prop("type").and_then(|arg| form::string("type", arg, problems).zip(Some(arg)));
    let kind = match (written, default) {
        (Some((kind, arg)), _) => match ParamType::named(kind) {
            Some(kind) => kind,
            None => {
                let (value, help) = (kind.to_owned(), Some("one of `string`, `integer`, `number`, `boolean`".into()));
                problems.at(arg.place, ShapeProblem::BadValue { what: "type of a parameter", value, help });
                return None;
            }
        },
        (None, default) => ParamType::of(default),
    };
    let place = node.args.first().map_or(node.place, |arg| arg.place);
    let mismatch =
        |value: String| ExpansionProblem::ParamType { name: name.to_owned(), expected: kind.described(), value };
    let value = match (setting, default) {
        (Some(text), _) => kind.parse(text).ok_or_else(|| mismatch(text.clone())),
        (None, Some(Value::Null)) => Ok(Value::Null),
        (None, Some(default)) if kind.fits(default) => Ok(default.clone()),
        (None, Some(default)) => Err(mismatch(default.to_string())),
        (None, None) => Err(ExpansionProblem::MissingParam { name: name.to_owned() }),
    };
    value.map_err(|problem| problems.at(place, problem)).ok()
}

#[derive(Clone, Copy)]
enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
}

impl ParamType {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => ParamType::String,
            "integer" => ParamType::Integer,
            "number" => ParamType::Number,
            "boolean" => ParamType::Boolean,
            _ => return None,
        })
    }

    fn of(default: Option<&Value>) -> Self {
        match default {
            Some(Value::Integer(_)) => ParamType::Integer,
            Some(Value::Float(_)) => ParamType::Number,
            Some(Value::Bool(_)) => ParamType::Boolean,
            Some(Value::String(_) | Value::Null | Value::Unknown) | None => ParamType::String,
        }
    }

    fn described(self) -> &'static str {
        match self {
            ParamType::String => "a text",
            ParamType::Integer => "an integer",
            ParamType::Number => "a number",
            ParamType::Boolean => "`true` or `false`",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            ParamType::String => matches!(value, Value::String(_)),
            ParamType::Integer => matches!(value, Value::Integer(_)),
            ParamType::Number => matches!(value, Value::Integer(_) | Value::Float(_)),
            ParamType::Boolean => matches!(value, Value::Bool(_)),
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        match self {
            ParamType::String => Some(Value::String(text.to_owned())),
            ParamType::Integer => text.parse().ok().map(Value::Integer),
            ParamType::Number => match text.parse() {
                Ok(integer) => Some(Value::Integer(integer)),
                Err(_) => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
            },
            ParamType::Boolean => text.parse().ok().map(Value::Bool),
        }
    }
}

struct Unroll<'p> {
    nodes: Vec<Node>,
    problems: &'p mut Problems,
    too_long: bool,
    /// As of the document.
    is_whole: bool,
}

impl Unroll<'_> {
    fn add(&mut self, node: &Node, scope: &mut Scope, in_loop: bool) {
        match node.name.as_str() {
            "foreach" => self.unroll(node, scope),
            "param" | "include" if in_loop => {
                self.problems.at(node.place, ExpansionProblem::NotInLoop { node: node.name.clone() });
            }
            _ if self.nodes.len() >= MOST_NODES => self.stop(node.place),
            _ => {
                let filled = self.fill(node, scope);
                self.nodes.push(filled);
            }
        }
    }

    fn stop(&mut self, place: Place) {
        if !std::mem::replace(&mut self.too_long, true) {
            self.problems.at(place, ExpansionProblem::LoopTooLong { limit: MOST_NODES });
        }
    }

    fn unroll(&mut self, node: &Node, scope: &mut Scope) {
        const FOREACH: Form = Form {
            takes: form::Takes::AtLeast(1, "foreach \"lang\" \"rs\" \"md\" { ... }"),
            props: &["from", "to"],
            children: form::Children::Unchecked,
        };
        FOREACH.check(node, "foreach", self.problems);
        let Some(name) = node.args.first().and_then(|arg| form::string("foreach", arg, self.problems)) else { return };
        let place = node.args[0].place;
        if let Some((_, first)) = scope.get(name) {
            let problem = ExpansionProblem::RepeatedParam { name: name.to_owned() };
            self.problems.with(place, problem, *first, "first declared here");
            return;
        }
        for value in self.values(node, scope) {
            if self.too_long {
                break;
            }
            scope.insert(name.to_owned(), (value, place));
            node.children.iter().flatten().for_each(|child| self.add(child, scope, true));
        }
        scope.remove(name);
    }

    /// What a loop runs over.
    fn values(&mut self, node: &Node, scope: &Scope) -> Vec<Option<Value>> {
        let bound = |this: &mut Self, name: &'static str| {
            let arg = this.fill_arg(node.prop(name)?, scope);
            form::integer(name, &arg, this.problems)
        };
        match (node.prop("from"), node.prop("to")) {
            (None, None) if node.args.len() > 1 => node.args[1..].iter().map(|arg| self.try_fill(arg, scope)).collect(),
            (Some(_), Some(to)) if node.args.len() == 1 => {
                let (Some(first), Some(last)) = (bound(self, "from"), bound(self, "to")) else { return Vec::new() };
                if last.saturating_sub(first) >= MOST_NODES as i128 {
                    self.stop(to.place);
                    return Vec::new();
                }
                (first..=last).map(|number| Some(Value::Integer(number))).collect()
            }
            _ => {
                self.problems.at(node.place, ExpansionProblem::LoopValues);
                Vec::new()
            }
        }
    }

    fn fill(&mut self, node: &Node, scope: &Scope) -> Node {
        if node.name == ADBC {
            node.children
                .iter()
                .flatten()
                .filter(|child| child.name == QUERY)
                .for_each(|query| self.check_query(query));
        }
        Node {
            name: node.name.clone(),
            place: node.place,
            args: node.args.iter().map(|arg| self.fill_arg(arg, scope)).collect(),
            props: node
                .props
                .iter()
                .map(|p| Prop { name: p.name.clone(), arg: self.fill_arg(&p.arg, scope) })
                .collect(),
            children: node.children.as_ref().map(|nodes| nodes.iter().map(|n| self.fill(n, scope)).collect()),
        }
    }

    /// A value that is pasted into a query could be more than a value there.
    fn check_query(&mut self, query: &Node) {
        for arg in &query.args {
            let Some(Err(Some(ExpansionProblem::UnknownParam { name, .. }))) =
                arg.value.as_str().map(|text| substitute(text, &Scope::new()))
            else {
                continue;
            };
            self.problems.at(arg.place, ExpansionProblem::ParamInQuery { name });
        }
    }

    fn fill_arg(&mut self, arg: &Arg, scope: &Scope) -> Arg {
        let value = self.try_fill(arg, scope).unwrap_or(Value::Unknown);
        Arg { value, ..*arg }
    }

    fn say(&mut self, place: Place, problem: ExpansionProblem) {
        if self.is_whole || !matches!(problem, ExpansionProblem::UnknownParam { .. }) {
            self.problems.at(place, problem);
        }
    }

    /// None where a parameter has no value.
    fn try_fill(&mut self, arg: &Arg, scope: &Scope) -> Option<Value> {
        match &arg.value {
            Value::String(text) if text.contains("${") => substitute(text, scope)
                .map_err(|problem| problem.into_iter().for_each(|problem| self.say(arg.place, problem)))
                .ok(),
            value => Some(value.clone()),
        }
    }
}

/// Fills in `${name}`; `$${` stands for `${`. A text that is one parameter and nothing else takes its type.
/// The error is `None` where it was said already that a parameter has no value.
fn substitute(text: &str, scope: &Scope) -> Result<Value, Option<ExpansionProblem>> {
    let value = |name: &str| match scope.get(name) {
        Some((value, _)) => value.clone().ok_or(None),
        None => {
            let help = suggest(name, scope.keys().map(String::as_str));
            Err(Some(ExpansionProblem::UnknownParam { name: name.to_owned(), help }))
        }
    };
    if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|n| !n.contains('}')) {
        return value(name);
    }
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        let end = from.find('}').ok_or(Some(ExpansionProblem::Unclosed))?;
        filled.push_str(before);
        filled.push_str(&value(&from[2..end])?.to_string());
        rest = &from[end + 1..];
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<Value, Option<ExpansionProblem>> {
        let place = Place { file: 0, start: 0, end: 0 };
        let scope = Scope::from([
            ("n".into(), (Some(Value::Integer(3)), place)),
            ("day".into(), (Some(Value::String("mon".into())), place)),
        ]);
        substitute(text, &scope)
    }

    #[test]
    fn a_lone_parameter_keeps_its_type_and_others_become_text() {
        assert_eq!(filled("${n}"), Ok(Value::Integer(3)));
        assert_eq!(filled("a-${n}-${day}.csv"), Ok(Value::String("a-3-mon.csv".into())));
        assert_eq!(filled("$${n} ${n}"), Ok(Value::String("${n} 3".into())));
        assert_eq!(filled("${n}${n}"), Ok(Value::String("33".into())));
        assert_eq!(filled("${n"), Err(Some(ExpansionProblem::Unclosed)));
        assert!(matches!(filled("${m}"), Err(Some(ExpansionProblem::UnknownParam { .. }))));
    }
}
