//! Header lines to be sent, each checked when it is added (RFC 9110 §5): knows no response they belong to.

use super::field::{as_token, is_value_byte};

/// Valid header lines in one piece of memory, ready to be written.
///
/// ```
/// use gnezdo::http::{HeaderError, Headers};
///
/// let mut headers = Headers::new();
/// headers.add("Set-Cookie", "session=1; HttpOnly")?;
/// assert_eq!(headers.as_bytes(), b"Set-Cookie: session=1; HttpOnly\r\n");
/// assert_eq!(headers.add("X-Name", "a\r\nSet-Cookie: stolen=1"), Err(HeaderError::InvalidValue));
/// assert_eq!(headers.add("Content-Length", "5"), Err(HeaderError::Reserved));
/// # Ok::<(), HeaderError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Invariant: zero or more times `token ": " value CR LF`.
    lines: Vec<u8>,
}

/// A header line that cannot be sent: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110 §5.1).
    #[error("a header name must be a token")]
    InvalidName,
    /// The value contains a control character other than tab (RFC 9110 §5.5).
    #[error("a header value must not contain control characters")]
    InvalidValue,
    /// The line frames the message or makes the handshake; it is computed, never given.
    #[error("this header is computed and cannot be given")]
    Reserved,
}

impl Headers {
    /// No lines.
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a line. Nothing of it is kept on an error.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] for a name that is no token or is computed by the library, and for a value with a control
    /// character, a line end above all.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        if is_reserved(name) {
            return Err(HeaderError::Reserved);
        }
        self.add_any(name, value.as_ref())
    }

    /// The same, for chaining.
    ///
    /// # Errors
    ///
    /// As [`Headers::add`].
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.add(name, value)?;
        Ok(self)
    }

    /// The lines as they go out, each with its line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether there is a line of this name, in any case.
    pub fn contains(&self, name: &str) -> bool {
        let mut lines = self.lines.split(|byte| *byte == b'\n');
        lines.any(|line| {
            let colon = memchr::memchr(b':', line).and_then(|at| line.get(..at));
            colon.is_some_and(|other| other.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    /// Adds a line that may be one of ours.
    pub(crate) fn add_any(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        if as_token(name.as_bytes()).is_none() {
            return Err(HeaderError::InvalidName);
        }
        if !value.iter().copied().all(is_value_byte) {
            return Err(HeaderError::InvalidValue);
        }
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        Ok(())
    }
}

/// The lines that frame a message (RFC 9112 §6, §9) or answer an upgrade (RFC 9110 §7.8, RFC 6455 §11.3).
fn is_reserved(name: &str) -> bool {
    const COMPUTED: [&str; 5] = ["connection", "content-length", "transfer-encoding", "trailer", "upgrade"];
    const HANDSHAKE: &str = "sec-websocket-";
    let of_handshake = name.get(..HANDSHAKE.len()).is_some_and(|start| start.eq_ignore_ascii_case(HANDSHAKE));
    of_handshake || COMPUTED.iter().any(|computed| name.eq_ignore_ascii_case(computed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_a_line_end_in_a_value_injects_nothing() {
        let mut headers = Headers::new();
        for value in ["a\r\nB: c", "a\nB: c", "a\rb", "a\0", "\u{1}", "\u{7f}", "\r\n\r\n<body>"] {
            assert_eq!(headers.add("A", value), Err(HeaderError::InvalidValue), "{value:?}");
        }
        assert!(headers.is_empty());
        for value in ["", "a b\tc", "é", "\"quoted\""] {
            assert_eq!(headers.add("A", value), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn r10_a_name_is_a_token() {
        let mut headers = Headers::new();
        for name in ["", "A B", "A:", "A\r\nB", "é", "A\0", "A("] {
            assert_eq!(headers.add(name, "x"), Err(HeaderError::InvalidName), "{name:?}");
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn what_the_library_computes_is_refused() {
        let mut headers = Headers::new();
        for name in [
            "Content-Length",
            "CONNECTION",
            "transfer-encoding",
            "Upgrade",
            "Trailer",
            "Sec-WebSocket-Accept",
            "sec-websocket-extensions",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Version",
        ] {
            assert_eq!(headers.add(name, "x"), Err(HeaderError::Reserved), "{name}");
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn a_line_is_found_by_its_name_in_any_case() {
        let headers = Headers::new()
            .with("Allow", "GET")
            .and_then(|headers| headers.with("X-Allowed", "content-type: no"));
        let headers = headers.expect("valid lines");
        assert!(headers.contains("allow") && headers.contains("X-ALLOWED"));
        assert!(!headers.contains("content-type") && !headers.contains("x") && !headers.contains(""));
    }
}
