//! KDL text to nodes of our own, with places. The only module that knows the `kdl` crate.

mod mistakes;
mod nesting;
mod slips;

use std::collections::HashMap;

use kdl::{KdlDocument, KdlEntry, KdlError, KdlNode, KdlValue};
use miette::SourceSpan;

use crate::diagnostic::{Problems, SyntaxProblem};
use crate::place::Place;

/// Bytes of the longest text. A pipeline of a hundred thousand stages has fewer.
const LONGEST: usize = 16 << 20;

/// Bytes of stack for the parser, beside those for the text.
const STACK: usize = 4 << 20;
/// Bytes of stack for each byte of the text: at what it does not expect, and at each star and slash in a comment, the parser
/// calls itself and goes on with the rest.
const STACK_PER_BYTE: usize = 1 << 10;

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Of the name.
    pub(crate) place: Place,
    pub(crate) args: Vec<Arg>,
    pub(crate) props: Vec<Prop>,
    pub(crate) children: Option<Vec<Node>>,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arg {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// Whether it is a text without quotes.
    pub(crate) bare: bool,
}

/// A named value; its place spans name and value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prop {
    pub(crate) name: String,
    pub(crate) arg: Arg,
}

/// A KDL value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Null,
    /// A parameter without a value stood here. That has been said; nothing more is.
    Unknown,
}

impl Value {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// For messages: "the integer 5".
    pub(crate) fn described(&self) -> String {
        match self {
            Value::String(text) => format!("the text {text:?}"),
            Value::Integer(number) => format!("the integer {number}"),
            Value::Float(number) => format!("the number {number:?}"),
            Value::Bool(flag) => format!("#{flag}"),
            Value::Null => "#null".to_owned(),
            Value::Unknown => "an unknown value".to_owned(),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::String(text) => f.write_str(text),
            Value::Integer(number) => number.fmt(f),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Bool(flag) => flag.fmt(f),
            Value::Null => f.write_str("null"),
            Value::Unknown => f.write_str("?"),
        }
    }
}

impl Node {
    /// The children with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().flatten().filter(move |child| child.name == name)
    }

    /// The first child with this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().flatten().find(|child| child.name == name)
    }

    /// The property with this name.
    pub(crate) fn prop(&self, name: &str) -> Option<&Arg> {
        self.props.iter().find(|prop| prop.name == name).map(|prop| &prop.arg)
    }
}

/// The nodes of a text. A text with syntax errors has none: guesses about the rest would mislead.
pub(crate) fn parse(text: &str, file: u32, problems: &mut Problems) -> Vec<Node> {
    let reader = Reader { text, file };
    if text.len() > LONGEST {
        problems.at(Place { file, start: 0, end: 0 }, SyntaxProblem::TooLong { limit: LONGEST });
        return Vec::new();
    }
    if let Some(at) = nesting::too_deep(text) {
        problems.at(reader.place(at, 1), SyntaxProblem::TooDeep { limit: nesting::DEEPEST });
        return Vec::new();
    }
    let Some(parsed) = on_stack(text) else {
        problems.at(Place { file, start: 0, end: 0 }, SyntaxProblem::TooLong { limit: LONGEST });
        return Vec::new();
    };
    match parsed {
        Ok(document) => {
            let nodes = reader.nodes(document, problems);
            let before = problems.len();
            slips::find(&nodes, problems);
            if problems.len() == before { nodes } else { Vec::new() }
        }
        Err(error) => {
            for (span, problem) in mistakes::mistakes(text, error.diagnostics) {
                problems.at(reader.span(span), problem);
            }
            Vec::new()
        }
    }
}

/// Parses a text with as much stack as it may need; none if the system does not give so much.
fn on_stack(text: &str) -> Option<Result<KdlDocument, KdlError>> {
    let stack = STACK + text.len() * STACK_PER_BYTE;
    std::thread::scope(|scope| {
        let parse = move || KdlDocument::parse(text);
        let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, parse).ok()?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic)).ok()
    })
}

