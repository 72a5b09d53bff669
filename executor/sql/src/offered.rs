//! What the engine reads past, and what it takes for something else: refused with the way out, or written so that it takes it for what it is.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::literals;
use crate::patterns;
use crate::problems::wrong;
use crate::rules::AT_TIME_ZONE;
use crate::synonyms;

/// Checks a statement, and rewrites `= ANY`, `<> ALL`, and patterns.
///
/// # Errors
/// That something is not offered, with its place and what to write instead.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    let Statement::Statement(query) = statement else { return Ok(()) };
    match query.visit(&mut Offered) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Offered;

impl VisitorMut for Offered {
    type Break = Box<DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        flow(check_query(query))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        flow(check_table(factor))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        rewrite_zone(expr);
        literals::rewrite(expr);
        let rewritten = check_chain(expr)
            .and_then(|()| rewrite_quantified(expr))
            .and_then(|()| patterns::rewrite(expr))
            .and_then(|()| synonyms::rewrite(expr));
        flow(rewritten)
    }
}

fn flow(result: Result<()>) -> ControlFlow<Box<DataFusionError>> {
    result.map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
}

/// The parts of a query are named here one by one, so that one of a newer parser is looked at.
fn check_query(query: &Query) -> Result<()> {
    let Query {
        with: _,
        body,
        order_by: _,
        limit_clause: _,
        fetch: _,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators: _,
    } = query;
    refuse(
        query.span(),
        &[
            (!locks.is_empty(), "FOR UPDATE"),
            (for_clause.is_some(), "FOR"),
            (settings.is_some(), "SETTINGS"),
            (format_clause.is_some(), "FORMAT"),
        ],
    )?;
    check_body(body)
}

fn refuse(span: Span, read_past: &[(bool, &str)]) -> Result<()> {
    match read_past.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => Err(wrong(format!("`{clause}` means nothing in a stage; leave it out"), span)),
        None => Ok(()),
    }
}

fn check_body(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            check_sets(*op, *set_quantifier, body.span())?;
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Select(select) => check_select(select),
        _ => Ok(()),
    }
}

fn check_select(select: &Select) -> Result<()> {
    let Select {
        select_token: _,
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude: _,
        into,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    refuse(
        select.span(),
        &[
            (select_modifiers.is_some(), "SELECT ..."),
            (top.is_some(), "TOP"),
            (into.is_some(), "INTO"),
            (!lateral_views.is_empty(), "LATERAL VIEW"),
            (prewhere.is_some(), "PREWHERE"),
            (!connect_by.is_empty(), "CONNECT BY"),
            (!cluster_by.is_empty(), "CLUSTER BY"),
            (!distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!sort_by.is_empty(), "SORT BY"),
            (value_table_mode.is_some(), "AS VALUE"),
        ],
    )?;
    from.iter().try_for_each(check_joins)
}

/// Where both sides of a join have a column under one name the engine gives the left one, which is null for rows of the right side alone.
fn check_joins(tables: &TableWithJoins) -> Result<()> {
    let loses = |operator: &JoinOperator| match operator {
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) | JoinOperator::FullOuter(on) => {
            matches!(on, JoinConstraint::Using(_) | JoinConstraint::Natural)
        }
        _ => false,
    };
    match tables.joins.iter().find(|join| loses(&join.join_operator)) {
        Some(join) => {
            let message = "`USING` and `NATURAL` of a right or full join are not offered; write `ON l.k = r.k`, and `coalesce(l.k, r.k)` for the column";
            Err(wrong(message.to_owned(), join.relation.span()))
        }
        None => Ok(()),
    }
}

