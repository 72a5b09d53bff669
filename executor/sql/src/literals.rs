//! Numbers as a statement has them: those with a point are decimals, those with an exponent floats.

use arrow_schema::DECIMAL128_MAX_PRECISION;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned,
    Value, ValueWithSpan,
};

/// Functions whose first argument has to be a float that is written as one.
const OF_FLOATS: [&str; 1] = ["percentile_cont"];

/// Has the engine take a number for a float where its decimals do not have it: one with an exponent, one of more digits than a decimal has,
/// a quantile.
pub(crate) fn rewrite(expr: &mut Expr) {
    if let Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) = expr {
        text.retain(|letter| letter != '_');
    }
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) if !is_decimal(text) => to_float(expr),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
            let is_of_floats = OF_FLOATS.iter().any(|of| name.to_string().eq_ignore_ascii_case(of));
            for argument in list.args.iter_mut().filter(|_| is_of_floats) {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument
                    && let Expr::Value(ValueWithSpan { value: Value::Number(..), .. }) = argument
                {
                    to_float(argument);
                }
            }
        }
        _ => {}
    }
}

/// Whether a number is a whole one or a decimal of the engine.
fn is_decimal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits <= usize::from(DECIMAL128_MAX_PRECISION) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn to_float(number: &mut Expr) {
    let span = number.span();
    let Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) = &*number else { return };
    let text = Value::SingleQuotedString(text.clone()).with_span(span);
    *number = Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(Expr::Value(text)),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DIALECT;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn what_no_decimal_has_is_a_float() {
        let long = "1".repeat(39);
        for (text, is) in [
            ("1.005", "1.005"),
            ("1", "1"),
            (".5", ".5"),
            ("1_000.5", "1000.5"),
            ("1e3", "'1e3'::DOUBLE"),
            ("1.5E-3", "'1.5E-3'::DOUBLE"),
            (long.as_str(), &format!("'{long}'::DOUBLE")),
            ("percentile_cont(x, 0.5)", "percentile_cont(x, '0.5'::DOUBLE)"),
            ("round(x, 0.5)", "round(x, 0.5)"),
        ] {
            let mut expr = Parser::new(DIALECT).try_with_sql(text).unwrap().parse_expr().unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), is, "{text}");
        }
    }
}
