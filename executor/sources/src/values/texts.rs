//! Texts as values of any type. Whatever the format and wherever in a row, a spelling is read here, so it is a value
//! everywhere or nowhere.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, NullArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray, new_empty_array,
};
use arrow_buffer::i256;
use arrow_cast::cast_with_options;
use arrow_cast::parse::Parser;
use arrow_schema::{ArrowError, DataType, FieldRef, SchemaRef, TimeUnit};

use crate::fields::map_types;
use crate::values::strict::STRICT;
use crate::values::times::{is_time, is_zone, read_times};

/// The first type in a type whose values no text spells, or the type if its values can't be encoded in it.
pub(crate) fn unreadable(data_type: &DataType) -> Option<&DataType> {
    // Arrow's table of casts has some that it refuses.
    let is_encoded = || cast_with_options(&new_empty_array(&plain_type(data_type)), data_type, &STRICT).is_ok();
    without_text(data_type).or_else(|| (!is_encoded()).then_some(data_type))
}

/// The first type in a type whose values no text spells.
fn without_text(data_type: &DataType) -> Option<&DataType> {
    use DataType::*;
    match data_type {
        List(item) | LargeList(item) | FixedSizeList(item, _) | Map(item, _) => without_text(item.data_type()),
        ListView(item) | LargeListView(item) | RunEndEncoded(_, item) => without_text(item.data_type()),
        Struct(fields) => fields.iter().find_map(|field| without_text(field.data_type())),
        Dictionary(key, value) if key.is_integer() && !value.is_nested() => without_text(value),
        Timestamp(_, zone) => (!zone.as_ref().is_none_or(|zone| is_zone(zone))).then_some(data_type),
        Time32(unit) => (!matches!(unit, TimeUnit::Second | TimeUnit::Millisecond)).then_some(data_type),
        Time64(unit) => (!matches!(unit, TimeUnit::Microsecond | TimeUnit::Nanosecond)).then_some(data_type),
        Dictionary(..) | Interval(_) | Union(..) => Some(data_type),
        _ => None,
    }
}

/// What a type is read as: its values as they are, before they are encoded. A dictionary is full when all rows of a batch
/// are known, and not before.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Dictionary(_, value) => plain_type(value),
        RunEndEncoded(_, values) => plain_type(values.data_type()),
        List(item) | ListView(item) => List(plain_field(item)),
        LargeList(item) | LargeListView(item) => LargeList(plain_field(item)),
        FixedSizeList(item, size) => FixedSizeList(plain_field(item), *size),
        Map(entries, sorted) => Map(plain_field(entries), *sorted),
        Struct(fields) => Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(plain_type(field.data_type())))
}

/// The schema in which a format of text reads its rows.
pub(crate) fn plain(schema: &SchemaRef) -> SchemaRef {
    map_types(schema, plain_type)
}

/// Gives a batch of [`plain`] columns the types of the schema.
///
/// # Errors
/// The first column that has no room for its values, and why.
pub(crate) fn encode(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, (String, ArrowError)> {
    let encode = |(column, field): (&ArrayRef, &FieldRef)| {
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        cast_with_options(column, field.data_type(), &STRICT).map_err(|error| (field.name().clone(), error))
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(encode).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|error| (String::new(), error))
}

/// Reads texts as values of a plain type that has no parts. White space around a value is no part of it, but in text.
///
/// # Errors
/// A text is no value of the type, or says more than the type can hold: nothing is rounded, cut or carried over.
pub(crate) fn read_texts(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Utf8 => Ok(Arc::new(texts.clone())),
        DataType::LargeUtf8 | DataType::Utf8View => cast_with_options(texts, data_type, &STRICT),
        other => read_trimmed(&trimmed(texts), other),
    }
}

/// Texts without the white space around them. Most have none.
fn trimmed(texts: &StringArray) -> Cow<'_, StringArray> {
    match texts.iter().flatten().any(is_padded) {
        true => Cow::Owned(texts.iter().map(|text| text.map(str::trim_ascii)).collect()),
        false => Cow::Borrowed(texts),
    }
}

/// Whether there is white space around a text. Arrow's parsers of numbers, which read most of CSV, take the same.
pub(crate) fn is_padded(text: &str) -> bool {
    text.trim_ascii().len() < text.len()
}

