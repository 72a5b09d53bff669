//! What a node may hold, as a table, and how values are taken from it with their types checked.

use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem, nearest, suggest};
use crate::syntax::{Arg, Node, Value};

/// What a node may hold.
pub(crate) struct Form {
    pub(crate) takes: Takes,
    pub(crate) props: &'static [&'static str],
    pub(crate) children: Children,
}

/// How many arguments; with an example of the node.
pub(crate) enum Takes {
    Nothing,
    One(&'static str),
    AtLeast(usize, &'static str),
    /// Any number, checked elsewhere.
    Any,
}

/// Which children a node may have.
#[derive(Clone, Copy)]
pub(crate) enum Children {
    None,
    /// Each at most once.
    Once(&'static [&'static str]),
    /// Any number of these.
    Many(&'static [&'static str]),
    /// Those of the first list at most once, and any number of the others.
    OnceAndMany(&'static [&'static str], &'static [&'static str]),
    /// Any: the reader of the node checks them.
    Unchecked,
}

impl Children {
    /// Whether one of this name may be there.
    pub(crate) fn has(self, name: &str) -> bool {
        let (once, many) = self.known();
        once.contains(&name) || many.contains(&name)
    }

    /// Those that may be there at most once, and those that may be repeated.
    fn known(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Children::None | Children::Unchecked => (&[], &[]),
            Children::Once(once) => (once, &[]),
            Children::Many(many) => (&[], many),
            Children::OnceAndMany(once, many) => (once, many),
        }
    }
}

impl Form {
    pub(crate) const LEAF: Self = Self { takes: Takes::Nothing, props: &[], children: Children::None };

    /// Says what does not belong in a node, and which arguments are missing. `within` names the node with an article.
    pub(crate) fn check(&self, node: &Node, within: &str, problems: &mut Problems) {
        self.check_args(node, problems);
        for prop in node.props.iter().filter(|prop| !self.props.contains(&prop.name.as_str())) {
            let help = suggest(&prop.name, self.props.iter().copied());
            let (node, name) = (node.name.clone(), prop.name.clone());
            problems.at(prop.arg.place, ShapeProblem::UnknownProperty { node, name, help });
        }
        self.check_children(node, within, problems);
    }

    fn check_args(&self, node: &Node, problems: &mut Problems) {
        let (least, most, example) = match self.takes {
            Takes::Nothing => (0, 0, ""),
            Takes::One(example) => (1, 1, example),
            Takes::AtLeast(least, example) => (least, usize::MAX, example),
            Takes::Any => return,
        };
        let name = || node.name.clone();
        if node.args.len() < least {
            let needs = if least == most { "one value" } else { "at least one value" }.to_owned();
            problems.at(node.place, ShapeProblem::MissingArgument { node: name(), needs, example });
        }
        if let Some(extra) = node.args.get(most) {
            let takes = if most == 0 { "no values" } else { "one value" }.to_owned();
            problems.at(extra.place, extra_argument(node, extra, takes));
        }
    }

    /// Says which children do not belong in a node.
    pub(crate) fn check_children(&self, node: &Node, within: &str, problems: &mut Problems) {
        let Some(children) = &node.children else { return };
        match self.children {
            Children::Unchecked => return,
            Children::None => {
                return problems.at(node.place, ShapeProblem::ExtraBlock { node: node.name.clone() });
            }
            _ => {}
        }
        let (once, many) = self.children.known();
        for (i, child) in children.iter().enumerate() {
            let name = || child.name.clone();
            if many.contains(&child.name.as_str()) {
                continue;
            }
            if !once.contains(&child.name.as_str()) {
                problems.at(child.place, unknown_node(child, within, &[once, many].concat()));
            } else if let Some(first) = children[..i].iter().find(|c| c.name == child.name) {
                let problem = ShapeProblem::RepeatedNode { node: name() };
                problems.with(child.place, problem, first.place, "first given here");
            }
        }
    }
}

/// A value too many. One without quotes may be meant as a node.
pub(crate) fn extra_argument(node: &Node, extra: &Arg, takes: String) -> ShapeProblem {
    let help = extra.bare.then(|| format!("if `{}` is a node of its own, put `;` before it", extra.value));
    ShapeProblem::ExtraArgument { node: node.name.clone(), takes, help }
}

/// Two lists of names as one.
pub(crate) const fn joined<const N: usize>(first: &[&'static str], second: &[&'static str]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut next = 0;
    while next < N {
        names[next] = if next < first.len() { first[next] } else { second[next - first.len()] };
        next += 1;
    }
    names
}

