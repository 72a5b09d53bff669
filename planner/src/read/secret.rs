//! `secret "API_TOKEN"`, with `env="VARIABLE"` or `file="path"` where its value is elsewhere.

use std::collections::{BTreeMap, HashMap};

use super::form::{self, Children, Form, Takes};
use crate::diagnostic::{Problems, ShapeProblem, StageProblem};
use crate::place::Place;
use crate::plan::{Code, SecretSource};
use crate::syntax::Node;

const FORM: Form =
    Form { takes: Takes::One("secret \"API_TOKEN\""), props: &["env", "file"], children: Children::None };

/// The secrets of a stage.
pub(super) fn read_all(
    node: &Node,
    stage: &str,
    code: Option<&Code>,
    problems: &mut Problems,
) -> BTreeMap<String, SecretSource> {
    let (mut secrets, mut places) = (BTreeMap::new(), HashMap::new());
    if let (Some(code), Some(first)) = (code.filter(|code| code.program().is_none()), node.child("secret")) {
        problems.at(first.place, StageProblem::NoSecrets { stage: stage.to_owned(), code: code.to_string() });
    }
    for child in node.all("secret") {
        FORM.check(child, "`secret`", problems);
        let source = source(child, problems);
        let Some((name, place)) = name(child, problems) else { continue };
        if let Some(&first) = places.get(name) {
            let problem = ShapeProblem::RepeatedNode { node: format!("secret \"{name}\"") };
            problems.with(place, problem, first, "first given here");
            continue;
        }
        places.insert(name, place);
        secrets.insert(name.to_owned(), source.unwrap_or_else(|| SecretSource::Env(name.to_owned())));
    }
    secrets
}

/// One secret: its name, and where its value is.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<(String, SecretSource)> {
    read_with(node, FORM.props, problems)
}

/// The same, where the node may have these properties.
pub(super) fn read_with(
    node: &Node,
    props: &'static [&'static str],
    problems: &mut Problems,
) -> Option<(String, SecretSource)> {
    Form { props, ..FORM }.check(node, "`secret`", problems);
    let source = source(node, problems);
    let (name, _) = name(node, problems)?;
    Some((name.to_owned(), source.unwrap_or_else(|| SecretSource::Env(name.to_owned()))))
}

fn name<'a>(child: &'a Node, problems: &mut Problems) -> Option<(&'a str, Place)> {
    let arg = child.args.first()?;
    let name = form::string("secret", arg, problems)?;
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        form::bad_value("name of a secret", arg, "letters, digits and `_`, no digit first: \"API_TOKEN\"", problems);
        return None;
    }
    Some((name, arg.place))
}

/// Where its value is, if the text says so.
fn source(child: &Node, problems: &mut Problems) -> Option<SecretSource> {
    let env = child.prop("env").and_then(|arg| Some((form::string("env", arg, problems)?, arg)));
    let remedy = "name a file of this machine, or a variable of flowc's environment: env=\"API_TOKEN\"";
    let file = child.prop("file").and_then(|arg| Some((form::path("file", arg, remedy, problems)?, arg)));
    if let (Some((_, first)), Some((_, second))) = (env, file) {
        problems.with(second.place, StageProblem::TwoSecretSources, first.place, "the other is here");
    }
    match (env, file) {
        (Some((variable, arg)), _) if variable.is_empty() || variable.contains(['=', '\0']) => {
            form::bad_value("environment variable", arg, "its name alone: env=\"API_TOKEN\"", problems);
            None
        }
        (Some((variable, _)), _) => Some(SecretSource::Env(variable.to_owned())),
        (None, Some(("", arg))) => {
            form::bad_value("file", arg, "a path, from the pipeline's folder: file=\"secrets/token\"", problems);
            None
        }
        (None, Some((path, _))) => Some(SecretSource::File(path.to_owned())),
        (None, None) => None,
    }
}
