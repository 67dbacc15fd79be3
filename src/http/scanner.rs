//! Finds where a head ends in bytes that arrive in pieces (RFC 9112 §2.1, §2.2): knows nothing of what a head says.

use super::error::HttpError;
use super::field::is_token_byte;

/// What a peer may make us hold before its request is understood.
///
/// Raise `max_bytes` when honest clients carry large cookies or tokens; it bounds the memory of every connection
/// that has not yet said what it wants. Raise `max_headers` only for proxies that add many lines of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The most bytes of a head, from its first to the end of its empty line: 16 KiB unless told otherwise.
    pub max_bytes: usize,
    /// The most header lines: 100 unless told otherwise, and never more than [`HeadLimits::MOST_HEADERS`].
    pub max_headers: usize,
}

impl HeadLimits {
    /// The highest number of header lines that `max_headers` can allow; a larger value means this one.
    pub const MOST_HEADERS: usize = 128;
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024, max_headers: 100 }
    }
}

/// What [`HeadScanner::scan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Scan {
    /// The end has not arrived: keep the bytes and come back with more.
    Partial,
    /// The head is the first `head_len` bytes; whatever follows belongs to the body or to the next protocol.
    Complete {
        /// The length of the head, its empty line included.
        head_len: usize,
    },
}

/// Finds the end of one head, reading every byte once however it is cut into pieces.
///
/// Invariant: no byte before `scanned` is a line feed that ends the head. A new head needs a new scanner.
///
/// ```
/// use gnezdo::http::{HeadLimits, HeadScanner, Scan};
///
/// let mut scanner = HeadScanner::new();
/// let limits = HeadLimits::default();
/// assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\n\r", &limits), Ok(Scan::Partial));
/// assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\n\r\n\x81", &limits), Ok(Scan::Complete { head_len: 18 }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
}

impl HeadScanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for the end of the head in `bytes`, which are all the bytes received so far.
    ///
    /// No empty line is tolerated before the request line: RFC 9112 §2.2 lets a server skip one, which old clients
    /// sent after a body, and the same leniency is what request smuggling starts from.
    ///
    /// # Errors
    ///
    /// [`HttpError::NotHttp`] when the first byte cannot begin a method, [`HttpError::BareLineFeed`] at the first
    /// such line end and [`HttpError::HeadTooLarge`] when the end is not within the limit. The same bytes give the
    /// same answer again, and however they were cut.
    pub fn scan(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Scan, HttpError> {
        refuse_other_protocols(bytes)?;
        let window = bytes.get(..limits.max_bytes).unwrap_or(bytes);
        let fresh = window.get(self.scanned..).unwrap_or_default();
        for offset in memchr::memchr_iter(b'\n', fresh) {
            let line_feed = self.scanned.saturating_add(offset);
            let before = window.get(..line_feed).unwrap_or_default();
            // RFC 9112 §2.2: a lone LF may be read as a line end; then two servers may see two different heads.
            if !before.ends_with(b"\r") {
                return Err(HttpError::BareLineFeed);
            }
            if before.ends_with(b"\r\n\r") {
                return Ok(Scan::Complete { head_len: line_feed.saturating_add(1) });
            }
        }
        self.scanned = self.scanned.max(window.len());
        if window.len() >= limits.max_bytes { Err(HttpError::HeadTooLarge) } else { Ok(Scan::Partial) }
    }
}

