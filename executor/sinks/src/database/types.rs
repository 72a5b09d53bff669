//! Which types, and which of their values, a database holds as they are. Pure.
//!
//! Drivers take more than their databases hold: they cut nanoseconds off, or make the largest integers negative. What is not here is refused.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, DurationNanosecondType, Float16Type, Float32Type, Float64Type, IntervalMonthDayNanoType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_buffer::ArrowNativeType;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use flowc_adbc::Vendor;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// The first and the last day that texts of SQLite name, from 1970: those of the years 0 to 9999.
const TEXT_DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Whether a table that is made for values of a type can hold them.
pub(super) fn holds(vendor: &Vendor, data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Date32
        | DataType::Timestamp(_, None) => true,
        DataType::Dictionary(_, value) => {
            holds(vendor, value) && (*vendor == Vendor::DuckDb || matches!(**value, DataType::Utf8))
        }
        // A text of a time says nothing of its zone.
        _ if *vendor == Vendor::Sqlite => *data_type == DataType::Float16,
        DataType::Timestamp(_, Some(_))
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(IntervalUnit::MonthDayNano) => true,
        DataType::Decimal128(_, scale) => *vendor == Vendor::PostgreSql || *scale >= 0,
        DataType::Float16 | DataType::Decimal256(..) => *vendor == Vendor::PostgreSql,
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => *vendor == Vendor::DuckDb && *scale >= 0,
        DataType::Date64 => *vendor == Vendor::DuckDb,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let is_flat = !item.data_type().is_nested();
            holds_within(vendor, item.data_type()) && (is_flat || *vendor == Vendor::DuckDb)
        }
        DataType::Struct(fields) if *vendor == Vendor::DuckDb => {
            fields.iter().all(|field| holds_within(vendor, field.data_type()))
        }
        DataType::Map(entries, _) if *vendor == Vendor::DuckDb => holds(vendor, entries.data_type()),
        _ => false,
    }
}

/// The same of a type within others. Dictionaries there do not travel to a driver.
fn holds_within(vendor: &Vendor, data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Dictionary(..)) && holds(vendor, data_type)
}

/// The first row with a value that the database would make another one of, and why.
pub(super) fn misfit(vendor: &Vendor, column: &dyn Array) -> Option<(usize, &'static str)> {
    match (vendor, column.data_type()) {
        (_, DataType::List(_)) => {
            of_list(vendor, column, column.as_list::<i32>().offsets(), column.as_list::<i32>().values())
        }
        (_, DataType::LargeList(_)) => {
            of_list(vendor, column, column.as_list::<i64>().offsets(), column.as_list::<i64>().values())
        }
        (_, DataType::FixedSizeList(_, size)) => {
            let list = column.as_fixed_size_list();
            let size = usize::try_from(*size).ok().filter(|size| *size > 0)?;
            misfit(vendor, list.values()).map(|(item, reason)| (item / size, reason))
        }
        (_, DataType::Map(..)) => {
            let map = column.as_map();
            of_list(vendor, column, map.offsets(), map.entries())
        }
        (_, DataType::Struct(_)) => column.as_struct().columns().iter().find_map(|member| misfit(vendor, member)),
        (Vendor::Sqlite, _) => of_sqlite(column),
        (Vendor::PostgreSql, _) => of_postgresql(column),
        (Vendor::DuckDb, DataType::Date64) => {
            let is_part = |value: i64| value % (DAY * 1000) != 0;
            first::<Date64Type>(column, is_part).map(|row| (row, "DuckDB holds dates without a time of day"))
        }
        (Vendor::DuckDb, _) => of_intervals(column),
        (Vendor::Other(_), _) => None,
    }
}

