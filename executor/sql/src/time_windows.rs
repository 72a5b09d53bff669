//! `TUMBLE`, `HOP` and `SESSION` in a `FROM`: tables with two columns more, `window_start` and `window_end`. They are rewritten to queries
//! before anything is planned, so that all that is known of queries holds for them.

use std::ops::ControlFlow;

use arrow_cast::parse::parse_interval_month_day_nano;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, SetExpr, Spanned, TableAlias,
    TableFactor, TableFunctionArgs, Value, VisitMut, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::DuckDbDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{self, Tokenizer};

use crate::problems::wrong;

/// In how many windows of `HOP` a row may be.
const MOST_WINDOWS: i128 = 1000;
const NANOS_OF_DAY: i128 = 86_400_000_000_000;

/// Names that stand for what the author wrote, in the queries below.
const TABLE: &str = "flowc table";
const TIME: &str = "flowc time";
const SIZE: &str = "flowc size";
const SLIDE: &str = "flowc slide";
const KEY: &str = "flowc key";

/// Rewrites all windows of a statement.
///
/// # Errors
/// If one is not written as it must be, with its place.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    let Statement::Statement(query) = statement else { return Ok(()) };
    match query.visit(&mut Windows) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Windows;

impl VisitorMut for Windows {
    type Break = Box<DataFusionError>;

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        match rewritten(factor) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(query)) => {
                *factor = query;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// A kind of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tumble,
    Hop,
    Session,
}

impl Kind {
    fn named(name: &ObjectName) -> Option<Self> {
        match name.to_string().to_lowercase().as_str() {
            "tumble" => Some(Self::Tumble),
            "hop" => Some(Self::Hop),
            "session" => Some(Self::Session),
            _ => None,
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Tumble => "TUMBLE(t, time, INTERVAL '10' MINUTES)",
            Self::Hop => "HOP(t, time, INTERVAL '5' MINUTES, INTERVAL '10' MINUTES): every 5 minutes one of 10",
            Self::Session => {
                "SESSION(t, time, INTERVAL '10' MINUTES, user): rows of a user with less than 10 minutes between them"
            }
        }
    }
}

/// The query that a table is, if it is one of windows.
fn rewritten(factor: &TableFactor) -> Result<Option<TableFactor>> {
    let TableFactor::Table { name, alias, args: Some(TableFunctionArgs { args, .. }), .. } = factor else {
        return Ok(None);
    };
    let Some(kind) = Kind::named(name) else { return Ok(None) };
    let wrong = |span| wrong(format!("windows are written so: {}", kind.example()), span);
    let args = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        other => Err(wrong(other.span())),
    });
    let args: Vec<&Expr> = args.collect::<Result<_>>()?;
    let (lengths, keys) = match (kind, &args[..]) {
        (Kind::Tumble, [_, _, size]) => (vec![*size], &[][..]),
        (Kind::Hop, [_, _, slide, size]) => (vec![*size, *slide], &[][..]),
        (Kind::Session, [_, _, gap, keys @ ..]) => (vec![*gap], keys),
        _ => return Err(wrong(name.span())),
    };
    let of = Rows::of(args[0]).ok_or_else(|| wrong(args[0].span()))?;
    let lengths = lengths.into_iter().map(Length::of).collect::<Result<Vec<_>>>()?;
    let text = match (kind, &lengths[..]) {
        (Kind::Hop, [size, slide]) => hop(size, slide)?,
        (Kind::Session, _) => session(keys.len()),
        _ => tumble(),
    };
    let mut query = template(&text)?;
    let fillers = Fillers { of: &of, time: time(args[1]), lengths: &lengths, keys };
    fillers.fill(&mut query)?;
    let alias = alias.clone().or_else(|| Some(named(of.name.clone()?)));
    Ok(Some(TableFactor::Derived { lateral: false, subquery: Box::new(query), alias, sample: None }))
}

/// The time of rows; as in other dialects, `DESCRIPTOR(time)` is one, too.
fn time(expr: &Expr) -> &Expr {
    if let Expr::Function(call) = expr
        && call.name.to_string().eq_ignore_ascii_case("descriptor")
        && let FunctionArguments::List(list) = &call.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(time))] = &list.args[..]
    {
        return time;
    }
    expr
}

fn named(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

/// What windows are made of: a table, or a query in parentheses.
struct Rows {
    factor: TableFactor,
    name: Option<Ident>,
}

impl Rows {
    fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Identifier(name) => {
                let factor = TableFactor::Table {
                    name: ObjectName::from(vec![name.clone()]),
                    alias: None,
                    args: None,
                    with_hints: Vec::new(),
                    version: None,
                    with_ordinality: false,
                    partitions: Vec::new(),
                    json_path: None,
                    sample: None,
                    index_hints: Vec::new(),
                };
                Some(Self { factor, name: Some(name.clone()) })
            }
            Expr::Subquery(query) => {
                let subquery = query.clone();
                let factor = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
                Some(Self { factor, name: None })
            }
            _ => None,
        }
    }
}

