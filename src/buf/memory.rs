//! Where the bytes of a buffer lie: a few in the allocator's heap, many in pages of their own. Knows nothing of what
//! the bytes mean.
//!
//! An allocator keeps what is freed, and a heap with holes the size of messages keeps nearly all of it. Pages that
//! were mapped for one buffer are the system's again as soon as the buffer is dropped (R39), and until a byte is
//! written to one of them it costs no memory.

use std::collections::TryReserveError;
use std::fmt;

use memmap2::MmapMut;

/// A run of initialised bytes of a fixed length.
pub(super) enum Memory {
    Heap(Vec<u8>),
    Pages(MmapMut),
}

/// The system has no memory for a buffer of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a buffer")]
pub struct NoMemory;

impl From<TryReserveError> for NoMemory {
    fn from(_: TryReserveError) -> Self {
        NoMemory
    }
}

impl Memory {
    /// So many zeroes in pages of their own, which cost nothing until they are written to.
    pub(super) fn pages(size: usize) -> Option<Memory> {
        MmapMut::map_anon(size).ok().map(Memory::Pages)
    }

    /// So many zeroes. Where there are no pages to be mapped, the heap has to do.
    pub(super) fn zeroed(size: usize) -> Result<Memory, NoMemory> {
        if size >= PAGES_FROM
            && let Some(pages) = Memory::pages(size)
        {
            return Ok(pages);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size)?;
        bytes.resize(size, 0);
        Ok(Memory::Heap(bytes))
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(pages) => pages,
        }
    }

    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(pages) => pages,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::Heap(Vec::new())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.len())
    }
}

/// From so many bytes on a buffer has pages of its own: rarely enough to be worth a system call, and well below the
/// size at which allocators change how they get memory.
const PAGES_FROM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_has_pages_of_its_own_and_a_small_one_has_not() {
        for (size, in_pages) in [(0, false), (512, false), (PAGES_FROM - 1, false), (PAGES_FROM, true)] {
            let mut memory = Memory::zeroed(size).unwrap();
            assert_eq!(matches!(memory, Memory::Pages(_)), in_pages, "{size}");
            assert_eq!((memory.len(), memory.bytes().iter().all(|byte| *byte == 0)), (size, true));
            memory.bytes_mut().fill(1);
            assert!(memory.bytes().iter().all(|byte| *byte == 1));
        }
    }

    #[test]
    fn what_no_system_has_is_an_error() {
        assert!(matches!(Memory::zeroed(usize::MAX), Err(NoMemory)));
        assert!(matches!(Memory::zeroed(usize::MAX / 4), Err(NoMemory)));
    }
}
