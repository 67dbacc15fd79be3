//! The system's allocator, which refuses the n-th large request when told to: knows not who asks. For tests alone; apart from
//! the crate because an allocator cannot be written without `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Refuses what it is told to and passes the rest on.
pub struct FailingAllocator;

/// From how many bytes on a request is a large one.
pub const LARGE: usize = 64 * 1024;

/// Large requests still to be granted before one is refused; `NEVER` for none.
static LEFT: AtomicUsize = AtomicUsize::new(NEVER);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
const NEVER: usize = usize::MAX;

impl FailingAllocator {
    /// Refuses the n-th large request from now on, counted from 1.
    pub fn refuse(nth: usize) {
        REFUSED.store(0, Ordering::SeqCst);
        LEFT.store(nth, Ordering::SeqCst);
    }

    /// Refuses nothing more; answers how many requests were refused since [`FailingAllocator::refuse`].
    pub fn grant() -> usize {
        LEFT.store(NEVER, Ordering::SeqCst);
        REFUSED.load(Ordering::SeqCst)
    }

    fn refuses(size: usize) -> bool {
        if size <= LARGE || LEFT.load(Ordering::Relaxed) == NEVER {
            return false;
        }
        let count = |left: usize| if left == NEVER { None } else { left.checked_sub(1) };
        let refuses = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1);
        if refuses {
            REFUSED.fetch_add(1, Ordering::SeqCst);
        }
        refuses
    }
}

// SAFETY: every request is passed on to the system's allocator as it is, or answered by null, which `GlobalAlloc` allows.
unsafe impl GlobalAlloc for FailingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above; where it is refused the block is as it was, which is what null means.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