fn of_sqlite(column: &dyn Array) -> Option<(usize, &'static str)> {
    const NAN: &str = "SQLite holds no NaN and would make it null; do so in a stage before, if that is meant";
    const TIME: &str = "SQLite holds dates and times as texts, of the years 0 to 9999";
    let outside = |per_day: i64| move |value: i64| !TEXT_DAYS.contains(&value.div_euclid(per_day));
    let (row, reason) = match column.data_type() {
        DataType::Float16 => (first::<Float16Type>(column, |value| value.is_nan()), NAN),
        DataType::Float32 => (first::<Float32Type>(column, f32::is_nan), NAN),
        DataType::Float64 => (first::<Float64Type>(column, f64::is_nan), NAN),
        DataType::UInt64 => return of_integers(column),
        DataType::Date32 => (first::<Date32Type>(column, |day| !TEXT_DAYS.contains(&i64::from(day))), TIME),
        DataType::Timestamp(TimeUnit::Second, _) => (first::<TimestampSecondType>(column, outside(DAY)), TIME),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            (first::<TimestampMillisecondType>(column, outside(DAY * 1000)), TIME)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (first::<TimestampMicrosecondType>(column, outside(DAY * 1_000_000)), TIME)
        }
        _ => (None, TIME),
    };
    row.map(|row| (row, reason))
}

fn of_postgresql(column: &dyn Array) -> Option<(usize, &'static str)> {
    const ZERO: &str = "a text of PostgreSQL holds no character of code zero";
    const MICROS: &str = "PostgreSQL holds microseconds, and would cut nanoseconds off; round in a stage before";
    let is_finer = |value: i64| value % 1000 != 0;
    let zero = |mut texts: Box<dyn Iterator<Item = Option<&str>> + '_>| {
        texts.position(|text| text.is_some_and(|text| text.contains('\0'))).map(|row| (row, ZERO))
    };
    match column.data_type() {
        DataType::UInt64 => of_integers(column),
        DataType::Utf8 => zero(Box::new(column.as_string::<i32>().iter())),
        DataType::LargeUtf8 => zero(Box::new(column.as_string::<i64>().iter())),
        DataType::Utf8View => zero(Box::new(column.as_string_view().iter())),
        DataType::Dictionary(..) => {
            let keyed = column.as_any_dictionary();
            let (item, reason) = of_postgresql(keyed.values())?;
            let keys = keyed.normalized_keys();
            (0..column.len()).find(|&row| column.is_valid(row) && keys[row] == item).map(|row| (row, reason))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            first::<TimestampNanosecondType>(column, is_finer).map(|row| (row, MICROS))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            first::<Time64NanosecondType>(column, is_finer).map(|row| (row, MICROS))
        }
        _ => of_intervals(column),
    }
}

/// Integers of 64 bits have a sign in databases.
fn of_integers(column: &dyn Array) -> Option<(usize, &'static str)> {
    let row = first::<UInt64Type>(column, |value| i64::try_from(value).is_err())?;
    Some((row, "the database holds integers of 64 bits with a sign; make it a text or a decimal in a stage before"))
}

/// Lengths of time have microseconds in databases.
fn of_intervals(column: &dyn Array) -> Option<(usize, &'static str)> {
    let row = match column.data_type() {
        DataType::Duration(TimeUnit::Nanosecond) => first::<DurationNanosecondType>(column, |value| value % 1000 != 0),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            first::<IntervalMonthDayNanoType>(column, |value| value.nanoseconds % 1000 != 0)
        }
        _ => None,
    };
    row.map(|row| (row, "the database holds lengths of time in microseconds; round in a stage before"))
}

fn first<T: ArrowPrimitiveType>(column: &dyn Array, is_wrong: impl Fn(T::Native) -> bool) -> Option<usize> {
    column.as_primitive::<T>().iter().position(|value| value.is_some_and(&is_wrong))
}