/// How long something is.
struct Length {
    expr: Expr,
    span: tokenizer::Span,
    months: i32,
    nanos: i128,
}

impl Length {
    fn of(expr: &Expr) -> Result<Self> {
        let refused =
            || wrong("the length of a window is an interval: `INTERVAL '10' MINUTES`".to_owned(), expr.span());
        let Expr::Interval(interval) = expr else { return Err(refused()) };
        let Expr::Value(value) = &*interval.value else { return Err(refused()) };
        let (Value::SingleQuotedString(number) | Value::Number(number, _)) = &value.value else {
            return Err(refused());
        };
        let text = match &interval.leading_field {
            Some(unit) => format!("{number} {unit}"),
            None => number.clone(),
        };
        let length = parse_interval_month_day_nano(&text).map_err(|_| refused())?;
        let nanos = i128::from(length.days) * NANOS_OF_DAY + i128::from(length.nanoseconds);
        let is_positive = length.months >= 0 && nanos >= 0 && (length.months > 0) != (nanos > 0);
        if !is_positive {
            let message = "a window has a length of months, or of days, hours and what is below; more than nothing";
            return Err(wrong(message.to_owned(), expr.span()));
        }
        Ok(Self { expr: expr.clone(), span: expr.span(), months: length.months, nanos })
    }
}

fn tumble() -> String {
    format!(
        "SELECT *, date_bin(\"{SIZE}\", \"{TIME}\") AS window_start, date_bin(\"{SIZE}\", \"{TIME}\") + \"{SIZE}\" AS window_end \
         FROM \"{TABLE}\" WHERE \"{TIME}\" IS NOT NULL"
    )
}

/// Each row is in those windows that begin at its last slide and at those before it, as far as they reach.
fn hop(size: &Length, slide: &Length) -> Result<String> {
    if let Some(length) = [size, slide].into_iter().find(|length| length.months > 0) {
        return Err(wrong(
            "months differ in length: write the lengths of `HOP` in days or less".to_owned(),
            length.span,
        ));
    }
    let windows = (size.nanos + slide.nanos - 1) / slide.nanos;
    if windows > MOST_WINDOWS {
        let message = format!("each row would be in {windows} windows; the most is {MOST_WINDOWS}");
        return Err(wrong(message, slide.span));
    }
    let begin = |back: i128| {
        let nanos = back * slide.nanos;
        let (days, seconds, nanos) =
            (nanos / NANOS_OF_DAY, nanos % NANOS_OF_DAY / 1_000_000_000, nanos % 1_000_000_000);
        let length = format!("{days} days {seconds}.{nanos:09} seconds");
        format!("date_bin(\"{SLIDE}\", \"{TIME}\") - INTERVAL '{length}'")
    };
    let begins: Vec<String> = (0..windows).map(begin).collect();
    // Where windows are no multiple of slides, the first may end too early.
    let reaches =
        if size.nanos % slide.nanos == 0 { "" } else { "WHERE \"flowc time\" < window_start + \"flowc size\"" };
    Ok(format!(
        "SELECT *, window_start + \"{SIZE}\" AS window_end FROM (SELECT *, unnest(make_array({})) AS window_start \
         FROM \"{TABLE}\" WHERE \"{TIME}\" IS NOT NULL) AS \"{TABLE}\" {reaches}",
        begins.join(", ")
    ))
}

/// A session begins with each row that is not within the gap of the one before; rows of one time are in one session.
fn session(keys: usize) -> String {
    let keys: Vec<String> = (0..keys).map(|key| format!("\"{KEY} {key}\"")).collect();
    let by = |more: &[&str]| {
        let columns = keys.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>().join(", ");
        if columns.is_empty() { columns } else { format!("PARTITION BY {columns} ") }
    };
    let (rows, of_session) = (by(&[]), by(&["\"flowc session\""]));
    let begins = format!(
        "SELECT *, CASE WHEN \"{TIME}\" < lag(\"{TIME}\") OVER ({rows}ORDER BY \"{TIME}\") + \"{SIZE}\" THEN 0 ELSE 1 END \
         AS \"flowc begins\" FROM \"{TABLE}\" WHERE \"{TIME}\" IS NOT NULL"
    );
    let numbered = format!(
        "SELECT *, sum(\"flowc begins\") OVER ({rows}ORDER BY \"{TIME}\" RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) \
         AS \"flowc session\" FROM ({begins}) AS \"{TABLE}\""
    );
    format!(
        "SELECT * EXCLUDE (\"flowc begins\", \"flowc session\"), min(\"{TIME}\") OVER ({of_session}) AS window_start, \
         max(\"{TIME}\") OVER ({of_session}) + \"{SIZE}\" AS window_end FROM ({numbered}) AS \"{TABLE}\""
    )
}

