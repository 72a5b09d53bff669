//! Lists, maps, list views and lists of a fixed size.

use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;

use super::bytes::{Offset, ends, nulls_are_empty, offsets, rebase, shorten};
use super::{compact as compact_child, finish, gather, like};
use crate::ColumnsError;

/// Lists and maps.
pub(super) fn compact<O: Offset>(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let offsets = offsets::<O>(data);
    let child = &data.child_data()[0];
    let (offsets, child) = match &nulls {
        Some(nulls) if !nulls_are_empty(&offsets, nulls) => {
            let kept = nulls.valid_slices().map(|(start, end)| offsets[start].as_usize()..offsets[end].as_usize());
            (shorten(&offsets, nulls), gather::ranges(child, kept)?)
        }
        _ => {
            let (first, last) = ends(&offsets);
            (rebase(offsets), gather::slice(child, first, last - first))
        }
    };
    let child = compact_child(&child, None)?;
    Ok(finish(like(data, nulls).add_buffer(offsets.into_inner().into_inner()).add_child_data(child)))
}

/// List views: laid out one after another, like lists.
pub(super) fn compact_view<O: Offset>(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let buffer = |i: usize| ScalarBuffer::<O>::new(data.buffers()[i].clone(), 0, data.len());
    let (starts, sizes) = (buffer(0), buffer(1));
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let size = |row: usize| if valid(row) { sizes[row].as_usize() } else { 0 };
    let range = |row: usize| starts[row].as_usize()..starts[row].as_usize() + size(row);

    let child = gather::ranges(&data.child_data()[0], (0..data.len()).filter(|&row| size(row) > 0).map(range))?;
    let child = compact_child(&child, None)?;
    let mut end = 0;
    let mut offset = |row: usize| {
        let start = O::usize_as(end);
        end += size(row);
        start
    };
    let starts: ScalarBuffer<O> = (0..data.len()).map(&mut offset).collect();
    let sizes: ScalarBuffer<O> = (0..data.len()).map(|row| O::usize_as(size(row))).collect();
    let builder = like(data, nulls.clone()).add_buffer(starts.into_inner()).add_buffer(sizes.into_inner());
    Ok(finish(builder.add_child_data(child)))
}

/// Lists of a fixed size.
pub(super) fn compact_fixed(
    data: &ArrayData,
    nulls: Option<NullBuffer>,
    size: usize,
) -> Result<ArrayData, ColumnsError> {
    let child = gather::slice(&data.child_data()[0], 0, data.len() * size);
    let child = compact_child(&child, nulls.as_ref().map(|nulls| nulls.expand(size)).as_ref())?;
    Ok(finish(like(data, nulls).add_child_data(child)))
}
