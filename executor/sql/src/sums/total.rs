//! What is summed up of one group.

use arrow_buffer::i256;
use arrow_schema::DataType;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_datafusion_err, internal_err};

use crate::big::{Big, ratio};
use crate::exact::{Exact, Number, Wide, limbs, parts};

/// What is made of the values of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Sum,
    Mean,
    Variance { is_sample: bool },
    Deviation { is_sample: bool },
}

impl Kind {
    /// Whether it takes the squares of values.
    pub(crate) fn has_squares(self) -> bool {
        matches!(self, Kind::Variance { .. } | Kind::Deviation { .. })
    }
}

/// A value that is summed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number, or a decimal without its point.
    Whole(i128),
    Float(f64),
}

/// The values of a group so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    sum: Exact,
    squares: Option<Box<Wide>>,
    /// How many values were no number, above all numbers, and below all numbers.
    odd: Option<Box<[i64; 3]>>,
    count: i64,
}

impl Total {
    /// Adds a value.
    #[inline]
    pub(crate) fn add(&mut self, kind: Kind, value: Value) {
        self.count += 1;
        match value {
            Value::Float(float) if !float.is_finite() => self.add_odd(float, 1),
            Value::Float(float) => self.sum.add_float(float),
            Value::Whole(number) => self.sum.add_whole(number),
        }
        if kind.has_squares() {
            self.add_square(value, false);
        }
    }

    /// Takes a value away that was added.
    pub(crate) fn retract(&mut self, kind: Kind, value: Value) {
        self.count -= 1;
        match value {
            Value::Float(float) if !float.is_finite() => self.add_odd(float, -1),
            Value::Float(float) => self.sum.add_float(-float),
            Value::Whole(number) => self.sum.add_whole(-number),
        }
        if kind.has_squares() {
            self.add_square(value, true);
        }
    }

    #[cold]
    fn add_odd(&mut self, float: f64, times: i64) {
        let which = match float {
            f64::INFINITY => 1,
            f64::NEG_INFINITY => 2,
            _ => 0,
        };
        self.odd.get_or_insert_default()[which] += times;
    }

    fn add_square(&mut self, value: Value, is_retracted: bool) {
        let squares = self.squares.get_or_insert_default();
        match value {
            Value::Float(float) if !float.is_finite() => {}
            Value::Float(float) => {
                let (_, mantissa, exponent) = parts(float);
                squares.add(is_retracted, &limbs(u128::from(mantissa) * u128::from(mantissa)), 2 * exponent);
            }
            Value::Whole(number) => {
                let magnitude = Big::of(number.unsigned_abs());
                squares.add(is_retracted, magnitude.mul(&magnitude).limbs(), 0);
            }
        }
    }

