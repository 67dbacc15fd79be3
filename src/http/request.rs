//! A request as its reader sees it: a view of a head, borrowed and checked. Knows no routes and reads no body.

use core::mem::MaybeUninit;

use super::cookie::Cookies;
use super::error::HttpError;
use super::field::as_token;
use super::framing::BodyLength;
use super::lines::{HeaderLines, header_accessors};
use super::response::{BodyMode, Connection};
use super::scanner::HeadLimits;
use super::{Authority, parse};

/// Room on the stack for the header lines of one head. It is not zeroed: making one costs nothing.
#[derive(Debug)]
pub struct HeaderStorage<'h> {
    slots: [MaybeUninit<httparse::Header<'h>>; HeadLimits::MOST_HEADERS],
}

impl<'h> HeaderStorage<'h> {
    /// Empty room.
    pub fn new() -> Self {
        Self { slots: [const { MaybeUninit::uninit() }; HeadLimits::MOST_HEADERS] }
    }

    /// Room for so many lines, or for as many as there can be.
    pub(super) fn slots(&mut self, max_headers: usize) -> &mut [MaybeUninit<httparse::Header<'h>>] {
        let count = max_headers.min(HeadLimits::MOST_HEADERS);
        self.slots.get_mut(..count).unwrap_or_default()
    }
}

impl Default for HeaderStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The version of a message (RFC 9112 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no Host needed, no chunks, closed after each response unless asked otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// What parsing found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) version: Version,
    pub(super) lines: HeaderLines<'a>,
    pub(super) host: Option<&'a str>,
    pub(super) body_length: BodyLength,
}

/// A complete and valid request head.
///
/// ```
/// use gnezdo::http::{BodyLength, HeadLimits, HeaderStorage, Request};
///
/// let head = b"POST /rooms?id=7 HTTP/1.1\r\nHost: example.com\r\nCookie: user=ann; theme=dark\r\n\
///     Accept-Encoding: br\r\nAccept-Encoding: gzip, deflate\r\nContent-Length: 2\r\n\r\n";
/// let mut storage = HeaderStorage::new();
/// let request = Request::parse(head, &mut storage, &HeadLimits::default())?;
///
/// assert_eq!((request.method(), request.path(), request.query()), ("POST", "/rooms", Some("id=7")));
/// assert_eq!(request.host(), Some("example.com"));
/// assert_eq!(request.cookie("theme"), Some("dark"));
/// assert_eq!(request.header("accept-encoding"), Some(&b"br"[..]));
/// assert!(request.has_token("Accept-Encoding", "GZIP"));
/// assert_eq!(request.body_length(), BodyLength::Exactly(2));
/// # Ok::<(), gnezdo::http::HttpError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    parts: Parts<'a>,
}

impl<'a> Request<'a> {
    /// Parses a head that [`HeadScanner`](super::HeadScanner) found complete; bytes after its end are not looked at.
    ///
    /// The request borrows the head and the storage, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 9112 that the head breaks, or the limit that it exceeds.
    pub fn parse<'h: 'a>(
        head: &'h [u8],
        storage: &'a mut HeaderStorage<'h>,
        limits: &HeadLimits,
    ) -> Result<Self, HttpError> {
        parse::parse(head, storage, limits).map(|parts| Self { parts })
    }

