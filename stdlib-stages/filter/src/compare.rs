//! A column against one value, by what its values are stored as: one path for all types of one width.

use flowc_sdk::arrow::array::ArrayAccessor;
use flowc_sdk::arrow::buffer::{BooleanBuffer, ScalarBuffer};
use flowc_sdk::arrow::datatypes::{ArrowNativeType, i256};
use flowc_sdk::arrow::downcast_dictionary_array;
use flowc_sdk::prelude::*;
use memchr::memmem::Finder;

use crate::condition::Op;

/// True or false for each row, null where the column is null. The value is of the type of the column's values, and floats of
/// both are comparable ones.
pub(crate) fn compare(column: &ArrayRef, op: Op, value: &ArrayRef) -> Result<BooleanArray> {
    let array: &dyn Array = column;
    let bits = downcast_dictionary_array!(
        array => {
            let of_values = plain(array.values(), op, value)?;
            let keys = array.keys().values();
            // The key of a null may be any number.
            BooleanBuffer::collect_bool(keys.len(), |row| {
                let key = keys[row].as_usize();
                key < of_values.len() && of_values.value(key)
            })
        }
        _ => plain(array, op, value)?
    );
    Ok(BooleanArray::new(bits, column.logical_nulls()))
}

/// Of an array that is no dictionary.
fn plain(array: &dyn Array, op: Op, value: &ArrayRef) -> Result<BooleanBuffer> {
    Ok(match array.data_type() {
        DataType::Boolean => {
            let (bits, value) = (array.as_boolean().values(), value.as_boolean().value(0));
            ordered(bits.len(), |row| bits.value(row), value, op)
        }
        DataType::Int8 => stored::<i8, _>(array, value, op, |number| number),
        DataType::Int16 => stored::<i16, _>(array, value, op, |number| number),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Decimal32(_, _) => {
            stored::<i32, _>(array, value, op, |number| number)
        }
        DataType::Int64
        | DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Decimal64(_, _) => stored::<i64, _>(array, value, op, |number| number),
        DataType::Decimal128(_, _) => stored::<i128, _>(array, value, op, |number| number),
        DataType::Decimal256(_, _) => stored::<i256, _>(array, value, op, |number| number),
        DataType::UInt8 => stored::<u8, _>(array, value, op, |number| number),
        DataType::UInt16 => stored::<u16, _>(array, value, op, |number| number),
        DataType::UInt32 => stored::<u32, _>(array, value, op, |number| number),
        DataType::UInt64 => stored::<u64, _>(array, value, op, |number| number),
        // In the total order of floats, as integers.
        DataType::Float32 => stored::<i32, _>(array, value, op, |bits| bits ^ ((bits >> 31) as u32 >> 1) as i32),
        DataType::Float64 => stored::<i64, _>(array, value, op, |bits| bits ^ ((bits >> 63) as u64 >> 1) as i64),
        DataType::Utf8 => text(array.as_string::<i32>(), op, value.as_string::<i32>().value(0)),
        DataType::LargeUtf8 => text(array.as_string::<i64>(), op, value.as_string::<i64>().value(0)),
        DataType::Utf8View => text(array.as_string_view(), op, value.as_string_view().value(0)),
        other => return Err(Problem::new(format!("columns of type {other} can't be compared"))),
    })
}

/// Of values that are numbers of this width, in the order that `key` gives.
fn stored<T: ArrowNativeType, K: Ord + Copy>(
    array: &dyn Array,
    value: &ArrayRef,
    op: Op,
    key: impl Fn(T) -> K,
) -> BooleanBuffer {
    let (values, value) = (numbers::<T>(array), key(numbers::<T>(value)[0]));
    // SAFETY: rows are within the array.
    ordered(values.len(), |row| key(*unsafe { values.get_unchecked(row) }), value, op)
}

fn numbers<T: ArrowNativeType>(array: &dyn Array) -> ScalarBuffer<T> {
    let data = array.to_data();
    ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
}

/// Three loops are enough for six comparisons.
fn ordered<T: Ord>(rows: usize, at: impl Fn(usize) -> T, value: T, op: Op) -> BooleanBuffer {
    let mask = match op {
        Op::Less | Op::GreaterOrEqual => BooleanBuffer::collect_bool(rows, |row| at(row) < value),
        Op::Greater | Op::LessOrEqual => BooleanBuffer::collect_bool(rows, |row| at(row) > value),
        _ => BooleanBuffer::collect_bool(rows, |row| at(row) == value),
    };
    if matches!(op, Op::NotEqual | Op::GreaterOrEqual | Op::LessOrEqual) { !&mask } else { mask }
}

fn text<'a, T: ArrayAccessor<Item = &'a str> + Copy>(array: T, op: Op, value: &str) -> BooleanBuffer {
    let (rows, at) = (array.len(), |row| array.value(row).as_bytes());
    let value = value.as_bytes();
    match op {
        Op::Contains => {
            let finder = Finder::new(value);
            BooleanBuffer::collect_bool(rows, |row| finder.find(at(row)).is_some())
        }
        Op::StartsWith => BooleanBuffer::collect_bool(rows, |row| at(row).starts_with(value)),
        Op::EndsWith => BooleanBuffer::collect_bool(rows, |row| at(row).ends_with(value)),
        _ => ordered(rows, at, value, op),
    }
}
