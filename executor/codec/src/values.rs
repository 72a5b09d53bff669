//! Values that JSON lacks, or any text: numbers that are none, times that no calendar has, members of one name.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};

use crate::printable::counted;

/// A value that JSON lacks.
#[derive(Debug, PartialEq, Eq)]
pub struct OddValue {
    /// The column that holds it, perhaps deep within.
    pub column: String,
    /// Why: `NaN is no number that JSON has`.
    pub reason: String,
}

/// Where one is, and why.
type Odd = (usize, String);

/// The days of the years 1 to 9999, from 1970: those that text says in a way that every reader knows.
const DAYS: Range<i64> = -719_162..2_932_897;

/// The first value of a batch that JSON lacks, with its row. Columns of dictionaries are not looked at.
pub fn find_odd(batch: &RecordBatch) -> Option<(usize, OddValue)> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let odd = columns.filter_map(|(field, column)| {
        let (row, reason) = odd(column)?;
        Some((row, OddValue { column: field.name().clone(), reason }))
    });
    odd.min_by_key(|(row, _)| *row)
}

/// The first date or time of a column that has no text: none in the years 1 to 9999, or none of a day.
pub fn odd_time(array: &dyn Array) -> Option<(usize, String)> {
    let (least, most) = bounds(array.data_type())?;
    let data = array.to_data();
    let odd = |value: i64| !(least..=most).contains(&value);
    let row = match data.data_type().primitive_width() {
        Some(4) => first(array, data.buffer::<i32>(0).iter().map(|&value| odd(value.into()))),
        _ => first(array, data.buffer::<i64>(0).iter().map(|&value| odd(value))),
    };
    row.map(|row| {
        let count = counted(array, row);
        let reason = format!(
            "{count} as a {} is none of the years 1 to 9999 or of a day, and text has no others",
            array.data_type()
        );
        (row, reason)
    })
}

/// The least and the most that have text.
fn bounds(data_type: &DataType) -> Option<(i64, i64)> {
    const DAY: i64 = 86_400;
    let a_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let of_days = |days: Range<i64>, a_day: i64| {
        (days.start.saturating_mul(a_day), days.end.checked_mul(a_day).map_or(i64::MAX, |end| end - 1))
    };
    Some(match data_type {
        DataType::Date32 => of_days(DAYS, 1),
        DataType::Date64 => of_days(DAYS, DAY * 1000),
        DataType::Timestamp(unit, None) => of_days(DAYS, DAY * a_second(unit)),
        // The day elsewhere may be the next one, or the one before.
        DataType::Timestamp(unit, Some(_)) => of_days(DAYS.start + 1..DAYS.end - 1, DAY * a_second(unit)),
        DataType::Time32(unit) | DataType::Time64(unit) => (0, DAY * a_second(unit) - 1),
        _ => return None,
    })
}

/// The first valid row for which it holds.
fn first(array: &dyn Array, holds: impl Iterator<Item = bool>) -> Option<usize> {
    holds.take(array.len()).enumerate().find(|(row, holds)| *holds && array.is_valid(*row)).map(|(row, _)| row)
}

fn odd(array: &dyn Array) -> Option<Odd> {
    match array.data_type() {
        DataType::Float16 => odd_float::<Float16Type>(array.as_primitive()),
        DataType::Float32 => odd_float::<Float32Type>(array.as_primitive()),
        DataType::Float64 => odd_float::<Float64Type>(array.as_primitive()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            within(array, list.values(), |row| list.value(row))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            within(array, list.values(), |row| list.value(row))
        }
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            within(array, list.values(), |row| list.value(row))
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            within(array, list.values(), |row| list.value(row))
        }
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            within(array, list.values(), |row| list.value(row))
        }
        DataType::Map(..) => odd_map(array),
        DataType::Struct(_) => array.as_struct().columns().iter().filter_map(|child| odd_child(array, child)).min(),
        _ => odd_time(array),
    }
}

fn odd_float<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &PrimitiveArray<T>) -> Option<Odd> {
    let values = || array.values().iter().map(|&value| -> f64 { value.into() });
    let row = first(array, values().map(|value| !value.is_finite()))?;
    Some((row, format!("{} is no number that JSON has", values().nth(row)?)))
}

