//! Event times: read from columns, and written as the bounds of windows. In milliseconds since 1970 in UTC, rounded down.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, TimestampMicrosecondArray, TimestampMillisecondArray, UInt64Array};
use arrow_schema::{DataType, TimeUnit};
use flowc_demand::placeable;

/// The times of a column of a type that [`flowc_planner::plan::is_time`]. None where it is null, or further from 1970 than calendars reach.
pub(crate) fn times(column: &dyn Array) -> Vec<Option<i64>> {
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            values::<TimestampSecondType>(column, |time| time.checked_mul(1000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => values::<TimestampMillisecondType>(column, Some),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            values::<TimestampMicrosecondType>(column, |time| Some(time.div_euclid(1000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            values::<TimestampNanosecondType>(column, |time| Some(time.div_euclid(1_000_000)))
        }
        DataType::Date32 => values::<Date32Type>(column, |days| Some(i64::from(days) * 86_400_000)),
        DataType::Date64 => values::<Date64Type>(column, Some),
        _ => vec![None; column.len()],
    }
}

fn values<T: ArrowPrimitiveType>(column: &dyn Array, ms: impl Fn(T::Native) -> Option<i64>) -> Vec<Option<i64>> {
    column.as_primitive::<T>().iter().map(|value| placeable(ms(value?)?)).collect()
}

/// Times as a column of the type of windows' bounds ([`flowc_planner::plan::Window::bound_type`]), or numbers of rows.
pub(crate) fn bounds(times: impl Iterator<Item = Option<i64>>, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::UInt64 => Arc::new(times.map(|number| number.map(i64::unsigned_abs)).collect::<UInt64Array>()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros: TimestampMicrosecondArray = times.map(|time| time.map(|time| time * 1000)).collect();
            Arc::new(micros.with_data_type(data_type.clone()))
        }
        _ => {
            let millis: TimestampMillisecondArray = times.collect();
            Arc::new(millis.with_data_type(data_type.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Date32Array, TimestampNanosecondArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn times_are_rounded_down_also_before_1970() {
        let nanos = TimestampNanosecondArray::from(vec![Some(1_999_999), Some(-1), None]);
        assert_eq!(times(&nanos), [Some(1), Some(-1), None]);
        assert_eq!(times(&Date32Array::from(vec![-1, 1])), [Some(-86_400_000), Some(86_400_000)]);
    }

    #[test]
    fn times_beyond_all_calendars_are_none() {
        assert_eq!(times(&TimestampSecondArray::from(vec![i64::MAX, i64::MIN, 9_000_000_000_000])), [None; 3]);
    }

    #[test]
    fn bounds_have_the_type_that_is_asked_for() {
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Oslo".into()));
        let column = bounds([Some(-1), None].into_iter(), &zone);
        assert_eq!(column.data_type(), &zone);
        assert_eq!(times(&column), [Some(-1), None]);
    }
}