struct Reader<'a> {
    text: &'a str,
    file: u32,
}

impl Reader<'_> {
    fn nodes(&self, document: KdlDocument, problems: &mut Problems) -> Vec<Node> {
        document.nodes().iter().map(|node| self.node(node, problems)).collect()
    }

    fn node(&self, node: &KdlNode, problems: &mut Problems) -> Node {
        let place = self.span(node.name().span());
        if let Some(ty) = node.ty() {
            problems.at(place, SyntaxProblem::Annotation { name: ty.value().to_owned() });
        }
        let (mut args, mut props) = (Vec::new(), Vec::new());
        for entry in node.entries() {
            let arg = self.arg(entry, problems);
            match entry.name() {
                Some(name) => props.push(Prop { name: name.value().to_owned(), arg }),
                None => args.push(arg),
            }
        }
        repeated_properties(&props, problems);
        let children = node.children().map(|c| c.nodes().iter().map(|child| self.node(child, problems)).collect());
        Node { name: node.name().value().to_owned(), place, args, props, children }
    }

    fn arg(&self, entry: &KdlEntry, problems: &mut Problems) -> Arg {
        let place = self.span(entry.span());
        if let Some(ty) = entry.ty() {
            problems.at(place, SyntaxProblem::Annotation { name: ty.value().to_owned() });
        }
        let written = entry.format().map_or("", |format| format.value_repr.as_str());
        let bare = entry.value().is_string() && !written.starts_with(['"', '#']);
        Arg { value: value(entry.value()), place, bare }
    }

    fn span(&self, span: SourceSpan) -> Place {
        self.place(span.offset(), span.len())
    }

    /// Within the text and on the bounds of characters, whatever the parser says.
    fn place(&self, start: usize, length: usize) -> Place {
        let start = self.text.floor_char_boundary(start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(start.saturating_add(length).min(self.text.len()));
        Place { file: self.file, start: start as u32, end: end as u32 }
    }
}

fn value(value: &KdlValue) -> Value {
    match value {
        KdlValue::String(text) => Value::String(text.clone()),
        KdlValue::Integer(number) => Value::Integer(*number),
        KdlValue::Float(number) => Value::Float(*number),
        KdlValue::Bool(flag) => Value::Bool(*flag),
        KdlValue::Null => Value::Null,
    }
}

fn repeated_properties(props: &[Prop], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for prop in props {
        if let Some(first) = seen.insert(prop.name.as_str(), prop.arg.place) {
            let problem = SyntaxProblem::RepeatedProperty { name: prop.name.clone() };
            problems.with(prop.arg.place, problem, first, "first given here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts at which the parser goes one call deeper for each piece: it would overflow a thread's usual stack.
    #[test]
    fn no_text_takes_more_stack_than_there_is() {
        const MANY: usize = 20_000;
        let pieces = [
            "(", ")", "{", "}", "()", "[", "]", "=", ";", ",", "\\", "/-", "/- a ", "*", "/", "#", "\"", "\"a\"", "(a",
            "a=", "a=(", "\u{feff}", "r\"", "\\\n", "/*", "*/", "//", "-", "+", "0x", "#true", "@",
        ];
        for piece in pieces {
            let many = piece.repeat(MANY);
            let closing = ")".repeat(MANY);
            let texts = [many.clone(), format!("a {many}"), format!("a {many}{closing}"), format!("a /* {many} */ b")];
            for text in texts {
                let mut problems = Problems::default();
                parse(&text, 0, &mut problems);
            }
        }
    }

    #[test]
    fn parentheses_without_end_are_a_mistake() {
        for many in [10_000, 50_000] {
            let mut problems = Problems::default();
            let text = format!("a {}{}", "(".repeat(many), ")".repeat(many));
            assert!(parse(&text, 0, &mut problems).is_empty());
            assert!(!problems.is_empty());
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        let mut problems = Problems::default();
        assert!(parse(&"a\n".repeat(LONGEST / 2 + 1), 0, &mut problems).is_empty());
        assert_eq!(problems.len(), 1);
    }
}
