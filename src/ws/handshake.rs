//! The server's half of the opening handshake (RFC 6455 §4.2): judges a request and writes the answer. Knows no
//! connection, holds no policy and compresses nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::extension::{DeflateConfig, DeflateOffer, DeflateParams, first_offer};
use crate::http::field::as_token;
use crate::http::{BodyLength, Headers, Request, Response, Status, Version};

/// A request to upgrade that is valid in every point, reduced to what its answer needs.
///
/// It owns what it knows, so that a decision can be held while the request is long gone; without subprotocols it holds
/// no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept: [u8; ACCEPT_LEN],
    /// Invariant: tokens without repetition, joined by commas.
    subprotocols: Box<str>,
    deflate: Option<DeflateOffer>,
}

impl Upgrade {
    /// Whether the client offers this subprotocol; the comparison is exact (RFC 6455 §4.1, item 10).
    pub fn offers(&self, subprotocol: &str) -> bool {
        self.subprotocols().any(|offered| offered == subprotocol)
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.split(',').filter(|offered| !offered.is_empty())
    }

    /// What to agree to of the compression that the client offers, if it offers any that will do.
    pub fn deflate(&self, config: &DeflateConfig) -> Option<DeflateParams> {
        self.deflate?.answer(config)
    }
}

/// A request to upgrade that is not granted: the peer's fault. Answer [`Refusal::response`] and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    // The request.
    /// The method is not GET (RFC 6455 §4.2.1, item 1).
    #[error("a WebSocket handshake is a GET")]
    MethodNotGet,
    /// The version is below HTTP/1.1 (RFC 6455 §4.2.1, item 1).
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpTooOld,
    /// A body is announced, which would hide the first frames or a second request (RFC 9112 §6.3).
    #[error("a WebSocket handshake has no body")]
    HasBody,

    // The header lines.
    /// `Upgrade` does not name `websocket` (RFC 6455 §4.2.1, item 3).
    #[error("Upgrade must contain websocket")]
    NoUpgrade,
    /// `Connection` does not name `upgrade` (RFC 6455 §4.2.1, item 4).
    #[error("Connection must contain upgrade")]
    NoConnectionUpgrade,
    /// `Sec-WebSocket-Version` is not given exactly once as 13 (RFC 6455 §4.2.1, item 6, and §4.4).
    #[error("Sec-WebSocket-Version must be 13")]
    UnsupportedVersion,
    /// `Sec-WebSocket-Key` is not given exactly once as the Base64 of 16 bytes (RFC 6455 §4.2.1, item 5).
    #[error("Sec-WebSocket-Key must be 16 bytes in Base64")]
    InvalidKey,
    /// `Sec-WebSocket-Protocol` is no list of different tokens, or one of more than 64 (RFC 6455 §4.1, item 10).
    #[error("Sec-WebSocket-Protocol must list different tokens")]
    InvalidSubprotocols,

    // The origin, see `OriginPolicy`.
    /// More than one `Origin` line (RFC 6454 §7.3).
    #[error("more than one Origin")]
    RepeatedOrigin,
    /// No `Origin` where one is required.
    #[error("Origin is required")]
    MissingOrigin,
    /// The `Origin` is not among those that are allowed (RFC 6455 §4.2.2, item 4, and §10.2).
    #[error("this Origin is not allowed")]
    OriginNotAllowed,
}

impl Refusal {
    /// The status that tells the peer.
    pub fn status(&self) -> Status {
        match self {
            Self::MethodNotGet => Status::METHOD_NOT_ALLOWED,
            Self::UnsupportedVersion => Status::UPGRADE_REQUIRED,
            Self::HttpTooOld
            | Self::HasBody
            | Self::NoUpgrade
            | Self::NoConnectionUpgrade
            | Self::InvalidKey
            | Self::InvalidSubprotocols
            | Self::RepeatedOrigin => Status::BAD_REQUEST,
            Self::MissingOrigin | Self::OriginNotAllowed => Status::FORBIDDEN,
        }
    }

