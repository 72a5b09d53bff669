//! Types what is given by what the schema says.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};

use super::block::{Block, advice};
use super::fault::{Fault, likeliest};
use super::given::{Given, Members};
use super::schema::{Alternative, Type, alternatives};
use crate::diagnostic::{ConfigProblem, nearest};
use crate::place::Place;
use crate::quantity::count;
use crate::syntax::{Arg, Node, Value};

/// Readings tried before a config counts as too involved.
const MOST_STEPS: usize = 200_000;
/// A schema that refers to itself as its own item would never end.
const DEEPEST: usize = 160;

type Typed = Result<Json, Vec<Fault>>;

pub(super) struct Typer<'s> {
    root: &'s Json,
    places: HashMap<String, Place>,
    steps: usize,
    unknown: bool,
    /// Per place of a text that is none of those that may stand there: these.
    assumed: HashMap<Place, Vec<String>>,
}

impl<'s> Typer<'s> {
    pub(super) fn new(root: &'s Json) -> Self {
        Self { root, places: HashMap::new(), steps: 0, unknown: false, assumed: HashMap::new() }
    }

    /// One that reads these texts as the likeliest of those that may stand in their place.
    pub(super) fn assuming(root: &'s Json, assumed: HashMap<Place, Vec<String>>) -> Self {
        Self { assumed, ..Self::new(root) }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.steps > MOST_STEPS
    }

    /// Whether a parameter without a value was met.
    pub(super) fn has_unknown(&self) -> bool {
        self.unknown
    }

    pub(super) fn into_places(self) -> HashMap<String, Place> {
        self.places
    }

    /// Types one value. `path` is its JSON pointer.
    pub(super) fn value(&mut self, given: &Given<'_>, schema: &Json, path: &str) -> Typed {
        self.places.insert(path.to_owned(), given.place());
        if given.is_unknown() {
            self.unknown = true;
            return Ok(Json::Null);
        }
        // The borrow of the root must not hang on `self`: places are recorded while alternatives are tried.
        let root: &'s Json = self.root;
        let readings = alternatives(root, schema);
        let mut failed = Vec::new();
        if path.matches('/').count() > DEEPEST {
            self.steps = MOST_STEPS;
        }
        for reading in &readings {
            self.steps += 1;
            if self.is_exhausted() {
                break;
            }
            match self.read(given, reading, path, readings.len() > 1) {
                Ok(value) => return Ok(value),
                Err(faults) => failed.push(faults),
            }
        }
        let blocks: Vec<_> = readings.into_iter().filter(|reading| Type::of(reading) == Type::Object).collect();
        match (given, &likeliest(failed)[..]) {
            (Given::Nodes(nodes), [fault]) => Err(vec![self.advised(fault.clone(), nodes[0], &blocks)]),
            (_, faults) => Err(faults.to_vec()),
        }
    }

    fn read(&mut self, given: &Given<'_>, schema: &Map<String, Json>, path: &str, probing: bool) -> Typed {
        let value = match Type::of(schema) {
            Type::Object => self.object(given, schema, path, probing)?,
            Type::Array => self.array(given, schema, path)?,
            Type::Any => self.any(given, path)?,
            scalar => return self.scalar(given, scalar, schema, path),
        };
        among(&value, given, schema, path).map(|()| value)
    }

    fn object(&mut self, given: &Given<'_>, schema: &Map<String, Json>, path: &str, probing: bool) -> Typed {
        if let Given::Nodes(nodes) = given
            && nodes.len() > 1
            && nodes.iter().all(|node| node.args.is_empty())
        {
            let problem = ConfigProblem::Repeated { key: key(path) };
            return Err(vec![Fault::new(nodes[1].place, path, problem)]);
        }
        let members = given.members().ok_or_else(|| vec![wrong_type(given, Type::Object, path)])?;
        let mut faults = shallow_faults(&members, given, schema, path);
        if probing && !faults.is_empty() {
            return Err(faults);
        }
        let mut object = Map::new();
        for (name, member) in &members.keys {
            let Some(schema) = member_schema(schema, name) else { continue };
            match self.value(member, schema, &format!("{path}/{}", escaped(name))) {
                Ok(value) => drop(object.insert((*name).to_owned(), value)),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Json::Object(object)) } else { Err(faults) }
    }

