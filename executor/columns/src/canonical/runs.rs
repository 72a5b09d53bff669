//! Run-end encoding: neighbours are different, and a row that is null in a parent is a null value.

use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_buffer::{ArrowNativeType, NullBuffer, RunEndBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::{compact as compact_child, finish, gather, like};
use crate::ColumnsError;

pub(super) fn compact(data: &ArrayData, mask: Option<&NullBuffer>) -> Result<ArrayData, ColumnsError> {
    match data.child_data()[0].data_type() {
        DataType::Int16 => typed::<Int16Type>(data, mask),
        DataType::Int32 => typed::<Int32Type>(data, mask),
        _ => typed::<Int64Type>(data, mask),
    }
}

fn typed<R: RunEndIndexType>(data: &ArrayData, mask: Option<&NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let (ends, picks) = runs::<R>(data, mask);
    let values = compact_child(&gather::rows(&data.child_data()[1], &picks)?, None)?;
    let value = |run| gather::slice(&values, run, 1);
    let differs = |run: usize| run + 1 == ends.len() || value(run) != value(run + 1);
    let kept: Vec<usize> = (0..ends.len()).filter(|&run| differs(run)).collect();

    let values = gather::rows(&values, &kept.iter().map(|&run| Some(run)).collect::<Vec<_>>())?;
    let ends: ScalarBuffer<R::Native> = kept.iter().map(|&run| R::Native::usize_as(ends[run])).collect();
    let ends = finish(ArrayData::builder(R::DATA_TYPE).len(ends.len()).add_buffer(ends.into_inner()));
    Ok(finish(like(data, None).add_child_data(ends).add_child_data(compact_child(&values, None)?)))
}

/// Where each run ends, and which value it has.
fn runs<R: RunEndIndexType>(data: &ArrayData, mask: Option<&NullBuffer>) -> (Vec<usize>, Vec<Option<usize>>) {
    let ends = &data.child_data()[0];
    let ends = ScalarBuffer::<R::Native>::new(ends.buffers()[0].clone(), ends.offset(), ends.len());
    // SAFETY: the run ends of a valid array ascend and cover its rows.
    let ends = unsafe { RunEndBuffer::new_unchecked(ends, data.offset(), data.len()) };
    let mut found: (Vec<usize>, Vec<Option<usize>>) = Default::default();
    let mut run = if data.is_empty() { 0 } else { ends.get_start_physical_index() };
    for row in 0..data.len() {
        while ends.values()[run].as_usize() <= row + data.offset() {
            run += 1;
        }
        let pick = mask.is_none_or(|mask| mask.is_valid(row)).then_some(run);
        if found.1.last() == Some(&pick) {
            found.0.pop();
        } else {
            found.1.push(pick);
        }
        found.0.push(row + 1);
    }
    found
}
