//! What a `CAST` to a whole number cuts off in the engine is rounded, as in PostgreSQL: of floats a half goes to the even number, of
//! decimals away from zero.

use std::sync::{Arc, LazyLock};

use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{ArrayRef, cast::AsArray};
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::arrow::compute::cast;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::expressions::ExpressionRule;

/// Rounds what is cast to a whole number.
pub(crate) const ROUNDED_CASTS: ExpressionRule = ExpressionRule::new("rounded_casts", rounded);

fn rounded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr, field }) => {
            let expr = whole_of(expr, field.data_type(), schema, |expr, to| Expr::Cast(Cast::new(expr, to)))?;
            Ok(expr.update_data(|expr| Expr::Cast(Cast { expr, field })))
        }
        Expr::TryCast(TryCast { expr, field }) => {
            let expr = whole_of(expr, field.data_type(), schema, |expr, to| Expr::TryCast(TryCast::new(expr, to)))?;
            Ok(expr.update_data(|expr| Expr::TryCast(TryCast { expr, field })))
        }
        // Functions that become casts later.
        Expr::ScalarFunction(mut call) if ["arrow_cast", "arrow_try_cast"].contains(&call.name()) => {
            let to = Expr::ScalarFunction(call.clone()).get_type(schema)?;
            let tries = call.name() == "arrow_try_cast";
            if call.args.is_empty() {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let whole = whole_of(Box::new(call.args.remove(0)), &to, schema, |expr, to| match tries {
                true => Expr::TryCast(TryCast::new(expr, to)),
                false => Expr::Cast(Cast::new(expr, to)),
            })?;
            Ok(whole.update_data(|whole| {
                call.args.insert(0, *whole);
                Expr::ScalarFunction(call)
            }))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// What is cast to a type, without fractions if that has none.
fn whole_of(
    expr: Box<Expr>,
    to: &DataType,
    schema: &DFSchema,
    cast: impl Fn(Box<Expr>, DataType) -> Expr,
) -> Result<Transformed<Box<Expr>>> {
    if !to.is_integer() {
        return Ok(Transformed::no(expr));
    }
    let from = expr.get_type(schema)?;
    let whole = match whole_type(&from) {
        Some(_) => Transformed::yes(Box::new(ROUND.call(vec![*expr]))),
        None => Transformed::no(expr),
    };
    match from {
        // Of decimals of 256 bits the engine takes the low 64 without a word; those of 128 bits it checks.
        DataType::Decimal256(..) => {
            Ok(Transformed::yes(Box::new(cast(whole.data, DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)))))
        }
        _ => Ok(whole),
    }
}

/// The type of the rounded values of a type; none if it has no fractions.
fn whole_type(data_type: &DataType) -> Option<DataType> {
    // Rounding may take a digit more.
    let digits = |precision: u8, scale: i8| precision.saturating_sub(scale.unsigned_abs()).saturating_add(1);
    match *data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(data_type.clone()),
        DataType::Decimal32(precision, scale) if scale > 0 => Some(DataType::Decimal32(digits(precision, scale), 0)),
        DataType::Decimal64(precision, scale) if scale > 0 => Some(DataType::Decimal64(digits(precision, scale), 0)),
        DataType::Decimal128(precision, scale) if scale > 0 => Some(DataType::Decimal128(digits(precision, scale), 0)),
        DataType::Decimal256(precision, scale) if scale > 0 => Some(DataType::Decimal256(digits(precision, scale), 0)),
        _ => None,
    }
}

/// The function that rounds fractions to whole numbers.
static ROUND: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Round { signature: Signature::any(1, Volatility::Immutable) })));

#[derive(Debug, PartialEq, Eq, Hash)]
struct Round {
    signature: Signature,
}

impl ScalarUDFImpl for Round {
    fn name(&self) -> &str {
        "rounded"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [fraction] => Ok(whole_type(fraction).unwrap_or_else(|| fraction.clone())),
            _ => internal_err!("`rounded` takes a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(fractions)] => Ok(ColumnarValue::Array(whole(fractions)?)),
            [ColumnarValue::Scalar(fraction)] => {
                let value = whole(&fraction.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?))
            }
            _ => internal_err!("`rounded` takes a number"),
        }
    }
}

fn whole(fractions: &ArrayRef) -> Result<ArrayRef> {
    Ok(match fractions.data_type() {
        DataType::Float16 => {
            let rounded = |value: <Float16Type as arrow_array::ArrowPrimitiveType>::Native| {
                <Float16Type as arrow_array::ArrowPrimitiveType>::Native::from_f32(value.to_f32().round_ties_even())
            };
            Arc::new(fractions.as_primitive::<Float16Type>().unary::<_, Float16Type>(rounded))
        }
        DataType::Float32 => {
            Arc::new(fractions.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even))
        }
        DataType::Float64 => {
            Arc::new(fractions.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even))
        }
        // Arrow rounds where digits are left out.
        decimal => match whole_type(decimal) {
            Some(whole) => cast(fractions, &whole)?,
            None => fractions.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Float64Array, Int64Array};

    use super::*;

    #[test]
    fn halves_go_where_postgresql_has_them_go() {
        let rounded = |fractions: ArrayRef| {
            let whole = cast(&whole(&fractions).unwrap(), &DataType::Int64).unwrap();
            whole.as_primitive::<arrow_array::types::Int64Type>().clone()
        };
        let floats = Float64Array::from(vec![Some(0.5), Some(1.5), Some(2.5), Some(-2.5), Some(2.4), None]);
        let expected = Int64Array::from(vec![Some(0), Some(2), Some(2), Some(-2), Some(2), None]);
        assert_eq!(rounded(Arc::new(floats)), expected);
        let decimals = Decimal128Array::from(vec![Some(50), Some(250), Some(-250), Some(249), Some(999), None]);
        let decimals = decimals.with_precision_and_scale(3, 2).unwrap();
        let expected = Int64Array::from(vec![Some(1), Some(3), Some(-3), Some(2), Some(10), None]);
        assert_eq!(rounded(Arc::new(decimals)), expected);
    }

    #[test]
    fn rounded_decimals_have_room_for_a_digit_more() {
        let of = |precision, scale| whole_type(&DataType::Decimal128(precision, scale));
        assert_eq!(of(3, 2), Some(DataType::Decimal128(2, 0)));
        assert_eq!(of(3, 5), Some(DataType::Decimal128(1, 0)));
        assert_eq!(of(38, 1), Some(DataType::Decimal128(38, 0)));
        assert_eq!(of(38, 0), None);
        assert_eq!(of(9, -2), None);
    }
}