    fn array(&mut self, given: &Given<'_>, schema: &Map<String, Json>, path: &str) -> Typed {
        let any = Json::Bool(true);
        let (rest, first) = (schema.get("items").unwrap_or(&any), schema.get("prefixItems").and_then(Json::as_array));
        let readings = alternatives(self.root, rest);
        let are_all = |wanted| !readings.is_empty() && readings.iter().all(|reading| Type::of(reading) == wanted);
        let (lists, blocks) = (are_all(Type::Array), are_all(Type::Object));
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        if let Given::Nodes(nodes) = given
            && blocks
        {
            let plain = nodes.iter().filter(|node| !node.args.is_empty() && node.children.is_none());
            let fault = |node: &Node| wrong_type(&Given::Nodes(vec![node]), Type::Object, path);
            faults.extend(plain.map(|node| self.advised(fault(node), node, &readings)));
        }
        let is_told = |item: &Given<'_>| matches!((given, item), (Given::Nodes(_), Given::Value(_))) && blocks;
        for (i, item) in given.items(lists).iter().filter(|item| !is_told(item)).enumerate() {
            let schema = first.and_then(|first| first.get(i)).unwrap_or(rest);
            match self.value(item, schema, &format!("{path}/{i}")) {
                Ok(value) => items.push(value),
                Err(found) => faults.extend(found),
            }
        }
        faults.extend(length_fault(items.len() + faults.len(), given, schema, path));
        if faults.is_empty() { Ok(Json::Array(items)) } else { Err(faults) }
    }