/// Reads texts without white space around them as values of another type than text.
fn read_trimmed(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Null => nulls(texts),
        DataType::Boolean => booleans(texts),
        DataType::Int8 => numbers::<Int8Type>(texts),
        DataType::Int16 => numbers::<Int16Type>(texts),
        DataType::Int32 => numbers::<Int32Type>(texts),
        DataType::Int64 => numbers::<Int64Type>(texts),
        DataType::UInt8 => numbers::<UInt8Type>(texts),
        DataType::UInt16 => numbers::<UInt16Type>(texts),
        DataType::UInt32 => numbers::<UInt32Type>(texts),
        DataType::UInt64 => numbers::<UInt64Type>(texts),
        DataType::Float16 => floats::<Float16Type>(texts, |value| f32::from(value).is_infinite()),
        DataType::Float32 => floats::<Float32Type>(texts, f32::is_infinite),
        DataType::Float64 => floats::<Float64Type>(texts, f64::is_infinite),
        DataType::Duration(TimeUnit::Second) => numbers::<DurationSecondType>(texts),
        DataType::Duration(TimeUnit::Millisecond) => numbers::<DurationMillisecondType>(texts),
        DataType::Duration(TimeUnit::Microsecond) => numbers::<DurationMicrosecondType>(texts),
        DataType::Duration(TimeUnit::Nanosecond) => numbers::<DurationNanosecondType>(texts),
        DataType::Decimal32(p, s) => decimals::<Decimal32Type>(texts, *p, *s, |value| value.to_i128()?.try_into().ok()),
        DataType::Decimal64(p, s) => decimals::<Decimal64Type>(texts, *p, *s, |value| value.to_i128()?.try_into().ok()),
        DataType::Decimal128(p, s) => decimals::<Decimal128Type>(texts, *p, *s, i256::to_i128),
        DataType::Decimal256(p, s) => decimals::<Decimal256Type>(texts, *p, *s, Some),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            cast_with_options(&bytes(texts)?, data_type, &STRICT)
        }
        DataType::FixedSizeBinary(size) => {
            let values = bytes(texts)?;
            Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter(), *size)?))
        }
        time if is_time(time) => read_times(texts, time),
        other => Err(ArrowError::NotYetImplemented(format!("no text spells a value of type {other}"))),
    }
}

/// Whether one text is a value of a type.
pub(crate) fn is_value(text: &str, data_type: &DataType) -> bool {
    read_texts(&StringArray::from(vec![text]), data_type).is_ok()
}

fn misfit(text: &str, data_type: &DataType) -> ArrowError {
    ArrowError::ParseError(format!("{text:?} is not a value of type {data_type}"))
}

fn nulls(texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    match texts.iter().flatten().next() {
        Some(text) => Err(misfit(text, &DataType::Null)),
        None => Ok(Arc::new(NullArray::new(texts.len()))),
    }
}

fn booleans(texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    let truth = |text: &str| match text {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(misfit(other, &DataType::Boolean)),
    };
    let values: Result<BooleanArray, _> = texts.iter().map(|text| text.map(truth).transpose()).collect();
    Ok(Arc::new(values?))
}

fn primitives<T: ArrowPrimitiveType>(
    texts: &StringArray,
    data_type: &DataType,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let parse = |text: &str| parse(text).ok_or_else(|| misfit(text, data_type));
    let values: Result<PrimitiveArray<T>, _> = texts.iter().map(|text| text.map(parse).transpose()).collect();
    Ok(values?.with_data_type(data_type.clone()))
}

fn numbers<T: Parser>(texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(primitives::<T>(texts, &T::DATA_TYPE, T::parse)?))
}

/// A number that is too large for its type is not infinity.
fn floats<T: Parser>(texts: &StringArray, is_infinite: impl Fn(T::Native) -> bool) -> Result<ArrayRef, ArrowError> {
    let has_digits = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let parse = |text: &str| T::parse(text).filter(|value| !is_infinite(*value) || !has_digits(text));
    Ok(Arc::new(primitives::<T>(texts, &T::DATA_TYPE, parse)?))
}

fn decimals<T: DecimalType>(
    texts: &StringArray,
    precision: u8,
    scale: i8,
    narrow: impl Fn(i256) -> Option<T::Native>,
) -> Result<ArrayRef, ArrowError> {
    let data_type = T::TYPE_CONSTRUCTOR(precision, scale);
    Ok(Arc::new(primitives::<T>(texts, &data_type, |text| narrow(decimal(text, precision, scale)?))?))
}

/// A number in units of a decimal's last digit. `None`: it is none, or has more digits than the decimal.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i256> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, number) = match number.strip_prefix(['-', '+']) {
        Some(rest) => (&number[..1], rest),
        None => ("", number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let last = i64::from(exponent) - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(i256::ZERO);
    }
    let zeros = usize::try_from(last + i64::from(scale)).ok()?;
    if significant.len().checked_add(zeros)? > usize::from(precision) {
        return None;
    }
    let sign = if sign == "-" { "-" } else { "" };
    i256::from_string(&format!("{sign}{significant}{}", "0".repeat(zeros)))
}

/// Bytes as pairs of hexadecimal digits, which is how sinks write them.
fn bytes(texts: &StringArray) -> Result<BinaryArray, ArrowError> {
    let read = |text: &str| unhex(text).ok_or_else(|| misfit(text, &DataType::Binary));
    texts.iter().map(|text| text.map(read).transpose()).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs: Option<Vec<u8>> = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    pairs.filter(|_| rest.is_empty())
}

/// Whether a column of floats holds an infinity.
pub(crate) fn has_infinity(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Float16 => column.as_primitive::<Float16Type>().values().iter().any(|v| f32::from(*v).is_infinite()),
        DataType::Float32 => column.as_primitive::<Float32Type>().values().iter().any(|v| v.is_infinite()),
        DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().any(|v| v.is_infinite()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
