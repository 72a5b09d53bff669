//! Bitmaps from offset zero, padded with zeros.

use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;

/// The nulls of an array and a mask together, canonical; `None` if there are none.
pub(super) fn nulls(data: &ArrayData, mask: Option<&NullBuffer>) -> Option<NullBuffer> {
    let nulls = NullBuffer::union(data.nulls(), mask).filter(|nulls| nulls.null_count() > 0)?;
    Some(NullBuffer::new(aligned(nulls.inner())))
}

/// The same bits in exactly the bytes that they need, without a copy where they lie so.
pub(super) fn aligned(bits: &BooleanBuffer) -> BooleanBuffer {
    let bytes = bits.len().div_ceil(8);
    let buffer = match bits.offset() % 8 {
        0 => bits.inner().slice_with_length(bits.offset() / 8, bytes),
        _ => bits.sliced().slice_with_length(0, bytes),
    };
    BooleanBuffer::new(zero_tail(buffer, bits.len()), 0, bits.len())
}

fn zero_tail(buffer: Buffer, bits: usize) -> Buffer {
    let tail = bits % 8;
    match buffer.last() {
        Some(last) if tail != 0 && last >> tail != 0 => {
            let mut copy = MutableBuffer::from_len_zeroed(buffer.len());
            copy.copy_from_slice(&buffer);
            copy[buffer.len() - 1] &= (1 << tail) - 1;
            copy.into()
        }
        _ => buffer,
    }
}

/// Indices of the null rows, ascending.
pub(super) fn null_rows(nulls: &NullBuffer) -> Vec<usize> {
    (!nulls.inner()).set_indices().collect()
}
