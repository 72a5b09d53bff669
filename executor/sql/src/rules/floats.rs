//! The float of a decimal is the one that is nearest to it. The engine's is another where the decimal has more digits than a float.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::arrow::compute::cast;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, TryCast};

use super::expressions::ExpressionRule;
use super::made::Made;

/// Whole numbers up to here, and powers of ten up to here, are floats: what is divided is rounded once.
const EXACT: u128 = 1 << 53;
const EXACT_PLACES: usize = 22;
const POWERS: [f64; EXACT_PLACES + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Replaces casts of decimals to floats.
pub(crate) const EXACT_FLOATS: ExpressionRule = ExpressionRule::new("exact_floats", exact);

fn exact(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (of, to) = match &expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (expr, field.data_type()),
        _ => return Ok(Transformed::no(expr)),
    };
    let name = match to {
        DataType::Float64 => "double_of",
        DataType::Float32 => "real_of",
        _ => return Ok(Transformed::no(expr)),
    };
    if !of.get_type(schema)?.is_decimal() {
        return Ok(Transformed::no(expr));
    }
    let to = to.clone();
    Ok(Transformed::yes(Made::call(name, vec![Expr::clone(of)], to.clone(), move |args| match args {
        [decimals] => floats(decimals, &to),
        _ => internal_err!("`{name}` takes a decimal"),
    })))
}

fn floats(decimals: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (decimals, places) = match *decimals.data_type() {
        DataType::Decimal32(_, places) | DataType::Decimal64(_, places) => {
            (cast(decimals, &DataType::Decimal128(DECIMAL128_MAX_PRECISION, places))?, places)
        }
        DataType::Decimal128(_, places) | DataType::Decimal256(_, places) => (decimals.clone(), places),
        ref other => return internal_err!("{other} is no decimal"),
    };
    let is_small = *to == DataType::Float32;
    Ok(match decimals.data_type() {
        DataType::Decimal256(..) => {
            let decimals = decimals.as_primitive::<Decimal256Type>();
            match is_small {
                true => Arc::new(decimals.unary::<_, Float32Type>(|value| parsed(value, places))),
                false => Arc::new(decimals.unary::<_, Float64Type>(|value| match value.to_i128() {
                    Some(value) => double(value, places),
                    None => parsed(value, places),
                })),
            }
        }
        _ => {
            let decimals = decimals.as_primitive::<Decimal128Type>();
            match is_small {
                true => Arc::new(decimals.unary::<_, Float32Type>(|value| parsed(value, places))),
                false => Arc::new(decimals.unary::<_, Float64Type>(|value| double(value, places))),
            }
        }
    })
}

fn double(value: i128, places: i8) -> f64 {
    let (mut value, mut places) = (value, places);
    while value.unsigned_abs() > EXACT && places > 0 && value % 10 == 0 {
        value /= 10;
        places -= 1;
    }
    match usize::try_from(places).ok().and_then(|places| POWERS.get(places)) {
        Some(power) if value.unsigned_abs() <= EXACT => value as f64 / power,
        _ => parsed(value, places),
    }
}

/// A float as its text is read, which is rounded once.
fn parsed<F: FromStr + Default>(value: impl Display, places: i8) -> F {
    // Digits and an exponent are always a number.
    format!("{value}e{}", -i16::from(places)).parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use arrow_array::Decimal128Array;

    use super::*;

    #[test]
    fn the_float_of_a_decimal_is_the_nearest() {
        for (value, places, is) in [
            (-2_446_915_000_000_000_000_000, 16, -244_691.5),
            (15, 1, 1.5),
            (0, 16, 0.0),
            (3_333_333_333_333_333_333, 19, 0.333_333_333_333_333_3),
            (5, -2, 500.0),
            (123_456_789_012_345_678_901_234_567, 10, 12_345_678_901_234_567.890_123_456_7),
        ] {
            assert_eq!(double(value, places), is, "{value}");
            let same: f64 = format!("{value}e{}", -i32::from(places)).parse().unwrap();
            assert_eq!(double(value, places), same, "{value}");
        }
        let decimals = Decimal128Array::from(vec![Some(15), None]).with_precision_and_scale(3, 1).unwrap();
        let small = floats(&(Arc::new(decimals) as ArrayRef), &DataType::Float32).unwrap();
        assert_eq!(small.as_primitive::<Float32Type>().iter().collect::<Vec<_>>(), [Some(1.5), None]);
    }
}
