//! The component's allocator.

use std::alloc::{GlobalAlloc, Layout, System};

/// Blocks of this size and more lie on a cache line.
const BIG: usize = 256;
const LINE: usize = 64;

/// The system's allocator, with big blocks aligned to a cache line. Column buffers come from the host as bytes without
/// an alignment; so they can be used as decimals and vectors where they lie. Small ones are copied when need be, which
/// is cheaper than aligning every small block.
struct Aligned;

#[global_allocator]
static ALLOCATOR: Aligned = Aligned;

fn aligned(layout: Layout) -> Layout {
    match layout.size() >= BIG {
        true => layout.align_to(LINE).unwrap_or(layout),
        false => layout,
    }
}

// SAFETY: every block is given to the system's allocator with the same layout, a function of its own layout, when it is
// made and when it is freed.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { System.alloc(aligned(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(aligned(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, aligned(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() < BIG && size < BIG {
            // SAFETY: both sizes keep their own alignment.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: the caller's; the size was checked by it together with the alignment, which is at most a line.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
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
