//! The cookies of a request (RFC 6265 §4.2): decodes nothing, trusts nothing.

use super::field::trim_white_space;

/// The pairs of the Cookie lines, in the order in which they came; see [`Request::cookies`](super::Request::cookies).
#[derive(Clone, Debug)]
pub struct Cookies<'a, Lines> {
    lines: Lines,
    rest: &'a [u8],
}

impl<'a, Lines: Iterator<Item = &'a [u8]>> Cookies<'a, Lines> {
    /// Over the values of these lines.
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, rest: &[] }
    }
}

impl<'a, Lines: Iterator<Item = &'a [u8]>> Iterator for Cookies<'a, Lines> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                self.rest = self.lines.next()?;
            }
            let end = memchr::memchr(b';', self.rest).unwrap_or(self.rest.len());
            let (pair, rest) = self.rest.split_at_checked(end).unwrap_or_default();
            self.rest = rest.strip_prefix(b";").unwrap_or_default();
            if let Some(pair) = split_pair(pair) {
                return Some(pair);
            }
        }
    }
}

/// A name that is not empty, and a value that may be (RFC 6265 §4.2.1); quotes around the value belong to it.
fn split_pair(pair: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = str::from_utf8(trim_white_space(pair)).ok()?.split_once('=')?;
    (!name.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&'static str]) -> Vec<(&'static str, &'static str)> {
        Cookies::new(lines.iter().map(|line| line.as_bytes())).collect()
    }

    #[test]
    fn pairs_come_in_order_over_all_lines() {
        assert_eq!(
            cookies(&["a=1; b=2;c=3", "d=hello world; e=x=y"]),
            [("a", "1"), ("b", "2"), ("c", "3"), ("d", "hello world"), ("e", "x=y")]
        );
    }

    #[test]
    fn what_is_no_pair_is_skipped() {
        assert_eq!(cookies(&[]), []);
        assert_eq!(cookies(&["", ";", "===;;;", "flag; =x;a="]), [("a", "")]);
        assert_eq!(Cookies::new([&b"a=\xff; b=1"[..]].into_iter()).collect::<Vec<_>>(), [("b", "1")]);
    }
}
