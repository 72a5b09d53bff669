//! Columns of values of one type as columns of another.

use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::prelude::*;

use crate::scalars::{Misfit, Value, float, number, text, truth};
use crate::times;
use crate::values::{self, Ordering, numbers};

/// What kinds of values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Bool,
    Whole,
    Decimal,
    Float,
    Text,
    Bytes,
    Date,
    Time,
    Instant,
    Duration,
}

fn family(data_type: &DataType) -> Option<Family> {
    use DataType::*;
    Some(match data_type {
        Boolean => Family::Bool,
        Decimal32(..) | Decimal64(..) | Decimal128(..) => Family::Decimal,
        other if other.is_integer() => Family::Whole,
        other if other.is_floating() => Family::Float,
        Utf8 | LargeUtf8 | Utf8View => Family::Text,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Family::Bytes,
        Date32 | Date64 => Family::Date,
        Time32(_) | Time64(_) => Family::Time,
        Timestamp(..) => Family::Instant,
        Duration(_) => Family::Duration,
        _ => return None,
    })
}

/// Whether values of one type can become values of another.
pub fn converts(from: &DataType, to: &DataType) -> bool {
    use Family::*;
    let (Some(from), Some(to)) = (family(from), family(to)) else { return false };
    match (from, to) {
        (Text, _) | (_, Text) => true,
        (Bool | Whole | Decimal | Float, Bool | Whole | Decimal | Float) => true,
        (Whole, Date | Time | Instant | Duration) | (Date, Whole) => true,
        (Date, Instant) | (Instant, Date | Time) => true,
        (from, to) => from == to,
    }
}

/// Nanoseconds of a unit of time.
fn nanoseconds(unit: &TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// How many nanoseconds, or days for dates, one of the numbers stands for that values of a type are stored as.
fn unit(data_type: &DataType) -> i128 {
    match data_type {
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Timestamp(unit, _) | DataType::Duration(unit) => {
            nanoseconds(unit)
        }
        _ => 1,
    }
}

/// Reads the values of a column that has no dictionary.
pub struct Reader<'a>(Box<dyn Fn(usize) -> Value<'a> + 'a>);

impl<'a> Reader<'a> {
    /// Of a column.
    ///
    /// # Errors
    /// If its type is nested, an interval or a decimal of 256 bits.
    pub fn new(array: &'a ArrayRef) -> Result<Self> {
        let data_type = array.data_type();
        let family = family(data_type).ok_or_else(|| Problem::new(format!("{data_type} can't be converted")))?;
        let unit = unit(data_type);
        Ok(Self(match family {
            Family::Bool => Box::new(move |row| Value::Bool(array.as_boolean().value(row))),
            Family::Text => {
                let bytes = values::bytes(array);
                Box::new(move |row| Value::Text(std::str::from_utf8(bytes(row)).unwrap_or_default()))
            }
            Family::Bytes => {
                let bytes = values::bytes(array);
                Box::new(move |row| Value::Bytes(bytes(row)))
            }
            Family::Float => match data_type {
                DataType::Float16 => {
                    let values = array.as_primitive::<Float16Type>().values().clone();
                    Box::new(move |row| Value::Float(values[row].to_f64()))
                }
                DataType::Float32 => {
                    let values = numbers::<f32>(array);
                    Box::new(move |row| Value::Single(values[row]))
                }
                _ => {
                    let values = numbers::<f64>(array);
                    Box::new(move |row| Value::Float(values[row]))
                }
            },
            _ => {
                let number = whole(array);
                let scale = scale(data_type);
                let is_zoned = matches!(data_type, DataType::Timestamp(_, Some(_)));
                match family {
                    Family::Date if *data_type == DataType::Date64 => {
                        Box::new(move |row| Value::Date(number(row).div_euclid(86_400_000) as i64))
                    }
                    Family::Date => Box::new(move |row| Value::Date(number(row) as i64)),
                    Family::Time => Box::new(move |row| Value::Time(number(row) * unit)),
                    Family::Instant => Box::new(move |row| Value::Instant(number(row) * unit, is_zoned)),
                    Family::Duration => Box::new(move |row| Value::Duration(number(row) * unit)),
                    _ => Box::new(move |row| Value::Number(number(row), scale)),
                }
            }
        }))
    }

    /// The value of a row that is not null.
    pub fn value(&self, row: usize) -> Value<'a> {
        self.0(row)
    }
}

