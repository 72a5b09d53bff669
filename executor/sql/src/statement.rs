//! A statement's text.

use std::collections::BTreeSet;

use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::dialect::DIALECT;
use crate::time_windows;

/// How deep a statement may be nested.
const DEEPEST: usize = 200;

/// The one query of a text.
///
/// # Errors
/// If it is no SQL, or something else than one query.
pub(crate) fn parse(text: &str) -> Result<Statement> {
    let builder = DFParserBuilder::new(text).with_dialect(DIALECT).with_recursion_limit(DEEPEST);
    let mut statements = builder.build()?.parse_statements()?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => plan_err!("there is no statement"),
        (Some(_), 1..) => {
            plan_err!("there are several statements; a stage has one: put the others into stages of their own")
        }
        (Some(Statement::Statement(statement)), 0) if matches!(*statement, ast::Statement::Query(_)) => {
            Ok(Statement::Statement(statement))
        }
        (Some(_), 0) => plan_err!("a stage runs a query: `SELECT ...` or `WITH ... SELECT ...`"),
    }
}

/// The names of the tables that a text reads, without those that it makes itself (`WITH`).
///
/// # Errors
/// As [`parse`], or if windows are not written as they must be.
pub(crate) fn tables(text: &str) -> Result<BTreeSet<String>> {
    let mut statement = parse(text)?;
    time_windows::rewrite(&mut statement)?;
    let (tables, _) = resolve_table_references(&statement, true)?;
    Ok(tables.iter().map(|table| table.table().to_owned()).collect())
}

/// The text without what changes nothing: comments, white space, the case of what is not in quotes. The text itself where it
/// would be read as something else then.
///
/// # Errors
/// As [`parse`].
pub(crate) fn normal(text: &str) -> Result<String> {
    parse(text)?;
    let lower = lower(&tokens(text)?);
    let plain: String = lower.iter().map(|token| format!("{token} ")).collect();
    let is_same = tokens(&plain).is_ok_and(|again| self::lower(&again) == lower);
    match parse(&plain).map(|statement| (statement.to_string(), statement)) {
        Ok((normal, statement)) if is_same && parse(&normal).is_ok_and(|again| again == statement) => Ok(normal),
        _ => Ok(text.to_owned()),
    }
}

/// The tokens that mean something, words without quotes in lower case, as the engine takes them.
fn lower(tokens: &[Token]) -> Vec<Token> {
    let meaning = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_)));
    let lower = meaning.map(|token| match token {
        Token::Word(word) if word.quote_style.is_none() => Token::make_word(&word.value.to_lowercase(), None),
        other => other.clone(),
    });
    lower.collect()
}

/// The tokens of a text, with escapes as they are written.
fn tokens(text: &str) -> Result<Vec<Token>> {
    let tokens = Tokenizer::new(DIALECT, text).with_unescape(false).tokenize();
    tokens.map_err(|error| DataFusionError::SQL(Box::new(error.into()), None))
}

/// The names of the parameters in a text: `$day` is `day`.
///
/// # Errors
/// If the text is no SQL.
pub(crate) fn parameters(text: &str) -> Result<BTreeSet<String>> {
    let name = |token| match token {
        Token::Placeholder(name) => Some(name.trim_start_matches('$').to_owned()),
        _ => None,
    };
    Ok(tokens(text)?.into_iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_changes_nothing_is_not_in_the_normal_form() {
        let plain = normal("SELECT a, sum(b) AS total FROM t WHERE c = 'x  y' GROUP BY a").unwrap();
        let other = "select A,\n  Sum(b) as total -- how much\nfrom t /* all */ where c='x  y'\ngroup by a";
        assert_eq!(normal(other).unwrap(), plain);
        assert_ne!(normal(&other.replace("x  y", "x y")).unwrap(), plain);
        assert_ne!(normal(&other.replace("total", "\"Total\"")).unwrap(), plain);
    }

    #[test]
    fn a_stage_has_one_query() {
        for text in ["", "SELECT 1; SELECT 2", "DROP TABLE t", "INSERT INTO t VALUES (1)", "EXPLAIN SELECT 1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("WITH a AS (SELECT 1) SELECT * FROM a;").is_ok());
    }

    #[test]
    fn tables_are_those_that_the_statement_does_not_make() {
        let text = "WITH w AS (SELECT * FROM flowc.public.Words) SELECT * FROM w JOIN \"Other\" o ON true WHERE 1 IN (SELECT 2 FROM x)";
        assert_eq!(tables(text).unwrap(), names(&["Other", "words", "x"]));
        assert!(tables("SELECT 1").unwrap().is_empty());
        let text = "WITH a AS (SELECT * FROM T) SELECT (SELECT max(x) FROM \"U\") AS m, w.k FROM a JOIN TUMBLE(w, at, INTERVAL '1' DAY) \
                    ON a.k = w.k WHERE a.k IN (SELECT k FROM v) AND a.t > 1";
        assert_eq!(tables(text).unwrap(), names(&["U", "t", "v", "w"]));
        assert_eq!(tables("WITH t AS (SELECT * FROM t) SELECT * FROM t").unwrap(), names(&["t"]));
    }

    #[test]
    fn parameters_are_found_outside_of_texts() {
        let names = parameters("SELECT $day, '$no' FROM t WHERE a > $least -- $neither").unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["day", "least"]);
    }
}
