//! Single values, and what becomes of one as a truth, a number or a text.

use flowc_sdk::prelude::*;

use crate::times;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A truth.
    Bool(bool),
    /// A whole number divided by ten to this power.
    Number(i128, i8),
    /// A float.
    Float(f64),
    /// A float of 32 bits: fewer digits tell it from its neighbours.
    Single(f32),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i64),
    /// Nanoseconds since midnight.
    Time(i128),
    /// Nanoseconds since 1970-01-01 in UTC, and whether it is in a zone.
    Instant(i128, bool),
    /// Nanoseconds.
    Duration(i128),
}

/// Why a value can't become one of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It is no value of the type.
    No,
    /// It is beyond the type's range.
    Range,
    /// It has digits that the type has no room for.
    Digits,
}

impl Misfit {
    /// In words, for a value and a type.
    pub fn told(self, value: &str, data_type: &DataType) -> String {
        match self {
            Misfit::No => format!("{value} is no {data_type}"),
            Misfit::Range => format!("{value} is out of the range of {data_type}"),
            Misfit::Digits => format!("{value} has more digits than {data_type} has room for"),
        }
    }
}

/// A truth, of what stands for one.
pub(crate) fn truth(value: Value<'_>) -> Result<bool, Misfit> {
    match value {
        Value::Bool(truth) => Ok(truth),
        Value::Number(number, _) => Ok(number != 0),
        Value::Float(float) if !float.is_nan() => Ok(float != 0.0),
        Value::Single(float) if !float.is_nan() => Ok(float != 0.0),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Misfit::No),
    }
}

/// A type of floats.
pub(crate) trait Float: std::str::FromStr + Copy {
    /// The nearest one to a float.
    fn of_float(float: f64) -> Self;
    /// The nearest one to a whole number.
    fn of_whole(number: i128) -> Self;
    /// Whether it is an infinity.
    fn is_infinite(self) -> bool;
}

macro_rules! float {
    ($float:ty) => {
        impl Float for $float {
            fn of_float(float: f64) -> Self {
                float as Self
            }

            fn of_whole(number: i128) -> Self {
                number as Self
            }

            fn is_infinite(self) -> bool {
                self.is_infinite()
            }
        }
    };
}

float!(f32);
float!(f64);

/// A float: the nearest one, rounded once.
pub(crate) fn float<F: Float>(value: Value<'_>) -> Result<F, Misfit> {
    let parsed = |text: &str| text.parse::<F>().map_err(|_| Misfit::No);
    let (float, is_finite) = match value {
        Value::Bool(truth) => (F::of_whole(truth.into()), true),
        Value::Float(float) => (F::of_float(float), float.is_finite()),
        Value::Single(float) => (F::of_float(float.into()), float.is_finite()),
        Value::Number(number, 0) => (F::of_whole(number), true),
        Value::Number(number, scale) => (parsed(&format!("{number}e{}", -i32::from(scale)))?, true),
        Value::Text(text) => (parsed(text)?, text.bytes().any(|byte| byte.is_ascii_digit())),
        _ => return Err(Misfit::No),
    };
    if is_finite && float.is_infinite() { Err(Misfit::Range) } else { Ok(float) }
}

/// A value as a whole number divided by ten to the power of the scale.
pub(crate) fn number(value: Value<'_>, scale: i8, round: bool) -> Result<i128, Misfit> {
    match value {
        Value::Bool(truth) => scaled(truth.into(), 0, scale, round),
        Value::Number(number, from) => scaled(number, from.into(), scale, round),
        Value::Float(float) => of_float(float, || format!("{float:e}"), scale, round),
        Value::Single(float) => of_float(float.into(), || format!("{float:e}"), scale, round),
        Value::Text(text) => {
            let (number, from) = parse_number(text).ok_or(Misfit::No)?;
            scaled(number, from, scale, round)
        }
        _ => Err(Misfit::No),
    }
}

/// A number of one scale as one of another. Halves are rounded away from zero.
fn scaled(number: i128, from: i32, to: i8, round: bool) -> Result<i128, Misfit> {
    let by = i32::from(to).saturating_sub(from);
    let power = 10_i128.checked_pow(by.unsigned_abs());
    match (by >= 0, power) {
        (true, Some(power)) => number.checked_mul(power).ok_or(Misfit::Range),
        (true, None) => {
            if number == 0 {
                Ok(0)
            } else {
                Err(Misfit::Range)
            }
        }
        (false, Some(power)) => {
            let (whole, rest) = (number / power, number % power);
            match rest {
                0 => Ok(whole),
                _ if !round => Err(Misfit::Digits),
                rest if rest.abs() >= power - rest.abs() => Ok(whole + number.signum()),
                _ => Ok(whole),
            }
        }
        (false, None) => {
            if round || number == 0 {
                Ok(0)
            } else {
                Err(Misfit::Digits)
            }
        }
    }
}

/// A float by the fewest digits that stand for it.
fn of_float(float: f64, digits: impl FnOnce() -> String, scale: i8, round: bool) -> Result<i128, Misfit> {
    if !float.is_finite() {
        return Err(Misfit::Range);
    }
    if scale == 0 {
        let whole = float.round();
        return match whole.abs() < 1e38 {
            true if whole == float || round => Ok(whole as i128),
            true => Err(Misfit::Digits),
            false => Err(Misfit::Range),
        };
    }
    let (number, from) = parse_number(&digits()).ok_or(Misfit::Range)?;
    scaled(number, from, scale, round)
}

/// `-12.50` or `1.25e3` as a number and its scale.
fn parse_number(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, plain) = match mantissa.as_bytes().first()? {
        b'-' => (-1, &mantissa[1..]),
        b'+' => (1, &mantissa[1..]),
        _ => (1, mantissa),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut number = 0_i128;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some((sign * number, i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?))
}

/// A value as text.
pub fn text(value: Value<'_>) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number, scale) => decimal_text(number, scale),
        Value::Float(float) => format!("{float:?}"),
        Value::Single(float) => format!("{float:?}"),
        Value::Text(text) => text.to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Date(days) => times::date_text(days),
        Value::Time(time) => times::time_text(time),
        Value::Instant(nanoseconds, is_zoned) => times::instant_text(nanoseconds, is_zoned),
        Value::Duration(nanoseconds) => format!("{}s", decimal_text(nanoseconds, 9)),
    }
}

fn decimal_text(number: i128, scale: i8) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = number.unsigned_abs().to_string();
    match usize::try_from(scale) {
        Err(_) if number == 0 => "0".to_owned(),
        Err(_) => format!("{sign}{digits}{}", "0".repeat(scale.unsigned_abs().into())),
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
    }
}
