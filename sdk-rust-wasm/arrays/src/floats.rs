//! Floats that are equal, with equal bits.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, make_array};
use arrow_schema::{ArrowError, DataType};

type F16 = <Float16Type as ArrowPrimitiveType>::Native;

/// The column with one zero in place of `0.0` and `-0.0`, and with one NaN, at any depth. For whatever compares floats by
/// their bits, as Arrow's kernels and its row format do: so zeros are equal, and NaN equals NaN and is above all numbers.
///
/// # Errors
/// If the column is not a valid one.
pub fn comparable(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Float16 => Ok(of_type::<Float16Type>(array, F16::NAN)),
        DataType::Float32 => Ok(of_type::<Float32Type>(array, f32::NAN)),
        DataType::Float64 => Ok(of_type::<Float64Type>(array, f64::NAN)),
        nested if has_floats(nested) => {
            let data = array.to_data();
            let children = data.child_data().iter().map(|child| Ok(comparable(&make_array(child.clone()))?.to_data()));
            let children = children.collect::<Result<_, ArrowError>>()?;
            Ok(make_array(data.into_builder().child_data(children).build()?))
        }
        _ => Ok(array.clone()),
    }
}

fn of_type<T: ArrowPrimitiveType>(array: &ArrayRef, nan: T::Native) -> ArrayRef {
    let zero = T::Native::default();
    let one = |value: T::Native| match value.partial_cmp(&zero) {
        None => nan,
        Some(std::cmp::Ordering::Equal) => zero,
        Some(_) => value,
    };
    Arc::new(array.as_primitive::<T>().unary::<_, T>(one))
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_floats(item.data_type())
        }
        DataType::ListView(item) | DataType::LargeListView(item) | DataType::Map(item, _) => {
            has_floats(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_floats(field.data_type())),
        DataType::RunEndEncoded(_, values) => has_floats(values.data_type()),
        DataType::Dictionary(_, value) => has_floats(value),
        other => other.is_floating(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int8Type;
    use arrow_array::{DictionaryArray, Float64Array, Int8Array, StringArray, StructArray};
    use arrow_schema::Field;

    use super::*;

    fn bits(array: &ArrayRef) -> Vec<Option<u64>> {
        array.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect()
    }

    #[test]
    fn zeros_have_one_form_and_so_have_numbers_that_are_none() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), None, Some(odd), Some(-1.5)]));
        let expected = [Some(0), Some(0), None, Some(f64::NAN.to_bits()), Some((-1.5_f64).to_bits())];
        assert_eq!(bits(&comparable(&floats).unwrap()), expected);
        let half: ArrayRef = Arc::new(arrow_array::Float16Array::from(vec![F16::NEG_ZERO]));
        assert!(comparable(&half).unwrap().as_primitive::<Float16Type>().value(0).is_sign_positive());
    }

    #[test]
    fn floats_are_found_within_other_types() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, -0.0]));
        let keys = Int8Array::from(vec![1, 0]);
        let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, floats.clone()));
        let one = comparable(&dictionary).unwrap();
        assert_eq!(bits(one.as_dictionary::<Int8Type>().values())[1], Some(0));
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let within: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![floats], None));
        assert_eq!(bits(comparable(&within.slice(1, 1)).unwrap().as_struct().column(0)), [Some(0)]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["-0.0"]));
        assert_eq!(&comparable(&text).unwrap(), &text);
    }
}
