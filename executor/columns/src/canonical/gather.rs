//! Picks rows of an array of any type.

use std::ops::Range;

use arrow_array::{Array, new_null_array};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;

use crate::ColumnsError;

/// The rows of the ranges, one after another.
pub(super) fn ranges(data: &ArrayData, ranges: impl Iterator<Item = Range<usize>>) -> Result<ArrayData, ColumnsError> {
    let mut rows = MutableArrayData::new(vec![data], false, 0);
    for range in ranges {
        rows.try_extend(0, range.start, range.end)?;
    }
    Ok(rows.freeze())
}

/// The rows with these numbers; a null row where there is none.
pub(super) fn rows(data: &ArrayData, picks: &[Option<usize>]) -> Result<ArrayData, ColumnsError> {
    if picks.iter().enumerate().all(|(row, pick)| *pick == Some(row)) {
        return Ok(data.slice(0, picks.len()));
    }
    if picks.iter().all(Option::is_some) {
        return ranges(data, picks.iter().flatten().map(|&row| row..row + 1));
    }
    let null = new_null_array(data.data_type(), 1).to_data();
    let mut rows = MutableArrayData::new(vec![data, &null], false, picks.len());
    for pick in picks {
        match pick {
            Some(row) => rows.try_extend(0, *row, row + 1)?,
            None => rows.try_extend(1, 0, 1)?,
        }
    }
    Ok(rows.freeze())
}
