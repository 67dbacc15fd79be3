//! UTF-8 checking of text that arrives in pieces (RFC 3629, RFC 6455 §8.1). Knows nothing of frames.

/// The bytes are not UTF-8, and no bytes that could follow would make them so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not UTF-8")]
pub struct InvalidUtf8;

/// Checks text piece by piece and fails at the first byte that cannot belong to any UTF-8 text, even when that byte is
/// the last one of a piece and in the middle of a character.
///
/// Invariant: the first `length` ≤ 3 bytes of `carry` are the beginning of a character that may yet become valid.
///
/// ```
/// # use gnezdo::ws::Utf8Validator;
/// let mut text = Utf8Validator::default();
/// assert!(text.push(b"sm\xC3").is_ok());
/// assert!(text.finish().is_err(), "cut inside a character");
/// assert!(text.push(b"\xB6rg\xC3\xA5s \xF4").is_ok());
/// assert!(text.push(b"\x90").is_err(), "would be above U+10FFFF");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Validator {
    carry: [u8; 3],
    length: u8,
}

impl Utf8Validator {
    /// Checks the next piece of the text.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when the text so far cannot be the beginning of UTF-8 text.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let rest = if self.length == 0 { piece } else { self.finish_character(piece)? };
        let (whole, cut) = split_cut_character(rest);
        check(whole)?;
        if cut.is_empty() { Ok(()) } else { self.carry(cut) }
    }

    /// Says that the text ends here.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when it ends inside a character.
    #[inline]
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.length == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Feeds the cut character byte by byte until it is whole; what is left of `piece` comes back.
    fn finish_character<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        while self.length > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            self.carry_on(byte)?;
            piece = rest;
        }
        Ok(piece)
    }

    fn carry_on(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        let mut character = [0; 4];
        let length = usize::from(self.length);
        for (to, from) in character.iter_mut().zip(self.carry.iter().take(length).chain([&byte])) {
            *to = *from;
        }
        self.carry(character.get(..=length).unwrap_or_default())
    }

    /// Keeps `character` if it is the beginning of one, keeps nothing if it is a whole one.
    fn carry(&mut self, character: &[u8]) -> Result<(), InvalidUtf8> {
        self.length = match std::str::from_utf8(character) {
            Ok(_) => 0,
            // The standard library tells "cut" (no error length) from "impossible", at the earliest byte.
            Err(error) if error.error_len().is_none() => u8::try_from(character.len()).unwrap_or(0),
            Err(_) => return Err(InvalidUtf8),
        };
        for (to, from) in self.carry.iter_mut().zip(character) {
            *to = *from;
        }
        Ok(())
    }
}

/// Checks a whole text at once.
///
/// # Errors
/// [`InvalidUtf8`] when it is not UTF-8.
#[inline]
pub(super) fn check(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// Splits off the beginning of a character, at most three bytes, at the end of `bytes`.
#[inline]
fn split_cut_character(bytes: &[u8]) -> (&[u8], &[u8]) {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let have = back.saturating_add(1);
        match byte {
            0x80..=0xBF => {}
            _ if character_length(byte) > have => return bytes.split_at(bytes.len().saturating_sub(have)),
            _ => break,
        }
    }
    (bytes, &[])
}

/// How long the character is that begins with `lead`, were it valid.
#[inline]
fn character_length(lead: u8) -> usize {
    match lead {
        0x00..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The standard library over all the bytes so far: impossible, as opposed to whole or merely cut.
    fn impossible(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
    }

    fn agrees_on_every_split(bytes: &[u8]) {
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut validator = Utf8Validator::default();
                let mut seen = 0;
                let mut failed = false;
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    seen += piece.len();
                    failed = failed || validator.push(piece).is_err();
                    assert_eq!(failed, impossible(&bytes[..seen]), "{bytes:x?} cut at {first} and {second}");
                }
                let whole = !failed && validator.finish().is_ok();
                assert_eq!(
                    whole,
                    std::str::from_utf8(bytes).is_ok(),
                    "{bytes:x?} cut at {first} and {second}"
                );
            }
        }
    }

    #[test]
    fn an_impossible_byte_is_refused_at_once() {
        for bad in [
            &b"\xF4\x90"[..],
            b"\xED\xA0",
            b"\xE0\x80",
            b"\xF0\x80",
            b"\xC0",
            b"\xC1",
            b"\xF5",
            b"\xFF",
            b"\x80",
        ] {
            let (last, before) = bad.split_last().unwrap();
            let mut validator = Utf8Validator::default();
            assert!(validator.push(before).is_ok(), "{bad:x?}");
            assert!(validator.push(&[*last]).is_err(), "{bad:x?}");
            assert!(Utf8Validator::default().push(bad).is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn every_two_byte_beginning_agrees_with_the_standard_library() {
        for first in 0..=255 {
            for second in 0..=255 {
                agrees_on_every_split(&[first, second]);
            }
        }
    }

    #[test]
    fn the_edges_of_every_range_agree_with_the_standard_library() {
        let edges =
            [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE1, 0xED, 0xEE, 0xF0, 0xF1, 0xF4];
        for first in [0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0x41] {
            for (second, third) in edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))) {
                for fourth in edges {
                    agrees_on_every_split(&[first, second, third, fourth, b'!']);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn random_text_agrees_with_the_standard_library(text in "\\PC{0,40}") {
            agrees_on_every_split(text.as_bytes());
        }

        #[test]
        fn damaged_text_agrees_with_the_standard_library(text in "\\PC{1,30}", at: prop::sample::Index, byte: u8) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            agrees_on_every_split(&bytes);
        }
    }
}
