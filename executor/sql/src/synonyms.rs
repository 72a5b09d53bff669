//! What other words say: written so that the engine knows it, or refused with the words that it has.

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Spanned, Value, ValueWithSpan,
};
use flowc_planner::nearest;

use crate::problems::wrong;

/// Functions that the engine does not have, and what says the same.
const ABSENT: &[(&[&str], &str)] = &[
    (&["isnull", "zeroifnull"], "`coalesce(a, b)` gives the first that is no null"),
    (&["if", "iff", "iif", "decode"], "write `CASE WHEN ... THEN ... ELSE ... END`"),
    (&["strftime", "date_format", "format_date", "to_varchar"], "`to_char(time, '%Y-%m-%d')` gives a text"),
    (
        &["strptime", "str_to_date", "parse_date", "parse_timestamp"],
        "use `to_timestamp(text, '%Y-%m-%d')` or `to_date`",
    ),
    (
        &["datediff", "date_diff", "timestampdiff", "timestamp_diff", "age", "months_between"],
        "subtract one from the other",
    ),
    (&["dateadd", "date_add", "adddate", "date_sub", "timestamp_add", "add_months"], "write `time + INTERVAL '1 day'`"),
    (&["last_day"], "write `date_trunc('month', day) + INTERVAL '1 month' - INTERVAL '1 day'`"),
    (
        &[
            "year",
            "quarter",
            "month",
            "week",
            "day",
            "hour",
            "minute",
            "second",
            "dayofweek",
            "dayofyear",
            "weekofyear",
        ],
        "write `extract(year FROM time)`",
    ),
    (&["len"], "use `length`"),
    (&["charindex", "locate"], "use `strpos(text, part)`"),
    (&["substring_index"], "use `split_part(text, ',', 1)`"),
    (&["group_concat", "listagg"], "use `string_agg(text, ',' ORDER BY text)`"),
    (&["regexp_extract", "regexp_substr"], "`regexp_match(text, pattern)[1]` is the first match"),
    (&["truncate"], "use `trunc`"),
    (&["quantile", "quantile_cont", "percentile"], "use `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`"),
    (&["arg_max", "argmax", "max_by"], "write `first_value(a ORDER BY b DESC)`"),
    (&["arg_min", "argmin", "min_by"], "write `first_value(a ORDER BY b)`"),
    (&["collect_list", "list", "array"], "use `array_agg`"),
    (&["countif", "count_if", "sumif", "sum_if"], "write `count(*) FILTER (WHERE ...)`"),
    (&["to_number", "int", "float", "str", "todouble", "toint"], "write `CAST(... AS ...)`"),
    (&["width_bucket"], "`floor((x - low) / (high - low) * buckets) + 1` is the bucket of x"),
    (&["format", "printf", "sprintf"], "put texts together with `||` or `concat`"),
    (&["md5", "sha1", "sha256", "sha512", "digest", "hash"], "a stage in Python or Rust has digests"),
    (
        &[
            "json_extract",
            "json_extract_string",
            "json_value",
            "json_query",
            "get_json_object",
            "json_extract_path",
            "json_extract_path_text",
            "jsonb_extract_path",
            "jsonb_extract_path_text",
            "json_array_elements",
            "jsonb_array_elements",
            "json_object_keys",
            "jsonb_object_keys",
            "parse_json",
            "json_build_object",
            "jsonb_build_object",
            "to_json",
            "to_jsonb",
            "row_to_json",
        ],
        PARSE_JSON,
    ),
];

/// How a document becomes columns.
const PARSE_JSON: &str = "the standard stage `parse-json@1` makes columns of documents, before a stage in SQL";

/// What to write in the place of a function that there is none of: what says the same, or the name that was meant.
pub(crate) fn instead(name: &str, near: Option<&str>) -> Option<String> {
    let name = name.to_lowercase();
    match ABSENT.iter().find(|(names, _)| names.contains(&name.as_str())) {
        Some((_, instead)) => Some((*instead).to_owned()),
        None => nearest(&name, near).map(|near| format!("did you mean `{near}`?")),
    }
}

