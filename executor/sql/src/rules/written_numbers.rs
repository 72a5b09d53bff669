//! A text that is compared with decimals is the number that it says. The engine makes a decimal of the column's type of it, and leaves out
//! the places that this has not.

use arrow_schema::DECIMAL128_MAX_PRECISION;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Case, InList};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, lit};

use super::expressions::compares;

/// Makes decimals of the texts in an expression that compares them with decimals.
///
/// # Errors
/// If a text is no number, or none that the statement has: `100.004` would be another number for a column of two decimal places.
pub(super) fn with_decimals(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if compares(op) => {
            let is_changed = to_decimals(&mut [&mut *left, &mut *right], schema)?;
            Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), is_changed)
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let is_changed = to_decimals(&mut [&mut *expr, &mut *low, &mut *high], schema)?;
            Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), is_changed)
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(&mut list).collect();
            let is_changed = to_decimals(&mut all, schema)?;
            Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), is_changed)
        }
        Expr::Case(Case { expr: Some(mut expr), mut when_then_expr, else_expr }) => {
            let whens = when_then_expr.iter_mut().map(|(when, _)| &mut **when);
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(whens).collect();
            let is_changed = to_decimals(&mut all, schema)?;
            Transformed::new_transformed(Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }), is_changed)
        }
        other => Transformed::no(other),
    })
}

/// Says whether there were texts.
fn to_decimals(exprs: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(|data_type| data_type.is_decimal()) || !types.iter().any(|data_type| data_type.is_string()) {
        return Ok(false);
    }
    for (expr, _) in exprs.iter_mut().zip(&types).filter(|(_, data_type)| data_type.is_string()) {
        let Expr::Literal(value, _) = &**expr else {
            return plan_err!(
                "`{expr}` is a text that is compared with a decimal; write `CAST({expr} AS DECIMAL(20, 6))`, with as many decimal places as it has"
            );
        };
        match value.try_as_str() {
            Some(Some(text)) => match decimal(text) {
                Some(number) => **expr = lit(number),
                None => {
                    return plan_err!(
                        "`{text}` is compared with a decimal, and is no number of at most {DECIMAL128_MAX_PRECISION} digits"
                    );
                }
            },
            _ => **expr = lit(ScalarValue::Null),
        }
    }
    Ok(true)
}

/// The decimal that a text says: digits, maybe with a sign and a point.
pub(crate) fn decimal(text: &str) -> Option<ScalarValue> {
    let text = text.trim();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole = whole.trim_start_matches('0');
    let digits = format!("{whole}{fraction}");
    let has_digits = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let max = usize::from(DECIMAL128_MAX_PRECISION);
    if !has_digits || !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > max {
        return None;
    }
    let value = if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? };
    let (precision, scale) = (u8::try_from(digits.len().max(1)).ok()?, i8::try_from(fraction.len()).ok()?);
    Some(ScalarValue::Decimal128(Some(sign * value), precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_decimal_that_it_says() {
        let of = |value, precision, scale| Some(ScalarValue::Decimal128(Some(value), precision, scale));
        for (text, is) in [
            ("100.004", of(100_004, 6, 3)),
            (" -1.50 ", of(-150, 3, 2)),
            ("+.5", of(5, 1, 1)),
            ("007", of(7, 1, 0)),
            ("0", of(0, 1, 0)),
            ("0.00", of(0, 2, 2)),
            ("5.", of(5, 1, 0)),
            ("", None),
            (".", None),
            ("-", None),
            ("1e3", None),
            ("1,5", None),
            ("NaN", None),
            ("1 2", None),
            ("1.2.3", None),
            ("--1", None),
            (&"9".repeat(39), None),
        ] {
            assert_eq!(decimal(text), is, "{text}");
        }
        assert!(decimal(&"9".repeat(38)).is_some());
    }
}