/// The row of a list whose item does not fit.
fn of_list<O: ArrowNativeType>(
    vendor: &Vendor,
    column: &dyn Array,
    offsets: &[O],
    items: &dyn Array,
) -> Option<(usize, &'static str)> {
    let start = offsets.first()?.as_usize();
    let end = offsets.last()?.as_usize();
    let (item, reason) = misfit(vendor, &items.slice(start, end - start))?;
    let row = offsets.partition_point(|offset| offset.as_usize() <= start + item);
    Some((row.saturating_sub(1).min(column.len()), reason))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, UInt64Builder};
    use arrow_array::types::IntervalMonthDayNano;
    use arrow_array::{
        ArrayRef, Date32Array, DictionaryArray, Float64Array, IntervalMonthDayNanoArray, StringArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow_schema::Field;

    use super::*;

    const ALL: [Vendor; 3] = [Vendor::Sqlite, Vendor::PostgreSql, Vendor::DuckDb];

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", item, true)))
    }

    #[test]
    fn a_type_that_a_database_lacks_is_refused() {
        let member = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        // SQLite, PostgreSQL, DuckDB.
        let cases = [
            (DataType::Int64, [true, true, true]),
            (DataType::Decimal128(9, 2), [false, true, true]),
            (DataType::Decimal128(9, -2), [false, true, false]),
            (DataType::Decimal256(60, 2), [false, true, false]),
            (DataType::Decimal64(9, 2), [false, false, true]),
            (DataType::Decimal32(9, -2), [false, false, false]),
            (DataType::Date64, [false, false, true]),
            (DataType::Float16, [true, true, false]),
            (DataType::Timestamp(TimeUnit::Second, None), [true, true, true]),
            (DataType::Timestamp(TimeUnit::Second, Some("UTC".into())), [false, true, true]),
            (DataType::Time64(TimeUnit::Nanosecond), [false, true, true]),
            (list(DataType::Utf8), [false, true, true]),
            (list(list(DataType::Utf8)), [false, false, true]),
            (list(DataType::Date64), [false, false, true]),
            (member, [false, false, true]),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), [true, true, true]),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64)), [false, false, true]),
            (list(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))), [false, false, false]),
            (DataType::Interval(IntervalUnit::YearMonth), [false, false, false]),
        ];
        for (data_type, expected) in cases {
            assert_eq!(ALL.each_ref().map(|vendor| holds(vendor, &data_type)), expected, "{data_type}");
        }
    }

    #[test]
    fn the_row_of_a_value_that_would_become_another_one_is_found() {
        let mut lists = ListBuilder::new(UInt64Builder::new());
        lists.append_value([Some(1), Some(2)]);
        lists.append_null();
        lists.append_value([Some(3), Some(u64::MAX)]);
        let interval = |nanoseconds| Some(IntervalMonthDayNano { months: 1, days: 2, nanoseconds });
        let dictionary: DictionaryArray<arrow_array::types::Int8Type> =
            [Some("a"), Some("a\0b"), None].into_iter().collect();
        // The rows in SQLite, PostgreSQL and DuckDB.
        let cases: Vec<(ArrayRef, [Option<usize>; 3])> = vec![
            (Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MAX)])), [Some(2), Some(2), None]),
            (Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NAN])), [Some(1), None, None]),
            (Arc::new(StringArray::from(vec![None, Some("a\0b")])), [None, Some(1), None]),
            (Arc::new(dictionary), [None, Some(1), None]),
            (Arc::new(TimestampNanosecondArray::from(vec![1000, 1001])), [None, Some(1), None]),
            (Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MIN])), [Some(1), None, None]),
            (Arc::new(Date32Array::from(vec![-719_528, 2_932_896, 2_932_897])), [Some(2), None, None]),
            (Arc::new(IntervalMonthDayNanoArray::from(vec![interval(1000), interval(1)])), [None, Some(1), Some(1)]),
            (Arc::new(lists.finish()), [Some(2), Some(2), None]),
        ];
        for (column, expected) in cases {
            let rows = ALL.each_ref().map(|vendor| misfit(vendor, &column).map(|(row, _)| row));
            assert_eq!(rows, expected, "{}", column.data_type());
            let sliced = ALL.each_ref().map(|vendor| misfit(vendor, &column.slice(1, 1)).map(|(row, _)| row));
            assert_eq!(sliced, expected.map(|row| row.filter(|row| *row == 1).map(|_| 0)), "{}", column.data_type());
        }
    }
}
