//! JSON Schema as plain alternatives: references followed, combinations multiplied out, one type each.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

/// One way to read a value: a schema object without `$ref`, `allOf`, `oneOf` or `anyOf`, and with one type at most.
pub(super) type Alternative<'s> = Cow<'s, Map<String, Json>>;

/// References and combinations are followed this deep.
const DEEPEST: usize = 16;
/// More alternatives than this are not told apart.
const MOST: usize = 256;
const COMBINERS: [&str; 4] = ["$ref", "allOf", "oneOf", "anyOf"];

/// The ways to read a value under a schema, in the schema's order.
pub(super) fn alternatives<'s>(root: &'s Json, schema: &'s Json) -> Vec<Alternative<'s>> {
    let mut all = expand(root, schema, DEEPEST);
    all.truncate(MOST);
    all
}

fn expand<'s>(root: &'s Json, schema: &'s Json, depth: usize) -> Vec<Alternative<'s>> {
    let map = match schema {
        Json::Object(map) => map,
        Json::Bool(true) => return vec![Cow::Owned(Map::new())],
        _ => return Vec::new(),
    };
    let combined = COMBINERS.iter().any(|key| map.contains_key(*key));
    if !combined {
        return by_type(Cow::Borrowed(map));
    }
    if depth == 0 {
        return Vec::new();
    }
    let base = map.iter().filter(|(key, _)| !COMBINERS.contains(&key.as_str()));
    let mut all: Vec<Alternative<'s>> = by_type(Cow::Owned(base.map(|(k, v)| (k.clone(), v.clone())).collect()));
    if let Some(target) = map.get("$ref").and_then(Json::as_str) {
        let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        all = product(all, target.map_or_else(Vec::new, |target| expand(root, target, depth - 1)));
    }
    for part in map.get("allOf").and_then(Json::as_array).into_iter().flatten() {
        all = product(all, expand(root, part, depth - 1));
    }
    for choice in ["oneOf", "anyOf"].iter().filter_map(|key| map.get(*key)?.as_array()) {
        all = product(all, choice.iter().flat_map(|part| expand(root, part, depth - 1)).collect());
    }
    all
}

/// Schemas with several types, as one for each.
fn by_type(schema: Alternative<'_>) -> Vec<Alternative<'_>> {
    let Some(types) = schema.get("type").and_then(Json::as_array).cloned() else { return vec![schema] };
    let with = |one: Json| {
        let mut map = schema.clone().into_owned();
        map.insert("type".to_owned(), one);
        Cow::Owned(map)
    };
    types.into_iter().map(with).collect()
}

fn product<'s>(left: Vec<Alternative<'s>>, right: Vec<Alternative<'s>>) -> Vec<Alternative<'s>> {
    if let [only] = &left[..]
        && only.is_empty()
    {
        return right;
    }
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| Cow::Owned(merged(l, r))));
    pairs.take(MOST).collect()
}

/// Both schemas at once: keys of objects are joined, all else is taken from the second where it has it.
fn merged(first: &Map<String, Json>, second: &Map<String, Json>) -> Map<String, Json> {
    let mut both = first.clone();
    for (key, value) in second {
        match (key.as_str(), both.get_mut(key), value) {
            ("properties", Some(Json::Object(known)), Json::Object(more)) => {
                known.extend(more.iter().map(|(name, schema)| (name.clone(), schema.clone())));
            }
            ("required", Some(Json::Array(known)), Json::Array(more)) => known.extend(more.iter().cloned()),
            ("description" | "title", Some(_), _) => {}
            _ => drop(both.insert(key.clone(), value.clone())),
        }
    }
    both
}

/// What kind of value an alternative takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
    Any,
}

impl Type {
    pub(super) fn of(schema: &Map<String, Json>) -> Self {
        let sample = || schema.get("const").or_else(|| schema.get("enum")?.as_array()?.first());
        let has = |key: &str| schema.contains_key(key);
        match schema.get("type").and_then(Json::as_str) {
            Some("object") => Type::Object,
            Some("array") => Type::Array,
            Some("string") => Type::String,
            Some("integer") => Type::Integer,
            Some("number") => Type::Number,
            Some("boolean") => Type::Boolean,
            Some("null") => Type::Null,
            _ if has("properties") || has("additionalProperties") || has("required") => Type::Object,
            _ if has("items") || has("prefixItems") => Type::Array,
            _ => match sample() {
                Some(Json::String(_)) => Type::String,
                Some(Json::Bool(_)) => Type::Boolean,
                Some(Json::Number(_)) => Type::Number,
                Some(Json::Null) => Type::Null,
                _ => Type::Any,
            },
        }
    }

    /// For messages, with an article.
    pub(super) fn described(self) -> &'static str {
        match self {
            Type::Object => "a block `{ ... }`",
            Type::Array => "a list",
            Type::String => "a text",
            Type::Integer => "an integer",
            Type::Number => "a number",
            Type::Boolean => "#true or #false",
            Type::Null => "#null",
            Type::Any => "a value",
        }
    }
}
