//! What other words say: written so that the engine knows it, or refused with the words that it has.

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Spanned, Value, ValueWithSpan,
};

use crate::absent::PARSE_JSON;
use crate::problems::wrong;

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
        // A float has 53 binary digits unless fewer are asked for; the engine's has 24.
        Expr::Cast { data_type: data_type @ DataType::Float(_), .. } => {
            let is_short = matches!(data_type, DataType::Float(ExactNumberInfo::Precision(digits)) if *digits <= 24);
            *data_type = if is_short { DataType::Real } else { DataType::DoublePrecision };
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
            ("CAST(a AS FLOAT)", Ok("CAST(a AS DOUBLE PRECISION)")),
            ("a::float(25)", Ok("a::DOUBLE PRECISION")),
            ("a::float(24)", Ok("a::REAL")),
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
}