    /// The fault with what to write instead, if it is that a node has values where a block is wanted.
    fn advised(&self, mut fault: Fault, node: &Node, blocks: &[Alternative<'_>]) -> Fault {
        if let ConfigProblem::WrongType { help, .. } = &mut fault.problem
            && node.args.first().is_some_and(|arg| arg.place == fault.place)
        {
            let takes = |schema: &Json, arg: &Arg| Self::new(self.root).value(&Given::Value(arg), schema, "").is_ok();
            let block = Block { root: self.root, takes: &takes };
            *help = advice(&block, node, blocks).or(help.take());
        }
        fault
    }

    /// Without a schema, the form of the text decides.
    fn any(&mut self, given: &Given<'_>, path: &str) -> Typed {
        let any = Json::Bool(true);
        let open = Map::from_iter([("additionalProperties".to_owned(), Json::Bool(true))]);
        match given {
            _ if given.scalar().is_some() => self.scalar(given, Type::Any, &Map::new(), path),
            Given::Nodes(nodes) if nodes.len() == 1 && nodes[0].args.is_empty() && given.items(false).is_empty() => {
                Err(vec![wrong_type(given, Type::Any, path)])
            }
            Given::Nodes(nodes) if nodes.len() == 1 && nodes[0].args.is_empty() && !is_dashes(given) => {
                self.object(given, &open, path, false)
            }
            _ => self.array(given, &Map::from_iter([("items".to_owned(), any)]), path),
        }
    }

    fn scalar(&self, given: &Given<'_>, wanted: Type, schema: &Map<String, Json>, path: &str) -> Typed {
        if let Given::Nodes(nodes) = given
            && nodes.len() > 1
        {
            return Err(vec![Fault::new(nodes[1].place, path, ConfigProblem::Repeated { key: key(path) })]);
        }
        let wrong = || vec![wrong_type(given, wanted, path)];
        let arg = given.scalar().ok_or_else(wrong)?;
        let value = match (&arg.value, wanted) {
            (Value::String(text), Type::String | Type::Any) => Json::String(self.assumed(text, arg.place)),
            (Value::Bool(flag), Type::Boolean | Type::Any) => Json::Bool(*flag),
            (Value::Null, Type::Null | Type::Any) => Json::Null,
            (Value::Integer(number), Type::Integer | Type::Number | Type::Any) => Json::Number(
                integer(*number).ok_or_else(|| vec![range_fault(given, "an integer of 64 bits".into(), path)])?,
            ),
            (Value::Float(number), Type::Number | Type::Any) => {
                Json::Number(Number::from_f64(*number).ok_or_else(wrong)?)
            }
            _ => return Err(wrong()),
        };
        among(&value, given, schema, path)?;
        match scalar_range(&value, schema) {
            Some(range) => Err(vec![range_fault(given, range, path)]),
            None => Ok(value),
        }
    }

    fn assumed(&self, text: &str, place: Place) -> String {
        let choices = self.assumed.get(&place).map_or(&[][..], Vec::as_slice);
        let likeliest = nearest(text, choices.iter().map(String::as_str)).or(choices.first().map(String::as_str));
        likeliest.unwrap_or(text).to_owned()
    }
}

fn is_dashes(given: &Given<'_>) -> bool {
    given.members().is_some_and(|members| members.keys.iter().all(|(name, _)| *name == "-"))
}

/// Unknown, missing and doubled keys, and tags of other variants: what is known without looking into values.
fn shallow_faults(members: &Members<'_>, given: &Given<'_>, schema: &Map<String, Json>, path: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, place) in &members.clashes {
        faults.push(Fault::new(*place, path, ConfigProblem::Repeated { key: within(path, name) }));
    }
    let properties = schema.get("properties").and_then(Json::as_object);
    for (name, member) in &members.keys {
        if member_schema(schema, name).is_none() {
            let problem = ConfigProblem::UnknownKey { key: within(path, name), help: None };
            let known = properties.into_iter().flat_map(|properties| properties.keys().cloned());
            faults.push(Fault::new(member.head(), path, problem).with_choices(known));
        }
    }
    let misspelt = |name: &str| {
        let unknown = members.keys.iter().filter(|(key, _)| member_schema(schema, key).is_none());
        let known = || properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
        unknown.into_iter().any(|(key, _)| nearest(key, known()) == Some(name))
    };
    for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
        if members.get(name).is_none() && !misspelt(name) {
            let help = properties.and_then(|properties| doc(properties.get(name)?));
            let problem = ConfigProblem::MissingKey { key: within(path, name), help };
            faults.push(Fault::new(given.head(), path, problem));
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        let tag = property.get("const").zip(members.get(name).and_then(Given::scalar));
        if let Some((Json::String(tag), arg)) = tag
            && arg.value.as_str().is_some_and(|text| text != tag)
        {
            let problem = ConfigProblem::NotOneOf { key: within(path, name), found: arg.value.described(), help: None };
            let fault = Fault::new(arg.place, path, problem).with_choices([tag.clone()]);
            return vec![Fault { other_variant: true, ..fault }];
        }
    }
    faults
}

/// The schema of a key, if the object may have it.
fn member_schema<'a>(schema: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    let additional = || {
        let patterns = || schema.get("patternProperties")?.as_object()?.values().next();
        schema.get("additionalProperties").filter(|allowed| **allowed != Json::Bool(false)).or_else(patterns)
    };
    schema.get("properties").and_then(|properties| properties.get(name)).or_else(additional)
}

fn doc(schema: &Json) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    Some(text.split("\n\n").next().unwrap_or(text).replace('\n', " "))
}

fn integer(number: i128) -> Option<Number> {
    i64::try_from(number).map(Number::from).ok().or_else(|| u64::try_from(number).map(Number::from).ok())
}

/// `const` and `enum`.
fn among(value: &Json, given: &Given<'_>, schema: &Map<String, Json>, path: &str) -> Result<(), Vec<Fault>> {
    let one = schema.get("const").map(std::slice::from_ref);
    let Some(allowed) = one.or_else(|| schema.get("enum")?.as_array().map(Vec::as_slice)) else { return Ok(()) };
    if allowed.contains(value) {
        return Ok(());
    }
    let problem = ConfigProblem::NotOneOf { key: key(path), found: given.described(), help: None };
    let names = allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    Err(vec![Fault::new(given.place(), path, problem).with_choices(names)])
}

