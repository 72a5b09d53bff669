//! What is wrong with a kernel, with the place in its text.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use flowc_planner::catalogue::{KERNEL_COLUMNS, Problem};
use naga::Span;

/// The text of a kernel, under the path by which its author knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As in the pipeline.
    pub path: Arc<str>,
    /// The WGSL text.
    pub text: Arc<str>,
}

impl Source {
    /// A text under a path.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> u32 {
        let before = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// What naga has marked, if naga knows where it is.
    pub(crate) fn excerpt(&self, span: Span, label: impl Into<String>) -> Option<Excerpt> {
        let range = span.to_range().filter(|range| range.end <= self.text.len());
        range.map(|span| Excerpt { source: self.clone(), span, label: label.into() })
    }

    /// The line of what naga has marked, if naga knows where it is.
    pub(crate) fn line_of(&self, span: Span) -> Option<u32> {
        span.to_range().map(|range| self.line(range.start))
    }
}

/// A part of a text, with what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The text.
    pub source: Source,
    /// The bytes that are marked.
    pub span: Range<usize>,
    /// What is said of them; may be empty.
    pub label: String,
}

impl std::fmt::Display for Excerpt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = &*self.source.text;
        let start = floor(text, self.span.start);
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let column = text[begin..start].chars().count() + 1;
        let (begin, end) = (near(text, begin, start.saturating_sub(AROUND)), floor(text, end.min(start + AROUND)));
        let (line, before) = (text[begin..end].trim_end(), &text[begin..start]);
        let marked = &text[start..floor(text, self.span.end).clamp(start, end)];
        let number = self.source.line(start);
        // Tabs stay tabs, so that the marks are below what they mark.
        let blank: String = before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
        let marks = "^".repeat(marked.trim_end().chars().count().max(1));
        let margin = " ".repeat(number.to_string().len());
        writeln!(f, "{margin} {}:{number}:{column}", self.source.path)?;
        writeln!(f, "{number} | {line}")?;
        write!(f, "{margin} | {}", format!("{blank}{marks} {}", self.label).trim_end())
    }
}

/// Bytes of a long line that are shown before and after what is marked.
const AROUND: usize = 100;

/// Where the part of a line begins that is shown.
fn near(text: &str, begin: usize, wanted: usize) -> usize {
    if wanted <= begin { begin } else { floor(text, wanted) }
}

/// The last boundary of characters that is not after a byte.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Something wrong with a kernel, or with how it fits columns and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where in the kernel's text.
    pub excerpt: Option<Box<Excerpt>>,
    /// JSON pointer to the setting of the stage that is at fault: `/config/rate`, `/bind/x`, `/gives/due`, `/drops/0`.
    pub setting: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(crate) fn in_setting(self, pointer: impl Into<String>) -> Self {
        Self { setting: Some(pointer.into()), ..self }
    }

    /// Marks a part of the text, if naga knows where it is.
    pub(crate) fn at(self, source: &Source, span: Span, label: impl Into<String>) -> Self {
        Self { excerpt: source.excerpt(span, label).map(Box::new), ..self }
    }

    /// As the planner takes it: the place in the text becomes part of the message, the setting a path.
    pub fn into_problem(self) -> Problem {
        let mut message = self.message;
        if let Some(excerpt) = &self.excerpt {
            // Writing to a text does not fail.
            let _ = write!(message, "\n{excerpt}");
        }
        let config_path = self.setting.map(|pointer| match pointer.strip_prefix("/config") {
            Some(of_config) => of_config.to_owned(),
            None => format!("{KERNEL_COLUMNS}{pointer}"),
        });
        Problem { message, help: self.help, config_path, ..Problem::default() }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(setting) = &self.setting {
            write!(f, "\nsetting: {setting}")?;
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Several problems as one, as the planner takes them.
pub fn problem(all: Vec<Diagnostic>) -> Problem {
    let mut problems = all.into_iter().map(Diagnostic::into_problem);
    let first = problems.next().unwrap_or_default();
    Problem { also: problems.collect(), ..first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_marks_a_part_of_one_line() {
        let source = Source::new("a.wgsl", "fn a() {\n\tlet é = ü;\n}\n");
        let at = source.text.find('ü').unwrap_or_default();
        let excerpt = Excerpt { source, span: at..at + 2, label: "unknown".to_owned() };
        assert_eq!(excerpt.to_string(), "  a.wgsl:2:10\n2 | \tlet é = ü;\n  | \t        ^ unknown");
    }

    #[test]
    fn an_excerpt_of_the_end_marks_something() {
        let source = Source::new("a.wgsl", "é");
        for span in [0..0, 1..1, 2..2, 1..2, 0..9] {
            let shown = Excerpt { source: source.clone(), span, label: String::new() }.to_string();
            assert!(shown.ends_with('^'), "{shown}");
        }
    }

    #[test]
    fn a_config_fault_keeps_its_path() {
        let of_config = Diagnostic::new("too large").in_setting("/config/rate").into_problem();
        assert_eq!(of_config.config_path.as_deref(), Some("/rate"));
        let of_columns = Diagnostic::new("unknown").in_setting("/drops/0").into_problem();
        assert_eq!(of_columns.config_path.unwrap(), "kernel:/drops/0");
    }
}
