//! Quotients of decimals are rounded, and have 16 decimal places. The engine cuts them off after four more than the dividend has. Products
//! whose digits have no room are rounded, too.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, DecimalType};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp};
use arrow_buffer::i256;
use arrow_schema::{ArrowError, DataType};
use datafusion::arrow::compute::{cast, try_binary};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF};

use super::made::Made;

/// Decimal places of a quotient, where there is room.
const PLACES: i16 = 16;
/// Decimal places of a quotient that are kept before digits in front of the point are.
const LEAST_PLACES: i16 = 6;
/// Digits in front of the point of a product that are kept before decimal places are.
const WHOLE: i16 = 16;

/// Replaces `/` between decimals, and `*` where the digits of the product have no room.
pub(super) fn rounded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Multiply), right }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let types = (left.get_type(schema)?, right.get_type(schema)?);
    let function = if op == Operator::Divide { &QUOTIENT } else { &PRODUCT };
    match function_type(op, &types.0, &types.1) {
        Some(_) => Ok(Transformed::yes(function.call(vec![*left, *right]))),
        None => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
    }
}

/// The digits that a decimal has room for, and its decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits {
    all: i16,
    places: i16,
}

impl Digits {
    fn of(data_type: &DataType) -> Option<Self> {
        match *data_type {
            DataType::Decimal32(all, places)
            | DataType::Decimal64(all, places)
            | DataType::Decimal128(all, places)
            | DataType::Decimal256(all, places) => Some(Self { all: all.into(), places: places.into() }),
            _ => None,
        }
    }

    fn whole(self) -> i16 {
        self.all - self.places
    }

    /// So many decimal places after so many digits, of which the first do not count where there is no room.
    fn with_room(whole: i16, places: i16, room: i16) -> Self {
        Self { all: (whole + places).clamp(1, room), places }
    }

    fn quotient(self, divisor: Self, room: i16) -> Self {
        let whole = (self.whole() + divisor.places).max(1);
        let wanted = PLACES.max(self.places).max(divisor.places);
        Self::with_room(whole, (room - whole).clamp(LEAST_PLACES, wanted), room)
    }

    /// None if the product is exact, or is an error where it is too large.
    fn product(self, factor: Self, room: i16) -> Option<Self> {
        let (whole, places) = (self.whole() + factor.whole(), self.places + factor.places);
        let fits = self.all + factor.all < room || places <= room - WHOLE;
        let left = (room - whole).max(places.min(room - WHOLE));
        (!fits && left < places).then(|| Self::with_room(whole, left, room))
    }
}

/// The type of what is computed here. None if the engine does it.
fn function_type(op: Operator, left: &DataType, right: &DataType) -> Option<DataType> {
    let is_wide = |data_type: &DataType| matches!(data_type, DataType::Decimal256(..));
    let is_wide = is_wide(left) || is_wide(right);
    let room =
        if is_wide { i16::from(Decimal256Type::MAX_PRECISION) } else { i16::from(Decimal128Type::MAX_PRECISION) };
    let (left, right) = (Digits::of(left)?, Digits::of(right)?);
    let digits = match op {
        Operator::Divide => Some(left.quotient(right, room)),
        _ => left.product(right, room),
    }?;
    let (all, places) = (u8::try_from(digits.all).ok()?, i8::try_from(digits.places).ok()?);
    Some(if is_wide { DataType::Decimal256(all, places) } else { DataType::Decimal128(all, places) })
}

static QUOTIENT: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Rounded { name: "quotient", op: Operator::Divide }.function());
static PRODUCT: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Rounded { name: "product", op: Operator::Multiply }.function());

/// What is computed of two decimals, rounded: a half goes away from zero.
#[derive(Clone, Copy)]
struct Rounded {
    name: &'static str,
    op: Operator,
}

impl Rounded {
    fn function(self) -> Arc<ScalarUDF> {
        Made::function(self.name, 2, move |types| self.result(types), move |args| self.of(args))
    }

    fn result(self, types: &[DataType]) -> Result<DataType> {
        let [left, right] = types else { return internal_err!("`{}` takes two decimals", self.name) };
        function_type(self.op, left, right)
            .ok_or_else(|| internal_datafusion_err!("`{}` of {left} and {right}", self.name))
    }

