//! KDL text to nodes of our own, with places. The only module that knows the `kdl` crate.

use std::collections::HashSet;

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use miette::SourceSpan;

use crate::diagnostic::{Problems, SyntaxProblem};
use crate::text::Place;

/// Deeper blocks are refused: the parser is recursive, and no pipeline needs them.
const DEEPEST: usize = 64;
/// Places count bytes in 32 bits.
const LONGEST: usize = 1 << 30;

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
        problems.at(Place { file, start: 0, end: 0 }, SyntaxProblem::TooLong);
        return Vec::new();
    }
    if let Some(at) = too_deep(text) {
        problems.at(reader.place(at, 1), SyntaxProblem::TooDeep { limit: DEEPEST });
        return Vec::new();
    }
    match KdlDocument::parse(text) {
        Ok(document) => reader.nodes(document, problems),
        Err(error) => {
            for found in error.diagnostics {
                let message = found.message.unwrap_or_else(|| "this is not KDL".to_owned());
                let help = found.help;
                problems.at(reader.span(found.span), SyntaxProblem::Kdl { message, help });
            }
            Vec::new()
        }
    }
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
        Arg { value: value(entry.value()), place }
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
    let mut seen = HashSet::new();
    for prop in props.iter().filter(|prop| !seen.insert(prop.name.as_str())) {
        problems.at(prop.arg.place, SyntaxProblem::RepeatedProperty { name: prop.name.clone() });
    }
}

/// Where blocks or block comments become too deep. Strings and comments are passed over; in text that is not KDL the
/// count may be off, but never so that a deep nest of blocks alone passes.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'"' | b'#' if string_length(rest) > 0 => at += string_length(rest) - 1,
            b'/' if rest.starts_with(b"//") => at += memchr(rest, b'\n').unwrap_or(rest.len()) - 1,
            b'/' if rest.starts_with(b"/*") => match comment_length(rest) {
                Some(length) => at += length - 1,
                None => return Some(at),
            },
            _ => {}
        }
        if depth > DEEPEST {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn memchr(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == wanted)
}

/// Length of the string that the bytes start with: quoted, multi-line or raw; 0 if there is none that ends.
fn string_length(bytes: &[u8]) -> usize {
    let hashes = bytes.iter().take_while(|&&byte| byte == b'#').count();
    let quotes = if bytes[hashes..].starts_with(b"\"\"\"") { 3 } else { 1 };
    if bytes.get(hashes) != Some(&b'"') {
        return 0;
    }
    let mut at = hashes + quotes;
    while at < bytes.len() {
        let closes = bytes[at..].len() >= quotes + hashes
            && bytes[at..at + quotes].iter().all(|&byte| byte == b'"')
            && bytes[at + quotes..at + quotes + hashes].iter().all(|&byte| byte == b'#');
        match bytes[at] {
            _ if closes => return at + quotes + hashes,
            b'\\' if hashes == 0 => at += 2,
            b'\n' if quotes == 1 => return 0,
            _ => at += 1,
        }
    }
    0
}

/// Length of a block comment; none when comments in it are too deep.
fn comment_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        match depth {
            0 => return Some(at),
            _ if depth > DEEPEST => return None,
            _ => {}
        }
    }
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_strings_and_comments_do_not_nest() {
        let many = "{".repeat(200);
        for text in [
            format!("a \"{many}\""),
            format!("a #\"{many}\"#"),
            format!("a \"\"\"\n{many}\n\"\"\""),
            format!("// {many}\na"),
            format!("/* {many} */ a"),
            format!("a \"\\\"{many}\""),
        ] {
            let mut problems = Problems::default();
            assert_eq!(parse(&text, 0, &mut problems).len(), 1, "{text}: {problems:?}");
            assert!(problems.is_empty());
        }
    }

    #[test]
    fn what_would_overflow_the_parser_is_refused() {
        for text in ["a {".repeat(100_000), "/*".repeat(100_000), "a { /- b {".repeat(100_000)] {
            let mut problems = Problems::default();
            assert!(parse(&text, 0, &mut problems).is_empty());
            assert_eq!(problems.len(), 1);
        }
    }
}
