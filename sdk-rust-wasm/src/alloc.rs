//! The component's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;

use crate::pool::{BIG, Pool};

/// Blocks of [`BIG`] bytes and more are aligned to this.
const LINE: usize = 64;

/// The system's allocator, with big blocks aligned to a cache line and small ones from a pool. Column buffers come from
/// the host as bytes without an alignment; so they can be used as decimals and vectors where they lie. Kernels over text
/// make and free a small block for each value.
struct Allocator(UnsafeCell<Pool>);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Pool::new()));

#[cfg(target_feature = "atomics")]
compile_error!("stages have one thread");

// SAFETY: a component has one thread.
unsafe impl Sync for Allocator {}

impl Allocator {
    fn pool(&self) -> *mut Pool {
        self.0.get()
    }
}

// SAFETY: a block goes back to where it came from, which a layout decides: to its list in the pool, or with the layout
// that `aligned` makes of it to the system's allocator. The pool is used by one thread, and never while it is in use.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Pool::class(layout) {
            // SAFETY: see above.
            Some(class) => unsafe { (*self.pool()).take(class) },
            // SAFETY: the caller's.
            None => unsafe { System.alloc(aligned(layout)) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Pool::class(layout).is_none() {
            // SAFETY: the caller's.
            return unsafe { System.alloc_zeroed(aligned(layout)) };
        }
        // SAFETY: the caller's; the block has this size.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Pool::class(layout) {
            // SAFETY: the layout is that with which the block was made.
            Some(class) => unsafe { (*self.pool()).give(block, class) },
            // SAFETY: the same.
            None => unsafe { System.dealloc(block, aligned(layout)) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's; the size was checked by it together with the alignment, which is at most a line.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if let (Some(old), Some(new)) = (Pool::class(layout), Pool::class(new))
            && old == new
        {
            return block;
        }
        // SAFETY: a fresh block, and both are at least as long as what is copied.
        unsafe {
            let target = self.alloc(new);
            if !target.is_null() {
                std::ptr::copy_nonoverlapping(block, target, layout.size().min(size));
                self.dealloc(block, layout);
            }
            target
        }
    }
}

fn aligned(layout: Layout) -> Layout {
    match layout.size() >= BIG {
        true => layout.align_to(LINE).unwrap_or(layout),
        false => layout,
    }
}
