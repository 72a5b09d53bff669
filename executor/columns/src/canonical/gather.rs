//! Picks rows of an array of any type.

use std::ops::Range;

use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, make_array, new_null_array};
use arrow_buffer::ArrowNativeType;
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;

use super::with_key_type;
use crate::ColumnsError;

/// Some rows in a row. (`ArrayData::slice` of a struct can't be made into an array again: it slices the children twice.)
pub(super) fn slice(data: &ArrayData, start: usize, rows: usize) -> ArrayData {
    if start == 0 && rows == data.len() {
        return data.clone();
    }
    make_array(data.clone()).slice(start, rows).to_data()
}

/// The rows of the ranges, one after another.
pub(super) fn ranges(data: &ArrayData, ranges: impl Iterator<Item = Range<usize>>) -> Result<ArrayData, ColumnsError> {
    check_keys(&[data])?;
    let mut rows = MutableArrayData::new(vec![data], false, 0);
    for range in ranges {
        rows.try_extend(0, range.start, range.end)?;
    }
    Ok(rows.freeze())
}

/// The rows with these numbers; a null row where there is none.
pub(super) fn rows(data: &ArrayData, picks: &[Option<usize>]) -> Result<ArrayData, ColumnsError> {
    if picks.iter().enumerate().all(|(row, pick)| *pick == Some(row)) {
        return Ok(slice(data, 0, picks.len()));
    }
    if picks.iter().all(Option::is_some) {
        return ranges(data, picks.iter().flatten().map(|&row| row..row + 1));
    }
    let null = new_null_array(data.data_type(), 1).to_data();
    check_keys(&[data, &null])?;
    let mut rows = MutableArrayData::new(vec![data, &null], false, picks.len());
    for pick in picks {
        match pick {
            Some(row) => rows.try_extend(0, *row, row + 1)?,
            None => rows.try_extend(1, 0, 1)?,
        }
    }
    Ok(rows.freeze())
}

/// Whether the dictionaries of arrays of one type can be put one after another. (`MutableArrayData` and `concat` panic
/// where a nested one can't.)
fn check_keys(arrays: &[&ArrayData]) -> Result<(), ColumnsError> {
    let Some(first) = arrays.first() else { return Ok(()) };
    if let DataType::Dictionary(key, _) = first.data_type() {
        let values: usize = arrays.iter().map(|array| array.child_data()[0].len()).sum();
        let last = with_key_type!(key.as_ref(), K => <K as ArrowPrimitiveType>::Native::from_usize(values).is_some());
        return if last { Ok(()) } else { Err(ColumnsError::DictionaryFull { values, key: key.as_ref().clone() }) };
    }
    (0..first.child_data().len()).try_for_each(|child| {
        let children: Vec<_> = arrays.iter().map(|array| &array.child_data()[child]).collect();
        check_keys(&children)
    })
}
