//! Which values a format has no place for, said by rules of its own: what a sink refuses beyond them, it should have taken.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use flowc_columns::testing::{Value, values};
use flowc_planner::plan::Format;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The rows with a value that a format has no place for.
pub fn unfit_rows(format: &Format, column: &ArrayRef) -> Vec<usize> {
    (0..column.len()).filter(|&row| is_unfit(format, &column.slice(row, 1))).collect()
}

/// Whether one row has such a value, at any depth.
fn is_unfit(format: &Format, row: &ArrayRef) -> bool {
    let any = |items: &ArrayRef| (0..items.len()).any(|at| is_unfit(format, &items.slice(at, 1)));
    if row.is_null(0) {
        return false;
    }
    match row.data_type() {
        DataType::List(_) => any(&row.as_list::<i32>().value(0)),
        DataType::LargeList(_) => any(&row.as_list::<i64>().value(0)),
        DataType::ListView(_) => any(&row.as_list_view::<i32>().value(0)),
        DataType::LargeListView(_) => any(&row.as_list_view::<i64>().value(0)),
        DataType::FixedSizeList(..) => any(&row.as_fixed_size_list().value(0)),
        DataType::Struct(_) => row.as_struct().columns().iter().any(any),
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(row.as_map().value(0));
            let keys = values(row.as_map().value(0).column(0));
            let repeats = keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key));
            any(&entries) || (repeats && *format == Format::JsonLines)
        }
        DataType::Dictionary(_, value) => {
            let value = arrow_cast::cast(row, value).unwrap();
            value.is_valid(0) && is_unfit(format, &value)
        }
        DataType::RunEndEncoded(_, values) => is_unfit(format, &arrow_cast::cast(row, values.data_type()).unwrap()),
        _ => is_unfit_leaf(format, row),
    }
}

fn is_unfit_leaf(format: &Format, value: &ArrayRef) -> bool {
    let data_type = value.data_type();
    match format {
        Format::JsonLines if data_type.is_floating() => {
            let float = arrow_cast::cast(value, &DataType::Float64).unwrap();
            !float.as_primitive::<Float64Type>().value(0).is_finite()
        }
        Format::Csv(_) | Format::JsonLines if data_type.is_temporal() => has_no_text(data_type, count(value)),
        Format::Parquet | Format::Avro(_) if data_type.is_temporal() => has_no_place(data_type, count(value)),
        _ => false,
    }
}

/// A date or a time as its number.
fn count(value: &ArrayRef) -> i64 {
    match &values(value)[0] {
        Value::Bytes(bytes) if bytes.len() == 4 => i32::from_le_bytes(bytes[..].try_into().unwrap()).into(),
        Value::Bytes(bytes) if bytes.len() == 8 => i64::from_le_bytes(bytes[..].try_into().unwrap()),
        _ => 0,
    }
}

fn a_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Text has the years 1 to 9999, of which those in a zone lack a day at both ends, and times of a day.
fn has_no_text(data_type: &DataType, count: i64) -> bool {
    let no_day = |a_day: i64, margin: i64| !(-719_162 + margin..=2_932_896 - margin).contains(&count.div_euclid(a_day));
    match data_type {
        DataType::Date32 => no_day(1, 0),
        DataType::Date64 => no_day(DAY * 1000, 0),
        DataType::Timestamp(unit, zone) => no_day(DAY * a_second(unit), zone.is_some().into()),
        DataType::Time32(unit) | DataType::Time64(unit) => !(0..DAY * a_second(unit)).contains(&count),
        _ => false,
    }
}

/// Milliseconds stand for seconds, and dates for milliseconds of whole days.
fn has_no_place(data_type: &DataType, count: i64) -> bool {
    match data_type {
        DataType::Date64 => count % (DAY * 1000) != 0 || i32::try_from(count / (DAY * 1000)).is_err(),
        DataType::Time32(TimeUnit::Second) => i32::try_from(count * 1000).is_err(),
        DataType::Timestamp(TimeUnit::Second, _) => count.checked_mul(1000).is_none(),
        _ => false,
    }
}
