//! What the engine finds wrong with a statement, as problems with their places in it.

use std::ops::Range;

use datafusion::common::{Column, DataFusionError, Diagnostic, SchemaError, Span};
use datafusion::sql::sqlparser::tokenizer;
use flowc_planner::catalogue::Problem;
use flowc_planner::{statement_path, suggest};

use crate::absent;

/// All that an error says is wrong with a statement.
pub(crate) fn problems(error: &DataFusionError, statement: &str, tables: &[String]) -> Vec<Problem> {
    match error {
        DataFusionError::Collection(errors) => {
            errors.iter().flat_map(|error| problems(error, statement, tables)).collect()
        }
        error => vec![problem(error, statement, tables)],
    }
}

/// What is said of a statement, in words that are for people.
#[derive(Debug)]
struct Refusal(String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// A mistake in a statement, at its place.
pub(crate) fn wrong(message: String, span: tokenizer::Span) -> DataFusionError {
    let error = DataFusionError::External(Box::new(Refusal(message.clone())));
    match Span::try_from_sqlparser_span(span) {
        Some(span) => error.with_diagnostic(Diagnostic::new_error(message, Some(span))),
        None => error,
    }
}

/// Problems of a text that nobody sees.
pub(crate) fn misplaced(problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| Problem { config_path: None, ..problem }).collect()
}

/// Several problems as one that has the others along with it.
pub(crate) fn together(problems: Vec<Problem>) -> Problem {
    let mut problems = problems.into_iter();
    let first = problems.next().unwrap_or_default();
    Problem { also: problems.collect(), ..first }
}

fn problem(error: &DataFusionError, statement: &str, tables: &[String]) -> Problem {
    let (message, help) = words(error, tables);
    let is_parsed = !matches!(error.find_root(), DataFusionError::SQL(..));
    let help = help.or_else(|| match unquoted(statement, tables) {
        Some(table) if !is_parsed => {
            Some(format!("write \"{table}\" in double quotes: names without them are of letters, digits and `_`"))
        }
        _ => None,
    });
    let place = match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => Some(bytes(statement, span)),
        None => match position(&message) {
            Some((line, column)) => Some(word(statement, offset(statement, line, column))),
            None => named(&message, statement),
        },
    };
    let config_path = place.or_else(|| (!statement.is_empty()).then_some(0..statement.trim_end().len()));
    Problem {
        message: without_position(&message),
        help,
        config_path: config_path.map(statement_path),
        ..Problem::default()
    }
}

/// What is wrong, and what to do.
fn words(error: &DataFusionError, tables: &[String]) -> (String, Option<String>) {
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = &**schema
    {
        return missing_column(field, valid_fields);
    }
    if let DataFusionError::External(refusal) = error.find_root()
        && let Some(Refusal(message)) = refusal.downcast_ref()
    {
        return (message.clone(), None);
    }
    let said = error.find_root().strip_backtrace();
    let said = PREFIXES.iter().fold(said.as_str(), |said, prefix| said.strip_prefix(prefix).unwrap_or(said));
    if let Some(name) = said.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let name = name.rsplit('.').next().unwrap_or(name);
        let known: Vec<&str> = tables.iter().map(String::as_str).collect();
        let help = in_capitals(name, &known).or_else(|| suggest(name, known));
        return (format!("there is no table `{name}`: tables are the inputs of the stage, as `in` names them"), help);
    }
    if said.starts_with("Physical plan does not support logical expression InSubquery")
        || said.starts_with("Physical plan does not support logical expression Exists")
    {
        let message = "`IN` and `EXISTS` with a subquery stand in conditions (`WHERE`, `HAVING`, `QUALIFY`) alone; join the rows instead";
        return (message.to_owned(), None);
    }
    if let Some(refused) = refused_argument(said) {
        return (refused.to_owned(), None);
    }
    let (message, hint) = match said.split_once('\n') {
        Some((first, rest)) => (first, Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty())),
        None => (said, None),
    };
    if let Some(name) = message.strip_prefix("Invalid function '") {
        let name = name.trim_end_matches(['.', '\'']);
        let near = hint.as_deref().and_then(|hint| hint.strip_prefix("Did you mean '")?.strip_suffix("'?"));
        return (format!("there is no function `{name}`"), absent::instead(name, near));
    }
    // With help comes a message that is for people.
    let for_people = error.diagnostic().filter(|diagnostic| !diagnostic.helps.is_empty());
    let message = for_people.map_or(message, |diagnostic| diagnostic.message.as_str());
    let helps = error.diagnostic().map(|diagnostic| {
        let notes = diagnostic.notes.iter().map(|note| &note.message);
        notes.chain(diagnostic.helps.iter().map(|help| &help.message)).cloned().collect::<Vec<_>>().join("; ")
    });
    (quoted(message.to_owned()), hint.or(helps.filter(|helps| !helps.is_empty())).map(quoted))
}

/// What a function itself says of its arguments.
fn refused_argument(said: &str) -> Option<&str> {
    // The engine takes some mistakes for its own.
    if let Some((said, _)) =
        said.split_once(", errors: ").filter(|(said, _)| said.contains("failed to match any signature"))
    {
        return Some(said.trim_start_matches("Internal error: ").trim_start_matches("Error during planning: "));
    }
    let (_, said) = said.split_once("coercion failed with: Error during planning: ")?;
    Some(said.split_once(". No function matches").map_or(said, |(said, _)| said))
}

