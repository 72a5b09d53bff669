//! Text and binaries behind views.

use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, ScalarBuffer};
use arrow_data::{ArrayData, ByteView, MAX_INLINE_VIEW_LEN};

use super::{finish, like};

/// Bytes of one data buffer at most: views count in 32 bits.
const BUFFER_LIMIT: usize = i32::MAX as usize;

pub(super) fn compact(data: &ArrayData, nulls: Option<NullBuffer>) -> ArrayData {
    let views = ScalarBuffer::<u128>::new(data.buffers()[0].clone(), 0, data.len());
    let blocks = &data.buffers()[1..];
    if is_compact(&views, blocks, nulls.as_ref()) {
        return finish(like(data, nulls).add_buffer(views.into_inner()).add_buffers(blocks.to_vec()));
    }
    let (views, blocks) = rebuild(&views, blocks, nulls.as_ref());
    finish(like(data, nulls).add_buffer(views.into_inner()).add_buffers(blocks))
}

fn is_compact(views: &[u128], blocks: &[Buffer], nulls: Option<&NullBuffer>) -> bool {
    let mut end = 0;
    let in_order = views.iter().enumerate().all(|(row, &view)| {
        let length = view as u32;
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return view == 0;
        }
        let long = length > MAX_INLINE_VIEW_LEN;
        let parts = ByteView::from(view);
        let fits = !long || (parts.buffer_index == 0 && parts.offset as usize == end);
        end += if long { length as usize } else { 0 };
        fits
    });
    in_order && blocks.len() == usize::from(end > 0) && blocks.first().is_none_or(|block| block.len() == end)
}

fn rebuild(views: &[u128], blocks: &[Buffer], nulls: Option<&NullBuffer>) -> (ScalarBuffer<u128>, Vec<Buffer>) {
    let mut full = Vec::new();
    let mut block = MutableBuffer::new(0);
    let moved = views.iter().enumerate().map(|(row, &view)| {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return 0;
        }
        let mut parts = ByteView::from(view);
        if parts.length <= MAX_INLINE_VIEW_LEN {
            return view;
        }
        let start = parts.offset as usize;
        let bytes = &blocks[parts.buffer_index as usize][start..start + parts.length as usize];
        if block.len() + bytes.len() > BUFFER_LIMIT {
            full.push(std::mem::replace(&mut block, MutableBuffer::new(0)).into());
        }
        parts.buffer_index = full.len() as u32;
        parts.offset = block.len() as u32;
        block.extend_from_slice(bytes);
        parts.as_u128()
    });
    let moved = moved.collect();
    if !block.is_empty() {
        full.push(block.into());
    }
    (moved, full)
}
