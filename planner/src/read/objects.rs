//! `files "s3://bucket/sales/**/*.parquet" region="eu-west-1"`, and `file` and `directory` of sinks with such addresses.

use crate::diagnostic::{PlaceProblem, Problems};
use crate::pattern::{Pattern, is_glob};
use crate::plan::{ObjectAddress, ObjectScheme, ObjectSink, Objects};
use crate::read::form::{self, Form, Takes};
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "name a bucket and a key, for example \"s3://bucket/sales/a.parquet\"";

/// How a store is reached: properties of each node that has addresses.
pub(super) const REACH: [&str; 3] = ["region", "endpoint", "anonymous"];

/// Whether an argument of `files` is an address, of whatever scheme.
pub(super) fn is_address(arg: &Arg) -> bool {
    arg.value.as_str().and_then(form::address).is_some_and(|(scheme, _)| !scheme.eq_ignore_ascii_case("file"))
}

/// Reads the node, of which an argument is an address; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Objects> {
    let before = problems.len();
    if let Some(path) = node.args.iter().find(|arg| !is_address(arg)) {
        problems.at(path.place, PlaceProblem::PathAmongObjects { path: path.value.to_string() });
    }
    let patterns = node.args.iter().filter(|arg| is_address(arg)).filter_map(|arg| pattern(arg, problems)).collect();
    let (region, endpoint, anonymous) = reach(node, problems);
    (problems.len() == before).then_some(Objects { patterns, region, endpoint, anonymous })
}

/// Reads `file` or `directory` of a sink, of which the argument is an address; none if something in it is wrong.
pub(super) fn sink(node: &Node, problems: &mut Problems) -> Option<ObjectSink> {
    let before = problems.len();
    let is_folder = node.name == "directory";
    let takes = Takes::One(if is_folder { "directory \"s3://bucket/out\"" } else { "file \"s3://bucket/out.csv\"" });
    Form { takes, props: &REACH, ..Form::LEAF }.check(node, &format!("`{}`", node.name), problems);
    let (region, endpoint, anonymous) = reach(node, problems);
    let arg = node.args.iter().find(|arg| is_address(arg))?;
    let text = arg.value.as_str()?;
    let address = address(arg, if is_folder { text.trim_end_matches('/') } else { text }, problems)?;
    let wrong = |help: &str, problems: &mut Problems| form::bad_value("address of an object", arg, help, problems);
    if is_glob(&address.key) {
        wrong("a sink writes to one place: leave out `*`, `?`, `[` and `{`", problems);
    } else if is_folder && address.scheme.is_web() {
        wrong("web servers have no folders that can be listed: name one object with `file`", problems);
    }
    (problems.len() == before).then_some(ObjectSink { address, is_folder, region, endpoint, anonymous })
}

/// Region, endpoint, and whether requests carry no credentials.
pub(super) fn reach(node: &Node, problems: &mut Problems) -> (Option<String>, Option<String>, bool) {
    let text = |name: &'static str, problems: &mut Problems| {
        let arg = node.prop(name)?;
        Some((form::string(name, arg, problems)?.to_owned(), arg))
    };
    let region = text("region", problems).map(|(region, _)| region);
    let endpoint = text("endpoint", problems).and_then(|(url, arg)| endpoint(url, arg, problems));
    let anonymous = node.prop("anonymous").and_then(|arg| form::boolean("anonymous", arg, problems)).unwrap_or(false);
    (region, endpoint, anonymous)
}

/// An address, or a pattern of addresses.
fn pattern(arg: &Arg, problems: &mut Problems) -> Option<ObjectAddress> {
    address(arg, arg.value.as_str()?, problems)
}

/// An address of whatever a bucket has.
pub(super) fn address(arg: &Arg, text: &str, problems: &mut Problems) -> Option<ObjectAddress> {
    let (scheme, rest) = form::address(text)?;
    let Some(scheme) = ObjectScheme::ALL.into_iter().find(|known| known.name() == scheme) else {
        problems.at(arg.place, PlaceProblem::Scheme { scheme: scheme.to_owned(), help: scheme_help(scheme) });
        return None;
    };
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |help: &str, problems: &mut Problems| form::bad_value("address of an object", arg, help, problems);
    if bucket.contains('@') {
        wrong("credentials do not belong into the text: flowc takes them from the environment", problems);
    } else if bucket.is_empty() || key.is_empty() || key.ends_with('/') || bucket.contains(['*', '?', '[', '{', ' ']) {
        wrong(EXAMPLE, problems);
    } else if key.split('/').any(|name| matches!(name, "" | "." | "..")) {
        wrong("a key with an empty name, `.` or `..` in it can't be read", problems);
    } else if scheme.is_web() && key.contains(['?', '#']) {
        wrong("a query or fragment can't be read: name what is before `?` or `#`", problems);
    } else if scheme.is_web() && is_glob(key) {
        wrong("web servers can't be listed: name each object", problems);
    } else if let Err(reason) = Pattern::new(key) {
        wrong(&reason, problems);
    } else {
        return Some(ObjectAddress { scheme, bucket: bucket.to_owned(), key: key.to_owned() });
    }
    None
}

/// What to write in place of a scheme that nothing is read from or written to.
fn scheme_help(scheme: &str) -> String {
    let meant = match scheme.to_ascii_lowercase().as_str() {
        "s3a" | "s3n" | "s3" => Some("s3"),
        "gcs" | "gs" => Some("gs"),
        "abfs" | "abfss" | "azure" | "adl" | "wasb" | "wasbs" | "az" => Some("az"),
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    };
    meant.map_or_else(
        || "it knows s3://, gs://, az://, http:// and https://; copy between other places and this machine".to_owned(),
        |meant| format!("say {meant}://"),
    )
}

fn endpoint(url: String, arg: &Arg, problems: &mut Problems) -> Option<String> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', ' '])) {
        form::bad_value("endpoint", arg, "a URL such as \"http://localhost:9000\"", problems);
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}
