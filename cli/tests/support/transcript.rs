//! The form of a transcript: a heading, then files and commands.

use std::fmt;

/// A whole transcript.
pub(crate) struct Transcript {
    /// What it shows.
    pub(crate) head: String,
    /// In order.
    pub(crate) parts: Vec<Part>,
}

/// A file to write, or a command to run with what it printed.
#[derive(Clone)]
pub(crate) enum Part {
    File { name: String, text: String },
    Command { line: String, output: String },
}

const MARK: &str = "=== ";

impl Transcript {
    /// Reads a transcript.
    pub(crate) fn parse(text: &str) -> Self {
        let mut head = String::new();
        let mut parts: Vec<Part> = Vec::new();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix(MARK) {
                Some(title) => parts.push(Part::titled(title.trim_end())),
                None => parts.last_mut().map_or(&mut head, Part::body).push_str(line),
            }
        }
        Self { head, parts }
    }
}

impl Part {
    fn titled(title: &str) -> Self {
        match (title.strip_prefix("file "), title.strip_prefix("$ ")) {
            (Some(name), _) => Part::File { name: name.to_owned(), text: String::new() },
            (_, Some(line)) => Part::Command { line: line.to_owned(), output: String::new() },
            _ => panic!("`{MARK}{title}` is neither `{MARK}file NAME` nor `{MARK}$ COMMAND`"),
        }
    }

    fn body(&mut self) -> &mut String {
        match self {
            Part::File { text, .. } => text,
            Part::Command { output, .. } => output,
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        self.parts.iter().try_for_each(|part| match part {
            Part::File { name, text } => write!(f, "{MARK}file {name}\n{text}"),
            Part::Command { line, output } => write!(f, "{MARK}$ {line}\n{output}"),
        })
    }
}
