//! `files "s3://bucket/sales/**/*.parquet" region="eu-west-1"`.

use crate::diagnostic::{PlaceProblem, Problems};
use crate::pattern::{Pattern, is_glob};
use crate::plan::{ObjectAddress, ObjectScheme, Objects};
use crate::read::form;
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "name a bucket and a key, for example \"s3://bucket/sales/*.parquet\"";

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
    let patterns = node.args.iter().filter(|arg| is_address(arg)).filter_map(|arg| address(arg, problems)).collect();
    let text = |name: &'static str, problems: &mut Problems| {
        let arg = node.prop(name)?;
        Some((form::string(name, arg, problems)?.to_owned(), arg))
    };
    let region = text("region", problems).map(|(region, _)| region);
    let endpoint = text("endpoint", problems).and_then(|(url, arg)| endpoint(url, arg, problems));
    let anonymous = node.prop("anonymous").and_then(|arg| form::boolean("anonymous", arg, problems)).unwrap_or(false);
    (problems.len() == before).then_some(Objects { patterns, region, endpoint, anonymous })
}

fn address(arg: &Arg, problems: &mut Problems) -> Option<ObjectAddress> {
    let (scheme, rest) = form::address(arg.value.as_str()?)?;
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

/// What to write in place of a scheme that nothing is read from.
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
        || "it reads s3://, gs://, az://, http:// and https://; copy other files to this machine first".to_owned(),
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