/// Refuses at the first byte what is no HTTP: a TLS `ClientHello` (0x16), a line end, an HTTP/2 or WebSocket frame.
pub(super) fn refuse_other_protocols(bytes: &[u8]) -> Result<(), HttpError> {
    match bytes.first() {
        // RFC 9112 §3: a request line begins with its method, a token.
        Some(&first) if !is_token_byte(first) => Err(HttpError::NotHttp),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n";

    fn scan_whole(bytes: &[u8], limits: &HeadLimits) -> Result<Scan, HttpError> {
        HeadScanner::new().scan(bytes, limits)
    }

    /// Feeds `bytes` up to each cut in turn; the verdict is the first that is not partial.
    fn scan_cut(
        bytes: &[u8],
        cuts: impl Iterator<Item = usize>,
        limits: &HeadLimits,
    ) -> Result<Scan, HttpError> {
        let mut scanner = HeadScanner::new();
        for cut in cuts.chain([bytes.len()]) {
            match scanner.scan(&bytes[..cut], limits) {
                Ok(Scan::Partial) => {}
                verdict => return verdict,
            }
        }
        Ok(Scan::Partial)
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_the_tail_is_not_looked_at() {
        let limits = HeadLimits::default();
        assert_eq!(scan_whole(b"", &limits), Ok(Scan::Partial));
        assert_eq!(scan_whole(HEAD, &limits), Ok(Scan::Complete { head_len: HEAD.len() }));
        let with_tail = [HEAD, b"\x81\x85\n\n\r\n\r\n"].concat();
        assert_eq!(scan_whole(&with_tail, &limits), Ok(Scan::Complete { head_len: HEAD.len() }));
    }

    #[test]
    fn the_limit_is_exact_at_one_less_equal_and_one_more() {
        for (max_bytes, verdict) in [
            (HEAD.len() - 1, Err(HttpError::HeadTooLarge)),
            (HEAD.len(), Ok(Scan::Complete { head_len: HEAD.len() })),
            (HEAD.len() + 1, Ok(Scan::Complete { head_len: HEAD.len() })),
        ] {
            let limits = HeadLimits { max_bytes, ..HeadLimits::default() };
            assert_eq!(scan_whole(HEAD, &limits), verdict);
            assert_eq!(scan_cut(HEAD, 0..HEAD.len(), &limits), verdict);
        }
    }

    #[test]
    fn other_protocols_are_refused_at_their_first_byte() {
        for garbage in
            [&b"\x16\x03\x01\x02\x00"[..], b"\r\nGET / HTTP/1.1\r\n\r\n", b"\n", b" GET", b"\0", b"\x81"]
        {
            assert_eq!(scan_whole(garbage, &HeadLimits::default()), Err(HttpError::NotHttp), "{garbage:?}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused_as_soon_as_it_arrives() {
        for head in
            [&b"GET / HTTP/1.1\nHost: a"[..], b"GET / HTTP/1.1\r\nHost: a\n\n", b"GET / HTTP/1.1\r\n\n"]
        {
            assert_eq!(scan_whole(head, &HeadLimits::default()), Err(HttpError::BareLineFeed), "{head:?}");
        }
    }

    #[test]
    fn an_answer_is_the_same_when_asked_again() {
        let limits = HeadLimits::default();
        let mut scanner = HeadScanner::new();
        let endless = vec![b'a'; limits.max_bytes];
        for _ in 0..2 {
            assert_eq!(scanner.scan(&endless, &limits), Err(HttpError::HeadTooLarge));
        }
        let mut scanner = HeadScanner::new();
        for _ in 0..2 {
            assert_eq!(scanner.scan(HEAD, &limits), Ok(Scan::Complete { head_len: HEAD.len() }));
        }
    }

    #[test]
    fn r1_a_head_byte_by_byte_costs_no_more_than_its_length() {
        // So long that to look at all of it for each piece would take half a minute.
        let limits = HeadLimits { max_bytes: 1 << 20, ..HeadLimits::default() };
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: ".to_vec();
        head.resize(limits.max_bytes - 4, b'c');
        head.extend_from_slice(b"\r\n\r\n");
        let start = Instant::now();
        assert_eq!(scan_cut(&head, 0..head.len(), &limits), Ok(Scan::Complete { head_len: head.len() }));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn r1_an_endless_head_is_refused_at_the_limit() {
        let limits = HeadLimits::default();
        let mut head = b"GET / HTTP/1.1\r\nCookie: ".to_vec();
        head.resize(limits.max_bytes - 1, b'c');
        assert_eq!(scan_cut(&head, 0..head.len(), &limits), Ok(Scan::Partial));
        head.push(b'c');
        assert_eq!(scan_cut(&head, 0..head.len(), &limits), Err(HttpError::HeadTooLarge));
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_how_the_bytes_were_cut(
            pieces in proptest::collection::vec(
                prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just("\r\n\r\n"), Just("GET / HTTP/1.1"), Just("A: b")],
                0..12,
            ),
            mut cuts in proptest::collection::vec(0_usize..80, 0..8),
            max_bytes in 1_usize..90,
        ) {
            let bytes = pieces.concat().into_bytes();
            let limits = HeadLimits { max_bytes, ..HeadLimits::default() };
            let whole = scan_whole(&bytes, &limits);
            prop_assert_eq!(scan_cut(&bytes, 0..bytes.len(), &limits), whole);
            cuts.retain(|cut| *cut <= bytes.len());
            cuts.sort_unstable();
            prop_assert_eq!(scan_cut(&bytes, cuts.into_iter(), &limits), whole);
        }
    }
}
