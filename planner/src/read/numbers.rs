//! What a stage says of the numbers of its kernel: `numeric "portable" abs=1e-6 rel=1e-5`, `reference "scored-cpu"`.

use super::form::{self, Children, Form, Takes};
use crate::diagnostic::{Problems, ShapeProblem, StageProblem};
use crate::place::Place;
use crate::plan::{Claim, Code, Tolerance};
use crate::syntax::{Node, Value};

/// The nodes.
pub(super) const NODES: [&str; 2] = [NUMERIC, REFERENCE];
const NUMERIC: &str = "numeric";
const REFERENCE: &str = "reference";

const EXAMPLE: &str = "numeric \"portable\" abs=1e-6";
/// The properties of what is portable.
const DISTANCES: [&str; 2] = ["abs", "rel"];

/// What a stage says of its kernel's numbers.
#[derive(Debug, Default)]
pub(crate) struct NumbersDecl {
    /// What it claims.
    pub(crate) claim: Option<Claim>,
    /// The stage that computes the same, for comparison.
    pub(crate) reference: Option<(String, Place)>,
}

impl NumbersDecl {
    pub(super) fn read(node: &Node, stage: &str, code: Option<&Code>, problems: &mut Problems) -> Self {
        let first = node.children.iter().flatten().find(|child| NODES.contains(&&*child.name));
        if let (Some(first), Some(code)) = (first, code.filter(|code| !code.is_kernel())) {
            let (stage, node, code) = (stage.to_owned(), first.name.clone(), code.to_string());
            problems.at(first.place, StageProblem::NoNumbers { stage, node, code });
            return Self::default();
        }
        let reference = node.child(REFERENCE).and_then(|child| {
            Form { takes: Takes::One("reference \"scored-cpu\""), ..Form::LEAF }.check(child, "`reference`", problems);
            let arg = child.args.first()?;
            Some((form::string(REFERENCE, arg, problems)?.to_owned(), arg.place))
        });
        Self { claim: node.child(NUMERIC).and_then(|child| claim(child, problems)), reference }
    }
}

fn claim(node: &Node, problems: &mut Problems) -> Option<Claim> {
    Form { takes: Takes::One(EXAMPLE), props: &DISTANCES, children: Children::None }.check(node, "`numeric`", problems);
    let arg = node.args.first()?;
    let distances = DISTANCES.map(|name| distance(node, name, problems));
    match (form::string(NUMERIC, arg, problems)?, distances) {
        ("exact", [None, None]) => Some(Claim::Exact),
        ("exact", _) => {
            form::bad_value(
                "claim with a distance",
                arg,
                "what is exact has none: leave `abs` and `rel` out",
                problems,
            );
            None
        }
        ("portable", [None, None]) if node.props.is_empty() => {
            let (node, needs) = (node.name.clone(), "how far numbers may be from each other".to_owned());
            problems.at(arg.place, ShapeProblem::MissingArgument { node, needs, example: EXAMPLE });
            None
        }
        ("portable", [abs, rel]) => {
            Some(Claim::Portable(Tolerance { abs: abs.unwrap_or_default(), rel: rel.unwrap_or_default() }))
        }
        _ => {
            let help =
                "`\"portable\"` with `abs` or `rel`, or `\"exact\"`; without `numeric` flowc says what is proven";
            form::bad_value("claim", arg, help, problems);
            None
        }
    }
}

/// A distance: a number that is not below zero.
fn distance(node: &Node, name: &str, problems: &mut Problems) -> Option<f64> {
    let arg = node.prop(name)?;
    let number = match arg.value {
        Value::Integer(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    let found = number.filter(|number| number.is_finite() && *number >= 0.0);
    if found.is_none() {
        form::wrong_type(name, "a number from 0", arg, Some("as in `abs=1e-6`".to_owned()), problems);
    }
    found
}
