//! `delta "s3://bucket/table" version=12 region="eu-west-1"`.

use crate::diagnostic::Problems;
use crate::pattern::is_glob;
use crate::plan::{DeltaSource, DeltaTable, TablePlace};
use crate::read::form::{self, Form, Takes};
use crate::read::objects;
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "delta \"s3://bucket/orders\"";
const VERSION: &str = "version";
const PROPS: [&str; 4] = form::joined(&[VERSION], &objects::REACH);
/// The properties of a table on this machine.
const LOCAL_PROPS: [&str; 1] = [VERSION];
const FETCH: &str = "name the folder of a table on this machine, or an address such as \"s3://bucket/orders\"";

/// Reads the node in a source; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<DeltaSource> {
    let before = problems.len();
    let is_address = node.args.first().is_some_and(objects::is_address);
    let props = if is_address { &PROPS[..] } else { &LOCAL_PROPS };
    Form { takes: Takes::One(EXAMPLE), props, ..Form::LEAF }.check(node, "`delta`", problems);
    let table = table(node, problems);
    let version = node.prop(VERSION).and_then(|arg| version(arg, problems));
    (problems.len() == before).then_some(DeltaSource { table: table?, version })
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
