//! `adbc "postgresql" uri="postgresql://db/shop" table="orders" { cursor "id"; secret "PGPASSWORD" }`, in a source and in a sink.

use std::collections::BTreeMap;

use super::{form, keep, query, secret};
use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, list, suggest};
use crate::place::Place;
use crate::plan::{
    BoundValue, Database, DatabaseRows, DatabaseSink, DatabaseSource, DriverSecret, Split, TableName, WriteMode,
};
use crate::read::form::{Children, Form, Takes};
use crate::syntax::{Arg, Node, Value};

const EXAMPLE: &str = "adbc \"sqlite\" uri=\"app.db\" table=\"events\"";
const SINK_EXAMPLE: &str = "adbc \"sqlite\" uri=\"app.db\" table=\"totals\" mode=\"upsert\" { key \"day\" }";
const SOURCE: Form = Form {
    takes: Takes::One(EXAMPLE),
    props: &["uri", "table"],
    children: Children::OnceAndMany(&["query", "bind", "order-by", "cursor", "split", "ttl", "pin"], &MANY),
};
const SINK: Form = Form {
    takes: Takes::One(SINK_EXAMPLE),
    props: &["uri", "table", "mode"],
    children: Children::OnceAndMany(&["key", "id", "on-change"], &MANY),
};
/// More connections than servers give to one client.
const MOST_PARTS: u32 = 256;
/// What a source and a sink may say of the database, any number of times.
const MANY: [&str; 3] = ["option", "secret", "reads"];

/// Reads the node in a source; none if something in it is wrong.
pub(super) fn read_source(node: &Node, problems: &mut Problems) -> Option<DatabaseSource> {
    let before = problems.len();
    SOURCE.check(node, "`adbc`", problems);
    let database = database(node, problems);
    let rows = rows(node, problems);
    let cursor = form::child_string(node, "cursor", "cursor \"id\"", problems).map(|(column, _)| column.to_owned());
    let split = split(node, problems);
    exclusive(node, "cursor", "order-by", "the cursor is the order", problems);
    exclusive(node, "split", "order-by", "the column of `split` is the order", problems);
    exclusive(node, "cursor", "split", "new rows are read by one connection", problems);
    let keep = keep::read(node, problems);
    let source = DatabaseSource { database: database?, rows: rows?, cursor, split, keep };
    (problems.len() == before).then_some(source)
}

/// `split "id" 8`: the column, and the most connections.
fn split(node: &Node, problems: &mut Problems) -> Option<Split> {
    const EXAMPLE: &str = "split \"id\" 8";
    let child = node.child("split")?;
    Form { takes: Takes::AtLeast(2, EXAMPLE), ..Form::LEAF }.check(child, "`split`", problems);
    let [column, most, rest @ ..] = &child.args[..] else { return None };
    if let Some(extra) = rest.first() {
        problems.at(extra.place, form::extra_argument(child, extra, "a column and a number".to_owned()));
    }
    let column = form::string("split", column, problems).map(str::to_owned);
    let count = form::integer("split", most, problems)?;
    let Some(count) = u32::try_from(count).ok().filter(|count| (2..=MOST_PARTS).contains(count)) else {
        form::bad_value("number of connections", most, format!("a whole number from 2 to {MOST_PARTS}"), problems);
        return None;
    };
    Some(Split { column: column?, most: count })
}

/// Says that two children can't stand beside each other.
fn exclusive(node: &Node, first: &'static str, second: &'static str, why: &'static str, problems: &mut Problems) {
    if let (Some(one), Some(other)) = (node.child(first), node.child(second)) {
        let problem = ShapeProblem::Together { first, second, why };
        problems.with(other.place, problem, one.place, "the other is here");
    }
}

/// A table that a sink writes, with the columns that its text names.
pub(super) struct ReadSink {
    pub(super) sink: DatabaseSink,
    pub(super) columns: Vec<(String, Place)>,
}

