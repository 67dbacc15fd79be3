//! Masking keys for what a client sends (RFC 6455 §5.3, §10.3). Knows no source of randomness: its owner brings the bytes.

use std::fmt;

use super::mask::MaskKey;

/// Unpredictable bytes that wait to become masking keys: 4 KiB, four bytes per frame, none of them used twice.
///
/// The one who lends the [`Workspace`](super::Workspace) keeps it filled, from a generator fit for secrets (RFC 6455
/// §5.3: a key must not be predictable from those before it): before each turn, or before each call that may
/// send, or receive, for receiving may answer with a Close. An empty store gives no keys: nothing is ever sent with a
/// key made up. Servers need none.
///
/// ```
/// use gnezdo::ws::{NoKeys, Workspace};
///
/// # fn random(bytes: &mut [u8]) -> Result<(), NoKeys> { bytes.fill(7); Ok(()) }
/// let mut space = Workspace::default();
/// assert_eq!(space.keys().remaining(), 0);
/// space.keys().refill(random)?;
/// assert_eq!(space.keys().remaining(), 1024);
/// space.keys().discard();
/// assert_eq!(space.keys().remaining(), 0);
/// # Ok::<(), NoKeys>(())
/// ```
#[derive(Default)]
pub struct MaskKeys {
    /// The unused keys are the first ones; those that were used are zeros again.
    bytes: Vec<u8>,
    /// How many keys are unused. Invariant: 4 · `unused` ≤ `bytes.len()`.
    unused: usize,
}

/// A client has no masking key for the frame, which it must not send without one (RFC 6455 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no masking keys are left")]
pub struct NoKeys;

impl MaskKeys {
    /// How many keys there are after [`refill`](MaskKeys::refill).
    pub const MAX: usize = 1024;

    /// How many frames can be sent before the next refill.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.unused
    }

    /// Puts fresh bytes in the place of those that were used. `fill` overwrites all that it is given, at most 4 KiB,
    /// or fails; it is not called when nothing was used.
    ///
    /// # Errors
    /// That of `fill`. The keys that remained remain.
    pub fn refill<E>(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        self.bytes.resize(MaskKeys::MAX.saturating_mul(KEY), 0);
        let used = self.bytes.get_mut(self.unused.saturating_mul(KEY)..).unwrap_or_default();
        if !used.is_empty() {
            fill(used)?;
            self.unused = MaskKeys::MAX;
        }
        Ok(())
    }

    /// Forgets all keys. After a `fork` the child does so, lest both use the same ones.
    pub fn discard(&mut self) {
        self.bytes.fill(0);
        self.unused = 0;
    }

    /// The key for one frame.
    #[inline]
    pub(super) fn take(&mut self) -> Result<MaskKey, NoKeys> {
        let last = self.unused.checked_sub(1).ok_or(NoKeys)?;
        let rest = self.bytes.get_mut(last.saturating_mul(KEY)..).ok_or(NoKeys)?;
        let key = rest.first_chunk_mut::<KEY>().ok_or(NoKeys)?;
        self.unused = last;
        Ok(MaskKey(std::mem::take(key)))
    }
}

impl fmt::Debug for MaskKeys {
    /// Says how many there are, and none of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskKeys").field("remaining", &self.unused).finish_non_exhaustive()
    }
}

/// RFC 6455 §5.3: 32 bits.
const KEY: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Splitmix64, whose outputs are all different.
    fn generator(mut state: u64) -> impl FnMut(&mut [u8]) -> Result<(), NoKeys> {
        move |bytes| {
            for chunk in bytes.chunks_mut(8) {
                state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    #[test]
    fn r18_there_is_no_key_without_a_refill_and_none_after_a_discard() {
        let mut keys = MaskKeys::default();
        assert_eq!(keys.take(), Err(NoKeys));
        assert_eq!(keys.refill(|_| Err(NoKeys)), Err(NoKeys));
        assert_eq!((keys.take(), keys.remaining()), (Err(NoKeys), 0));
        keys.refill(generator(1)).unwrap();
        assert_eq!(keys.remaining(), MaskKeys::MAX);
        assert!((0..MaskKeys::MAX).all(|_| keys.take().is_ok()));
        assert_eq!(keys.take(), Err(NoKeys));
        keys.refill(generator(2)).unwrap();
        keys.discard();
        assert_eq!((keys.take(), keys.remaining()), (Err(NoKeys), 0));
    }

    #[test]
    fn r18_a_refill_replaces_what_was_used_and_keeps_the_rest() {
        let mut keys = MaskKeys::default();
        let filling = |byte, length| {
            move |bytes: &mut [u8]| {
                assert_eq!(bytes.len(), length);
                bytes.fill(byte);
                Ok::<_, NoKeys>(())
            }
        };
        keys.refill(filling(1, 4096)).unwrap();
        keys.refill(|_| Err(NoKeys)).expect("nothing was used");
        assert_eq!(keys.take(), Ok(MaskKey([1; 4])));
        assert_eq!(keys.refill(|_| Err(NoKeys)), Err(NoKeys));
        assert_eq!(keys.remaining(), MaskKeys::MAX - 1);
        keys.refill(filling(2, 4)).unwrap();
        assert_eq!((keys.take(), keys.take()), (Ok(MaskKey([2; 4])), Ok(MaskKey([1; 4]))));
    }

    #[test]
    fn r18_every_byte_of_the_generator_is_in_one_key() {
        let (mut keys, mut given) = (MaskKeys::default(), Vec::new());
        let (mut random, mut taken) = (generator(3), Vec::new());
        for portion in [1, 7, 1024, 1000, 24, 1023] {
            keys.refill(|bytes| {
                random(bytes)?;
                given.extend(bytes.as_chunks::<4>().0.iter().copied().map(MaskKey));
                Ok::<_, NoKeys>(())
            })
            .unwrap();
            taken.extend((0..portion).map(|_| keys.take().unwrap()));
        }
        taken.extend(std::iter::from_fn(|| keys.take().ok()));
        let order = |key: &MaskKey| key.0;
        given.sort_by_key(order);
        taken.sort_by_key(order);
        assert_eq!(given, taken);
    }

    #[test]
    fn r18_keys_are_counted_in_print_and_not_shown() {
        let mut keys = MaskKeys::default();
        keys.refill(generator(1)).unwrap();
        assert_eq!(format!("{keys:?}"), "MaskKeys { remaining: 1024, .. }");
    }
}
