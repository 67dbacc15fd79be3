//! The system's allocator and its mmap(2), which refuse the n-th large request when told to: know not who asks. For tests
//! alone; apart from the crate because neither can be written without `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Refuses what it is told to and passes the rest on.
pub struct FailingAllocator;

/// From how many bytes on a request is a large one.
pub const LARGE: usize = 64 * 1024;

/// Large requests still to be granted before one is refused; `NEVER` for none.
static LEFT: AtomicUsize = AtomicUsize::new(NEVER);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
const NEVER: usize = usize::MAX;

thread_local! {
    /// How much was just refused to be mapped: who asks the heap for it instead is refused that too.
    static NOT_MAPPED: Cell<usize> = const { Cell::new(0) };
}

impl FailingAllocator {
    /// Refuses the n-th large request from now on, counted from 1.
    pub fn refuse(nth: usize) {
        REFUSED.store(0, Ordering::SeqCst);
        LEFT.store(nth, Ordering::SeqCst);
    }

    /// How many requests were refused since then.
    pub fn refused() -> usize {
        REFUSED.load(Ordering::SeqCst)
    }

    /// Refuses nothing more; answers how many requests were refused since [`FailingAllocator::refuse`].
    pub fn grant() -> usize {
        LEFT.store(NEVER, Ordering::SeqCst);
        REFUSED.load(Ordering::SeqCst)
    }

    fn refuses(size: usize) -> bool {
        let was_refused = size > 0 && NOT_MAPPED.get() == size;
        NOT_MAPPED.set(if was_refused { 0 } else { NOT_MAPPED.get() });
        was_refused || size > LARGE && Self::counts_to_the_nth()
    }

    fn refuses_to_map(size: usize) -> bool {
        let refuses = size >= LARGE && Self::counts_to_the_nth();
        NOT_MAPPED.set(if refuses { size } else { 0 });
        refuses
    }

    fn counts_to_the_nth() -> bool {
        if LEFT.load(Ordering::Relaxed) == NEVER {
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

/// In the place of the C library's, for all of the program but that library: pages that no file is behind are a request too.
/// Rust's libraries ask for them by this name on Linux with glibc.
///
/// # Safety
///
/// As mmap64(2) says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    place: *mut c_void,
    size: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    if flags & libc::MAP_ANONYMOUS != 0 && FailingAllocator::refuses_to_map(size) {
        // SAFETY: the place of this thread's own error number.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return libc::MAP_FAILED;
    }
    // SAFETY: the caller keeps the contract of this very call.
    let pages = unsafe { libc::syscall(libc::SYS_mmap, place, size, protection, flags, descriptor, offset) };
    std::ptr::with_exposed_provenance_mut(pages as usize)
}