    /// The whole answer, to be written with [`Connection::Close`](crate::http::Connection::Close): a proxy that
    /// trusted the request to upgrade would let everything after it pass unseen.
    pub fn response(&self) -> Response {
        let response = Response::new(self.status()).text(format!("{self}\n"));
        match self {
            // RFC 9110 §15.5.6: 405 says what is allowed.
            Self::MethodNotGet => response.own_header("Allow", "GET"),
            // RFC 6455 §4.2.2, item 4, and §4.4: the answer names the version; RFC 9110 §15.5.22: and the protocol.
            Self::UnsupportedVersion => {
                response.own_header("Sec-WebSocket-Version", "13").offer_upgrade("websocket")
            }
            _ => response,
        }
    }
}

/// Judges a request: nothing for one that does not try to become a WebSocket, and otherwise what its answer needs.
///
/// A request that carries any line of the handshake is an attempt, and an attempt is valid in every point or refused.
/// Host has been checked before: no HTTP/1.1 request is parsed without exactly one (RFC 6455 §4.2.1, item 2).
///
/// ```
/// use gnezdo::http::{HeadLimits, HeaderStorage, Headers, Request};
/// use gnezdo::ws::{encode_accept, examine};
///
/// let head = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
///     Sec-WebSocket-Version: 13\r\n\r\n";
/// let mut storage = HeaderStorage::new();
/// let request = Request::parse(head, &mut storage, &HeadLimits::default()).expect("a valid head");
///
/// let upgrade = examine(&request).expect("a valid handshake").expect("an attempt");
/// let mut out = Vec::new();
/// encode_accept(&mut out, &upgrade, Some("chat"), &Headers::new(), None).expect("an offered subprotocol");
/// assert_eq!(
///     String::from_utf8_lossy(&out),
///     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
/// );
/// ```
///
/// # Errors
///
/// The first rule of RFC 6455 §4.2.1 that an attempt breaks.
pub fn examine(request: &Request<'_>) -> Result<Option<Upgrade>, Refusal> {
    if !is_attempt(request) {
        return Ok(None);
    }
    check_request(request)?;
    check_upgrade_lines(request)?;
    let accept = accept_key(check_key(request)?);
    let subprotocols = check_subprotocols(request)?;
    // RFC 6455 §9.1 and RFC 7692 §5.1: what we cannot accept is declined by silence.
    let deflate = first_offer(request.header_all("sec-websocket-extensions"));
    Ok(Some(Upgrade { accept, subprotocols, deflate }))
}

/// Whether the request carries any line of the handshake. A plain GET pays one look at each line.
fn is_attempt(request: &Request<'_>) -> bool {
    request.headers().any(|(name, value)| match name.len() {
        7 => name.eq_ignore_ascii_case("upgrade") && names_websocket(value),
        17 => name.eq_ignore_ascii_case("sec-websocket-key"),
        21 => name.eq_ignore_ascii_case("sec-websocket-version"),
        _ => false,
    })
}

/// Whether an Upgrade value mentions WebSocket in any form, as in `websocket/13`.
fn names_websocket(value: &[u8]) -> bool {
    const NAME: &[u8] = b"websocket";
    value.windows(NAME.len()).any(|window| window.eq_ignore_ascii_case(NAME))
}

/// The request line and the body.
fn check_request(request: &Request<'_>) -> Result<(), Refusal> {
    // RFC 6455 §4.2.1, item 1.
    if request.method() != "GET" {
        return Err(Refusal::MethodNotGet);
    }
    if request.version() != Version::Http11 {
        return Err(Refusal::HttpTooOld);
    }
    // RFC 9112 §6.3: with a body announced, whoever stands before us disagrees about where the frames begin.
    if request.body_length() != BodyLength::Exactly(0) {
        return Err(Refusal::HasBody);
    }
    Ok(())
}

