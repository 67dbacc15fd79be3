//! Messages as users see them: text or binary (RFC 6455 §5.6). Knows nothing of frames.

use std::fmt;

use super::utf8;

/// What a message carries (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// A message, borrowed from whoever holds its bytes.
///
/// ```
/// # use gnezdo::ws::{Kind, Message};
/// assert_eq!(Message::from("hello").kind(), Kind::Text);
/// assert_eq!(Message::from(&[1, 2, 3]).as_bytes(), [1, 2, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(Text<'a>),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
        }
    }

    /// The bytes, whatever they mean.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Bytes that were proven to be UTF-8.
#[derive(Clone, Copy)]
pub struct Text<'a>(Proof<'a>);

#[derive(Clone, Copy)]
enum Proof<'a> {
    Whole(&'a str),
    /// Checked piece by piece as it arrived, so that nobody holds a `str` of it.
    Pieces(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The bytes; costs nothing.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self.0 {
            Proof::Whole(text) => text.as_bytes(),
            Proof::Pieces(bytes) => bytes,
        }
    }

    /// The text. Costs nothing for a message that arrived whole; one that was put together from pieces was
    /// checked piece by piece, and is checked once more here (some 20 to 60 GB/s), at each call.
    #[inline]
    pub fn as_str(&self) -> &'a str {
        match self.0 {
            Proof::Whole(text) => text,
            Proof::Pieces(bytes) => utf8::check(bytes).unwrap_or_default(),
        }
    }

    /// Text whose pieces have all passed the validator.
    #[inline]
    pub(super) fn from_pieces(bytes: &'a [u8]) -> Text<'a> {
        Text(Proof::Pieces(bytes))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Text(Proof::Whole(text))
    }
}

impl<'a> From<Text<'a>> for Message<'a> {
    #[inline]
    fn from(text: Text<'a>) -> Self {
        Message::Text(text)
    }
}

impl<'a> From<&'a str> for Message<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Message::Text(text.into())
    }
}

impl<'a> From<&'a String> for Message<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Message::from(text.as_str())
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Message::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Message::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    #[inline]
    fn from(bytes: &'a Vec<u8>) -> Self {
        Message::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_its_bytes_are_whole_or_in_pieces() {
        let texts = [Text::from("сокет"), Text::from_pieces("сокет".as_bytes())];
        for text in texts {
            assert_eq!(text.as_str(), "сокет");
            assert_eq!((text.to_string(), format!("{text:?}")), ("сокет".into(), "\"сокет\"".into()));
            assert!(texts.iter().all(|other| text == *other) && text == *"сокет" && text == "сокет");
            assert!(text != Text::from("socket") && text != *"socket" && text != "socket");
        }
    }

    #[test]
    fn a_message_is_as_long_as_its_bytes() {
        for (message, length) in
            [(Message::from(""), 0), (Message::from("é"), 2), (Message::from(&[1, 2, 3]), 3)]
        {
            assert_eq!((message.len(), message.is_empty()), (length, length == 0), "{message:?}");
        }
    }
}
