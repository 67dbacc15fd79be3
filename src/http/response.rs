//! A response with its whole body, and how it is written (RFC 9112 §4, §6): knows no connection and no clock.

use std::io::Write as _;

use super::headers::{HeaderError, Headers};
use super::status::Status;

/// What becomes of the connection after a message (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Another request may follow.
    KeepAlive,
    /// This was the last one.
    Close,
}

/// Whether the body is written, or only described (RFC 9110 §9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    /// The head and the body.
    Send,
    /// The head as it would be with the body, for HEAD.
    Omit,
}

/// A response, built in memory. Content-Length and Connection are computed when it is written.
///
/// ```
/// use gnezdo::http::{BodyMode, Connection, Response, Status};
///
/// let response = Response::new(Status::NOT_FOUND).header("Cache-Control", "no-store")?.text("no such room");
/// let mut out = Vec::new();
/// response.encode(&mut out, Connection::Close, BodyMode::Send);
/// assert_eq!(
///     String::from_utf8_lossy(&out),
///     "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Type: text/plain; charset=utf-8\r\n\
///      Content-Length: 12\r\nConnection: close\r\n\r\nno such room"
/// );
/// # Ok::<(), gnezdo::http::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Response {
    status: Status,
    headers: Headers,
    body: Vec<u8>,
    is_text: bool,
    offered_upgrade: Option<&'static str>,
}

impl Response {
    /// A response of this status, without header lines and with an empty body.
    ///
    /// A 1xx status makes an interim message, after which the final response is still owed.
    pub fn new(status: Status) -> Self {
        Self { status, headers: Headers::new(), body: Vec::new(), is_text: false, offered_upgrade: None }
    }

    /// Adds a header line.
    ///
    /// # Errors
    ///
    /// As [`Headers::add`]: the name or the value is invalid, or the line is one that [`Response::encode`] computes.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.headers.add(name, value)?;
        Ok(self)
    }

    /// Sets the body. It says nothing of its type: add a Content-Type.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.is_text = false;
        self
    }

    /// Sets a body of plain text in UTF-8, and its Content-Type unless one was or will be given.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.body = text.into().into_bytes();
        self.is_text = true;
        self
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The header lines that were added.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Adds a line that only the library may add. Its name and its value are constants of ours.
    pub(crate) fn own_header(mut self, name: &'static str, value: &'static str) -> Self {
        let added = self.headers.add_any(name, value.as_bytes());
        debug_assert_eq!(added, Ok(()));
        self
    }

    /// Says which protocol the client is to upgrade to (RFC 9110 §7.8, §15.5.22).
    pub(crate) fn offer_upgrade(mut self, protocol: &'static str) -> Self {
        self.offered_upgrade = Some(protocol);
        self
    }

    /// Appends the response to `out`, with what is to happen `after` it and with or without its `body`.
    pub fn encode(&self, out: &mut Vec<u8>, after: Connection, body: BodyMode) {
        const FIXED_PART: usize = 160;
        let room = FIXED_PART.saturating_add(self.headers.as_bytes().len()).saturating_add(self.body.len());
        out.reserve(room);
        write_line(out, format_args!("HTTP/1.1 {} {}", self.status.code(), self.status.reason()));
        out.extend_from_slice(self.headers.as_bytes());
        // RFC 9110 §8.6: no Content-Length in 1xx and 204; in 304 it would have to be that of a 200.
        let has_content = self.status.allows_content();
        if has_content {
            self.write_content_lines(out);
        }
        self.write_connection_lines(out, after);
        out.extend_from_slice(b"\r\n");
        if has_content && body == BodyMode::Send {
            out.extend_from_slice(&self.body);
        }
    }

    fn write_content_lines(&self, out: &mut Vec<u8>) {
        if self.is_text && !self.headers.contains("content-type") {
            out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
        }
        write_line(out, format_args!("Content-Length: {}", self.body.len()));
    }

    fn write_connection_lines(&self, out: &mut Vec<u8>, after: Connection) {
        // RFC 9112 §9.3: HTTP/1.0 clients keep a connection only when told so.
        let option = match after {
            Connection::KeepAlive => "keep-alive",
            Connection::Close => "close",
        };
        match self.offered_upgrade {
            // RFC 9110 §7.8: whoever sends Upgrade names it in Connection.
            Some(protocol) => {
                write_line(out, format_args!("Connection: {option}, upgrade\r\nUpgrade: {protocol}"));
            }
            None => write_line(out, format_args!("Connection: {option}")),
        }
    }
}

/// Appends a line and its end.
fn write_line(out: &mut Vec<u8>, line: core::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{line}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(response: &Response, after: Connection, body: BodyMode) -> String {
        let mut out = Vec::new();
        response.encode(&mut out, after, body);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_empty_response_still_says_its_length() {
        let text = encoded(&Response::new(Status::OK), Connection::KeepAlive, BodyMode::Send);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    }

    #[test]
    fn head_gets_the_length_without_the_body() {
        let response = Response::new(Status::OK).body("12345");
        let text = encoded(&response, Connection::Close, BodyMode::Omit);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn a_status_without_content_gets_neither_length_nor_body() {
        for code in [100, 101, 204, 304] {
            let response = Response::new(Status::new(code).expect("valid")).text("ignored");
            let text = encoded(&response, Connection::KeepAlive, BodyMode::Send);
            assert!(!text.contains("Content-") && text.ends_with("keep-alive\r\n\r\n"), "{text:?}");
        }
    }

    #[test]
    fn a_given_content_type_is_not_doubled() {
        let response = Response::new(Status::OK).text("{}").header("content-type", "application/json");
        let text = encoded(&response.expect("valid"), Connection::Close, BodyMode::Send);
        assert_eq!(text.to_lowercase().matches("content-type").count(), 1);
    }

    #[test]
    fn r10_no_injected_line_reaches_the_wire() {
        let response = Response::new(Status::OK);
        assert_eq!(response.clone().header("X", "a\r\nSet-Cookie: b"), Err(HeaderError::InvalidValue));
        assert_eq!(response.clone().header("X\r\nY", "a"), Err(HeaderError::InvalidName));
        for name in ["Content-Length", "Connection", "Transfer-Encoding", "Upgrade", "Sec-WebSocket-Accept"] {
            assert_eq!(response.clone().header(name, "a"), Err(HeaderError::Reserved), "{name}");
        }
    }

    #[test]
    fn an_offered_upgrade_is_named_in_connection() {
        let response = Response::new(Status::UPGRADE_REQUIRED).offer_upgrade("websocket");
        let text = encoded(&response, Connection::Close, BodyMode::Send);
        assert!(text.contains("\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n"), "{text:?}");
    }
}
