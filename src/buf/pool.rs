//! Growable buffers and the bounded pool that they come from and go back to. Knows nothing of what the bytes mean.
//!
//! A buffer stays initialised over its whole length for as long as it lives, so that the next user can have bytes
//! received straight into it without a zero-fill first (and without `unsafe`).

use super::memory::{Memory, NoMemory};

/// A byte buffer whose first part is filled and whose rest is ready to be received into.
///
/// Invariant: `filled <= memory.len()`; every byte of `memory` is initialised.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Memory,
    filled: usize,
}

impl Buffer {
    /// What was put in so far.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        self.memory.bytes().get(..self.filled).unwrap_or_default()
    }

    /// What was put in so far, to be changed in place.
    #[inline]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut().get_mut(..self.filled).unwrap_or_default()
    }

    /// The free part. Its contents are leftovers: write before you [`commit`](Buffer::commit).
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut().get_mut(self.filled..).unwrap_or_default()
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
        self.memory.len()
    }

    /// Counts the first `count` bytes of the free part as filled; more than there is counts all of it.
    #[inline]
    pub fn commit(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.memory.len());
    }

    /// Forgets the first `count` bytes of the filled part, or all of it; the rest moves to the front.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.filled_mut().copy_within(count.., 0);
        self.filled = self.filled.saturating_sub(count);
    }

    /// Puts in `bytes`, for which there is room.
    fn fill(&mut self, bytes: &[u8]) {
        if let Some(free) = self.spare_mut().get_mut(..bytes.len()) {
            free.copy_from_slice(bytes);
            self.commit(bytes.len());
        }
    }
}

/// Buffers waiting for their next use, at most so many bytes of them.
///
/// Buffers come in powers of two from 512 bytes up; a request is served by the smallest that fits. A pooled buffer is
/// handed out for a small request only while it is not absurdly larger than asked, so that a crowd of
/// one-byte messages cannot pin the few large buffers.
#[derive(Debug)]
pub struct BufferPool {
    classes: [Vec<Memory>; CLASSES],
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
    /// buffer for all of the `expected` bytes, else by a new one.
    ///
    /// Memory follows bytes received, never bytes announced: the first allocation is 64 KiB at most, however many bytes
    /// are expected. Once that much is here, the rest is mapped in one piece, of which the system gives page by page what
    /// is written to; so no large message is copied from one buffer to the next.
    ///
    /// # Errors
    /// [`NoMemory`] when the system has none; the buffer is as it was.
    pub fn grow(&mut self, buffer: &mut Buffer, expected: usize) -> Result<(), NoMemory> {
        let least = buffer.capacity().saturating_mul(2).max(expected.min(FIRST_ALLOCATION));
        self.replace(buffer, expected.max(least), least)
    }

    /// Appends `bytes` to `buffer`, which grows if need be, to all of them at once: they are here, and not a promise.
    ///
    /// # Errors
    /// [`NoMemory`] when the system has none; the buffer is as it was.
    pub fn append(&mut self, buffer: &mut Buffer, bytes: &[u8]) -> Result<(), NoMemory> {
        let needed = buffer.len().saturating_add(bytes.len());
        if needed > buffer.capacity() {
            self.replace(buffer, needed, needed)?;
        }
        buffer.fill(bytes);
        Ok(())
    }

    /// Takes a buffer back, or lets it go when the pool is full or the buffer is of no size the pool knows.
    pub fn give(&mut self, buffer: Buffer) {
        let size = buffer.capacity();
        let held = self.held.saturating_add(size);
        if !size.is_power_of_two() || held > self.bound {
            return;
        }
        if let Some(class) = self.classes.get_mut(class_of(size)) {
            class.push(buffer.memory);
            self.held = held;
        }
    }

    /// Moves what is in `buffer` to a larger one for `wanted` bytes, or at least for `least`: a pooled one if there is
    /// one.
    fn replace(&mut self, buffer: &mut Buffer, wanted: usize, least: usize) -> Result<(), NoMemory> {
        let found = self.best_fit(wanted).or_else(|| ahead(wanted, least)).or_else(|| self.best_fit(least));
        let memory = found.map_or_else(|| Memory::zeroed(class_size(class_of(least)).max(least)), Ok)?;
        let mut larger = Buffer { memory, filled: 0 };
        larger.fill(buffer.filled());
        self.give(std::mem::replace(buffer, larger));
        Ok(())
    }

    fn best_fit(&mut self, expected: usize) -> Option<Memory> {
        let first = class_of(expected);
        let most = class_of(expected.saturating_mul(WASTE).max(FIRST_ALLOCATION));
        let memory = self.classes.get_mut(first..=most)?.iter_mut().find_map(Vec::pop)?;
        self.held = self.held.saturating_sub(memory.len());
        Some(memory)
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

/// Pages for bytes that are yet to come, where some are here.
fn ahead(wanted: usize, least: usize) -> Option<Memory> {
    let size = class_size(class_of(wanted.min(least.saturating_mul(AHEAD))));
    if least > FIRST_ALLOCATION && wanted > least { Memory::pages(size) } else { None }
}

/// The smallest buffer.
const SMALLEST: usize = 512;
/// What a message gets before any of its bytes were seen, at most.
const FIRST_ALLOCATION: usize = 64 * 1024;
/// Room for so many times what is here may be mapped for what is to come: a megabyte in one piece, sixty in two.
const AHEAD: usize = 16;
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
        huge.commit(usize::MAX);
        pool.grow(&mut huge, 1 << 20).unwrap();
        assert_eq!((huge.len(), huge.capacity()), (64 * 1024, 1 << 20));
        pool.grow(&mut huge, usize::MAX).unwrap();
        assert_eq!(huge.capacity(), AHEAD << 21, "an announced terabyte is not mapped");
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
            pool.give(Buffer { memory: Memory::zeroed(512).unwrap(), filled: 0 });
        }
        assert_eq!(pool.held(), 1024);
    }

    #[test]
    fn what_is_appended_stays_in_order_while_the_front_is_taken_away() {
        let mut pool = BufferPool::new(1 << 22);
        let mut buffer = Buffer::default();
        let (mut wrote, mut read) = (Vec::new(), Vec::new());
        for round in 0_u8..200 {
            let bytes = vec![round; usize::from(round) * 70];
            pool.append(&mut buffer, &bytes).unwrap();
            wrote.extend_from_slice(&bytes);
            let count = (usize::from(round) * 50).min(buffer.len());
            read.extend_from_slice(&buffer.filled()[..count]);
            buffer.consume(count);
        }
        read.extend_from_slice(buffer.filled());
        assert!(read == wrote);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }

    #[test]
    fn bytes_that_are_here_get_room_for_all_of_them_at_once() {
        let (mut pool, mut buffer) = (BufferPool::new(0), Buffer::default());
        pool.append(&mut buffer, &vec![7; 300_000]).unwrap();
        assert_eq!((buffer.len(), buffer.capacity()), (300_000, 1 << 19));
    }
}