/// The range that a value is out of, in words.
fn scalar_range(value: &Json, schema: &Map<String, Json>) -> Option<String> {
    let limit = |key: &str| schema.get(key).and_then(Json::as_number);
    if let Json::String(text) = value {
        let length = text.chars().count() as u64;
        let least = limit("minLength").and_then(Number::as_u64).unwrap_or(0);
        let most = limit("maxLength").and_then(Number::as_u64).unwrap_or(u64::MAX);
        return length_words(length, least, most, "character").map(|words| format!("a text of {words}"));
    }
    let number = value.as_number()?;
    let beyond = |key: &str, bad: &[std::cmp::Ordering], words: &str| {
        let limit = limit(key)?;
        bad.contains(&compare(number, limit)?).then(|| format!("a number {words} {limit}"))
    };
    use std::cmp::Ordering::{Equal, Greater, Less};
    beyond("minimum", &[Less], "of at least")
        .or_else(|| beyond("maximum", &[Greater], "of at most"))
        .or_else(|| beyond("exclusiveMinimum", &[Less, Equal], "above"))
        .or_else(|| beyond("exclusiveMaximum", &[Greater, Equal], "below"))
        .or_else(|| format_range(number, schema.get("format")?.as_str()?))
}

/// Integers exactly, others as floats.
fn compare(a: &Number, b: &Number) -> Option<std::cmp::Ordering> {
    match (exact(a), exact(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn exact(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn format_range(number: &Number, format: &str) -> Option<String> {
    let (least, most) = match format {
        "int8" => (i128::from(i8::MIN), i128::from(i8::MAX)),
        "int16" => (i128::from(i16::MIN), i128::from(i16::MAX)),
        "int32" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        "int64" | "int" => (i128::from(i64::MIN), i128::from(i64::MAX)),
        "uint8" => (0, i128::from(u8::MAX)),
        "uint16" => (0, i128::from(u16::MAX)),
        "uint32" => (0, i128::from(u32::MAX)),
        "uint64" | "uint" => (0, i128::from(u64::MAX)),
        _ => return None,
    };
    let number = exact(number)?;
    (number < least || number > most).then(|| format!("an integer from {least} to {most}"))
}

fn length_fault(length: usize, given: &Given<'_>, schema: &Map<String, Json>, path: &str) -> Option<Fault> {
    let limit = |key: &str| schema.get(key).and_then(Json::as_u64);
    let (least, most) = (limit("minItems").unwrap_or(0), limit("maxItems").unwrap_or(u64::MAX));
    let expected = format!("a list of {}", length_words(length as u64, least, most, "item")?);
    let problem = ConfigProblem::OutOfRange { key: key(path), expected, found: format!("a list of {length}") };
    Some(Fault::new(given.head(), path, problem))
}

fn length_words(length: u64, least: u64, most: u64, noun: &str) -> Option<String> {
    match (length < least, length > most) {
        (true, _) => Some(format!("at least {}", count(least, noun))),
        (_, true) => Some(format!("at most {}", count(most, noun))),
        _ => None,
    }
}

fn wrong_type(given: &Given<'_>, wanted: Type, path: &str) -> Fault {
    let help = match (wanted, given.scalar().map(|arg| &arg.value)) {
        (Type::String, Some(value)) => Some(format!("write it in quotes: \"{value}\"")),
        (Type::Boolean, Some(Value::String(_))) => Some("write it with `#` and without quotes".to_owned()),
        (Type::Integer | Type::Number, Some(Value::String(text))) if text.parse::<f64>().is_ok() => {
            Some(format!("write it without quotes: {text}"))
        }
        (_, None) => given.bare_word().map(|word| format!("if `{word}` is a key of its own, put `;` before it")),
        _ => None,
    };
    let problem = ConfigProblem::WrongType { key: key(path), expected: String::new(), found: given.described(), help };
    Fault::new(given.place(), path, problem).with_choices([wanted.described().to_owned()])
}

fn range_fault(given: &Given<'_>, expected: String, path: &str) -> Fault {
    let problem = ConfigProblem::OutOfRange { key: key(path), expected, found: given.described() };
    Fault::new(given.place(), path, problem)
}

/// A JSON pointer as people read it: `where.all.0`.
fn key(path: &str) -> String {
    let name = path.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
    if name.is_empty() { "config".to_owned() } else { name }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{}.{name}", key(path)) }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
