//! The PROXY protocol, versions 1 and 2, sans-I/O: what a proxy says, before anything else, of the connection that it
//! relays. Knows no socket and no loop.
//!
//! The rules are those of `proxy-protocol.txt`, as HAProxy publishes it; the sections named here are its sections. A
//! header is believed, so it is to be read from a connection of a proxy that one trusts ([`TrustedProxies`]) and from
//! no other, and it is never guessed whether there is one (§2: "the receiver MUST be configured to only receive the
//! protocol").
//!
//! ```
//! use gnezdo::proxy::{self, Parsed, Relayed};
//!
//! let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nGET / HTTP/1.1\r\n";
//! let Parsed::Complete { header, length } = proxy::parse(bytes)? else { panic!("the header is there") };
//! assert!(matches!(header.relayed, Relayed::Tcp { source, .. } if source.port() == 40_000));
//! assert!(bytes[length..].starts_with(b"GET "));
//! # Ok::<(), gnezdo::proxy::ProxyError>(())
//! ```

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod error;
#[cfg(test)]
mod tests;
mod trusted;
mod v1;
mod v2;

use core::net::SocketAddr;

pub use error::ProxyError;
pub use trusted::{NetworkError, TrustedProxies};

/// The most bytes of a header. §2.2 has senders stay within 536, which fit the first segment of any connection; the rest
/// is room for certificates among the options. A line of version 1 has at most 107 (§2.1).
pub const MOST_BYTES: usize = 2_048;

/// What a proxy says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// In which of the two forms.
    pub version: Version,
    /// Whose connection it is.
    pub relayed: Relayed,
}

/// The two forms of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text (§2.1).
    V1,
    /// Bytes (§2.2).
    V2,
}

/// Whose connection it is that a proxy has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The proxy's own, as for a look at whether the server is well: version 2, LOCAL.
    Own,
    /// Somebody's, of whom the proxy does not say who: version 1, UNKNOWN, or version 2, `AF_UNSPEC`.
    Unknown,
    /// One over TCP.
    Tcp {
        /// Who opened it.
        source: SocketAddr,
        /// Where the proxy accepted it.
        destination: SocketAddr,
    },
    /// One over a Unix-domain socket. A name is empty where there is none, and begins with a NUL where it is an
    /// abstract one of Linux.
    Unix {
        /// Who opened it.
        source: Box<[u8]>,
        /// Where the proxy accepted it.
        destination: Box<[u8]>,
    },
}

/// What [`parse`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Parsed {
    /// The end has not arrived: keep the bytes and come back with more. There are fewer than [`MOST_BYTES`].
    Partial,
    /// The header is complete.
    Complete {
        /// What it says.
        header: Header,
        /// How many bytes it has; whatever follows is the relayed connection's.
        length: usize,
    },
}

/// Reads the header that `bytes`, all that was received so far, begin with.
///
/// The verdict does not depend on how the bytes were cut: each beginning of them is `Partial`, or has the verdict of the
/// whole. What cannot become a header is refused when it would be complete, at the latest.
///
/// # Errors
///
/// The first rule that is broken; see [`ProxyError`].
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    match bytes.first() {
        None => Ok(Parsed::Partial),
        Some(first) if v1::SIGNATURE.first() == Some(first) => v1::parse(bytes),
        Some(_) => v2::parse(bytes),
    }
}

/// Whether `bytes` are those of `signature`, as far as both go.
fn begins_alike(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}
