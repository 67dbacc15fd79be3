//! The masking transformation of RFC 6455 §5.3: an XOR with four bytes repeated. Knows nothing of frames.

use fearless_simd::{Level, dispatch};

/// The masking key of one frame (RFC 6455 §5.3), in the order in which it stands on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskKey(pub [u8; 4]);

impl MaskKey {
    /// What a server's frame is as if masked with.
    pub(super) const NONE: MaskKey = MaskKey([0; 4]);

    /// The key for the bytes that follow the first `offset` bytes of the payload.
    ///
    /// ```
    /// # use gnezdo::ws::{mask, MaskKey};
    /// let key = MaskKey([1, 2, 3, 4]);
    /// let (mut whole, mut parts) = (*b"a split payload", *b"a split payload");
    /// mask(&mut whole, key);
    /// mask(&mut parts[..7], key);
    /// mask(&mut parts[7..], key.rotated(7));
    /// assert_eq!(whole, parts);
    /// ```
    #[inline]
    #[must_use]
    pub fn rotated(self, offset: usize) -> MaskKey {
        let bits = match offset & 3 {
            0 => 0,
            1 => 8,
            2 => 16,
            _ => 24,
        };
        MaskKey(u32::from_be_bytes(self.0).rotate_left(bits).to_be_bytes())
    }

    #[inline]
    fn doubled(self) -> u64 {
        let half = u64::from(u32::from_ne_bytes(self.0));
        half | half.rotate_left(32)
    }
}

/// Masks or unmasks `bytes` in place (RFC 6455 §5.3: the same operation both ways).
#[inline]
pub fn mask(bytes: &mut [u8], key: MaskKey) {
    if bytes.len() < LONG {
        mask_words(bytes, key);
    } else if key != MaskKey::NONE {
        mask_long(bytes, key);
    }
}

/// With the widest vectors that the processor has, whatever this was built for.
#[inline(never)]
fn mask_long(bytes: &mut [u8], key: MaskKey) {
    let (front, aligned) = bytes.split_at_mut(to_cache_line(bytes));
    mask_words(front, key);
    let key = key.rotated(front.len());
    dispatch!(Level::new(), _simd => mask_words(aligned, key));
}

/// Copies `source` over the front of `target`, masking on the way; stops at the shorter of the two.
#[inline]
pub(super) fn mask_copy(target: &mut [u8], source: &[u8], key: MaskKey) {
    let front = to_cache_line(target).min(source.len());
    let (front_target, target) = target.split_at_mut(front);
    let (front_source, source) = source.split_at(front);
    mask_copy_words(front_target, front_source, key);
    let key = key.rotated(front);
    dispatch!(Level::new(), _simd => mask_copy_words(target, source, key));
}

/// Word by word: the compiler makes vectors of it.
#[expect(clippy::inline_always, reason = "it is to be compiled for each set of instructions")]
#[inline(always)]
fn mask_words(bytes: &mut [u8], key: MaskKey) {
    let wide = key.doubled();
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let (half, tail) = tail.as_chunks_mut::<4>();
    for half in half {
        *half = (u32::from_ne_bytes(*half) ^ u32::from_ne_bytes(key.0)).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.0) {
        *byte ^= key;
    }
}

#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn mask_copy_words(target: &mut [u8], source: &[u8], key: MaskKey) {
    let wide = key.doubled();
    let length = target.len().min(source.len());
    let (Some(target), Some(source)) = (target.get_mut(..length), source.get(..length)) else { return };
    let (target_words, target_tail) = target.as_chunks_mut::<8>();
    let (source_words, source_tail) = source.as_chunks::<8>();
    for (to, from) in target_words.iter_mut().zip(source_words) {
        *to = (u64::from_ne_bytes(*from) ^ wide).to_ne_bytes();
    }
    for ((to, from), key) in target_tail.iter_mut().zip(source_tail).zip(wide.to_ne_bytes()) {
        *to = from ^ key;
    }
}

/// How many bytes come before the first that begins a cache line.
#[inline]
fn to_cache_line(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(64).min(bytes.len())
}

/// Vectors that straddle cache lines cost a third more, which pays for a prologue from here on, and for a choice among
/// instructions as well.
const LONG: usize = 512;

/// Appends `source` to `target`, masked: what a client does to a payload that it must not change.
pub fn mask_into(target: &mut Vec<u8>, source: &[u8], key: MaskKey) {
    target.reserve(source.len());
    // The length of a piece is a multiple of the key's, so that each begins with the key as it is.
    for piece in source.chunks(CACHED) {
        let start = target.len();
        target.extend_from_slice(piece);
        mask(target.get_mut(start..).unwrap_or_default(), key);
    }
}

/// How much to copy before it is masked: half of a first-level cache.
const CACHED: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word for word: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
    fn naive(bytes: &mut [u8], key: MaskKey) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key.0[index % 4];
        }
    }

    proptest! {
        #[test]
        fn masking_in_place_is_the_rfc_definition(mut bytes in prop::collection::vec(any::<u8>(), 0..1500), key: [u8; 4], start in 0usize..9) {
            let start = start.min(bytes.len());
            let mut expected = bytes.clone();
            naive(&mut expected[start..], MaskKey(key));
            mask(&mut bytes[start..], MaskKey(key));
            prop_assert_eq!(bytes, expected);
        }

        #[test]
        fn masking_copies_agree_with_masking_in_place(
            bytes in prop::collection::vec(any::<u8>(), 0..400), key: [u8; 4], room in 0usize..400,
        ) {
            let mut expected = bytes.clone();
            naive(&mut expected, MaskKey(key));
            let mut appended = b"before".to_vec();
            mask_into(&mut appended, &bytes, MaskKey(key));
            prop_assert_eq!(&appended[6..], &expected[..]);
            let mut copied = vec![0; room];
            mask_copy(&mut copied, &bytes, MaskKey(key));
            let both = room.min(bytes.len());
            prop_assert_eq!(&copied[..both], &expected[..both]);
        }

        #[test]
        fn a_rotated_key_continues_where_the_payload_was_cut(bytes: Vec<u8>, key: [u8; 4], cut: prop::sample::Index) {
            let cut = cut.index(bytes.len() + 1);
            let (mut whole, mut parts) = (bytes.clone(), bytes);
            mask(&mut whole, MaskKey(key));
            mask(&mut parts[..cut], MaskKey(key));
            mask(&mut parts[cut..], MaskKey(key).rotated(cut));
            prop_assert_eq!(whole, parts);
        }
    }
}