/// What errors of the engine begin with.
const PREFIXES: [&str; 8] = [
    "SQL error: ",
    "ParserError(\"",
    "Error during planning: ",
    "Schema error: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Optimizer rule 'simplify_expressions' failed\ncaused by\n",
    "Arrow error: ",
];

/// Names are in backquotes everywhere else. An apostrophe is between letters.
fn quoted(text: String) -> String {
    let text = text.replace("Did you mean", "did you mean");
    let is_letter =
        |at: Option<usize>| at.is_some_and(|at| text.as_bytes().get(at).is_some_and(u8::is_ascii_alphabetic));
    let letter = |(at, letter): (usize, char)| match letter {
        '\'' if !(is_letter(at.checked_sub(1)) && is_letter(Some(at + 1))) => '`',
        other => other,
    };
    text.char_indices().map(letter).collect()
}

fn missing_column(field: &Column, valid: &[Column]) -> (String, Option<String>) {
    let (name, table) = (field.name(), field.relation.as_ref());
    let of_table = |column: &&Column| table.is_none() || column.relation.as_ref() == table;
    let known: Vec<&str> = valid.iter().filter(of_table).map(|column| column.name()).collect();
    let known = if known.is_empty() { valid.iter().map(|column| column.name()).collect() } else { known };
    let message = match table {
        Some(table) => format!("there is no column `{name}` in `{table}`"),
        None => format!("there is no column `{name}`"),
    };
    let help = in_capitals(name, &known).or_else(|| suggest(name, known));
    (message, help)
}

/// A name that is known but for its capital letters.
fn in_capitals(name: &str, known: &[&str]) -> Option<String> {
    let meant = known.iter().find(|other| other.eq_ignore_ascii_case(name))?;
    let has_capitals = meant.chars().any(char::is_uppercase);
    has_capitals.then(|| format!("write \"{meant}\" in double quotes: names without them are taken in lower case"))
}

/// A table whose name is none without double quotes, and stands in a statement so.
fn unquoted<'t>(statement: &str, tables: &'t [String]) -> Option<&'t str> {
    let (statement, is_part) = (statement.to_lowercase(), |letter: char| letter.is_alphanumeric() || letter == '_');
    let stands = |table: &&String| {
        let table = table.to_lowercase();
        let quotes = |at: usize| statement[..at].ends_with(['"', '\'']);
        !table.chars().all(is_part) && statement.match_indices(&table).any(|(at, _)| !quotes(at))
    };
    tables.iter().find(stands).map(String::as_str)
}

/// The bytes of a span, which counts lines and characters from 1.
fn bytes(statement: &str, span: Span) -> Range<usize> {
    let start = offset(statement, span.start.line, span.start.column);
    let end = offset(statement, span.end.line, span.end.column);
    start..end.max(start)
}

fn offset(statement: &str, line: u64, column: u64) -> usize {
    let lines = statement.split_inclusive('\n').take((line as usize).saturating_sub(1));
    let start: usize = lines.map(str::len).sum();
    let characters = statement[start..].char_indices().nth((column as usize).saturating_sub(1));
    characters.map_or(statement.len(), |(at, _)| start + at)
}

/// The word that begins at a byte.
fn word(statement: &str, start: usize) -> Range<usize> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let rest = &statement[start..];
    let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
    start..start + length.max(rest.chars().next().map_or(0, char::len_utf8))
}

/// The first word of a statement that a message has in quotes.
fn named(message: &str, statement: &str) -> Option<Range<usize>> {
    let names = message.split(['`', '\'']).skip(1).step_by(2);
    let names = names.map(|name| name.trim_end_matches("()").to_lowercase()).filter(|name| !name.is_empty());
    let lower = statement.to_lowercase();
    // Letters that are longer in lower case are rare enough to do without a place.
    let mut names = names.filter(|_| lower.len() == statement.len());
    names.find_map(|name| {
        lower.match_indices(&name).map(|(start, _)| word(&lower, start)).find(|found| lower[found.clone()] == *name)
    })
}

/// Where a message of the parser ends with a position: `... at Line: 1, Column: 8`.
fn position(message: &str) -> Option<(u64, u64)> {
    let (_, position) = message.rsplit_once(" at Line: ")?;
    let (line, column) = position.split_once(", Column: ")?;
    let digits = column.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(column.len());
    Some((line.parse().ok()?, column[..digits].parse().ok()?))
}

fn without_position(message: &str) -> String {
    message.rsplit_once(" at Line: ").map_or(message, |(message, _)| message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let statement = "SELECT ä,\n  foo FROM t";
        assert_eq!(&statement[word(statement, offset(statement, 2, 3))], "foo");
        assert_eq!(&statement[word(statement, offset(statement, 1, 9))], ",");
        assert_eq!(offset(statement, 9, 9), statement.len());
        assert_eq!(position("Expected: x, found: FROM at Line: 2, Column: 14"), Some((2, 14)));
        assert_eq!(quoted("'a' can't be 'b'.".to_owned()), "`a` can't be `b`.");
        assert_eq!(named("`now()` is another time", statement), None);
        assert_eq!(named("no `x` in `Foo()`", statement).map(|found| &statement[found]), Some("foo"));
        assert_eq!(without_position("found: EOF at Line: 1, Column: 2"), "found: EOF");
    }
}
