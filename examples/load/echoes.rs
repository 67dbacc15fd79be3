//! What is sent, and so what has to come back: a few payloads taken in turn, so that an echo that came to the wrong
//! connection or in the wrong order is a wrong one.

use gnezdo::Message;

use crate::options::Content;

/// The payloads, at least one of them.
#[derive(Debug)]
pub(crate) struct Echoes {
    variants: Vec<Variant>,
}

#[derive(Debug)]
enum Variant {
    Binary(Vec<u8>),
    Text(String),
}

impl Echoes {
    pub(crate) fn new(content: Content, size: usize) -> Self {
        let count = (CACHED / size.max(1)).clamp(LEAST, MOST);
        let variants = (0..count).map(|number| Variant::new(content, size, number)).collect();
        Self { variants }
    }

    /// The message with this number, of one connection.
    #[inline]
    pub(crate) fn message(&self, number: usize) -> Message<'_> {
        match self.variants.get(number % self.variants.len()) {
            Some(Variant::Text(text)) => Message::from(text.as_str()),
            Some(Variant::Binary(bytes)) => Message::from(bytes),
            None => Message::from(&[]),
        }
    }
}

impl Variant {
    fn new(content: Content, size: usize, number: usize) -> Self {
        match content {
            Content::Binary => {
                let bytes =
                    (0..size).map(|index| index.wrapping_mul(31).wrapping_add(number.wrapping_mul(7)));
                Self::Binary(bytes.map(|value| value.to_le_bytes()[0]).collect())
            }
            Content::Ascii => Self::Text(text("abcdefghijklmnopqrstuvwxyz", size, number)),
            Content::Utf8 => Self::Text(text("гнездо, hnízdo, 巣箱, 🪺 ", size, number)),
        }
    }
}

/// So many bytes of `alphabet` over and over, from its character `first` on, filled up where a character does not fit.
fn text(alphabet: &str, size: usize, first: usize) -> String {
    let mut text = String::with_capacity(size);
    for character in alphabet.chars().cycle().skip(first) {
        if text.len() + character.len_utf8() > size {
            break;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n('.', size - text.len()));
    text
}

/// How many payloads there are: as fit into a cache, but at least and at most so many.
const CACHED: usize = 64 * 1024;
const LEAST: usize = 2;
const MOST: usize = 16;
