//! Text and binaries behind offsets.

use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, OffsetBuffer, OffsetBufferBuilder, ScalarBuffer};
use arrow_data::ArrayData;

use super::{bits, finish, like};
use crate::ColumnsError;

/// Either width of offsets.
pub(super) trait Offset: arrow_array::OffsetSizeTrait {}
impl Offset for i32 {}
impl Offset for i64 {}

pub(super) fn compact<O: Offset>(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let offsets = offsets::<O>(data);
    let values = &data.buffers()[1];
    let (offsets, values) = match &nulls {
        Some(nulls) if !nulls_are_empty(&offsets, nulls) => without_nulls(&offsets, values, nulls),
        _ => {
            let (first, last) = ends(&offsets);
            (rebase(offsets), values.slice_with_length(first, last - first))
        }
    };
    Ok(finish(like(data, nulls).add_buffer(offsets.into_inner().into_inner()).add_buffer(values)))
}

/// The offsets of an array of bytes or lists.
pub(super) fn offsets<O: Offset>(data: &ArrayData) -> OffsetBuffer<O> {
    if data.buffers()[0].is_empty() {
        return OffsetBuffer::new_empty();
    }
    let offsets = ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len() + 1);
    // SAFETY: the offsets of a valid array ascend from zero or more.
    unsafe { OffsetBuffer::new_unchecked(offsets) }
}

/// Where the first value begins and the last one ends.
pub(super) fn ends<O: Offset>(offsets: &OffsetBuffer<O>) -> (usize, usize) {
    (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize())
}

/// Whether nothing lies under nulls.
pub(super) fn nulls_are_empty<O: Offset>(offsets: &OffsetBuffer<O>, nulls: &NullBuffer) -> bool {
    bits::null_rows(nulls).into_iter().all(|row| offsets[row] == offsets[row + 1])
}

/// The same lengths from zero on.
pub(super) fn rebase<O: Offset>(offsets: OffsetBuffer<O>) -> OffsetBuffer<O> {
    let first = offsets[0];
    if first == O::default() {
        return offsets;
    }
    let rebased = offsets.iter().map(|&offset| offset - first).collect::<ScalarBuffer<O>>();
    // SAFETY: the same distances from zero on.
    unsafe { OffsetBuffer::new_unchecked(rebased) }
}

/// The same lengths, but zero under nulls.
pub(super) fn shorten<O: Offset>(offsets: &OffsetBuffer<O>, nulls: &NullBuffer) -> OffsetBuffer<O> {
    let mut shortened = OffsetBufferBuilder::new(nulls.len());
    for (row, length) in offsets.lengths().enumerate() {
        shortened.push_length(if nulls.is_valid(row) { length } else { 0 });
    }
    shortened.finish()
}

fn without_nulls<O: Offset>(
    offsets: &OffsetBuffer<O>,
    values: &Buffer,
    nulls: &NullBuffer,
) -> (OffsetBuffer<O>, Buffer) {
    let (first, last) = ends(offsets);
    let mut kept = MutableBuffer::with_capacity(last - first);
    for (start, end) in nulls.valid_slices() {
        kept.extend_from_slice(&values[offsets[start].as_usize()..offsets[end].as_usize()]);
    }
    (shorten(offsets, nulls), kept.into())
}