/// Writes an expression in words that the engine knows.
///
/// # Errors
/// If there are none, with its place and what to do.
pub(crate) fn rewrite(expr: &mut Expr) -> Result<()> {
    let span = expr.span();
    match expr {
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("mod") => {
            if let Some([dividend, divisor]) = arguments(function) {
                let nested = |of: &Expr| Box::new(Expr::Nested(Box::new(of.clone())));
                let (left, right) = (nested(dividend), nested(divisor));
                *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Modulo, right }));
            }
            Ok(())
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
            let lists = [(**left).clone(), (**right).clone()];
            *expr = call("array_has_any", lists);
            Ok(())
        }
        Expr::BinaryOp { left: _, op, right: _ } if takes_documents_apart(op) => {
            Err(wrong(format!("`{op}` is not offered: {PARSE_JSON}"), span))
        }
        Expr::InSubquery { expr, .. } if matches!(&**expr, Expr::Tuple(_)) => {
            let message = "`(a, b) IN (SELECT ...)` is not offered; write `EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b = t.b)`";
            Err(wrong(message.to_owned(), span))
        }
        Expr::Substring { expr, substring_from: Some(from), .. } if is_text(from) => {
            let message =
                format!("`substring` takes numbers here; `regexp_match({expr}, {from})[1]` is what matches a pattern");
            Err(wrong(message, span))
        }
        _ => Ok(()),
    }
}

fn takes_documents_apart(op: &BinaryOperator) -> bool {
    use BinaryOperator::{
        Arrow, AtAt, AtQuestion, HashArrow, HashLongArrow, HashMinus, LongArrow, Question, QuestionAnd, QuestionPipe,
    };
    matches!(
        op,
        Arrow
            | LongArrow
            | HashArrow
            | HashLongArrow
            | HashMinus
            | AtAt
            | AtQuestion
            | Question
            | QuestionAnd
            | QuestionPipe
    )
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(_), .. }))
}

/// The plain arguments of a plain call, if there are two.
fn arguments(function: &Function) -> Option<[&Expr; 2]> {
    match &function.args {
        FunctionArguments::List(FunctionArgumentList { args, .. }) => match args.as_slice() {
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(first)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(second)),
            ] => Some([first, second]),
            _ => None,
        },
        _ => None,
    }
}

fn call<const N: usize>(name: &str, arguments: [Expr; N]) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::dialect::DIALECT;

    #[test]
    fn the_same_is_said_in_words_of_the_engine() {
        for (text, is) in [
            ("mod(a + 1, b)", Ok("((a + 1) % (b))")),
            ("mod(a)", Ok("mod(a)")),
            ("a && b", Ok("array_has_any(a, b)")),
            ("a ->> 'b'", Err("parse-json@1")),
            ("a #> 'b'", Err("parse-json@1")),
            ("(a, b) IN (SELECT 1, 2)", Err("EXISTS")),
            ("(a, b) IN ((1, 2))", Ok("(a, b) IN ((1, 2))")),
            ("substring(a FROM 'b.')", Err("regexp_match(a, 'b.')[1]")),
            ("substring(a FROM 2)", Ok("SUBSTRING(a FROM 2)")),
        ] {
            let mut expr = Parser::new(DIALECT).try_with_sql(text).unwrap().parse_expr().unwrap();
            match (rewrite(&mut expr), is) {
                (Ok(()), Ok(is)) => assert_eq!(expr.to_string(), is, "{text}"),
                (Err(error), Err(is)) => assert!(error.strip_backtrace().contains(is), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}, {expr}"),
            }
        }
    }

    #[test]
    fn names_that_are_not_near_are_not_meant() {
        for (name, near, is) in [
            ("strftime", "to_time", Some("to_char")),
            ("ISNULL", "nullif", Some("coalesce")),
            ("datediff", "date_bin", Some("subtract")),
            ("concatt", "concat", Some("did you mean `concat`?")),
            ("upperr", "upper", Some("did you mean `upper`?")),
            ("frobnicate", "ln", None),
        ] {
            let found = instead(name, Some(near));
            assert!(
                found.as_deref().is_some_and(|found| is.is_some_and(|is| found.contains(is)))
                    || (found.is_none() && is.is_none()),
                "{name}: {found:?}"
            );
        }
    }
}
