//! The client's half of the opening handshake (RFC 6455 §4.1): writes a request and judges the answer. Knows no
//! connection, resolves no name and has no randomness of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::extension::{
    AnswerError, DeflateConfig, DeflateConfigError, DeflateOffer, DeflateParams, check_answer,
};
use super::handshake::accept_key;
use crate::http::field::as_token;
use crate::http::target::is_origin_form;
use crate::http::{
    Authority, HeadLimits, HeadScanner, HeaderStorage, Headers, HttpError, ResponseHead, Scan, Status,
    Version,
};

/// A proposal to a server to speak WebSocket: every part of it has been checked, and it knows what may be answered.
///
/// ```
/// use gnezdo::http::{HeadLimits, HeadScanner, Headers};
/// use gnezdo::ws::Proposal;
///
/// // The key is random: 16 bytes from a good generator, fresh for each connection.
/// let proposal = Proposal::new("server.example.com", "/chat", *b"the sample nonce")?
///     .subprotocols(["chat", "superchat"])?
///     .headers(&Headers::new().with("Origin", "http://example.com").expect("a valid line"))?;
/// let mut out = Vec::new();
/// proposal.encode(&mut out);
/// assert_eq!(
///     String::from_utf8_lossy(&out),
///     "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nOrigin: http://example.com\r\nUpgrade: websocket\r\n\
///      Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
///      Sec-WebSocket-Protocol: chat, superchat\r\n\r\n"
/// );
///
/// // What follows the head is the first frame.
/// let received = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x81\x02hi";
/// let (mut scanner, limits) = (HeadScanner::new(), HeadLimits::default());
/// assert_eq!(proposal.read_answer(&received[..99], &mut scanner, &limits), Ok(None));
/// let (agreed, head_len) = proposal.read_answer(received, &mut scanner, &limits)?.expect("all of it is here");
/// assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
/// assert_eq!(received[head_len..], *b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Invariant: a request line, Host and other valid lines, each with its end.
    lines: Vec<u8>,
    /// Invariant: different tokens, joined by commas and spaces.
    subprotocols: String,
    key: [u8; KEY_LEN],
    deflate: Option<DeflateOffer>,
}

/// A proposal that cannot be made: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// What stands for the host is not `host[:port]` (RFC 9110 §7.2).
    #[error("the authority is not host[:port]")]
    InvalidAuthority,
    /// The target is no path with or without a query, or has a byte that no URI has, or a fragment (RFC 6455 §3).
    #[error("the target is not an absolute path without a fragment")]
    InvalidTarget,
    /// A subprotocol is no token (RFC 6455 §4.1, item 10).
    #[error("a subprotocol is not a token")]
    InvalidSubprotocol,
    /// A subprotocol is proposed twice (RFC 6455 §4.1, item 10).
    #[error("a subprotocol is proposed twice")]
    RepeatedSubprotocol,
    /// Host is computed, never given.
    #[error("Host is computed and cannot be given")]
    HostGiven,
    /// The compression is out of its ranges.
    #[error(transparent)]
    Deflate(#[from] DeflateConfigError),
}

/// What both sides agreed on, to go on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The subprotocol that the server chose, if it chose any.
    pub subprotocol: Option<String>,
    /// The compression, for [`Protocol::client`](super::Protocol::client).
    pub deflate: Option<DeflateParams>,
}

