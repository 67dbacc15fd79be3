//! A response's head as a client sees it: a view, borrowed and checked (RFC 9112 §4). Reads no body.

use super::error::HttpError;
use super::lines::{HeaderLines, header_accessors};
use super::parse;
use super::request::{HeaderStorage, Version};
use super::scanner::HeadLimits;
use super::status::Status;

/// A complete and valid response head. Its reason phrase means nothing (RFC 9112 §4) and is not kept.
///
/// ```
/// use gnezdo::http::{HeadLimits, HeaderStorage, ResponseHead, Status};
///
/// let head = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
/// let mut storage = HeaderStorage::new();
/// let response = ResponseHead::parse(head, &mut storage, &HeadLimits::default())?;
///
/// assert_eq!(response.status(), Status::FOUND);
/// assert_eq!(response.header("location"), Some(&b"/elsewhere"[..]));
/// # Ok::<(), gnezdo::http::HttpError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub(super) version: Version,
    pub(super) status: Status,
    pub(super) lines: HeaderLines<'a>,
    pub(super) announces_body: bool,
}

impl<'a> ResponseHead<'a> {
    /// Parses a head that [`HeadScanner`](super::HeadScanner) found complete; bytes after its end are not looked at.
    ///
    /// The head borrows its bytes and the storage, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 9112 that the head breaks, or the limit that it exceeds.
    pub fn parse<'h: 'a>(
        head: &'h [u8],
        storage: &'a mut HeaderStorage<'h>,
        limits: &HeadLimits,
    ) -> Result<Self, HttpError> {
        parse::parse_response(head, storage, limits)
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether Content-Length or Transfer-Encoding announce content, rightly or not: a response to HEAD and one of status
    /// 1xx, 204 or 304 has none whatever they say (RFC 9112 §6.3, item 1).
    pub fn announces_body(&self) -> bool {
        self.announces_body
    }

    pub(crate) fn lines(&self) -> HeaderLines<'a> {
        self.lines
    }
}

header_accessors!(ResponseHead);

#[cfg(test)]
mod tests;
