//! What a stage says of the columns of its kernel: `bind "x" column="Unit Price"`, `gives "due" "Date32"`, `drops "raw"`,
//! `groups "customer"`.

use std::collections::BTreeMap;

use super::form::{self, Children, Form, Takes};
use crate::diagnostic::{Problems, ShapeProblem, StageProblem};
use crate::place::Place;
use crate::plan::{Code, KernelColumns};
use crate::read::types;
use crate::syntax::{Arg, Node, Value};

/// The nodes that may be repeated.
pub(super) const MANY: [&str; 2] = ["bind", "gives"];
/// The nodes that may not.
pub(super) const ONCE: [&str; 2] = [DROPS, GROUPS];
const DROPS: &str = "drops";
const GROUPS: &str = "groups";

const BIND: &str = "bind \"x\" column=\"Unit Price\"";
const GIVES: &str = "gives \"due\" \"Date32\"";

/// Adds what the nodes of a stage say to its code, if that is a kernel.
pub(super) fn add_columns(node: &Node, stage: &str, code: &mut Code, problems: &mut Problems) {
    let Code::Wgsl { columns, .. } = code else {
        let is_of_kernel = |child: &&Node| MANY.contains(&&*child.name) || ONCE.contains(&&*child.name);
        let first = node.children.iter().flatten().find(is_of_kernel);
        if let Some(first) = first {
            let (stage, node) = (stage.to_owned(), first.name.clone());
            problems.at(first.place, StageProblem::NoKernel { stage, node, code: code.to_string() });
        }
        return;
    };
    *columns = KernelColumns {
        bind: bind(node, problems),
        gives: gives(node, problems),
        drops: drops(node, problems),
        groups: groups(node, problems),
    };
}

/// Where a stage says what of its kernel's columns, by the pointers of problems.
pub(super) fn places(node: &Node) -> BTreeMap<String, Place> {
    let named = MANY.into_iter().flat_map(|kind| node.all(kind).map(move |child| (kind, child)));
    let named = named.filter_map(|(kind, child)| {
        let Value::String(name) = &child.args.first()?.value else { return None };
        Some((format!("/{kind}/{name}"), child.place))
    });
    let drops = node.child(DROPS).into_iter().flat_map(|child| child.args.iter().enumerate());
    let drops = drops.map(|(at, arg)| (format!("/{DROPS}/{at}"), arg.place));
    let groups =
        node.child(GROUPS).map(|child| (format!("/{GROUPS}"), child.args.first().map_or(child.place, |arg| arg.place)));
    named.chain(drops).chain(groups).collect()
}

fn bind(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut bound = BTreeMap::new();
    for child in node.all("bind") {
        Form { takes: Takes::One(BIND), props: &["column"], children: Children::None }.check(child, "`bind`", problems);
        let column = child.prop("column");
        if column.is_none() {
            let (node, needs) = (child.name.clone(), "the name of a column".to_owned());
            problems.at(child.place, ShapeProblem::MissingArgument { node, needs, example: BIND });
        }
        let (Some(name), Some(column)) = (child.args.first(), column) else { continue };
        let column = form::string("column", column, problems);
        insert(&mut bound, child, name, column.map(str::to_owned), problems);
    }
    bound
}

fn gives(node: &Node, problems: &mut Problems) -> BTreeMap<String, arrow_schema::DataType> {
    let mut given = BTreeMap::new();
    for child in node.all("gives") {
        Form { takes: Takes::Any, ..Form::LEAF }.check(child, "`gives`", problems);
        let [name, data_type] = child.args.as_slice() else {
            let (node, needs) = (child.name.clone(), "a name and a type".to_owned());
            problems.at(child.place, ShapeProblem::MissingArgument { node, needs, example: GIVES });
            continue;
        };
        let Some(text) = form::string("gives", data_type, problems) else { continue };
        let parsed = types::parsed(text);
        if parsed.is_none() {
            form::bad_value("type of a column", data_type, types::advice(text), problems);
        }
        insert(&mut given, child, name, parsed, problems);
    }
    given
}

/// Keeps what a name of the kernel stands for, once.
fn insert<T>(known: &mut BTreeMap<String, T>, node: &Node, name: &Arg, value: Option<T>, problems: &mut Problems) {
    let (Some(text), Some(value)) = (form::string(&node.name, name, problems), value) else { return };
    if known.insert(text.to_owned(), value).is_some() {
        let node = format!("{} \"{text}\"", node.name);
        problems.at(name.place, ShapeProblem::RepeatedNode { node });
    }
}

fn drops(node: &Node, problems: &mut Problems) -> Vec<String> {
    let Some(child) = node.child(DROPS) else { return Vec::new() };
    Form { takes: Takes::AtLeast(1, "drops \"raw\""), ..Form::LEAF }.check(child, "`drops`", problems);
    child.args.iter().filter_map(|arg| form::string(DROPS, arg, problems).map(str::to_owned)).collect()
}

/// The column whose values make groups.
fn groups(node: &Node, problems: &mut Problems) -> Option<String> {
    let child = node.child(GROUPS)?;
    Form { takes: Takes::One("groups \"customer\""), ..Form::LEAF }.check(child, "`groups`", problems);
    form::string(GROUPS, child.args.first()?, problems).map(str::to_owned)
}