    fn of(self, args: &[ArrayRef]) -> Result<ArrayRef> {
        let [left, right] = args else { return internal_err!("`{}` takes two decimals", self.name) };
        match self.result(&[left.data_type().clone(), right.data_type().clone()])? {
            DataType::Decimal256(all, places) => self.of_wide(left, right, all, places),
            DataType::Decimal128(all, places) => self.of_narrow(left, right, all, places),
            other => internal_err!("`{}` gives {other}", self.name),
        }
    }

    fn of_narrow(&self, left: &ArrayRef, right: &ArrayRef, all: u8, places: i8) -> Result<ArrayRef> {
        let (left, right) = (widened::<Decimal128Type>(left)?, widened::<Decimal128Type>(right)?);
        let shift = self.shift(left.data_type(), right.data_type(), places)?;
        let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let computed = try_binary::<_, _, _, Decimal128Type>(left, right, |one, other| {
            let value = match self.value(one, other, shift) {
                Ok(value) => value,
                Err(ArrowError::DivideByZero) => return Err(ArrowError::DivideByZero),
                Err(_) => {
                    let value = self.value(i256::from_i128(one), i256::from_i128(other), shift)?;
                    value.to_i128().ok_or_else(too_large)?
                }
            };
            Decimal128Type::validate_decimal_precision(value, all, places).map_err(|_| too_large())?;
            Ok(value)
        })?;
        Ok(Arc::new(computed.with_precision_and_scale(all, places)?))
    }

    fn of_wide(&self, left: &ArrayRef, right: &ArrayRef, all: u8, places: i8) -> Result<ArrayRef> {
        let (left, right) = (widened::<Decimal256Type>(left)?, widened::<Decimal256Type>(right)?);
        let shift = self.shift(left.data_type(), right.data_type(), places)?;
        let (left, right) = (left.as_primitive::<Decimal256Type>(), right.as_primitive::<Decimal256Type>());
        let computed = try_binary::<_, _, _, Decimal256Type>(left, right, |one, other| {
            let value = self.value(one, other, shift)?;
            Decimal256Type::validate_decimal_precision(value, all, places).map_err(|_| too_large())?;
            Ok(value)
        })?;
        Ok(Arc::new(computed.with_precision_and_scale(all, places)?))
    }

    /// By how many places what is computed of the digits alone has to be shifted to the left.
    fn shift(&self, left: &DataType, right: &DataType, places: i8) -> Result<i16> {
        match (Digits::of(left), Digits::of(right), self.op) {
            (Some(left), Some(right), Operator::Divide) => Ok(i16::from(places) + right.places - left.places),
            (Some(left), Some(right), _) => Ok(i16::from(places) - right.places - left.places),
            _ => internal_err!("`{}` of {left} and {right}", self.name),
        }
    }

    fn value<N: Whole>(&self, one: N, other: N, shift: i16) -> Result<N, ArrowError> {
        let power = N::TEN.pow_checked(shift.unsigned_abs().into())?;
        match (self.op, shift < 0) {
            (Operator::Divide, false) => divided(one.mul_checked(power)?, other),
            (Operator::Divide, true) => divided(one, other.mul_checked(power)?),
            _ => divided(one.mul_checked(other)?, power),
        }
    }
}

/// The digits of a decimal.
trait Whole: ArrowNativeTypeOp {
    const TEN: Self;
}

impl Whole for i128 {
    const TEN: Self = 10;
}

impl Whole for i256 {
    const TEN: Self = Self::from_i128(10);
}

fn divided<N: Whole>(dividend: N, divisor: N) -> Result<N, ArrowError> {
    let size = |value: N| if value.is_lt(N::ZERO) { value.neg_wrapping() } else { value };
    let (quotient, rest) = (dividend.div_checked(divisor)?, size(dividend.mod_checked(divisor)?));
    if rest.is_lt(size(divisor).sub_wrapping(rest)) {
        return Ok(quotient);
    }
    match dividend.is_lt(N::ZERO) == divisor.is_lt(N::ZERO) {
        true => quotient.add_checked(N::ONE),
        false => quotient.sub_checked(N::ONE),
    }
}