/// A query of this module. Its words have no places in the author's text.
fn template(text: &str) -> Result<Query> {
    let dialect = DuckDbDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize();
    let tokens = tokens.map_err(|error| internal_datafusion_err!("{error}"))?;
    let query = Parser::new(&dialect).with_tokens(tokens).parse_query();
    query.map(|query| *query).map_err(|error| internal_datafusion_err!("{error}"))
}

/// What the author wrote.
struct Fillers<'a> {
    of: &'a Rows,
    time: &'a Expr,
    lengths: &'a [Length],
    keys: &'a [&'a Expr],
}

impl Fillers<'_> {
    /// Puts it into its places.
    fn fill(&self, query: &mut Query) -> Result<()> {
        let mut tables = Tables(self.of);
        let _ = query.visit(&mut tables);
        let filled = visit_expressions_mut(query, |expr| {
            if let Expr::Identifier(name) = expr
                && let Some(written) = self.written(&name.value)
            {
                *expr = written.clone();
            }
            ControlFlow::<()>::Continue(())
        });
        match (filled, &*query.body) {
            (ControlFlow::Continue(()), SetExpr::Select(_)) => Ok(()),
            _ => Err(internal_datafusion_err!("windows are no query")),
        }
    }

    fn written(&self, name: &str) -> Option<&Expr> {
        match name {
            TIME => Some(self.time),
            SIZE => self.lengths.first().map(|length| &length.expr),
            SLIDE => self.lengths.get(1).map(|length| &length.expr),
            other => {
                let number: usize = other.strip_prefix(KEY)?.trim().parse().ok()?;
                self.keys.get(number).copied()
            }
        }
    }
}

/// Puts the table in the place of its name, and its name in those of aliases.
struct Tables<'a>(&'a Rows);

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, .. } if name.to_string() == format!("\"{TABLE}\"") => {
                *factor = self.0.factor.clone();
            }
            TableFactor::Derived { alias, .. } if alias.as_ref().is_some_and(|alias| alias.name.value == TABLE) => {
                *alias = self.0.name.clone().map(named);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;
    use crate::dialect::DIALECT;

    fn parsed(text: &str) -> Statement {
        DFParser::parse_sql_with_dialect(text, DIALECT).unwrap().pop_front().unwrap()
    }

    /// What is wrong with windows, and where.
    fn said(windows: &str) -> (String, String) {
        let text = format!("SELECT * FROM {windows}");
        let error = rewrite(&mut parsed(&text)).unwrap_err();
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        let place = span.map_or("", |span| &text[span.start.column as usize - 1..span.end.column as usize - 1]);
        (error.strip_backtrace(), place.to_owned())
    }

    #[test]
    fn windows_that_are_none_say_how_they_are_written() {
        let cases = [
            ("TUMBLE(t, at)", "TUMBLE(t, time, INTERVAL '10' MINUTES)", "TUMBLE"),
            ("HOP(t, at, INTERVAL '1' DAY)", "every 5 minutes one of 10", "HOP"),
            ("TUMBLE(1 + 2, at, INTERVAL '1' DAY)", "TUMBLE(t, time", "1 + 2"),
            ("TUMBLE(t, at, 10)", "is an interval", "10"),
            ("TUMBLE(t, at, INTERVAL '-1' DAY)", "more than nothing", "INTERVAL '-1' DAY"),
            ("SESSION(t, at, INTERVAL 'soon')", "is an interval", "INTERVAL 'soon'"),
            ("HOP(t, at, INTERVAL '1' MONTH, INTERVAL '2' MONTH)", "months differ in length", "INTERVAL '2' MONTH"),
            ("HOP(t, at, INTERVAL '1' SECOND, INTERVAL '1' DAY)", "in 86400 windows", "INTERVAL '1' SECOND"),
        ];
        for (windows, message, place) in cases {
            let found = said(windows);
            assert!(found.0.contains(message), "{windows}: {}", found.0);
            assert!(!found.1.is_empty() && place.contains(&found.1), "{windows}: at {}", found.1);
        }
    }

    #[test]
    fn other_tables_stay_as_they_are() {
        let text = "SELECT * FROM t, generate_series(1, 3) AS s";
        let mut statement = parsed(text);
        rewrite(&mut statement).unwrap();
        assert_eq!(statement.to_string(), text);
    }
}
