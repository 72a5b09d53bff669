//! Texts that are KDL, but surely not as they were meant. Bare words are texts, so that KDL takes what follows a
//! forgotten `;` for values, and single quotes for parts of a word.

use super::{Arg, Node};
use crate::diagnostic::{Problems, SyntaxProblem};

/// Nodes of a pipeline that may follow another on its line.
const NODES: [&str; 23] = [
    "files",
    "format",
    "compression",
    "schema",
    "column",
    "bad-rows",
    "in",
    "std",
    "wasm",
    "rust",
    "config",
    "cache",
    "isolate",
    "timeout",
    "memory",
    "file",
    "directory",
    "partition-by",
    "source",
    "stage",
    "assert",
    "on-failure",
    "sink",
];

/// Says what slipped in, in nodes and the blocks of nodes.
pub(super) fn find(nodes: &[Node], problems: &mut Problems) {
    for node in nodes {
        let mut values = node.args.iter().chain(node.props.iter().map(|prop| &prop.arg));
        if let Some(arg) = values.find(|arg| is_single_quoted(arg)) {
            problems.at(arg.place, SyntaxProblem::SingleQuotes);
        }
        if let Some(arg) = run_on(node) {
            problems.at(arg.place, SyntaxProblem::RunOn { word: arg.value.to_string() });
        }
        find(node.children.as_deref().unwrap_or_default(), problems);
    }
}

fn is_single_quoted(arg: &Arg) -> bool {
    arg.bare && arg.value.as_str().is_some_and(|text| text.starts_with('\''))
}

/// A bare word among values that is the name of a node and has a value or a block of its own behind it.
fn run_on(node: &Node) -> Option<&Arg> {
    let names_node = |arg: &Arg| arg.bare && arg.value.as_str().is_some_and(|text| NODES.contains(&text));
    let followed = node.args.windows(2).skip(1).find(|pair| names_node(&pair[0]) && !pair[1].bare);
    let last = || node.args.get(1..)?.last().filter(|arg| names_node(arg) && node.children.is_some());
    followed.map(|pair| &pair[0]).or_else(last)
}
