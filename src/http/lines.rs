//! The header lines of a head that was parsed (RFC 9110 §5), a request's or a response's: knows neither.

use super::field::list_items;

/// Header lines in their order, each valid by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderLines<'a> {
    lines: &'a [httparse::Header<'a>],
}

impl<'a> HeaderLines<'a> {
    pub(super) fn new(lines: &'a [httparse::Header<'a>]) -> Self {
        Self { lines }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        self.lines.iter().map(|line| (line.name, line.value))
    }

    pub(super) fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the only line of this name.
    pub(crate) fn only(self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    pub(super) fn list<'n>(self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name).flat_map(list_items)
    }
}

/// Gives a type with a method `lines` what requests and responses have in common.
macro_rules! header_accessors {
    ($head:ident) => {
        impl<'a> $head<'a> {
            /// All header lines in their order: names as they were sent, values without white space around them.
            pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
                self.lines().iter()
            }

            /// The value of the first line of this name; names match in any case (RFC 9110 §5.1).
            pub fn header(&self, name: &str) -> Option<&'a [u8]> {
                self.lines().all(name).next()
            }

            /// The values of all lines of this name.
            pub fn header_all<'n>(
                &self,
                name: &'n str,
            ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
                self.lines().all(name)
            }

            /// How many lines have this name.
            pub fn header_count(&self, name: &str) -> usize {
                self.lines().all(name).count()
            }

            /// The elements of the comma-separated lists in all lines of this name (RFC 9110 §5.6.1), without empty ones.
            pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
                self.lines().list(name)
            }

            /// Whether `token` is an element of these lists, in any case.
            pub fn has_token(&self, name: &str, token: &str) -> bool {
                self.lines().list(name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
            }
        }
    };
}

pub(super) use header_accessors;