fn too_large() -> ArrowError {
    ArrowError::ArithmeticOverflow("the result has more digits than its decimal has room for".to_owned())
}

/// A column of decimals as one of the width that is computed with.
fn widened<T: DecimalType>(column: &ArrayRef) -> Result<ArrayRef> {
    match Digits::of(column.data_type()) {
        Some(digits) => {
            let (all, places) = (digits.all.unsigned_abs(), digits.places);
            let to =
                T::TYPE_CONSTRUCTOR(u8::try_from(all).unwrap_or(T::MAX_PRECISION), i8::try_from(places).unwrap_or(0));
            if *column.data_type() == to { Ok(column.clone()) } else { Ok(cast(column, &to)?) }
        }
        None => internal_err!("{} is no decimal", column.data_type()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::scalar::ScalarValue;

    use super::*;

    #[test]
    fn quotients_have_as_many_places_as_there_is_room_for() {
        let quotient = |(p1, s1), (p2, s2)| {
            function_type(Operator::Divide, &DataType::Decimal128(p1, s1), &DataType::Decimal128(p2, s2))
        };
        assert_eq!(quotient((12, 2), (20, 0)), Some(DataType::Decimal128(26, 16)));
        assert_eq!(quotient((12, 2), (12, 2)), Some(DataType::Decimal128(28, 16)));
        assert_eq!(quotient((38, 4), (20, 0)), Some(DataType::Decimal128(38, 6)));
        assert_eq!(quotient((20, 18), (2, 1)), Some(DataType::Decimal128(21, 18)));
        assert_eq!(quotient((25, 0), (4, 2)), Some(DataType::Decimal128(38, 11)));
        let wide = function_type(Operator::Divide, &DataType::Decimal256(50, 2), &DataType::Decimal128(3, 2));
        assert_eq!(wide, Some(DataType::Decimal256(66, 16)));
    }

    #[test]
    fn products_are_exact_as_long_as_there_is_room() {
        let product = |(p1, s1), (p2, s2)| {
            function_type(Operator::Multiply, &DataType::Decimal128(p1, s1), &DataType::Decimal128(p2, s2))
        };
        assert_eq!(product((12, 2), (20, 0)), None);
        assert_eq!(product((18, 9), (19, 9)), None);
        assert_eq!(product((38, 2), (38, 4)), None);
        assert_eq!(product((37, 16), (37, 16)), Some(DataType::Decimal128(38, 22)));
        assert_eq!(product((20, 16), (20, 16)), Some(DataType::Decimal128(38, 30)));
    }

    #[test]
    fn a_half_goes_away_from_zero() {
        for (dividend, divisor, is) in [
            (5, 10, 1),
            (-5, 10, -1),
            (5, -10, -1),
            (4, 10, 0),
            (-14, 10, -1),
            (15, 10, 2),
            (2, 3, 1),
            (i128::MAX, 1, i128::MAX),
        ] {
            assert_eq!(divided(dividend, divisor).unwrap(), is, "{dividend} / {divisor}");
            let wide = divided(i256::from_i128(dividend), i256::from_i128(divisor)).unwrap();
            assert_eq!(wide.to_i128(), Some(is), "{dividend} / {divisor}");
        }
        assert!(divided(1, 0_i128).is_err());
    }

    #[test]
    fn what_has_no_room_on_the_way_is_computed_all_the_same() {
        let decimal = |value, all, places| ScalarValue::Decimal128(Some(value), all, places).to_array().unwrap();
        let quotient = Rounded { name: "quotient", op: Operator::Divide };
        let large = 10_i128.pow(30) - 1;
        let found = quotient.of_narrow(&decimal(large, 30, 2), &decimal(3, 20, 0), 38, 10).unwrap();
        assert_eq!(found.as_primitive::<Decimal128Type>().value(0), large / 3 * 10_i128.pow(8));
        let product = Rounded { name: "product", op: Operator::Multiply };
        let found = product.of_narrow(&decimal(15, 38, 2), &decimal(-10, 38, 2), 38, 3).unwrap();
        assert_eq!(found.as_primitive::<Decimal128Type>().value(0), -15);
        assert!(product.of_narrow(&decimal(large, 38, 0), &decimal(large, 38, 0), 38, 0).is_err());
    }
}
