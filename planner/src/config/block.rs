//! Blocks that were written as plain values: `where "age" ">" 5` for `where { column "age"; op ">"; value 5 }`.

use serde_json::{Map, Value as Json};

use super::schema::{Alternative, Type, alternatives};
use crate::diagnostic::list;
use crate::syntax::{Arg, Node, Value};

/// What a block may hold: the whole schema, and whether a key with a schema takes a value.
pub(super) struct Block<'b> {
    pub(super) root: &'b Json,
    pub(super) takes: &'b dyn Fn(&Json, &Arg) -> bool,
}

/// What to write instead of a node with plain values, where a block is wanted. The schema of each key decides which value is its.
pub(super) fn advice(block: &Block<'_>, node: &Node, readings: &[Alternative<'_>]) -> Option<String> {
    if node.args.is_empty() || !node.props.is_empty() || node.children.is_some() {
        return None;
    }
    match readings.iter().find_map(|schema| members(block, &node.args, schema)) {
        Some(members) => Some(format!("write it as a block: `{} {{ {} }}`", node.name, members.join("; "))),
        None => readings.first().and_then(|schema| keys(schema)),
    }
}

/// The values with their keys; none if some value fits no key, or a key that must be there gets none.
fn members(block: &Block<'_>, args: &[Arg], schema: &Map<String, Json>) -> Option<Vec<String>> {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return pairs(args) };
    let names_key = |arg: &Arg| arg.bare && arg.value.as_str().is_some_and(|word| properties.contains_key(word));
    if args.chunks(2).all(|pair| names_key(&pair[0])) {
        return pairs(args);
    }
    let mut open: Vec<(&String, &Json)> = properties.iter().collect();
    let required = required(schema);
    open.sort_by_key(|(name, schema)| (!required.contains(&name.as_str()), takes_anything(block.root, schema)));
    let mut found = vec![None; args.len()];
    // A value that only few keys can have comes before one that many can.
    for is_listed in [true, false] {
        for (arg, found) in args.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            if let Some(at) = open.iter().position(|(_, schema)| block.fits(schema, arg, is_listed)) {
                *found = Some(open.remove(at).0);
            }
        }
    }
    let is_missing = open.iter().any(|(name, _)| required.contains(&name.as_str()));
    // Where nothing must be there, one value alone does not tell what was meant.
    let is_vague = args.len() == 1 && required.is_empty() && properties.len() > 1;
    let members = args.iter().zip(found).map(|(arg, name)| Some(format!("{} {}", name?, written(&arg.value))));
    members.collect::<Option<Vec<_>>>().filter(|_| !is_missing && !is_vague)
}

/// Keys and values by turns.
fn pairs(args: &[Arg]) -> Option<Vec<String>> {
    let pair = |pair: &[Arg]| match pair {
        [Arg { value: Value::String(key), .. }, arg] => Some(format!("{} {}", word(key), written(&arg.value))),
        _ => None,
    };
    args.chunks(2).map(pair).collect()
}

/// Which keys a block has.
fn keys(schema: &Map<String, Json>) -> Option<String> {
    let required = required(schema);
    if required.is_empty() {
        let keys = schema.get("properties")?.as_object()?.keys().map(String::as_str);
        return Some(format!("write a block with some of {}", list(keys)));
    }
    Some(format!("write a block with {}", list(required)))
}

fn required(schema: &Map<String, Json>) -> Vec<&str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}

fn takes_anything(root: &Json, schema: &Json) -> bool {
    alternatives(root, schema).iter().any(|reading| Type::of(reading) == Type::Any)
}

impl Block<'_> {
    /// Whether a key takes a value: any, or only one of those that it lists.
    fn fits(&self, schema: &Json, arg: &Arg, is_listed: bool) -> bool {
        let lists = |reading: &Alternative<'_>| reading.contains_key("enum") || reading.contains_key("const");
        (!is_listed || alternatives(self.root, schema).iter().any(lists)) && (self.takes)(schema, arg)
    }
}

/// A value as it is written in KDL.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Bool(_) | Value::Null => format!("#{value}"),
        other => other.to_string(),
    }
}

/// A name, in quotes where it needs some.
fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain { text.to_owned() } else { format!("{text:?}") }
}