/// The lines that ask for the protocol and its version.
fn check_upgrade_lines(request: &Request<'_>) -> Result<(), Refusal> {
    // RFC 6455 §4.2.1, item 3.
    if !request.has_token("upgrade", "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    // RFC 6455 §4.2.1, item 4.
    if !request.has_token("connection", "upgrade") {
        return Err(Refusal::NoConnectionUpgrade);
    }
    // RFC 6455 §4.2.1, item 6.
    if request.lines().only("sec-websocket-version") != Some(b"13") {
        return Err(Refusal::UnsupportedVersion);
    }
    Ok(())
}

/// The key, once it is known to be what a client makes of 16 random bytes.
fn check_key<'a>(request: &Request<'a>) -> Result<&'a [u8], Refusal> {
    let key = request.lines().only("sec-websocket-key").ok_or(Refusal::InvalidKey)?;
    let mut nonce = [0; NONCE_ROOM];
    // RFC 6455 §4.2.1, item 5: decoded in its canonical form (RFC 4648 §3.5), 16 bytes long.
    if STANDARD.decode_slice(key, &mut nonce) == Ok(NONCE_LEN) { Ok(key) } else { Err(Refusal::InvalidKey) }
}

/// The offered subprotocols, joined by commas.
fn check_subprotocols(request: &Request<'_>) -> Result<Box<str>, Refusal> {
    const NAME: &str = "sec-websocket-protocol";
    let mut seen = [""; MOST_SUBPROTOCOLS];
    let mut count = 0_usize;
    for item in request.list(NAME) {
        // RFC 6455 §4.1, item 10, and §11.3.4: tokens, each of them once.
        let token = as_token(item).ok_or(Refusal::InvalidSubprotocols)?;
        let (before, after) = seen.split_at_mut_checked(count).ok_or(Refusal::InvalidSubprotocols)?;
        let free = after.first_mut().ok_or(Refusal::InvalidSubprotocols)?;
        if before.contains(&token) {
            return Err(Refusal::InvalidSubprotocols);
        }
        *free = token;
        count = count.saturating_add(1);
    }
    // RFC 6455 §4.3: a list has at least one element.
    if count == 0 && request.header(NAME).is_some() {
        return Err(Refusal::InvalidSubprotocols);
    }
    Ok(seen.get(..count).unwrap_or_default().join(",").into_boxed_str())
}

/// The value of Sec-WebSocket-Accept for this value of Sec-WebSocket-Key (RFC 6455 §4.2.2, item 5.4).
///
/// ```
/// use gnezdo::ws::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> [u8; ACCEPT_LEN] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(ACCEPT_LEN));
    accept
}

/// An answer that the client would have to reject: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The client did not offer the subprotocol (RFC 6455 §4.2.2, item 5.5).
    #[error("the client did not offer this subprotocol")]
    SubprotocolNotOffered,
    /// The compression is no answer to what the client offered (RFC 7692 §5.1).
    #[error("the client did not offer this compression")]
    DeflateNotOffered,
}

/// Appends the answer 101, after which both sides speak WebSocket (RFC 6455 §4.2.2, item 5).
///
/// # Errors
///
/// A subprotocol or compression that was not offered; nothing is written then.
pub fn encode_accept(
    out: &mut Vec<u8>,
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    extra: &Headers,
    deflate: Option<&DeflateParams>,
) -> Result<(), HandshakeError> {
    // RFC 6455 §4.1: a client fails the connection over a subprotocol that it did not ask for.
    if subprotocol.is_some_and(|chosen| !upgrade.offers(chosen)) {
        return Err(HandshakeError::SubprotocolNotOffered);
    }
    // RFC 7692 §5.1: and over parameters that do not answer its offer.
    if deflate.is_some_and(|params| !upgrade.deflate.is_some_and(|offer| offer.allows(*params))) {
        return Err(HandshakeError::DeflateNotOffered);
    }
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&upgrade.accept);
    if let Some(subprotocol) = subprotocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
    }
    if let Some(params) = deflate {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        params.encode(out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(extra.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// 20 bytes of SHA-1 in Base64.
const ACCEPT_LEN: usize = 28;
const NONCE_LEN: usize = 16;
/// What the decoder wants at hand for the 24 characters of a key before it has seen their padding.
const NONCE_ROOM: usize = 18;
/// No honest client offers more subprotocols than this.
const MOST_SUBPROTOCOLS: usize = 64;

#[cfg(test)]
mod tests;
