//! Values of a config as values of a column's type, exactly.

use flowc_sdk::arrow::array::{
    ArrowPrimitiveType, LargeStringArray, PrimitiveArray, StringViewArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use flowc_sdk::arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_timestamp_nanos};
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::Value;

/// An array of one value of this type.
pub(crate) fn literal(data_type: &DataType, value: &Value) -> Result<ArrayRef> {
    match data_type {
        DataType::Boolean => match value {
            Value::Bool(value) => Ok(Arc::new(BooleanArray::from(vec![*value]))),
            _ => Err(wrong(data_type, value)),
        },
        DataType::Int8 => integer::<Int8Type>(value),
        DataType::Int16 => integer::<Int16Type>(value),
        DataType::Int32 => integer::<Int32Type>(value),
        DataType::Int64 => integer::<Int64Type>(value),
        DataType::UInt8 => integer::<UInt8Type>(value),
        DataType::UInt16 => integer::<UInt16Type>(value),
        DataType::UInt32 => integer::<UInt32Type>(value),
        DataType::UInt64 => integer::<UInt64Type>(value),
        DataType::Float32 => float::<Float32Type>(value, |number| number as f32),
        DataType::Float64 => float::<Float64Type>(value, |number| number),
        DataType::Utf8 => Ok(Arc::new(StringArray::from(vec![text(data_type, value)?]))),
        DataType::LargeUtf8 => Ok(Arc::new(LargeStringArray::from(vec![text(data_type, value)?]))),
        DataType::Utf8View => Ok(Arc::new(StringViewArray::from(vec![text(data_type, value)?]))),
        DataType::Date32 => parsed::<Date32Type>(data_type, value),
        DataType::Date64 => parsed::<Date64Type>(data_type, value),
        DataType::Time32(TimeUnit::Second) => parsed::<Time32SecondType>(data_type, value),
        DataType::Time32(_) => parsed::<Time32MillisecondType>(data_type, value),
        DataType::Time64(TimeUnit::Microsecond) => parsed::<Time64MicrosecondType>(data_type, value),
        DataType::Time64(_) => parsed::<Time64NanosecondType>(data_type, value),
        DataType::Timestamp(unit, zone) => timestamp(*unit, zone.clone(), text(data_type, value)?),
        DataType::Decimal32(precision, scale) => decimal::<Decimal32Type>(*precision, *scale, value),
        DataType::Decimal64(precision, scale) => decimal::<Decimal64Type>(*precision, *scale, value),
        DataType::Decimal128(precision, scale) => decimal::<Decimal128Type>(*precision, *scale, value),
        DataType::Decimal256(precision, scale) => decimal::<Decimal256Type>(*precision, *scale, value),
        other => Err(Problem::new(format!("a column of type {other} can only be tested for null"))),
    }
}

/// Says how a value of the column's type is written, and how the column may get the value's type.
fn wrong(data_type: &DataType, value: &Value) -> Problem {
    let written = match (data_type, value) {
        (DataType::Boolean, _) => "write `#true` or `#false`".to_owned(),
        (data_type, _) if data_type.is_integer() => "write a whole number, without quotes".to_owned(),
        (data_type, _) if data_type.is_numeric() => "write a number, without quotes".to_owned(),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Value::Number(_) | Value::Bool(_)) => {
            format!("write it as text, `\"{value}\"`")
        }
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => "write one text".to_owned(),
        (DataType::Date32 | DataType::Date64, _) => "write a date as text, such as `\"2024-02-29\"`".to_owned(),
        (DataType::Time32(_) | DataType::Time64(_), _) => "write a time as text, such as `\"23:59:59\"`".to_owned(),
        _ => "write a time as text, such as `\"2024-02-29T12:00:00Z\"`".to_owned(),
    };
    let other = match value {
        Value::Bool(_) => Some("Boolean"),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some("Int64"),
        Value::Number(_) => Some("Float64"),
        Value::String(_) => Some("Utf8"),
        _ => None,
    };
    let other = other.filter(|other| *other != data_type.to_string());
    let declared =
        other.map_or_else(String::new, |other| format!(", or declare the column as {other} in the source's `schema`"));
    Problem::new(format!("{value} can't be compared with a column of type {data_type}"))
        .help(format!("{written}{declared}"))
}

fn text<'a>(data_type: &DataType, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong(data_type, value))
}

fn one<T: ArrowPrimitiveType>(value: T::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values([value]))
}

fn integer<T: ArrowPrimitiveType>(value: &Value) -> Result<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let number = number.ok_or_else(|| wrong(&T::DATA_TYPE, value))?;
    let native = T::Native::try_from(number);
    Ok(one::<T>(native.map_err(|_| Problem::new(format!("{number} is out of the range of {}", T::DATA_TYPE)))?))
}

fn float<T: ArrowPrimitiveType>(value: &Value, convert: impl FnOnce(f64) -> T::Native) -> Result<ArrayRef> {
    Ok(one::<T>(convert(value.as_f64().ok_or_else(|| wrong(&T::DATA_TYPE, value))?)))
}

fn parsed<T: Parser>(data_type: &DataType, value: &Value) -> Result<ArrayRef> {
    let text = text(data_type, value)?;
    Ok(one::<T>(T::parse(text).ok_or_else(|| Problem::new(format!("`{text}` is no {data_type}")))?))
}

/// Text without an offset is UTC.
fn timestamp(unit: TimeUnit, zone: Option<Arc<str>>, text: &str) -> Result<ArrayRef> {
    let nanoseconds = string_to_timestamp_nanos(text)?;
    let exact = |factor: i64| match nanoseconds % factor {
        0 => Ok(nanoseconds / factor),
        _ => Err(Problem::new(format!("`{text}` is finer than the column's time stamps"))),
    };
    Ok(match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::from(vec![exact(1_000_000_000)?]).with_timezone_opt(zone)),
        TimeUnit::Millisecond => {
            Arc::new(TimestampMillisecondArray::from(vec![exact(1_000_000)?]).with_timezone_opt(zone))
        }
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::from(vec![exact(1_000)?]).with_timezone_opt(zone)),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::from(vec![nanoseconds]).with_timezone_opt(zone)),
    })
}

fn decimal<T: DecimalType>(precision: u8, scale: i8, value: &Value) -> Result<ArrayRef> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(wrong(&T::TYPE_CONSTRUCTOR(precision, scale), value)),
    };
    let fraction = text.split_once('.').map_or(0, |(_, digits)| digits.trim_end_matches('0').len());
    if fraction as i64 > i64::from(scale.max(0)) {
        return Err(Problem::new(format!(
            "{text} has more digits than the column, which has {scale} behind the point"
        )));
    }
    let value = parse_decimal::<T>(&text, precision, scale)?;
    Ok(Arc::new(PrimitiveArray::<T>::from_iter_values([value]).with_precision_and_scale(precision, scale)?))
}