/// Reads the node in a sink; none if something in it is wrong.
pub(super) fn read_sink(node: &Node, problems: &mut Problems) -> Option<ReadSink> {
    let before = problems.len();
    SINK.check(node, "`adbc`", problems);
    let database = database(node, problems);
    let table = match node.prop("table") {
        Some(arg) => table(arg, problems),
        None => missing(node, "the property table=", SINK_EXAMPLE, problems),
    };
    let mode = mode(node, problems);
    let columns = strings(node, "key", "key \"day\"", problems);
    match mode {
        Some(WriteMode::Upsert) if node.child("key").is_none() => {
            missing::<()>(node, "a node `key`, with the columns that tell rows apart", SINK_EXAMPLE, problems);
        }
        Some(WriteMode::Upsert) | None => {}
        Some(_) => only_with(node, "key", "mode=\"upsert\"", problems),
    }
    if mode.is_some_and(|mode| mode != WriteMode::Append) {
        only_with(node, "on-change", "mode=\"append\"", problems);
    }
    let changed = super::kafka_sink::changed(node, false, problems);
    let id = super::kafka_sink::name(node, "id", "id \"flowc.totals\"", problems);
    let (table, key) = (table?, columns.iter().map(|(column, _)| column.clone()).collect());
    let id = id.unwrap_or_else(|| format!("flowc.{table}"));
    let sink = DatabaseSink { database: database?, table, mode: mode?, key, id, changed };
    (problems.len() == before).then_some(ReadSink { sink, columns })
}

fn database(node: &Node, problems: &mut Problems) -> Option<Database> {
    let driver = node.args.first().and_then(|arg| match form::string("adbc", arg, problems)? {
        "" => {
            form::bad_value("driver", arg, "the name of an ADBC driver, such as \"sqlite\", or a path", problems);
            None
        }
        driver => Some(driver.to_owned()),
    });
    let uri = node.prop("uri").and_then(|arg| form::string("uri", arg, problems)).map(str::to_owned);
    let (options, secrets) = (options(node, problems), secrets(node, problems));
    let remedy = "copy the file to this machine first, and name it there";
    let reads = node.all("reads").flat_map(|child| {
        Form { takes: Takes::AtLeast(1, "reads \"certs/ca.pem\""), ..Form::LEAF }.check(child, "`reads`", problems);
        child
            .args
            .iter()
            .filter_map(|arg| form::path("reads", arg, remedy, problems))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let reads = reads.collect();
    Some(Database { driver: driver?, uri, options, secrets, reads })
}

/// `option "adbc.sqlite.query.batch_rows" "65536"`.
fn options(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for child in node.all("option") {
        let example = "option \"username\" \"reader\"";
        Form { takes: Takes::AtLeast(2, example), ..Form::LEAF }.check(child, "`option`", problems);
        let [name, value, rest @ ..] = &child.args[..] else { continue };
        if let Some(extra) = rest.first() {
            problems.at(extra.place, form::extra_argument(child, extra, "a name and a value".to_owned()));
        }
        let read = (form::string("option", name, problems), form::string("option", value, problems));
        if let (Some(key), Some(value)) = read
            && options.insert(key.to_owned(), value.to_owned()).is_some()
        {
            form::bad_value("option", name, "give each option once", problems);
        }
    }
    options
}

/// `secret "PGPASSWORD" file="secrets/db" option="password"`.
fn secrets(node: &Node, problems: &mut Problems) -> BTreeMap<String, DriverSecret> {
    let mut secrets = BTreeMap::new();
    for child in node.all("secret") {
        let option = child.prop("option").and_then(|arg| form::string("option", arg, problems)).map(str::to_owned);
        let Some((name, value)) = secret::read_with(child, &["env", "file", "option"], problems) else { continue };
        if secrets.insert(name.clone(), DriverSecret { value, option }).is_some() {
            problems.at(child.place, ShapeProblem::RepeatedNode { node: format!("secret \"{name}\"") });
        }
    }
    secrets
}

fn rows(node: &Node, problems: &mut Problems) -> Option<DatabaseRows> {
    match (node.prop("table"), node.child("query")) {
        (Some(table), Some(query)) => {
            let problem = ShapeProblem::Together { first: "table=", second: "query", why: "a query names its tables" };
            problems.with(query.place, problem, table.place, "the table is here");
            None
        }
        (None, None) => missing(node, "the property table= or a node `query`", EXAMPLE, problems),
        (Some(arg), None) => {
            only_with(node, "bind", "`query`", problems);
            let order_by = strings(node, "order-by", "order-by \"id\"", problems);
            let order_by = order_by.into_iter().map(|(column, _)| column).collect();
            Some(DatabaseRows::Table { table: table(arg, problems)?, order_by })
        }
        (None, Some(query)) => {
            only_with(node, "order-by", "table=", problems);
            Form { takes: Takes::One("query \"SELECT * FROM events\""), ..Form::LEAF }
                .check(query, "`query`", problems);
            let sql = query.args.first().and_then(|arg| one_statement(node, arg, problems)).map(str::to_owned);
            let params = node.child("bind").map(|child| bound(child, problems)).unwrap_or_default();
            Some(DatabaseRows::Query { sql: sql?, params })
        }
    }
}

/// The text of a query, which is to be one statement.
fn one_statement<'a>(node: &Node, arg: &'a Arg, problems: &mut Problems) -> Option<&'a str> {
    let sql = form::string("query", arg, problems)?;
    let driver = node.args.first().and_then(|driver| driver.value.as_str()).unwrap_or_default();
    match query::second_statement(driver, sql) {
        None => Some(sql),
        Some(second) => {
            problems.at(arg.place, PlaceProblem::SeveralStatements { second: second.to_owned() });
            None
        }
    }
}

