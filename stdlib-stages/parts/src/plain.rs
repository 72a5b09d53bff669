//! Columns as plain values: without dictionaries and runs, and lists as what they hold.

use flowc_sdk::arrow::array::ListArray;
use flowc_sdk::arrow::array::{ArrayData, MutableArrayData, RunArray, make_array};
use flowc_sdk::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use flowc_sdk::arrow::datatypes::{ArrowNativeType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use flowc_sdk::arrow::downcast_dictionary_array;
use flowc_sdk::prelude::*;

use crate::dictionaries::joinable;

/// The type of a column's values, however they are encoded.
pub fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        other => other,
    }
}

/// A column with its dictionary's or its runs' values in their place.
///
/// # Errors
/// If the values are too many for their type's offsets.
pub fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let values: &dyn Array = array;
    downcast_dictionary_array!(
        values => {
            let (codes, nulls) = (values.keys().values(), values.keys().nulls());
            let code = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| codes[row].as_usize());
            picked(&plain(values.values())?, (0..codes.len()).map(code))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array.as_run()),
            DataType::Int32 => runs::<Int32Type>(array.as_run()),
            _ => runs::<Int64Type>(array.as_run()),
        },
        _ => Ok(array.clone()),
    )
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>) -> Result<ArrayRef> {
    let rows = (0..array.len()).map(|row| Some(array.get_physical_index(row)));
    picked(&plain(array.values())?, rows)
}

/// The values with these numbers; null where there is none.
///
/// # Errors
/// If the values are too many for their type's offsets.
pub fn gather_or_null(values: &ArrayRef, rows: &[Option<usize>]) -> Result<ArrayRef> {
    picked(values, rows.iter().copied())
}

fn picked(values: &ArrayRef, rows: impl ExactSizeIterator<Item = Option<usize>> + Clone) -> Result<ArrayRef> {
    if let Some(texts) = values.as_string_opt::<i32>() {
        let texts = rows.map(|row| row.filter(|&row| texts.is_valid(row)).map(|row| texts.value(row)));
        return Ok(Arc::new(texts.collect::<StringArray>()));
    }
    let data: ArrayData = values.to_data();
    let mut picked = MutableArrayData::new(vec![&data], true, rows.len());
    for row in rows {
        match row {
            Some(row) => picked.try_extend(0, row, row + 1)?,
            None => picked.try_extend_nulls(1)?,
        }
    }
    Ok(make_array(picked.freeze()))
}

/// A column with values of another one in the place of nulls; `row` says which.
///
/// # Errors
/// If the values are too many for their type's offsets, or for the keys of its dictionary.
pub fn filled(column: &ArrayRef, values: &ArrayRef, row: impl Fn(usize) -> usize) -> Result<ArrayRef> {
    let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(column.clone()) };
    let parts = joinable(vec![column.to_data(), values.to_data()])?;
    let mut filled = MutableArrayData::new(parts.iter().collect(), true, column.len());
    let mut end = 0;
    let fill = |filled: &mut MutableArrayData<'_>, start: usize, end: usize| {
        (start..end).try_for_each(|null| filled.try_extend(1, row(null), row(null) + 1))
    };
    for (start, next) in nulls.valid_slices() {
        fill(&mut filled, end, start)?;
        filled.try_extend(0, start, next)?;
        end = next;
    }
    fill(&mut filled, end, column.len())?;
    Ok(make_array(filled.freeze()))
}

/// Values picked from several columns of one type: each by the number of its column and its row there.
///
/// # Errors
/// If the values are too many for their type's offsets, or for the keys of its dictionary.
pub fn gather(columns: &[ArrayRef], picks: &[(u32, u32)]) -> Result<ArrayRef> {
    let data = joinable(columns.iter().map(|column| column.to_data()).collect())?;
    let mut picked = MutableArrayData::new(data.iter().collect(), false, picks.len());
    for &(column, row) in picks {
        picked.try_extend(column as usize, row as usize, row as usize + 1)?;
    }
    Ok(make_array(picked.freeze()))
}

/// The values of several columns of one type, one column behind the other.
///
/// # Errors
/// If the values are too many for their type's offsets, or for the keys of its dictionary.
pub fn joined(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let data = joinable(columns.iter().map(|column| column.to_data()).collect())?;
    let mut joined = MutableArrayData::new(data.iter().collect(), false, data.iter().map(ArrayData::len).sum());
    for (column, data) in data.iter().enumerate() {
        joined.try_extend(column, 0, data.len())?;
    }
    Ok(make_array(joined.freeze()))
}

/// Lists of these lengths over items that lie one behind the other.
///
/// # Errors
/// If the items are more than a list array can hold.
pub fn list(item: FieldRef, lengths: impl IntoIterator<Item = usize>, items: ArrayRef) -> Result<ArrayRef> {
    let mut offsets = vec![0];
    for length in lengths {
        let end = offsets[offsets.len() - 1] as usize + length;
        offsets.push(i32::try_from(end)?);
    }
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::new(ScalarBuffer::from(offsets)), items, None)?))
}

/// The row of each item of a column of lists, and the items.
///
/// # Errors
/// If the column is none of lists.
pub fn list_items(column: &ArrayRef) -> Result<(Vec<usize>, ArrayRef)> {
    let lists = column.as_list_opt::<i32>().ok_or_else(|| Problem::new("a partial without its lists"))?;
    let offsets = lists.value_offsets();
    let rows = offsets.windows(2).enumerate();
    let rows = rows.flat_map(|(row, ends)| std::iter::repeat_n(row, (ends[1] - ends[0]) as usize)).collect();
    let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
    Ok((rows, lists.values().slice(first, last - first)))
}
