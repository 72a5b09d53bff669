//! Dictionaries of one column's parts as one, where keys can't number the values of all one behind the other.

use flowc_sdk::arrow::array::{ArrayData, make_array};
use flowc_sdk::arrow::buffer::{Buffer, ScalarBuffer};
use flowc_sdk::arrow::datatypes::ArrowNativeType;
use flowc_sdk::prelude::*;

use crate::{Grouper, gather};

/// The parts of a column such that rows of all can be put together: `MutableArrayData` puts dictionaries one behind the other unless
/// they are the same in memory, and panics where keys do not number so many values.
///
/// # Errors
/// If the parts have more different values than the keys of their dictionary can number.
pub(crate) fn joinable(parts: Vec<ArrayData>) -> Result<Vec<ArrayData>> {
    let Some(first) = parts.first() else { return Ok(parts) };
    if let DataType::Dictionary(key, _) = first.data_type() {
        let values: usize = parts.iter().map(|part| part.child_data()[0].len()).sum();
        return match key.as_ref() {
            DataType::Int8 if values > 1 << 7 => one_dictionary::<i8>(&parts),
            DataType::UInt8 if values > 1 << 8 => one_dictionary::<u8>(&parts),
            DataType::Int16 if values > 1 << 15 => one_dictionary::<i16>(&parts),
            DataType::UInt16 if values > 1 << 16 => one_dictionary::<u16>(&parts),
            // The keys of the others number more values than there is memory for.
            _ => Ok(parts),
        };
    }
    let mut columns = Vec::new();
    for child in 0..first.child_data().len() {
        columns.push(joinable(parts.iter().map(|part| part.child_data()[child].clone()).collect())?.into_iter());
    }
    let part = |part: ArrayData| {
        let children = columns.iter_mut().filter_map(Iterator::next).collect();
        Ok(part.into_builder().child_data(children).build()?)
    };
    parts.into_iter().map(part).collect()
}

/// Values that are equal where they are the same: floats by their bits.
fn bits(values: &ArrayRef) -> Result<ArrayRef> {
    let bits = match values.data_type() {
        DataType::Float16 => DataType::UInt16,
        DataType::Float32 => DataType::UInt32,
        DataType::Float64 => DataType::UInt64,
        _ => return Ok(values.clone()),
    };
    Ok(make_array(values.to_data().into_builder().data_type(bits).build()?))
}

/// The parts with one dictionary, which has each value once.
fn one_dictionary<K: ArrowNativeType>(parts: &[ArrayData]) -> Result<Vec<ArrayData>> {
    let dictionaries: Vec<ArrayRef> = parts.iter().map(|part| make_array(part.child_data()[0].clone())).collect();
    let bits = dictionaries.iter().map(bits).collect::<Result<Vec<_>>>()?;
    let mut grouper = Grouper::new(&[field("value", bits[0].data_type().clone(), true)])?;
    let (mut numbers, mut picks) = (Vec::new(), Vec::new());
    for (part, values) in (0..).zip(&bits) {
        let of_part = grouper.numbers(std::slice::from_ref(values), values.len())?;
        for (row, &number) in (0..).zip(&of_part) {
            if number as usize == picks.len() {
                picks.push((part, row));
            }
        }
        numbers.push(of_part);
    }
    if K::from_usize(picks.len().saturating_sub(1)).is_none() {
        let data_type = parts[0].data_type();
        let message = format!("{} different values are more than the keys of {data_type} can number", picks.len());
        return Err(Problem::new(message).help("`cast@1` makes dictionaries plain columns"));
    }
    let all = gather(&dictionaries, &picks)?.to_data();
    let part = |(part, numbers): (&ArrayData, &Vec<u32>)| {
        // Below a null there may be any key.
        let number = |key: &K| numbers.get(key.as_usize()).map_or(0, |number| *number as usize);
        let keys = part.buffers()[0].typed_data::<K>().iter().map(|key| K::usize_as(number(key)));
        let keys: Buffer = keys.collect::<ScalarBuffer<K>>().into_inner();
        Ok(part.clone().into_builder().buffers(vec![keys]).child_data(vec![all.clone()]).build()?)
    };
    parts.iter().zip(&numbers).map(part).collect()
}
