//! L0, a slab whose keys carry a generation: knows nothing of what it stores.
//!
//! Storage is the `slab` crate's; this file adds the one thing a loop needs on top: a key kept after its entry
//! was removed never finds the entry that took its place.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use std::fmt;
use std::num::NonZeroU32;

use crate::mutants::mutant;

/// Names one entry of a [`Slab`], for as long as that entry lives and never another one.
///
/// Half of it is the index, half a generation that no other insertion shares until 2^32 − 1 more were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: NonZeroU32,
}

impl Key {
    /// The key as one integer: the generation in the upper half, the index in the lower.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_bits`] made `bits` of; `None` where no key has these bits.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let generation = NonZeroU32::new(low_half(bits >> 32))?;
        Some(Self { index: low_half(bits), generation })
    }

    /// The place in the slab, shared by all entries that ever lived there.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }
}

/// The lower 32 bits.
fn low_half(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.generation)
    }
}

/// Entries at stable places, found by [`Key`] in constant time.
#[derive(Debug)]
pub struct Slab<T> {
    entries: slab::Slab<Entry<T>>,
    generation: NonZeroU32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: NonZeroU32,
    value: T,
}

impl<T> Slab<T> {
    /// An empty slab, which allocates nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: slab::Slab::new(), generation: NonZeroU32::MIN }
    }

    /// An empty slab with room for so many entries. Room that is never used costs address space, not memory, where the
    /// allocator maps blocks of this size; and such a block grows without being copied.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: slab::Slab::with_capacity(capacity), ..Self::new() }
    }

    /// Stores `value` and returns its key.
    ///
    /// # Errors
    ///
    /// Past 2^32 entries the value comes back; a slab of descriptors meets other bounds first.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        let vacant = self.entries.vacant_entry();
        let Ok(index) = u32::try_from(vacant.key()) else { return Err(value) };
        let generation = self.generation;
        vacant.insert(Entry { generation, value });
        self.generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Ok(Key { index, generation })
    }

    /// The entry of `key`, while it lives.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        let is_meant = entry.generation == key.generation || mutant("ignore the generation");
        is_meant.then_some(&entry.value)
    }

    /// The entry of `key`, while it lives, to change it.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        let is_meant = entry.generation == key.generation || mutant("ignore the generation");
        is_meant.then_some(&mut entry.value)
    }

    /// The entry that lives at `index`, if one does: for an owner who knows that it is the one it means.
    #[inline]
    #[must_use]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize).map(|entry| &mut entry.value)
    }

    /// Takes the entry of `key` out; its place may be given to the next insertion.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.entries.try_remove(key.index as usize).map(|entry| entry.value)
    }

    /// How many entries live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One past the largest index in use: the bound for a walk by [`Slab::key_at`].
    #[must_use]
    pub fn end(&self) -> usize {
        self.entries.capacity()
    }

    /// The key of the entry that lives at `index`, if one does: for a walk that may remove entries on its way.
    #[must_use]
    pub fn key_at(&self, index: usize) -> Option<Key> {
        let entry = self.entries.get(index)?;
        Some(Key { index: u32::try_from(index).ok()?, generation: entry.generation })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_entry_without_finding_the_next_one() {
        let mut slab = Slab::new();
        let first = slab.insert("first").unwrap();
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second").unwrap();
        assert_eq!(second.index(), first.index(), "the place is used again");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn a_generation_wraps_past_zero() {
        let mut slab = Slab { entries: slab::Slab::new(), generation: NonZeroU32::MAX };
        let last = slab.insert(1).unwrap();
        let next = slab.insert(2).unwrap();
        assert_ne!(last, next);
        assert_eq!((slab.get(last), slab.get(next)), (Some(&1), Some(&2)));
    }

    #[test]
    fn a_key_survives_the_trip_through_bits() {
        let mut slab = Slab::new();
        slab.insert(0).unwrap();
        let key = slab.insert(1).unwrap();
        assert_eq!(Key::from_bits(key.to_bits()), Some(key));
        assert_eq!(Key::from_bits(7), None, "a generation is never zero");
    }

    #[test]
    fn an_entry_pays_four_bytes_for_its_generation_and_nothing_for_its_vacancy() {
        assert_eq!(size_of::<Option<Entry<[u32; 3]>>>(), 16);
    }

    #[test]
    fn a_walk_by_index_meets_every_entry() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..5).map(|n| slab.insert(n).unwrap()).collect();
        slab.remove(keys[2]);
        let met: Vec<Key> = (0..slab.end()).filter_map(|index| slab.key_at(index)).collect();
        assert_eq!(met, [keys[0], keys[1], keys[3], keys[4]]);
        assert_eq!((slab.len(), slab.is_empty()), (4, false));
    }
}