/// An answer that opens no WebSocket: nearly always the server's fault. Close the transport; there is nothing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The answer is not HTTP/1.1 to the letter, or too large; [`HttpError::Incomplete`] when it ended too early.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The status is not 101 (RFC 6455 §4.1, item 1). Redirections are not followed, and nothing is interim.
    #[error("the server answered with status {0} instead of 101")]
    Status(u16),
    /// The version is below HTTP/1.1 (RFC 6455 §4.2.2, item 5.1).
    #[error("the server answered in HTTP/1.0")]
    HttpTooOld,
    /// Content is announced, which would hide the first frames (RFC 9110 §15.2: a 101 has none).
    #[error("the server announced content in a 101")]
    HasBody,
    /// `Upgrade` is not `websocket`, once (RFC 6455 §4.1, item 2).
    #[error("Upgrade must be websocket")]
    InvalidUpgrade,
    /// `Connection` does not name `upgrade` (RFC 6455 §4.1, item 3).
    #[error("Connection must contain upgrade")]
    NoConnectionUpgrade,
    /// `Sec-WebSocket-Accept` is not given exactly once as the answer to the key (RFC 6455 §4.1, item 4).
    #[error("Sec-WebSocket-Accept does not answer the key")]
    InvalidAccept,
    /// `Sec-WebSocket-Extensions` breaks its grammar (RFC 6455 §9.1).
    #[error("malformed Sec-WebSocket-Extensions")]
    InvalidExtensions,
    /// An extension that was not proposed (RFC 6455 §4.1, item 5).
    #[error("the server chose an extension that was not proposed")]
    ExtensionNotOffered,
    /// An extension comes twice (RFC 7692 §5.1: one offer is accepted).
    #[error("the server chose an extension twice")]
    RepeatedExtension,
    /// The parameters of the compression are no answer to those that were proposed (RFC 7692 §5.1, §7.1).
    #[error("the server chose compression in a way that was not proposed")]
    IllegalDeflate,
    /// A subprotocol that was not proposed (RFC 6455 §4.1, item 6).
    #[error("the server chose a subprotocol that was not proposed")]
    SubprotocolNotOffered,
    /// More than one `Sec-WebSocket-Protocol` line (RFC 6455 §11.3.4).
    #[error("the server chose more than one subprotocol")]
    RepeatedSubprotocol,
}

impl Proposal {
    /// A proposal to the server of `authority`, for the resource `target`: a path that begins with a slash, and perhaps a
    /// query. `key` is 16 bytes of a good generator, fresh for each connection (RFC 6455 §4.1, item 7).
    ///
    /// # Errors
    ///
    /// An authority or a target that cannot stand in a request.
    pub fn new(authority: &str, target: &str, key: [u8; KEY_LEN]) -> Result<Self, ProposalError> {
        // RFC 6455 §4.1, item 4; and nothing that would end the line (R10).
        Authority::parse(authority).ok_or(ProposalError::InvalidAuthority)?;
        // RFC 6455 §4.1, item 2.
        if !is_origin_form(target) {
            return Err(ProposalError::InvalidTarget);
        }
        let lines = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        Ok(Self { lines, subprotocols: String::new(), key, deflate: None })
    }

