//! `delta "s3://bucket/table" version=12 region="eu-west-1"` in a source, and `delta "s3://bucket/table" mode="append"` in a sink.

use crate::diagnostic::{Problems, ShapeProblem};
use crate::pattern::is_glob;
use crate::plan::{DeltaSink, DeltaSource, DeltaTable, TablePlace, WriteMode};
use crate::read::form::{self, Children, Form, Takes};
use crate::read::{kafka_sink, objects};
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "delta \"s3://bucket/orders\"";
const SINK_EXAMPLE: &str = "delta \"s3://bucket/orders\" mode=\"append\"";
const MODE: &str = "mode";
const VERSION: &str = "version";
const PROPS: [&str; 4] = form::joined(&[VERSION], &objects::REACH);
const SINK_PROPS: [&str; 4] = form::joined(&[MODE], &objects::REACH);
/// What a sink may do to the rows of a table.
const MODES: [WriteMode; 2] = [WriteMode::Append, WriteMode::Replace];
const FETCH: &str = "name the folder of a table on this machine, or an address such as \"s3://bucket/orders\"";

/// Reads the node in a source; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<DeltaSource> {
    let before = problems.len();
    let is_address = node.args.first().is_some_and(objects::is_address);
    // A table on this machine is reached without more ado.
    let props = if is_address { &PROPS[..] } else { &PROPS[..1] };
    Form { takes: Takes::One(EXAMPLE), props, ..Form::LEAF }.check(node, "`delta`", problems);
    let table = table(node, problems);
    let version = node.prop(VERSION).and_then(|arg| version(arg, problems));
    (problems.len() == before).then_some(DeltaSource { table: table?, version })
}

/// Reads the node in a sink; none if something in it is wrong.
pub(super) fn read_sink(node: &Node, problems: &mut Problems) -> Option<DeltaSink> {
    let before = problems.len();
    let is_address = node.args.first().is_some_and(objects::is_address);
    let props = if is_address { &SINK_PROPS[..] } else { &SINK_PROPS[..1] };
    let children = Children::Once(&["id", "on-change"]);
    Form { takes: Takes::One(SINK_EXAMPLE), props, children }.check(node, "`delta`", problems);
    let table = table(node, problems);
    let mode = mode(node, problems);
    if let (Some(WriteMode::Replace), Some(child)) = (mode, node.child("on-change")) {
        problems.at(child.place, ShapeProblem::OnlyWith { node: child.name.clone(), wanted: "mode=\"append\"" });
    }
    let changed = kafka_sink::changed(node, false, problems);
    let id = kafka_sink::name(node, "id", "id \"flowc.orders\"", problems);
    let table = table?;
    let id = id.unwrap_or_else(|| default_id(&table.place));
    (problems.len() == before).then_some(DeltaSink { table, mode: mode?, id, changed })
}

fn mode(node: &Node, problems: &mut Problems) -> Option<WriteMode> {
    let Some(arg) = node.prop(MODE) else {
        let needs = "the property mode=: \"append\" or \"replace\"".to_owned();
        problems
            .at(node.place, ShapeProblem::MissingArgument { node: node.name.clone(), needs, example: SINK_EXAMPLE });
        return None;
    };
    let named = form::string(MODE, arg, problems)?;
    let mode = MODES.into_iter().find(|mode| mode.name() == named);
    if mode.is_none() {
        form::bad_value("mode", arg, "a Delta table takes \"append\" and \"replace\"", problems);
    }
    mode
}

/// The name of a sink that has none: that of the table's folder, in letters that names may have.
fn default_id(place: &TablePlace) -> String {
    let text = place.to_string();
    let folder = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let letter = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("flowc.{}", folder.chars().map(letter).collect::<String>())
}

fn table(node: &Node, problems: &mut Problems) -> Option<DeltaTable> {
    let arg = node.args.first()?;
    let (region, endpoint, anonymous) = objects::reach(node, problems);
    let place = if objects::is_address(arg) { address(arg, problems)? } else { folder(arg, problems)? };
    Some(DeltaTable { place, region, endpoint, anonymous })
}

fn address(arg: &Arg, problems: &mut Problems) -> Option<TablePlace> {
    let address = objects::address(arg, arg.value.as_str()?.trim_end_matches('/'), problems)?;
    if is_glob(&address.key) {
        form::bad_value("address of a table", arg, "name one table: leave out `*`, `?`, `[` and `{`", problems);
    } else if address.scheme.is_web() {
        form::bad_value("address of a table", arg, "web servers have no folders that can be listed", problems);
    } else {
        return Some(TablePlace::Objects(address));
    }
    None
}

fn folder(arg: &Arg, problems: &mut Problems) -> Option<TablePlace> {
    let path = form::path("delta", arg, FETCH, problems)?;
    if path.is_empty() {
        form::bad_value("path", arg, format!("for example: `{EXAMPLE}`"), problems);
        return None;
    }
    Some(TablePlace::Folder(path.to_owned()))
}

fn version(arg: &Arg, problems: &mut Problems) -> Option<u64> {
    let number = form::integer(VERSION, arg, problems)?;
    let version = u64::try_from(number).ok().filter(|version| i64::try_from(*version).is_ok());
    if version.is_none() {
        form::bad_value("version", arg, "versions are numbers from 0 on", problems);
    }
    version
}
