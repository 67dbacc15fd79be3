//! TLS 1.2 and 1.3 as bytes in and bytes out, over rustls: knows records, certificates and names; no socket, no loop.
//!
//! # Where it sits
//!
//! Between the kernel and the protocols: the loop receives ciphertext, has a [`Session`] open it, and gives its driver
//! what was inside; what a driver sent in a turn is sealed when the loop offers it to the kernel. No protocol above the
//! loop knows whether its bytes were encrypted.
//!
//! ```text
//! kernel ──receive──► loop's own buffer ──Session::open──► plaintext ──► driver
//! kernel ◄───send──── ciphertext, queue ◄──Session::seal── what was staged in the turn ◄── driver
//! ```
//!
//! A session is a box beside the slab entry of its connection, so that a connection without TLS pays for none. It runs
//! on the unbuffered interface of rustls: records are decrypted where they were received and copied out of it twice, once
//! by rustls; an idle session owns no buffer.
//!
//! # What is bounded
//!
//! - Inwards a session keeps a record or a handshake message that has not come whole, at most [`MOST_CARRIED`] bytes.
//! - Outwards bytes are sealed when the kernel is offered them. Those it refuses are kept, at most 64 KiB; all behind them
//!   waits in clear, in the connection's queue, like the bytes of any other.
//! - A handshake costs more than anything else a stranger can ask for: the loop does
//!   [`Settings::handshake_budget`](crate::Settings::handshake_budget) steps of handshakes per turn, and all of one is
//!   under the deadline of the opening.
//! - Renegotiation is refused, early data is not offered, and rustls bounds alerts, key updates and empty records.
//!
//! # How it ends
//!
//! A connection that is finished sends `close_notify` behind its last byte. A stream that ends without the peer's may
//! have been cut by somebody else: a raw connection then ends with [`TlsError::Truncated`]. A WebSocket has a closing
//! handshake of its own, which tells the same.

mod acceptor;
mod client;
mod error;
mod identity;
mod provider;
mod records;
mod seal;
mod session;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, TlsServer};
pub use client::{ServerName, TlsClient};
pub use error::{TlsConfigError, TlsError};
pub use identity::Identity;
pub use rustls;
pub use seal::Seal;
pub use session::{MOST_CARRIED, RECORD, Session};

/// Whether this build has TLS.
pub(crate) const IS_THERE: bool = true;