/// The engine leaves as many equal rows as one side has.
fn check_sets(op: SetOperator, quantifier: SetQuantifier, span: Span) -> Result<()> {
    let is_counted = matches!(quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    if is_counted && op != SetOperator::Union {
        let message = format!(
            "`{op} ALL` is not offered; number equal rows on both sides, `row_number() OVER (PARTITION BY ...)` by all columns, and use `{op}`"
        );
        return Err(wrong(message, span));
    }
    Ok(())
}

/// The parts of a table are named here one by one, as those of a query.
fn check_table(factor: &TableFactor) -> Result<()> {
    let refused =
        |what: &str, instead: &str, span: Span| Err(wrong(format!("`{what}` is not offered; {instead}"), span));
    match factor {
        TableFactor::Table {
            name,
            alias: _,
            args: _,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path: _,
            sample,
            index_hints,
        } => {
            let by_hash = "take rows by a value of theirs, such as `WHERE id % 100 < 5`";
            let absent = "a table is an input of the stage, as it is";
            match () {
                () if sample.is_some() => refused("TABLESAMPLE", by_hash, name.span()),
                () if version.is_some() => refused("AS OF", absent, name.span()),
                () if *with_ordinality => refused("WITH ORDINALITY", "use `row_number()`", name.span()),
                () if !partitions.is_empty() => refused("PARTITION", absent, name.span()),
                () if !with_hints.is_empty() || !index_hints.is_empty() => {
                    refused("WITH", "there are no indexes and no locks", name.span())
                }
                () => Ok(()),
            }
        }
        TableFactor::NestedJoin { table_with_joins, .. } => check_joins(table_with_joins),
        TableFactor::Derived { sample: Some(_), subquery, .. } => {
            refused("TABLESAMPLE", "take rows by a value of theirs, such as `WHERE id % 100 < 5`", subquery.span())
        }
        TableFactor::Pivot { table, .. } => {
            let instead = "give each value a column, such as `sum(amount) FILTER (WHERE month = 1) AS january`";
            refused("PIVOT", instead, table.span())
        }
        TableFactor::Unpivot { table, .. } => {
            refused("UNPIVOT", "put the columns below each other with `UNION ALL`", table.span())
        }
        TableFactor::UNNEST { with_offset: true, with_offset_alias, .. } => {
            let span = with_offset_alias.as_ref().map_or_else(Span::empty, |alias: &Ident| alias.span);
            refused("WITH OFFSET", "use `row_number()`", span)
        }
        _ => Ok(()),
    }
}

/// The parser reads `a < b < c` as `(a < b) < c`, which is no SQL, and seldom what is meant.
fn check_chain(expr: &Expr) -> Result<()> {
    let compares = |op: &BinaryOperator| {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
    };
    match expr {
        Expr::BinaryOp { left, op, right: _ } if compares(op) => match &**left {
            Expr::BinaryOp { left: _, op: first, right: _ } if compares(first) => {
                let message = format!(
                    "`... {first} ... {op} ...` compares twice; put `AND` between two comparisons, or parentheses around the first"
                );
                Err(wrong(message, expr.span()))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The engine looks up the names of a quantified comparison in the wrong query. `IN` means the same where there is one for it.
fn rewrite_quantified(expr: &mut Expr) -> Result<()> {
    let (left, op, right, is_any) = match expr {
        Expr::AnyOp { left, compare_op, right, is_some: _ } => (left, compare_op, right, true),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, false),
        _ => return Ok(()),
    };
    let negated = match (&*op, is_any) {
        (BinaryOperator::Eq, true) => Some(false),
        (BinaryOperator::NotEq, false) => Some(true),
        _ => None,
    };
    if let (Expr::Array(Array { elem, named: _ }), Some(negated)) = (&**right, negated)
        && !elem.is_empty()
    {
        *expr = Expr::InList { expr: left.clone(), list: elem.clone(), negated };
        return Ok(());
    }
    let Expr::Subquery(subquery) = &**right else { return Ok(()) };
    let Some(negated) = negated else {
        let quantifier = if is_any { "ANY" } else { "ALL" };
        let message = format!(
            "`{op} {quantifier} (SELECT ...)` is not offered; compare with one value, `{op} (SELECT max(...) ...)` or `min`, or use `EXISTS`"
        );
        return Err(wrong(message, left.span()));
    };
    *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated };
    Ok(())
}

/// The engine takes `AT TIME ZONE` for a cast that keeps the zone.
fn rewrite_zone(expr: &mut Expr) {
    if let Expr::AtTimeZone { timestamp, time_zone } = expr {
        let args = [timestamp, time_zone]
            .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(std::mem::replace(arg, Expr::value(Value::Null)))));
        let args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        });
        *expr = Expr::Function(Function {
            name: ObjectName::from(vec![Ident::with_quote('"', AT_TIME_ZONE)]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args,
            filter: None,
            null_treatment: None,
            over: None,
            within_group: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::parse;

    fn rewritten(text: &str) -> Result<String> {
        let mut statement = parse(text)?;
        rewrite(&mut statement)?;
        Ok(statement.to_string())
    }

    #[test]
    fn a_column_of_both_sides_is_not_lost() {
        for (text, is_offered) in [
            ("l FULL JOIN r USING (k)", false),
            ("l RIGHT JOIN r USING (k)", false),
            ("l NATURAL FULL OUTER JOIN r", false),
            ("(l RIGHT OUTER JOIN r USING (k)) JOIN s USING (k)", false),
            ("l LEFT JOIN r USING (k)", true),
            ("l NATURAL JOIN r", true),
            ("l FULL JOIN r ON l.k = r.k", true),
        ] {
            let statement = rewritten(&format!("SELECT * FROM {text}"));
            assert_eq!(statement.is_ok(), is_offered, "{text}: {statement:?}");
        }
    }

    #[test]
    fn quantified_comparisons_are_in_or_refused() {
        for (text, is) in [
            ("a = ANY (SELECT b FROM u)", Some("a IN (SELECT b FROM u)")),
            ("a = SOME (SELECT b FROM u)", Some("a IN (SELECT b FROM u)")),
            ("a <> ALL (SELECT b FROM u)", Some("a NOT IN (SELECT b FROM u)")),
            ("a = ANY (ARRAY[1, 2])", Some("a IN (1, 2)")),
            ("a <> ALL (ARRAY[1, b])", Some("a NOT IN (1, b)")),
            ("a = ANY (b)", Some("a = ANY(b)")),
            ("a > ANY (SELECT b FROM u)", None),
            ("a = ALL (SELECT b FROM u)", None),
            ("a <> ANY (SELECT b FROM u)", None),
        ] {
            let done = rewritten(&format!("SELECT a FROM t WHERE {text}"));
            let expected = is.map(|is| format!("SELECT a FROM t WHERE {is}"));
            assert_eq!(done.ok(), expected, "{text}");
        }
    }

    #[test]
    fn comparisons_in_a_row_are_refused() {
        for text in ["a < b < c", "a = b = c", "c AND a <> b = c", "(a + b) <= c > d"] {
            let said = rewritten(&format!("SELECT {text} FROM t")).expect_err(text).strip_backtrace();
            assert!(said.contains("compares twice"), "{text}: {said}");
        }
        for text in ["(a < b) = c", "a < b AND b < c", "a = (b = c)", "a IS NULL = b"] {
            assert!(rewritten(&format!("SELECT {text} FROM t")).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_the_engine_reads_past_is_refused() {
        for text in [
            "SELECT a FROM t EXCEPT ALL SELECT a FROM u",
            "SELECT a FROM t UNION SELECT a FROM u INTERSECT ALL SELECT a FROM v",
            "SELECT a FROM (SELECT a FROM t EXCEPT ALL SELECT a FROM u) x",
            "WITH x AS (SELECT a FROM t TABLESAMPLE SYSTEM (10)) SELECT * FROM x",
            "SELECT * FROM t PIVOT (sum(a) FOR b IN ('x', 'y')) AS p",
            "SELECT * FROM (SELECT a, b FROM t) AS u UNPIVOT (v FOR k IN (a, b)) AS p",
            "SELECT a FROM t FOR UPDATE",
            "SELECT a FROM t WITH ORDINALITY",
            "SELECT a FROM t START WITH a = 1 CONNECT BY PRIOR a = b",
            "SELECT a INTO u FROM t",
        ] {
            let said = rewritten(text).expect_err(text).strip_backtrace();
            assert!(said.contains("is not offered") || said.contains("means nothing"), "{text}: {said}");
        }
        for text in ["SELECT a FROM t UNION ALL SELECT a FROM u", "SELECT a FROM t EXCEPT SELECT a FROM u"] {
            assert_eq!(rewritten(text).unwrap(), text);
        }
    }
}
