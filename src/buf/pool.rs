//! Growable buffers and the bounded pool that they come from and go back to. Knows nothing of what the bytes mean.
//!
//! A buffer stays initialised over its whole length for as long as it lives, so that the next user can have bytes
//! received straight into it without a zero-fill first (and without `unsafe`).

use std::collections::TryReserveError;

/// A byte buffer whose first part is filled and whose rest is ready to be received into.
///
/// Invariant: `filled <= bytes.len()`; every byte of `bytes` is initialised.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was put in so far.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// The free part. Its contents are leftovers: write before you [`commit`](Buffer::commit).
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// How many bytes are filled.
    #[inline]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing is filled.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// How many bytes the buffer can hold before it has to grow.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Counts the first `count` bytes of the free part as filled; more than there is counts all of it.
    #[inline]
    pub fn commit(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }
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

/// Buffers waiting for their next use, at most so many bytes of them.
///
/// Buffers come in powers of two from 512 bytes up; a request is served by the smallest that fits. A pooled buffer is
/// handed out for a small request only while it is not absurdly larger than asked, so that a crowd of
/// one-byte messages cannot pin the few large buffers.
#[derive(Debug)]
pub struct BufferPool {
    classes: [Vec<Vec<u8>>; CLASSES],
    held: usize,
    bound: usize,
}

impl BufferPool {
    /// An empty pool that will keep at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        BufferPool { classes: [const { Vec::new() }; CLASSES], held: 0, bound }
    }

    /// How many bytes wait in the pool.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Makes room for at least one byte more in `buffer`, which may be an empty one: out of the pool when it has a
    /// buffer for all of the `expected` bytes, else by doubling. Memory follows bytes received, never bytes announced, so the
    /// first allocation is 64 KiB at most, however many bytes are expected.
    ///
    /// # Errors
    /// [`NoMemory`] when the system has none; the buffer is as it was.
    pub fn grow(&mut self, buffer: &mut Buffer, expected: usize) -> Result<(), NoMemory> {
        let least = buffer.capacity().saturating_mul(2).max(expected.min(FIRST_ALLOCATION));
        let Some(bytes) = self.best_fit(expected.max(least)).or_else(|| self.best_fit(least)) else {
            return extend(&mut buffer.bytes, class_size(class_of(least)).max(least));
        };
        let mut larger = Buffer { bytes, filled: 0 };
        if let Some((front, _)) = larger.bytes.split_at_mut_checked(buffer.filled) {
            front.copy_from_slice(buffer.filled());
        }
        larger.filled = buffer.filled;
        self.give(std::mem::replace(buffer, larger));
        Ok(())
    }

    /// Takes a buffer back, or lets it go when the pool is full or the buffer is of no size the pool knows.
    pub fn give(&mut self, buffer: Buffer) {
        let size = buffer.bytes.len();
        let held = self.held.saturating_add(size);
        if !size.is_power_of_two() || held > self.bound {
            return;
        }
        if let Some(class) = self.classes.get_mut(class_of(size)) {
            class.push(buffer.bytes);
            self.held = held;
        }
    }

    fn best_fit(&mut self, expected: usize) -> Option<Vec<u8>> {
        let first = class_of(expected);
        let most = class_of(expected.saturating_mul(WASTE).max(FIRST_ALLOCATION));
        let bytes = self.classes.get_mut(first..=most)?.iter_mut().find_map(Vec::pop)?;
        self.held = self.held.saturating_sub(bytes.len());
        Some(bytes)
    }
}

/// The class whose buffers are the smallest that hold `size` bytes.
fn class_of(size: usize) -> usize {
    let bits = size.max(SMALLEST).checked_next_power_of_two().map_or(usize::BITS, usize::trailing_zeros);
    let class = bits.saturating_sub(SMALLEST.trailing_zeros());
    usize::try_from(class).map_or(CLASSES, |class| class.min(CLASSES)).min(CLASSES.saturating_sub(1))
}

fn class_size(class: usize) -> usize {
    u32::try_from(class).ok().and_then(|class| SMALLEST.checked_shl(class)).unwrap_or(usize::MAX)
}

fn extend(bytes: &mut Vec<u8>, size: usize) -> Result<(), NoMemory> {
    bytes.try_reserve_exact(size.saturating_sub(bytes.len()))?;
    bytes.resize(size, 0);
    Ok(())
}

/// The smallest buffer.
const SMALLEST: usize = 512;
/// What a message gets before any of its bytes were seen, at most.
const FIRST_ALLOCATION: usize = 64 * 1024;
/// A pooled buffer may be this many times larger than asked.
const WASTE: usize = 8;
/// From 512 bytes to 512 × 2³¹ = 1 TiB.
const CLASSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pool: &mut BufferPool, expected: usize) -> Buffer {
        let mut buffer = Buffer::default();
        pool.grow(&mut buffer, expected).unwrap();
        buffer
    }

    #[test]
    fn a_new_buffer_follows_the_bytes_received_and_not_the_bytes_announced() {
        let mut pool = BufferPool::new(1 << 20);
        assert_eq!(taken(&mut pool, 1).capacity(), 512);
        assert_eq!(taken(&mut pool, 513).capacity(), 1024);
        let mut huge = taken(&mut pool, usize::MAX);
        assert_eq!(huge.capacity(), 64 * 1024);
        pool.grow(&mut huge, usize::MAX).unwrap();
        assert_eq!(huge.capacity(), 128 * 1024);
    }

    #[test]
    fn a_returned_buffer_is_used_again_by_best_fit() {
        let mut pool = BufferPool::new(1 << 20);
        let (small, large) = (taken(&mut pool, 600), taken(&mut pool, 60_000));
        pool.give(large);
        pool.give(small);
        assert_eq!(pool.held(), 1024 + 65536);
        assert_eq!(taken(&mut pool, 1000).capacity(), 1024);
        assert_eq!(taken(&mut pool, 1025).capacity(), 65536);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn a_tiny_request_does_not_pin_a_large_buffer() {
        let mut pool = BufferPool::new(1 << 22);
        let mut buffer = Buffer::default();
        while buffer.capacity() < 1 << 20 {
            pool.grow(&mut buffer, 1).unwrap();
        }
        pool.give(buffer);
        assert_eq!(taken(&mut pool, 1).capacity(), 512);
        assert_eq!(taken(&mut pool, 1 << 20).capacity(), 1 << 20);
    }

    #[test]
    fn growing_keeps_what_is_filled_and_prefers_the_pool() {
        let mut pool = BufferPool::new(1 << 22);
        let mut large = taken(&mut pool, 1 << 20);
        while large.capacity() < 1 << 20 {
            pool.grow(&mut large, 1 << 20).unwrap();
        }
        pool.give(large);
        let mut buffer = taken(&mut pool, 65_000);
        buffer.spare_mut()[..3].copy_from_slice(b"abc");
        buffer.commit(3);
        pool.grow(&mut buffer, 1 << 20).unwrap();
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"abc"[..], 1 << 20));
        buffer.commit(usize::MAX);
        assert_eq!(buffer.len(), buffer.capacity());
        assert!(buffer.spare_mut().is_empty());
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_bound() {
        let mut pool = BufferPool::new(1024);
        for _ in 0..3 {
            pool.give(Buffer { bytes: vec![0; 512], filled: 0 });
        }
        assert_eq!(pool.held(), 1024);
    }
}