/// In what lies within rows. Only what lies in a row that is not null is a value; most often there is nothing odd at all.
fn within(array: &dyn Array, all: &dyn Array, of_row: impl Fn(usize) -> ArrayRef) -> Option<Odd> {
    odd(all)?;
    let rows = (0..array.len()).filter(|&row| array.is_valid(row));
    rows.filter_map(|row| Some((row, odd(&of_row(row))?.1))).next()
}

fn odd_child(parent: &dyn Array, child: &ArrayRef) -> Option<Odd> {
    match parent.null_count() {
        0 => odd(child),
        _ => within(parent, child, |row| child.slice(row, 1)),
    }
}

/// A map is an object, whose members have names of their own.
fn odd_map(array: &dyn Array) -> Option<Odd> {
    let map = array.as_map();
    let repeated = |row: &usize| map.is_valid(*row) && repeats(map.value(*row).column(0));
    let key = (0..map.len()).find(repeated).map(|row| (row, "its map has a key twice".to_owned()));
    let value = within(array, map.entries(), |row| std::sync::Arc::new(map.value(row)));
    key.into_iter().chain(value).min()
}

fn repeats(keys: &ArrayRef) -> bool {
    let Ok(texts) = cast(keys, &DataType::Utf8) else { return false };
    let mut seen = BTreeSet::new();
    !texts.as_string::<i32>().iter().all(|key| seen.insert(key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
    use arrow_array::{
        Date32Array, Float64Array, Int64Array, ListArray, StructArray, Time32SecondArray, TimestampMicrosecondArray,
    };
    use arrow_buffer::{NullBuffer, OffsetBuffer};
    use arrow_schema::Field;

    use super::*;

    fn found(column: ArrayRef) -> Option<(usize, String)> {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        find_odd(&batch).map(|(row, odd)| (row, odd.reason))
    }

    fn list(values: ArrayRef, lengths: [usize; 3], nulls: [bool; 3]) -> ArrayRef {
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        Arc::new(ListArray::new(
            item,
            OffsetBuffer::from_lengths(lengths),
            values,
            Some(NullBuffer::from(nulls.to_vec())),
        ))
    }

    #[test]
    fn values_without_words_are_found_at_any_depth_but_not_under_nulls() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY)]));
        assert_eq!(found(floats.clone()), Some((2, "NaN is no number that JSON has".to_owned())));
        let nested = list(floats.clone(), [2, 1, 1], [true, false, true]);
        assert_eq!(found(nested.clone()), Some((2, "inf is no number that JSON has".to_owned())));
        let fields = vec![Field::new("l", nested.data_type().clone(), true)];
        let under = StructArray::new(fields.into(), vec![nested], Some(NullBuffer::from(vec![true, true, false])));
        assert_eq!(found(Arc::new(under)), None);
    }

    #[test]
    fn times_are_those_that_calendars_and_clocks_have() {
        for (times, row) in [
            (Arc::new(Date32Array::from(vec![-719_162, 2_932_896])) as ArrayRef, None),
            (Arc::new(Date32Array::from(vec![0, 2_932_897])), Some(1)),
            (Arc::new(Date32Array::from(vec![None, Some(i32::MIN)])), Some(1)),
            (Arc::new(Time32SecondArray::from(vec![0, 86_399, 86_400])), Some(2)),
            (Arc::new(Time32SecondArray::from(vec![-1])), Some(0)),
            (Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX])), Some(1)),
            (Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX, 0]).slice(1, 1)), None),
            (Arc::new(Int64Array::from(vec![i64::MAX])), None),
        ] {
            assert_eq!(odd_time(&times).map(|(row, _)| row), row, "{times:?}");
        }
    }

    #[test]
    fn a_key_twice_in_one_map_is_odd() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        for keys in [["a", "b"], ["b", "b"]] {
            keys.iter().for_each(|key| builder.keys().append_value(key));
            [1, 2].iter().for_each(|value| builder.values().append_value(*value));
            builder.append(true).unwrap();
        }
        assert_eq!(found(Arc::new(builder.finish())), Some((1, "its map has a key twice".to_owned())));
    }
}