/// A node that means nothing where it is.
pub(crate) fn unknown_node(node: &Node, within: &str, known: &[&str]) -> ShapeProblem {
    let help = suggest(&node.name, known.iter().copied());
    ShapeProblem::UnknownNode { node: node.name.clone(), within: within.to_owned(), help }
}

/// Whether a child that is not known was meant to be one of the wanted: that it is missing has been said then.
pub(crate) fn is_misspelt(node: &Node, children: Children, wanted: &[&str]) -> bool {
    let (once, many) = children.known();
    let known = [once, many].concat();
    let mut unknown = node.children.iter().flatten().filter(|child| !known.contains(&child.name.as_str()));
    unknown.any(|child| nearest(&child.name, known.iter().copied()).is_some_and(|name| wanted.contains(&name)))
}

/// A text.
pub(crate) fn string<'a>(what: &str, arg: &'a Arg, problems: &mut Problems) -> Option<&'a str> {
    if let Value::String(text) = &arg.value {
        return Some(text);
    }
    wrong_type(what, "a text", arg, Some(format!("write it in quotes: \"{}\"", arg.value)), problems);
    None
}

/// A text that names a file or a folder. `remedy` says what to do where it is the address of something elsewhere.
pub(crate) fn path<'a>(what: &str, arg: &'a Arg, remedy: &str, problems: &mut Problems) -> Option<&'a str> {
    let text = string(what, arg, problems)?;
    let Some((scheme, rest)) = address(text) else { return Some(text) };
    let help = match scheme.eq_ignore_ascii_case("file") && rest.starts_with('/') {
        true => format!("name the path alone: \"{rest}\""),
        false => remedy.to_owned(),
    };
    problems.at(arg.place, PlaceProblem::Address { scheme: scheme.to_owned(), help });
    None
}

/// The scheme of an address, and what follows `://`.
pub(crate) fn address(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    named.then_some((scheme, rest))
}

/// An integer.
pub(crate) fn integer(what: &str, arg: &Arg, problems: &mut Problems) -> Option<i128> {
    if let Value::Integer(number) = arg.value {
        return Some(number);
    }
    wrong_type(what, "an integer", arg, None, problems);
    None
}

/// `#true` or `#false`.
pub(crate) fn boolean(what: &str, arg: &Arg, problems: &mut Problems) -> Option<bool> {
    if let Value::Bool(flag) = arg.value {
        return Some(flag);
    }
    let help = "write it with `#` and without quotes".to_owned();
    wrong_type(what, "`#true` or `#false`", arg, Some(help), problems);
    None
}

/// Says that a value is of the wrong type. `expected` has an article.
pub(crate) fn wrong_type(what: &str, expected: &'static str, arg: &Arg, help: Option<String>, problems: &mut Problems) {
    if arg.value != Value::Unknown {
        let found = arg.value.described();
        problems.at(arg.place, ShapeProblem::ValueType { what: what.to_owned(), expected, found, help });
    }
}

/// The single argument of a child that is there once, with its form checked. `example` shows the child.
pub(crate) fn only_arg<'a>(
    node: &'a Node,
    child: &str,
    example: &'static str,
    problems: &mut Problems,
) -> Option<&'a Arg> {
    let child = node.child(child)?;
    Form { takes: Takes::One(example), ..Form::LEAF }.check(child, &child.name, problems);
    child.args.first()
}

/// A child with one text.
pub(crate) fn child_string<'a>(
    node: &'a Node,
    child: &str,
    example: &'static str,
    problems: &mut Problems,
) -> Option<(&'a str, &'a Arg)> {
    let arg = only_arg(node, child, example, problems)?;
    Some((string(child, arg, problems)?, arg))
}

/// A child with one path.
pub(crate) fn child_path<'a>(
    node: &'a Node,
    child: &str,
    example: &'static str,
    remedy: &str,
    problems: &mut Problems,
) -> Option<(&'a str, &'a Arg)> {
    let arg = only_arg(node, child, example, problems)?;
    Some((path(child, arg, remedy, problems)?, arg))
}

/// A value of the right type that makes no sense.
pub(crate) fn bad_value(what: &'static str, arg: &Arg, help: impl Into<String>, problems: &mut Problems) {
    let (value, help) = (arg.value.to_string(), Some(help.into()));
    problems.at(arg.place, ShapeProblem::BadValue { what, value, help });
}