/// `bind "eu" 100`: values for the query's parameters, in order.
fn bound(node: &Node, problems: &mut Problems) -> Vec<BoundValue> {
    Form { takes: Takes::AtLeast(1, "bind \"eu\" 100"), ..Form::LEAF }.check(node, "`bind`", problems);
    node.args.iter().filter_map(|arg| value(arg, problems)).collect()
}

fn value(arg: &Arg, problems: &mut Problems) -> Option<BoundValue> {
    match &arg.value {
        Value::String(text) => Some(BoundValue::Text(text.clone())),
        Value::Bool(flag) => Some(BoundValue::Boolean(*flag)),
        Value::Float(number) => Some(BoundValue::Number(number.to_bits())),
        Value::Integer(number) => match i64::try_from(*number) {
            Ok(number) => Some(BoundValue::Integer(number)),
            Err(_) => {
                form::bad_value("value", arg, "an integer of at most 64 bits, or a text", problems);
                None
            }
        },
        Value::Null => {
            form::wrong_type("bind", "a text, a number or a boolean", arg, None, problems);
            None
        }
        Value::Unknown => None,
    }
}

fn table(arg: &Arg, problems: &mut Problems) -> Option<TableName> {
    let text = form::string("table", arg, problems)?;
    let (schema, table) = match text.split_once('.') {
        Some((schema, table)) => (Some(schema.to_owned()), table),
        None => (None, text),
    };
    let is_name = |name: &str| !name.is_empty() && !name.contains(['.', '\0']);
    if !is_name(table) || !schema.as_deref().is_none_or(is_name) {
        form::bad_value("table", arg, "a table's name, perhaps with a schema before it: \"public.orders\"", problems);
        return None;
    }
    Some(TableName { schema, table: table.to_owned() })
}

fn mode(node: &Node, problems: &mut Problems) -> Option<WriteMode> {
    let Some(arg) = node.prop("mode") else {
        return missing(
            node,
            "the property mode=: \"create\", \"append\", \"replace\" or \"upsert\"",
            SINK_EXAMPLE,
            problems,
        );
    };
    let named = form::string("mode", arg, problems)?;
    let mode = WriteMode::ALL.into_iter().find(|mode| mode.name() == named);
    if mode.is_none() {
        let known = || WriteMode::ALL.iter().map(|mode| mode.name());
        form::bad_value("mode", arg, suggest(named, known()).unwrap_or_else(|| list(known())), problems);
    }
    mode
}

/// The texts of a child, with their places.
fn strings(node: &Node, child: &str, example: &'static str, problems: &mut Problems) -> Vec<(String, Place)> {
    let Some(child) = node.child(child) else { return Vec::new() };
    Form { takes: Takes::AtLeast(1, example), ..Form::LEAF }.check(child, "columns", problems);
    let read =
        |arg: &Arg, problems: &mut Problems| Some((form::string(&child.name, arg, problems)?.to_owned(), arg.place));
    child.args.iter().filter_map(|arg| read(arg, problems)).collect()
}

fn missing<T>(node: &Node, needs: &str, example: &'static str, problems: &mut Problems) -> Option<T> {
    let (node_name, needs) = (node.name.clone(), needs.to_owned());
    problems.at(node.place, ShapeProblem::MissingArgument { node: node_name, needs, example });
    None
}

/// Says that a child means nothing without something else.
fn only_with(node: &Node, child: &str, wanted: &'static str, problems: &mut Problems) {
    if let Some(found) = node.child(child) {
        problems.at(found.place, ShapeProblem::OnlyWith { node: child.to_owned(), wanted });
    }
}