    /// Proposes these subprotocols too, in the order of preference.
    ///
    /// # Errors
    ///
    /// One that is no token, or is there already.
    pub fn subprotocols<'s>(
        mut self,
        subprotocols: impl IntoIterator<Item = &'s str>,
    ) -> Result<Self, ProposalError> {
        for subprotocol in subprotocols {
            as_token(subprotocol.as_bytes()).ok_or(ProposalError::InvalidSubprotocol)?;
            if self.offers(subprotocol) {
                return Err(ProposalError::RepeatedSubprotocol);
            }
            let separator = if self.subprotocols.is_empty() { "" } else { SEPARATOR };
            self.subprotocols.extend([separator, subprotocol]);
        }
        Ok(self)
    }

    /// Adds lines, such as Origin, Cookie or Authorization.
    ///
    /// # Errors
    ///
    /// When Host is among them; no other line of the handshake can be.
    pub fn headers(mut self, headers: &Headers) -> Result<Self, ProposalError> {
        if headers.contains("host") {
            return Err(ProposalError::HostGiven);
        }
        self.lines.extend_from_slice(headers.as_bytes());
        Ok(self)
    }

    /// Proposes compression. Without the feature `deflate` nothing is proposed.
    ///
    /// # Errors
    ///
    /// A configuration out of its ranges.
    pub fn deflate(mut self, config: &DeflateConfig) -> Result<Self, ProposalError> {
        config.validate()?;
        self.deflate = cfg!(feature = "deflate").then(|| DeflateOffer::of(config));
        Ok(self)
    }

    /// Appends the request to `out` (RFC 6455 §4.1).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines);
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
        out.extend_from_slice(&self.encoded_key());
        out.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\n");
        if !self.subprotocols.is_empty() {
            out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
            out.extend_from_slice(self.subprotocols.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if let Some(offer) = self.deflate {
            out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
            offer.encode(out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Looks for the answer in `bytes`, which are all the bytes received so far. `None` says that it has not come to its
    /// end: come back with more. Otherwise the number says where it ends; what follows is the first frame, and no new
    /// bytes may be needed to go on (R7).
    ///
    /// # Errors
    ///
    /// As [`Proposal::check`], and [`HandshakeFailure::Http`] for what is no answer at all.
    pub fn read_answer(
        &self,
        bytes: &[u8],
        scanner: &mut HeadScanner,
        limits: &HeadLimits,
    ) -> Result<Option<(Agreed, usize)>, HandshakeFailure> {
        let Scan::Complete { head_len } = scanner.scan(bytes, limits)? else { return Ok(None) };
        let mut storage = HeaderStorage::new();
        let head = bytes.get(..head_len).unwrap_or(bytes);
        let agreed = self.check(&ResponseHead::parse(head, &mut storage, limits)?)?;
        Ok(Some((agreed, head_len)))
    }

    /// Judges an answer.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 6455 §4.1 that it breaks.
    pub fn check(&self, response: &ResponseHead<'_>) -> Result<Agreed, HandshakeFailure> {
        check_status(response)?;
        check_upgrade_lines(response)?;
        // RFC 6455 §4.1, item 4: exactly the answer to our key, so that no cache and no confused server has it.
        if response.lines().only("sec-websocket-accept") != Some(&accept_key(&self.encoded_key())) {
            return Err(HandshakeFailure::InvalidAccept);
        }
        let deflate = check_answer(response.header_all("sec-websocket-extensions"), self.deflate)?;
        let subprotocol = self.check_subprotocol(response)?.map(str::to_owned);
        Ok(Agreed { subprotocol, deflate })
    }

    fn check_subprotocol<'a>(
        &self,
        response: &ResponseHead<'a>,
    ) -> Result<Option<&'a str>, HandshakeFailure> {
        let mut values = response.header_all("sec-websocket-protocol");
        let Some(value) = values.next() else { return Ok(None) };
        // RFC 6455 §11.3.4: at most once in an answer.
        if values.next().is_some() {
            return Err(HandshakeFailure::RepeatedSubprotocol);
        }
        // RFC 6455 §4.1, item 6.
        let chosen = as_token(value).filter(|token| self.offers(token));
        chosen.map(Some).ok_or(HandshakeFailure::SubprotocolNotOffered)
    }

    fn offers(&self, subprotocol: &str) -> bool {
        self.subprotocols.split(SEPARATOR).any(|offered| offered == subprotocol)
    }

    fn encoded_key(&self) -> [u8; ENCODED_KEY_LEN] {
        let mut encoded = [0; ENCODED_KEY_LEN];
        let written = STANDARD.encode_slice(self.key, &mut encoded);
        debug_assert_eq!(written, Ok(ENCODED_KEY_LEN));
        encoded
    }
}

/// The status line and the body.
fn check_status(response: &ResponseHead<'_>) -> Result<(), HandshakeFailure> {
    // RFC 6455 §4.1, item 1.
    if response.status() != Status::SWITCHING_PROTOCOLS {
        return Err(HandshakeFailure::Status(response.status().code()));
    }
    if response.version() != Version::Http11 {
        return Err(HandshakeFailure::HttpTooOld);
    }
    // RFC 9110 §15.2: with content announced, whoever stands between us disagrees about where the frames begin.
    if response.announces_body() {
        return Err(HandshakeFailure::HasBody);
    }
    Ok(())
}

/// The lines that grant the protocol.
fn check_upgrade_lines(response: &ResponseHead<'_>) -> Result<(), HandshakeFailure> {
    // RFC 6455 §4.1, item 2.
    if !response.lines().only("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(HandshakeFailure::InvalidUpgrade);
    }
    // RFC 6455 §4.1, item 3.
    if !response.has_token("connection", "upgrade") {
        return Err(HandshakeFailure::NoConnectionUpgrade);
    }
    Ok(())
}

impl From<AnswerError> for HandshakeFailure {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Malformed => HandshakeFailure::InvalidExtensions,
            AnswerError::NotOffered => HandshakeFailure::ExtensionNotOffered,
            AnswerError::Repeated => HandshakeFailure::RepeatedExtension,
            AnswerError::Illegal => HandshakeFailure::IllegalDeflate,
        }
    }
}

/// RFC 6455 §4.1, item 7.
const KEY_LEN: usize = 16;
/// The same in Base64.
const ENCODED_KEY_LEN: usize = 24;
const SEPARATOR: &str = ", ";

#[cfg(test)]
mod tests;