fn scale(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

/// The numbers that a column's values are stored as.
fn whole(array: &ArrayRef) -> Box<dyn Fn(usize) -> i128> {
    fn of<T: ArrowNativeType + Into<i128>>(array: &ArrayRef) -> Box<dyn Fn(usize) -> i128> {
        let values = numbers::<T>(array);
        Box::new(move |row| values[row].into())
    }
    match Ordering::of(array.data_type()) {
        Some(Ordering::Unsigned(8)) => of::<u8>(array),
        Some(Ordering::Unsigned(16)) => of::<u16>(array),
        Some(Ordering::Unsigned(32)) => of::<u32>(array),
        Some(Ordering::Unsigned(_)) => of::<u64>(array),
        Some(Ordering::Signed(8)) => of::<i8>(array),
        Some(Ordering::Signed(16)) => of::<i16>(array),
        Some(Ordering::Signed(32)) => of::<i32>(array),
        Some(Ordering::Signed(64)) => of::<i64>(array),
        _ => of::<i128>(array),
    }
}

/// Writes a column of values of some type.
pub struct Writer {
    data_type: DataType,
    family: Family,
    round: bool,
    codes: Vec<u128>,
    data: Vec<u8>,
    ends: Vec<usize>,
    valid: Vec<bool>,
}

impl Writer {
    /// Of this type. With `round`, digits that the type has no room for are rounded away; else they are a misfit.
    ///
    /// # Errors
    /// If the type is nested, an interval or a decimal of 256 bits.
    pub fn new(data_type: &DataType, round: bool) -> Result<Self> {
        let family =
            family(data_type).ok_or_else(|| Problem::new(format!("nothing can be converted to {data_type}")))?;
        let data_type = data_type.clone();
        Ok(Self { data_type, family, round, codes: Vec::new(), data: Vec::new(), ends: Vec::new(), valid: Vec::new() })
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        self.add_code(0, false);
    }

    fn add_code(&mut self, code: u128, valid: bool) {
        self.codes.push(code);
        self.ends.push(self.data.len());
        self.valid.push(valid);
    }

    /// Adds a value.
    ///
    /// # Errors
    /// If it does not become one of the type; nothing is added then.
    pub fn push(&mut self, value: Value<'_>) -> Result<(), Misfit> {
        match self.family {
            Family::Text => {
                match value {
                    Value::Bytes(bytes) => {
                        let text = std::str::from_utf8(bytes).map_err(|_| Misfit::No)?;
                        self.data.extend_from_slice(text.as_bytes());
                    }
                    Value::Text(text) => self.data.extend_from_slice(text.as_bytes()),
                    value => self.data.extend_from_slice(text(value).as_bytes()),
                }
                self.add_code(0, true);
            }
            Family::Bytes => {
                let bytes = match value {
                    Value::Bytes(bytes) => bytes,
                    Value::Text(text) => text.as_bytes(),
                    _ => return Err(Misfit::No),
                };
                if matches!(self.data_type, DataType::FixedSizeBinary(size) if size as usize != bytes.len()) {
                    return Err(Misfit::Range);
                }
                self.data.extend_from_slice(bytes);
                self.add_code(0, true);
            }
            _ => {
                let code = self.code(value)?;
                self.add_code(code, true);
            }
        }
        Ok(())
    }

    /// The value as a number whose order is that of the type's values.
    fn code(&self, value: Value<'_>) -> Result<u128, Misfit> {
        let data_type = &self.data_type;
        match self.family {
            Family::Bool => truth(value).map(u128::from),
            Family::Float => match data_type {
                DataType::Float16 => {
                    let wide = float::<f64>(value)?;
                    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f64(wide);
                    match half.is_infinite() && wide.is_finite() {
                        true => Err(Misfit::Range),
                        false => Ok(float_code(half.to_bits().into(), 16)),
                    }
                }
                DataType::Float32 => Ok(float_code(float::<f32>(value)?.to_bits().into(), 32)),
                _ => Ok(float_code(float::<f64>(value)?.to_bits(), 64)),
            },
            _ => self.whole_code(self.number(value)?),
        }
    }

    /// The number that the value is stored as.
    fn number(&self, value: Value<'_>) -> Result<i128, Misfit> {
        let unit = unit(&self.data_type);
        match (self.family, value) {
            (Family::Whole, Value::Date(days)) => Ok(days.into()),
            (Family::Whole | Family::Decimal, value) => number(value, scale(&self.data_type), self.round),
            (_, Value::Number(number, 0)) => Ok(number),
            (Family::Date, value) => {
                let days = match value {
                    Value::Date(days) => days,
                    Value::Instant(nanoseconds, _) => nanoseconds.div_euclid(times::DAY) as i64,
                    Value::Text(text) => times::parse_date(text).ok_or(Misfit::No)?,
                    _ => return Err(Misfit::No),
                };
                Ok(i128::from(days) * if self.data_type == DataType::Date64 { 86_400_000 } else { 1 })
            }
            (Family::Time, Value::Time(time)) => self.units(time, unit),
            (Family::Time, Value::Instant(nanoseconds, _)) => self.units(nanoseconds.rem_euclid(times::DAY), unit),
            (Family::Time, Value::Text(text)) => self.units(times::parse_time(text).ok_or(Misfit::No)?, unit),
            (Family::Instant, Value::Instant(nanoseconds, _)) => self.units(nanoseconds, unit),
            (Family::Instant, Value::Date(days)) => self.units(i128::from(days) * times::DAY, unit),
            (Family::Instant, Value::Text(text)) => self.units(times::parse_instant(text).ok_or(Misfit::No)?, unit),
            (Family::Duration, Value::Duration(nanoseconds)) => self.units(nanoseconds, unit),
            (Family::Duration, Value::Text(text)) => number(Value::Text(text), 0, self.round),
            _ => Err(Misfit::No),
        }
    }

    /// Nanoseconds in a unit; what is less than one is cut off.
    fn units(&self, nanoseconds: i128, unit: i128) -> Result<i128, Misfit> {
        match self.round || nanoseconds % unit == 0 {
            true => Ok(nanoseconds.div_euclid(unit)),
            false => Err(Misfit::Digits),
        }
    }

    /// A number as the code of one of the type's width.
    fn whole_code(&self, number: i128) -> Result<u128, Misfit> {
        let range =
            |least: i128, most: i128| if (least..=most).contains(&number) { Ok(()) } else { Err(Misfit::Range) };
        match &self.data_type {
            DataType::Decimal32(precision, _)
            | DataType::Decimal64(precision, _)
            | DataType::Decimal128(precision, _) => {
                let most = 10_i128.pow((*precision).into()) - 1;
                range(-most, most)?;
            }
            time @ (DataType::Time32(_) | DataType::Time64(_)) => range(0, times::DAY / unit(time) - 1)?,
            DataType::Date64 if number % 86_400_000 != 0 => return Err(Misfit::Digits),
            _ => {}
        }
        match Ordering::of(&self.data_type) {
            Some(Ordering::Unsigned(bits)) => range(0, (1 << bits) - 1).map(|()| number as u128),
            Some(Ordering::Signed(128)) => Ok(number as u128 ^ 1 << 127),
            Some(Ordering::Signed(bits)) => {
                range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1).map(|()| (number + (1 << (bits - 1))) as u128)
            }
            _ => Err(Misfit::No),
        }
    }

    /// The column. Nothing is left in the writer.
    ///
    /// # Errors
    /// If the values are too many for the type's offsets.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = Some(NullBuffer::from(std::mem::take(&mut self.valid))).filter(|nulls| nulls.null_count() > 0);
        let (codes, ends) = (std::mem::take(&mut self.codes), std::mem::take(&mut self.ends));
        match Ordering::of(&self.data_type) {
            Some(ordering) if ordering.bits().is_some() => values::from_codes(&self.data_type, ordering, &codes, nulls),
            _ => values::from_bytes(&self.data_type, std::mem::take(&mut self.data), &ends, nulls),
        }
    }
}

fn float_code(bits: u64, width: u32) -> u128 {
    let sign = 1 << (width - 1);
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    u128::from(if bits & sign != 0 { !bits & mask } else { bits ^ sign })
}
