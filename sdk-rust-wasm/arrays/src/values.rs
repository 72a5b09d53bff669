//! Values that the columnar format can hold and their type can't.

use arrow_array::types::{
    ArrowPrimitiveType, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, TimeUnit};

use crate::Fault;

const SECONDS: i64 = 86_400;

/// The nulls among some values.
type Nulls<'a> = Option<&'a NullBuffer>;

/// Refuses times outside of a day, `Date64` within a day, and decimals of more digits than their precision: values that
/// arrow's own validation does not look at. Nested columns are checked too; what lies under nulls does not count.
///
/// # Errors
/// The first such value.
pub fn check_values(data: &ArrayData) -> Result<(), Fault> {
    check_under(data, None)
}

/// `parents` are the nulls of what the values are part of, where that has a null for each of them.
fn check_under(data: &ArrayData, parents: Nulls<'_>) -> Result<(), Fault> {
    let nulls = NullBuffer::union(parents.filter(|nulls| nulls.len() == data.len()), data.nulls());
    let nulls = nulls.as_ref();
    match data.data_type() {
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(data, nulls, SECONDS),
        DataType::Time32(_) => times::<Time32MillisecondType>(data, nulls, SECONDS * 1000),
        DataType::Time64(TimeUnit::Microsecond) => times::<Time64MicrosecondType>(data, nulls, SECONDS * 1_000_000),
        DataType::Time64(_) => times::<Time64NanosecondType>(data, nulls, SECONDS * 1_000_000_000),
        DataType::Date64 => {
            let reason = "it has to be a whole number of days, in milliseconds";
            check::<Date64Type>(data, nulls, reason, |time| time % (SECONDS * 1000) == 0)
        }
        DataType::Decimal32(precision, _) => decimals::<Decimal32Type>(data, nulls, *precision),
        DataType::Decimal64(precision, _) => decimals::<Decimal64Type>(data, nulls, *precision),
        DataType::Decimal128(precision, _) => decimals::<Decimal128Type>(data, nulls, *precision),
        DataType::Decimal256(precision, _) => decimals::<Decimal256Type>(data, nulls, *precision),
        _ => Ok(()),
    }?;
    let of_children = match data.data_type() {
        DataType::Struct(_) => nulls.cloned(),
        DataType::FixedSizeList(_, size) => nulls.map(|nulls| nulls.expand(size.unsigned_abs() as usize)),
        _ => None,
    };
    data.child_data().iter().try_for_each(|child| check_under(child, of_children.as_ref()))
}

fn times<T: ArrowPrimitiveType<Native: Into<i64>>>(data: &ArrayData, nulls: Nulls<'_>, end: i64) -> Result<(), Fault> {
    check::<T>(data, nulls, "it has to lie within a day", |time| (0..end).contains(&time.into()))
}

fn decimals<T: DecimalType>(data: &ArrayData, nulls: Nulls<'_>, precision: u8) -> Result<(), Fault> {
    let reason = "it has more digits than the precision allows";
    check::<T>(data, nulls, reason, |value| T::is_valid_decimal_precision(value, precision))
}

fn check<T: ArrowPrimitiveType>(
    data: &ArrayData,
    nulls: Nulls<'_>,
    reason: &'static str,
    is_value: impl Fn(T::Native) -> bool,
) -> Result<(), Fault> {
    let array = PrimitiveArray::<T>::from(data.clone());
    let is_shown = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    match (0..array.len()).find(|&row| !is_value(array.value(row)) && is_shown(row)) {
        None => Ok(()),
        Some(row) => {
            let value = array.value(row);
            let value = value.to_i64().map_or_else(|| format!("{value:?}"), |value| value.to_string());
            Err(Fault::Value { value, data_type: array.data_type().to_string(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Date64Array, Decimal128Array, FixedSizeListArray, Time32SecondArray, Time64NanosecondArray, make_array,
    };
    use arrow_schema::Field;

    use super::*;

    fn told(array: &dyn Array) -> Option<String> {
        check_values(&array.to_data()).err().map(|fault| fault.to_string())
    }

    #[test]
    fn values_outside_of_their_type_are_refused_and_values_under_nulls_are_not_looked_at() {
        let decimals = |value: i128, precision, scale| {
            let decimals = Decimal128Array::from(vec![Some(value), None]);
            make_array(decimals.with_precision_and_scale(precision, scale).unwrap().to_data())
        };
        let good: [&dyn Array; 5] = [
            &Time32SecondArray::from(vec![0, 86_399]),
            &Time64NanosecondArray::from(vec![86_399_999_999_999]),
            &Date64Array::from(vec![-86_400_000, 0, 86_400_000]),
            &decimals(-99, 2, 1),
            &decimals(99, 2, -3),
        ];
        assert_eq!(good.map(told), [None, None, None, None, None]);
        assert_eq!(
            told(&Time32SecondArray::from(vec![86_400])).as_deref(),
            Some("86400 is no value of Time32(s): it has to lie within a day")
        );
        assert!(told(&Time64NanosecondArray::from(vec![-1])).is_some());
        assert!(told(&Date64Array::from(vec![1])).is_some());
        assert!(told(&decimals(100, 2, 0)).unwrap().contains("100 is no value of Decimal128(2, 0)"));
    }

    #[test]
    fn nested_values_are_checked() {
        let times = Time32SecondArray::from(vec![1, 99_999]);
        let item = Field::new("item", times.data_type().clone(), true);
        let list = |nulls| FixedSizeListArray::new(item.clone().into(), 2, Arc::new(times.clone()), nulls);
        assert!(told(&list(None)).is_some());
        assert!(told(&list(Some(vec![false].into()))).is_none(), "nobody sees what lies under a null");
    }
}
