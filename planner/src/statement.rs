//! Statements of SQL stages and asserts: where they are in the texts, and where in a text a part of one is.

use std::ops::Range;

use crate::place::Place;
use crate::syntax::{Arg, Node};

/// The node of a stage or an assert that holds a statement, or names the file of one.
pub(crate) const SQL: &str = "sql";
/// The property that names the file.
pub(crate) const FILE: &str = "file";

/// Whether nodes of a name may hold statements.
pub(crate) fn may_be_in(node: &str) -> bool {
    matches!(node, "stage" | "assert")
}

/// The node of a stage with several statements that has one of them.
pub(crate) const OUTPUT: &str = "output";

/// What stands before the bytes of a statement in the path of a problem.
const PATH: &str = "sql:";

/// How a problem names a part of a statement: `sql:7-12`, by its bytes.
pub fn statement_path(bytes: Range<usize>) -> String {
    format!("{PATH}{}-{}", bytes.start, bytes.end)
}

/// The part of a statement that a problem names.
pub(crate) fn part(path: &str) -> Option<Range<usize>> {
    let (start, end) = path.strip_prefix(PATH)?.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

/// The nodes of stages and asserts that name files of statements, each with the name.
pub(crate) fn files(nodes: &[Node]) -> Vec<&Arg> {
    let mut found = Vec::new();
    for node in nodes {
        let children = node.children.as_deref().unwrap_or_default();
        if may_be_in(&node.name) {
            let outputs = children.iter().filter(|child| child.name == OUTPUT).flat_map(|output| &output.children);
            let statements = children.iter().chain(outputs.flatten()).filter(|child| child.name == SQL);
            found.extend(statements.filter_map(|child| child.prop(FILE)));
        } else {
            found.extend(files(children));
        }
    }
    found
}

/// The place of a part of a value, which is written at `whole`. The whole place where the part can't be told, since a parameter
/// is in the value.
pub(crate) fn place_of(text: &str, whole: Place, value: &str, bytes: Range<usize>) -> Place {
    let written = &text[whole.start as usize..whole.end as usize];
    let Some(starts) = starts(written, value) else { return whole };
    let at = |byte: usize| starts.get(byte).copied().unwrap_or(written.len()) as u32;
    let (start, end) = (at(bytes.start), at(bytes.end.max(bytes.start + 1)));
    Place { start: whole.start + start, end: whole.start + end.max(start), ..whole }
}

/// Where each byte of a value is in what is written, and where its end is; none if that is not the value as it is.
fn starts(written: &str, value: &str) -> Option<Vec<usize>> {
    if written == value {
        return Some((0..=value.len()).collect());
    }
    let hashes = written.find(|letter| letter != '#')?;
    let quotes = if written[hashes..].starts_with("\"\"\"") { 3 } else { 1 };
    let inner = written.get(hashes + quotes..written.len().checked_sub(hashes + quotes)?)?;
    if !written[hashes..].starts_with('"') {
        return None;
    }
    let (lines, first) = if quotes == 3 { (inner.split_once('\n')?.1, inner.find('\n')? + 1) } else { (inner, 0) };
    let indent = if quotes == 3 { lines.rsplit('\n').next()? } else { "" };
    let mut reader = Reader { value, starts: Vec::with_capacity(value.len() + 1), end: 0 };
    let mut at = hashes + quotes + first;
    for line in lines.split_inclusive('\n') {
        let skipped = if line.starts_with(indent) { indent.len() } else { 0 };
        reader.line(&line[skipped..], at + skipped, hashes == 0)?;
        at += line.len();
    }
    let Reader { mut starts, end, .. } = reader;
    starts.push(end);
    (starts.len() == value.len() + 1).then_some(starts)
}

struct Reader<'a> {
    value: &'a str,
    starts: Vec<usize>,
    /// Behind what was matched last.
    end: usize,
}

impl Reader<'_> {
    /// Matches what is written in a line with the value.
    fn line(&mut self, line: &str, at: usize, has_escapes: bool) -> Option<()> {
        let mut rest = line;
        while let Some(letter) = rest.chars().next() {
            let here = at + line.len() - rest.len();
            let (written, is_escape) = match has_escapes && letter == '\\' {
                true => (escape(rest)?, true),
                false => (letter.len_utf8(), false),
            };
            rest = &rest[written..];
            let Some(due) = self.value[self.starts.len()..].chars().next() else {
                return rest.trim().is_empty().then_some(());
            };
            if is_escape && written > 1 && line[here - at + 1..].starts_with(char::is_whitespace) {
                continue;
            }
            if !is_escape && due != letter && !(due == '\n' && letter == '\r') {
                return None;
            }
            if letter != '\r' {
                self.starts.extend(std::iter::repeat_n(here, due.len_utf8()));
                self.end = here + written;
            }
        }
        Some(())
    }
}

/// Bytes of an escape at the beginning of a text: `\n`, `\u{1F600}`, or a backslash with the white space that it takes away.
fn escape(text: &str) -> Option<usize> {
    let after = &text[1..];
    match after.chars().next()? {
        'u' => Some(1 + after.find('}')? + 1),
        letter if letter.is_whitespace() => Some(1 + after.len() - after.trim_start().len()),
        letter => Some(1 + letter.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is at the place of a part of the value, as it is written.
    fn found<'a>(written: &'a str, value: &str, part: &str) -> &'a str {
        let start = value.find(part).unwrap();
        let whole = Place { file: 0, start: 2, end: written.len() as u32 + 2 };
        let place = place_of(&format!("  {written}"), whole, value, start..start + part.len());
        &written[place.start as usize - 2..place.end as usize - 2]
    }

    #[test]
    fn parts_are_found_in_every_way_to_write_a_text() {
        assert_eq!(found(r#""SELECT a, b""#, "SELECT a, b", "b"), "b");
        assert_eq!(found(r##"#"SELECT "a", b"#"##, "SELECT \"a\", b", "\"a\""), "\"a\"");
        assert_eq!(found(r#""SELECT \"ä\",\u{20}b""#, "SELECT \"ä\", b", "b"), "b");
        let lines = "\"\"\"\n    SELECT a,\n      b\n    FROM t\n    \"\"\"";
        assert_eq!(found(lines, "SELECT a,\n  b\nFROM t", "b"), "b");
        assert_eq!(found(lines, "SELECT a,\n  b\nFROM t", "t"), "t");
        let raw = "#\"\"\"\r\n  SELECT 'x\\n',\r\n  b\r\n  \"\"\"#";
        assert_eq!(found(raw, "SELECT 'x\\n',\nb", "b"), "b");
        assert_eq!(found("SELECT a", "SELECT a", "a"), "a");
    }

    #[test]
    fn a_value_that_is_not_as_written_has_one_place() {
        assert_eq!(found(r#""SELECT ${a}, b""#, "SELECT x, b", "b"), r#""SELECT ${a}, b""#);
        assert_eq!(found("bare", "other", "th"), "bare");
    }

    #[test]
    fn paths_are_read_back() {
        assert_eq!(part(&statement_path(7..12)), Some(7..12));
        assert_eq!(part("/columns/0"), None);
    }
}