    /// The method as it was sent; methods are case-sensitive (RFC 9110 §9.1).
    pub fn method(&self) -> &'a str {
        self.parts.method
    }

    /// The target as it was sent: visible ASCII without a fragment.
    pub fn target(&self) -> &'a str {
        self.parts.target
    }

    /// The path, not decoded; it begins with a slash, or is `*` in `OPTIONS *`.
    pub fn path(&self) -> &'a str {
        self.parts.path
    }

    /// What follows the first question mark of the target, not decoded.
    pub fn query(&self) -> Option<&'a str> {
        self.parts.query
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// The value of Host, valid and not empty; nothing only in HTTP/1.0.
    pub fn host(&self) -> Option<&'a str> {
        self.parts.host
    }

    /// The value of Host taken apart.
    pub fn authority(&self) -> Option<Authority<'a>> {
        self.host().and_then(Authority::parse)
    }

    /// How the body that follows the head is framed.
    pub fn body_length(&self) -> BodyLength {
        self.parts.body_length
    }

    pub(crate) fn lines(&self) -> HeaderLines<'a> {
        self.parts.lines
    }

    /// The pairs of the Cookie lines (RFC 6265 §4.2); what is no pair is skipped.
    pub fn cookies(&self) -> Cookies<'a, impl Iterator<Item = &'a [u8]> + Clone + use<'a>> {
        Cookies::new(self.header_all("cookie"))
    }

    /// The value of the first cookie of this name, which is case-sensitive.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.cookies().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The subprotocols that the client offers, in its order of preference (RFC 6455 §11.3.4); only valid tokens.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.list("sec-websocket-protocol").filter_map(as_token)
    }

    /// What is to become of the connection after the response, as far as the client is concerned (RFC 9112 §9.3).
    pub fn connection(&self) -> Connection {
        let closes = self.has_token("connection", "close");
        let keeps = self.version() == Version::Http11 || self.has_token("connection", "keep-alive");
        if keeps && !closes { Connection::KeepAlive } else { Connection::Close }
    }

    /// Whether the response carries its body: not to HEAD (RFC 9110 §9.3.2).
    pub fn body_mode(&self) -> BodyMode {
        if self.method() == "HEAD" { BodyMode::Omit } else { BodyMode::Send }
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version() == Version::Http11 && self.has_token("expect", "100-continue")
    }
}

header_accessors!(Request);

#[cfg(test)]
mod tests {
    use super::*;

    fn with_request(head: &str, check: impl FnOnce(&Request<'_>)) {
        let mut storage = HeaderStorage::new();
        check(&Request::parse(head.as_bytes(), &mut storage, &HeadLimits::default()).expect("a valid head"));
    }

    fn with_lines(lines: &str, check: impl FnOnce(&Request<'_>)) {
        with_request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), check);
    }

    #[test]
    fn header_names_match_in_any_case_and_lines_keep_their_order() {
        with_lines("x: 1\r\nX: 2 \r\nY:\r\n", |request| {
            assert_eq!(request.header("X"), Some(&b"1"[..]));
            assert_eq!(request.header_all("x").collect::<Vec<_>>(), [b"1", b"2"]);
            assert_eq!((request.header_count("x"), request.header_count("z")), (2, 0));
            assert_eq!(request.header("y"), Some(&b""[..]));
            assert_eq!(request.headers().count(), 4);
        });
    }

    #[test]
    fn a_token_is_found_in_lists_over_several_lines() {
        with_lines("Connection: keep-alive, x\r\nconnection: ,UPGRADE\r\n", |request| {
            assert!(request.has_token("Connection", "upgrade") && request.has_token("Connection", "X"));
            assert!(!request.has_token("Connection", "up") && !request.has_token("Upgrade", "upgrade"));
        });
    }

    #[test]
    fn subprotocols_come_in_the_order_of_preference() {
        with_lines("Sec-WebSocket-Protocol: chat.v2, chat.v1\r\nSec-WebSocket-Protocol: x\r\n", |request| {
            assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat.v2", "chat.v1", "x"]);
        });
    }

    #[test]
    fn a_connection_is_kept_as_the_version_and_the_client_say() {
        for (version, line, connection) in [
            ("1.1", "", Connection::KeepAlive),
            ("1.1", "Connection: Close\r\n", Connection::Close),
            ("1.1", "Connection: keep-alive, close\r\n", Connection::Close),
            ("1.0", "", Connection::Close),
            ("1.0", "Connection: Keep-Alive\r\n", Connection::KeepAlive),
        ] {
            let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{line}\r\n");
            with_request(&head, |request| assert_eq!(request.connection(), connection, "{head:?}"));
        }
    }

    #[test]
    fn continue_is_expected_in_http_1_1_alone() {
        for (version, expects) in [("1.1", true), ("1.0", false)] {
            let head = format!("POST / HTTP/{version}\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n");
            with_request(&head, |request| assert_eq!(request.expects_continue(), expects));
        }
    }

    #[test]
    fn the_parts_of_the_request_line_are_views_of_it() {
        with_request("HEAD http://a.b/c?d HTTP/1.0\r\nHost: a.b\r\n\r\n", |request| {
            assert_eq!((request.method(), request.target()), ("HEAD", "http://a.b/c?d"));
            assert_eq!((request.path(), request.query()), ("/c", Some("d")));
            assert_eq!((request.version(), request.body_mode()), (Version::Http10, BodyMode::Omit));
            assert_eq!(request.authority().map(|authority| authority.host()), Some("a.b"));
        });
    }
}