    /// Adds the values of another total.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.add(&other.sum.total());
        if let Some(squares) = &other.squares {
            let number = squares.total();
            self.squares.get_or_insert_default().add(number.negative, number.mantissa.limbs(), number.exponent);
        }
        if let Some(odd) = &other.odd {
            let own = self.odd.get_or_insert_default();
            own.iter_mut().zip(odd.iter()).for_each(|(own, other)| *own += other);
        }
    }

    /// As bytes: equal totals are equal bytes, in whatever order their values came.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        let odd = self.odd.as_deref().copied().unwrap_or_default();
        odd.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        let mut sum = Vec::new();
        self.sum.total().write(&mut sum);
        out.extend_from_slice(&(sum.len() as u16).to_le_bytes());
        out.extend(sum);
        if let Some(squares) = &self.squares {
            squares.total().write(out);
        }
    }

    /// What [`Total::write`] wrote.
    ///
    /// # Errors
    /// If it is nothing of that kind.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let read = || {
            let (count, bytes) = bytes.split_first_chunk()?;
            let (odd, bytes) = bytes.split_at_checked(24)?;
            let (length, bytes) = bytes.split_first_chunk()?;
            let (sum, squares) = bytes.split_at_checked(u16::from_le_bytes(*length).into())?;
            let mut total = Self { count: i64::from_le_bytes(*count), ..Self::default() };
            total.sum.add(&Number::read(sum)?);
            if odd.iter().any(|byte| *byte != 0) {
                let counts = total.odd.get_or_insert_default();
                let written = odd.chunks_exact(8).map(|chunk| chunk.try_into().map(i64::from_le_bytes));
                counts.iter_mut().zip(written).for_each(|(count, written)| *count = written.unwrap_or_default());
            }
            if !squares.is_empty() {
                let number = Number::read(squares)?;
                total.squares.get_or_insert_default().add(number.negative, number.mantissa.limbs(), number.exponent);
            }
            Some(total)
        };
        read().ok_or_else(|| internal_datafusion_err!("a damaged sum"))
    }

    /// What comes out. Null where there are too few values.
    ///
    /// # Errors
    /// If it does not fit its type.
    pub(crate) fn result(&self, kind: Kind, of: &DataType, to: &DataType) -> Result<ScalarValue> {
        let least = i64::from(matches!(kind, Kind::Variance { is_sample: true } | Kind::Deviation { is_sample: true }));
        if self.count <= least {
            return ScalarValue::try_from(to);
        }
        match kind {
            Kind::Sum => self.sum(to),
            Kind::Mean => self.mean(of, to),
            Kind::Variance { is_sample } => Ok(self.variance(is_sample).into()),
            Kind::Deviation { is_sample } => Ok(self.variance(is_sample).sqrt().into()),
        }
    }

    /// What a sum is, whatever the numbers are.
    fn odd(&self) -> Option<f64> {
        match self.odd.as_deref()? {
            [0, 0, 0] => None,
            [0, _, 0] => Some(f64::INFINITY),
            [0, 0, _] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    fn sum(&self, to: &DataType) -> Result<ScalarValue> {
        let overflow = || exec_datafusion_err!("the sum overflows {to}");
        let whole = || self.sum.total().to_i128().ok_or_else(overflow);
        match to {
            DataType::Int64 => Ok(i64::try_from(whole()?).map_err(|_| overflow())?.into()),
            DataType::UInt64 => Ok(u64::try_from(whole()?).map_err(|_| overflow())?.into()),
            DataType::Float64 => Ok(self.odd().unwrap_or_else(|| self.sum.total().to_f64()).into()),
            DataType::Decimal128(precision, scale) => {
                let sum = whole()?;
                match sum.unsigned_abs() < 10_u128.pow((*precision).into()) {
                    true => Ok(ScalarValue::Decimal128(Some(sum), *precision, *scale)),
                    false => Err(overflow()),
                }
            }
            other => internal_err!("a sum of {other}"),
        }
    }

    fn mean(&self, of: &DataType, to: &DataType) -> Result<ScalarValue> {
        let total = self.sum.total();
        match (of, to) {
            (DataType::Decimal128(_, from), DataType::Decimal128(precision, scale)) => {
                let sum = total.to_i128().ok_or_else(|| exec_datafusion_err!("the sum of a mean overflows {of}"))?;
                let mean = rounded(sum, (scale - from).unsigned_abs().into(), self.count);
                match mean.filter(|mean| mean.unsigned_abs() < 10_u128.pow((*precision).into())) {
                    Some(mean) => Ok(ScalarValue::Decimal128(Some(mean), *precision, *scale)),
                    None => exec_err!("the mean overflows {to}"),
                }
            }
            _ => {
                let count = Big::of(self.count.unsigned_abs().into());
                let mean = || total.signed(ratio(&total.mantissa, &count, total.exponent));
                Ok(self.odd().unwrap_or_else(mean).into())
            }
        }
    }

    /// `(n * squares - sum^2) / (n * (n - 1))`, or by `n * n`, rounded once.
    fn variance(&self, is_sample: bool) -> f64 {
        if self.odd().is_some() {
            return f64::NAN;
        }
        let count = Big::of(self.count.unsigned_abs().into());
        let sum = self.sum.total();
        let squares = self.squares.as_deref().map_or_else(|| Number::new(false, Big::default(), 0), Wide::total);
        let (minuend, subtrahend) = (squares.mantissa.mul(&count), sum.mantissa.mul(&sum.mantissa));
        let (high, low) = (squares.exponent, 2 * sum.exponent);
        let exponent = if subtrahend.is_zero() { high } else { high.min(low) };
        let aligned = |number: &Big, from: i32| number.shl(from.saturating_sub(exponent).max(0).unsigned_abs());
        let difference = aligned(&minuend, high).sub(&aligned(&subtrahend, low));
        let by = if is_sample { count.sub(&Big::of(1)) } else { count.clone() };
        ratio(&difference, &count.mul(&by), exponent)
    }
}

/// `sum * 10^digits / count`, a half rounded away from zero.
fn rounded(sum: i128, digits: u32, count: i64) -> Option<i128> {
    let (sum, count) = (i256::from_i128(sum), i256::from_i128(count.into()));
    let scaled = sum.checked_mul(i256::from_i128(10_i128.pow(digits)))?.checked_mul(i256::from_i128(2))?;
    let half = if sum.is_negative() { count.wrapping_neg() } else { count };
    let quotient = scaled.checked_add(half)?.checked_div(count.checked_mul(i256::from_i128(2))?)?;
    quotient.to_i128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(kind: Kind, values: &[f64]) -> Total {
        let mut total = Total::default();
        values.iter().for_each(|value| total.add(kind, Value::Float(*value)));
        total
    }

    fn float(total: &Total, kind: Kind) -> Option<f64> {
        match total.result(kind, &DataType::Float64, &DataType::Float64).unwrap() {
            ScalarValue::Float64(value) => value,
            other => panic!("{other}"),
        }
    }

    const VARIANCE: Kind = Kind::Variance { is_sample: true };

    #[test]
    fn what_is_summed_up_in_parts_is_what_is_summed_up_at_once() {
        let values = [1e300, 0.1, -1e300, f64::INFINITY, 7.5, -0.3];
        for kind in [Kind::Sum, Kind::Mean, VARIANCE, Kind::Deviation { is_sample: false }] {
            let mut bytes = Vec::new();
            total(kind, &values).write(&mut bytes);
            for cut in 0..=values.len() {
                let (first, second) = values.split_at(cut);
                let (mut parts, mut written, mut merged) = (total(kind, second), Vec::new(), Vec::new());
                total(kind, first).write(&mut written);
                parts.merge(&Total::read(&written).unwrap());
                parts.write(&mut merged);
                assert_eq!(merged, bytes);
            }
        }
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let mut sum = total(VARIANCE, &[1.0, f64::NAN, 2.0, 1e200, 4.0]);
        sum.retract(VARIANCE, Value::Float(f64::NAN));
        sum.retract(VARIANCE, Value::Float(1e200));
        assert_eq!(float(&sum, Kind::Sum), Some(7.0));
        assert_eq!(float(&sum, VARIANCE), Some(7.0 / 3.0));
    }

    #[test]
    fn results_that_do_not_fit_are_errors() {
        let mut sum = Total::default();
        (0..2).for_each(|_| sum.add(Kind::Sum, Value::Whole(i64::MAX.into())));
        let result = sum.result(Kind::Sum, &DataType::Int64, &DataType::Int64);
        assert!(result.unwrap_err().to_string().contains("the sum overflows Int64"));
        assert!(sum.result(Kind::Sum, &DataType::UInt64, &DataType::UInt64).is_ok());
    }

    #[test]
    fn means_of_decimals_are_rounded_away_from_zero() {
        assert_eq!(rounded(10, 4, 3), Some(33333));
        assert_eq!(rounded(5, 0, 2), Some(3));
        assert_eq!(rounded(-5, 0, 2), Some(-3));
        assert_eq!(rounded(-10, 4, 3), Some(-33333));
    }

    #[test]
    fn one_value_has_a_mean_and_no_variance() {
        let one = total(VARIANCE, &[3.0]);
        assert_eq!((float(&one, Kind::Mean), float(&one, VARIANCE)), (Some(3.0), None));
        assert_eq!(float(&one, Kind::Variance { is_sample: false }), Some(0.0));
        assert_eq!(float(&Total::default(), Kind::Sum), None);
    }
}
