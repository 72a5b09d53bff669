//! Small blocks of memory, for a program with one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;

/// Blocks of this size and more are not small.
pub(crate) const BIG: usize = 256;

/// Small blocks by size, in steps of [`Pool::STEP`]: a list of free ones for each. They are never given back to the
/// system, as little as wasm memory is.
pub(crate) struct Pool {
    free: [*mut Free; BIG / Pool::STEP],
    /// What is left of the last chunk.
    next: *mut u8,
    left: usize,
}

/// A free block begins with the next one of its size.
struct Free(*mut Free);

impl Pool {
    const STEP: usize = 16;
    const CHUNK: usize = 16 << 10;

    pub(crate) const fn new() -> Self {
        Self { free: [null_mut(); BIG / Self::STEP], next: null_mut(), left: 0 }
    }

    /// The list that blocks of a layout are in, if the pool has them.
    pub(crate) fn class(layout: Layout) -> Option<usize> {
        let is_small = layout.size() < BIG && layout.align() <= Self::STEP;
        is_small.then(|| layout.size().saturating_sub(1) / Self::STEP)
    }

    /// A block; null if there is no memory.
    pub(crate) fn take(&mut self, class: usize) -> *mut u8 {
        let head = self.free[class];
        if head.is_null() {
            return self.carve((class + 1) * Self::STEP);
        }
        // SAFETY: a block in a list is free and begins with the next one.
        self.free[class] = unsafe { (*head).0 };
        head.cast()
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It came from [`Pool::take`] for this class, and nobody uses it any more.
    pub(crate) unsafe fn give(&mut self, block: *mut u8, class: usize) {
        let block = block.cast::<Free>();
        // SAFETY: the caller's; every block is aligned to and as long as a step at least.
        unsafe { block.write(Free(self.free[class])) };
        self.free[class] = block;
    }

    /// A block that was never used.
    fn carve(&mut self, size: usize) -> *mut u8 {
        if self.left < size {
            let chunk = Layout::new::<[u8; Self::CHUNK]>().align_to(Self::STEP);
            // SAFETY: the size is not zero.
            let chunk = chunk.map_or(null_mut(), |chunk| unsafe { System.alloc(chunk) });
            if chunk.is_null() {
                return chunk;
            }
            (self.next, self.left) = (chunk, Self::CHUNK);
        }
        let block = self.next;
        // SAFETY: the chunk has `left` bytes from here on.
        self.next = unsafe { block.add(size) };
        self.left -= size;
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(size: usize, align: usize) -> Option<usize> {
        Pool::class(Layout::from_size_align(size, align).unwrap())
    }

    #[test]
    fn small_blocks_have_a_class_and_others_have_none() {
        assert_eq!([class(1, 1), class(16, 16), class(17, 8), class(255, 1)], [Some(0), Some(0), Some(1), Some(15)]);
        assert_eq!([class(256, 1), class(64, 32)], [None, None]);
    }

    #[test]
    fn blocks_are_aligned_and_apart_and_are_used_again() {
        let mut pool = Pool::new();
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for round in 0..5000 {
            let class = round % 16;
            let block = pool.take(class);
            assert!(!block.is_null() && block.addr().is_multiple_of(Pool::STEP));
            // SAFETY: the block is ours, and this long.
            unsafe { block.write_bytes(0xa5, (class + 1) * Pool::STEP) };
            if round % 3 == 0 {
                // SAFETY: it was taken for this class just now.
                unsafe { pool.give(block, class) };
                assert_eq!(pool.take(class), block);
            }
            blocks.push((block.addr(), (class + 1) * Pool::STEP));
        }
        blocks.sort_unstable();
        assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    }
}
