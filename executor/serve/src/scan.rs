//! Statements that are no more than the rows of a table: `SELECT * FROM words LIMIT 10`. They need no engine.

use crate::results::{CATALOG, SCHEMA};

/// The rows of a table, all or the first ones, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) table: String,
    pub(crate) limit: u64,
}

/// What a statement asks for, if it is `SELECT * FROM table`, with `LIMIT` at most. Whatever else it says is for the engine,
/// mistakes too.
pub(crate) fn scan(statement: &str) -> Option<Scan> {
    let mut words = Words(statement);
    for due in ["select", "*", "from"] {
        words.next()?.is(due).then_some(())?;
    }
    let mut path = vec![words.next()?.name()?];
    let mut next = words.next();
    while next == Some(Word::Sign('.')) {
        path.push(words.next()?.name()?);
        next = words.next();
    }
    let mut limit = u64::MAX;
    if next.as_ref().is_some_and(|word| word.is("limit")) {
        let Word::Plain(number) = words.next()? else { return None };
        limit = number.parse().ok()?;
        next = words.next();
    }
    if next == Some(Word::Sign(';')) {
        next = words.next();
    }
    let table = path.pop()?;
    let is_here = match path.as_slice() {
        [] => true,
        [schema] => schema == SCHEMA,
        [catalog, schema] => catalog == CATALOG && schema == SCHEMA,
        _ => false,
    };
    (next.is_none() && is_here).then_some(Scan { table, limit })
}

/// Whether a statement would write something.
pub(crate) fn is_writing(statement: &str) -> bool {
    const WRITING: [&str; 10] =
        ["insert", "update", "delete", "create", "drop", "alter", "truncate", "merge", "copy", "replace"];
    Words(statement).next().is_some_and(|first| WRITING.iter().any(|word| first.is(word)))
}

/// A part of a statement.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// A word, a keyword or a number.
    Plain(String),
    /// What was in double quotes.
    Quoted(String),
    Sign(char),
}

impl Word {
    fn is(&self, due: &str) -> bool {
        match self {
            Word::Plain(word) => word.eq_ignore_ascii_case(due),
            Word::Sign(sign) => due.chars().eq([*sign]),
            Word::Quoted(_) => false,
        }
    }

    /// As a name. Those without quotes are taken in lower case.
    fn name(self) -> Option<String> {
        match self {
            Word::Plain(word) if word.starts_with(|first: char| !first.is_ascii_digit()) => Some(word.to_lowercase()),
            Word::Quoted(name) => Some(name),
            Word::Plain(_) | Word::Sign(_) => None,
        }
    }
}

struct Words<'s>(&'s str);

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let rest = self.0.trim_start();
        let first = rest.chars().next()?;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, rest) = quoted.split_once('"')?;
            // A quote within a name is written twice: that is for the engine.
            if rest.starts_with('"') {
                self.0 = "";
                return Some(Word::Sign('"'));
            }
            self.0 = rest;
            return Some(Word::Quoted(name.to_owned()));
        }
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, rest) = rest.split_at(length);
        self.0 = rest;
        Some(if is_part(first) { Word::Plain(word.to_owned()) } else { Word::Sign(first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_table_are_told_from_queries() {
        let rows = |table: &str, limit| Some(Scan { table: table.to_owned(), limit });
        for (statement, due) in [
            ("SELECT * FROM words", rows("words", u64::MAX)),
            ("select*from Words ;", rows("words", u64::MAX)),
            ("SELECT * FROM \"Words.x\"\nLIMIT 10", rows("Words.x", 10)),
            ("SELECT * FROM flowc.public.\"words\" limit 0;", rows("words", 0)),
            ("SELECT * FROM public.words", rows("words", u64::MAX)),
            ("SELECT * FROM other.words", None),
            ("SELECT * FROM a, b", None),
            ("SELECT * FROM words w", None),
            ("SELECT * FROM words LIMIT 10 OFFSET 2", None),
            ("SELECT * FROM words LIMIT -1", None),
            ("SELECT * FROM words; SELECT 1", None),
            ("SELECT * FROM words -- all", None),
            ("SELECT * FROM \"a\"\"b\"", None),
            ("SELECT * FROM \"words", None),
            ("SELECT * FROM 1", None),
            ("SELECT a FROM words", None),
            ("SELECT", None),
            ("", None),
        ] {
            assert_eq!(scan(statement), due, "{statement}");
        }
    }

    #[test]
    fn what_writes_is_told_by_its_first_word() {
        assert!(is_writing(" delete FROM words") && is_writing("CREATE TABLE a (b int)"));
        assert!(!is_writing("SELECT 'delete'") && !is_writing("\"delete\"") && !is_writing(""));
    }
}
