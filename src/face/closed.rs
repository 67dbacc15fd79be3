//! L4, how a connection ended, as its handler is told: values only.

use std::fmt;
use std::io;

use crate::face::session::Outcome;
use crate::face::target::Target;
use crate::net::NetError;
use crate::proxy::ProxyError;
use crate::reactor::{Cause, End};
use crate::tls::TlsError;
use crate::ws::{CloseFrame, HandshakeFailure, ProtocolError};

/// The end of a connection: what [`Handler::on_close`](crate::Handler::on_close) gets, exactly once.
#[derive(Debug)]
pub struct Closed {
    /// Why it ended.
    pub reason: Reason,
    /// Bytes that a `send` had accepted and that never reached the kernel; with TLS, those of the record on its way out as
    /// they are encrypted.
    pub unsent: usize,
    /// What was called, where [`Context::connect`](crate::Context::connect) led to no open connection.
    pub target: Option<Target>,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some(target) => write!(f, "{target}: {}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

/// Why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The closing handshake was completed (RFC 6455 §7.1.4).
    Handshake {
        /// Who sent the first close frame.
        by: Side,
        /// What the peer's close frame said; `None` where it was empty.
        frame: Option<CloseFrame>,
    },
    /// The peer broke the protocol; it was told by a close frame with [`ProtocolError::close_code`].
    Protocol(ProtocolError),
    /// The peer ended its stream: a raw one in good order, a WebSocket without the closing handshake (1006).
    EndOfStream,
    /// The handler closed a raw connection, and everything sent was flushed.
    Finished,
    /// The peer was too slow.
    TimedOut(Timeout),
    /// The handler, or the end of a shutdown's grace, cut the connection.
    Aborted,
    /// What waited for all peers together passed [`Settings::max_queued`](crate::Settings::max_queued), or what had come
    /// of their messages [`Config::max_partial`](crate::Config::max_partial), and most of it was this one's.
    Crowded,
    /// It did not keep up with what was published, and [`Overflow::Close`](crate::Overflow) was asked for.
    Overflowed,
    /// The connection that was asked for never stood: no address answered, and this is what the last one said.
    NotConnected(NetError),
    /// The server's answer to our request for a WebSocket was not the one of RFC 6455 §4.2.2.
    Refused(HandshakeFailure),
    /// The stream failed.
    Lost(io::Error),
    /// It did not come by a trusted proxy, or not as one has it come. The handler never met such a connection and is told
    /// by [`Handler::on_proxy_error`](crate::Handler::on_proxy_error) alone.
    Proxy(ProxyError),
    /// TLS failed: a certificate was refused, by one side or the other, the protocol was broken, or the stream ended
    /// without saying so.
    Tls(TlsError),
}

impl Reason {
    /// Whether something went wrong, rather than to its end.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Handshake { .. } | Self::EndOfStream | Self::Finished | Self::Aborted)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake { by, frame } => {
                let who = if *by == Side::Local { "here" } else { "by the peer" };
                match frame {
                    Some(frame) if frame.reason().is_empty() => write!(f, "closed {who} ({})", frame.code()),
                    Some(frame) => write!(f, "closed {who} ({}): {}", frame.code(), frame.reason()),
                    None => write!(f, "closed {who}"),
                }
            }
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
            Self::EndOfStream => f.write_str("the peer ended the stream"),
            Self::Finished => f.write_str("finished"),
            Self::TimedOut(timeout) => f.write_str(match timeout {
                Timeout::Connect => "the server did not answer in time",
                Timeout::Opening => "the opening handshake took too long",
                Timeout::Idle => "the peer was silent for too long",
                Timeout::Close => "the peer did not answer our close in time",
                Timeout::Write => "the peer took nothing for too long",
            }),
            Self::Aborted => f.write_str("cut off"),
            Self::Crowded => {
                f.write_str("of all that waited to be sent, or to become whole, most was of this connection")
            }
            Self::Overflowed => f.write_str("the peer did not keep up with what was published"),
            Self::NotConnected(error) => write!(f, "not connected: {error}"),
            Self::Refused(failure) => write!(f, "the server refused: {failure}"),
            Self::Lost(error) => write!(f, "the connection broke: {error}"),
            Self::Proxy(error) => write!(f, "not by a proxy as it has to be: {error}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This one.
    Local,
    /// The other one.
    Peer,
}

/// What a peer took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// To be reached, and to answer our opening handshake.
    Connect,
    /// To complete the opening handshake, or the handler to decide about it.
    Opening,
    /// To send anything at all.
    Idle,
    /// To answer a close frame.
    Close,
    /// To take any of the bytes waiting for it.
    Write,
}

impl Closed {
    /// What the handler is told, of what the loop saw and of what was found before.
    pub(super) fn new(end: End, found: Outcome) -> Self {
        let reason = found.reason.unwrap_or(match end.cause {
            Cause::Finished => Reason::Finished,
            Cause::Aborted => Reason::Aborted,
            Cause::Crowded => Reason::Crowded,
            Cause::Overflowed => Reason::Overflowed,
            Cause::Stalled => Reason::TimedOut(Timeout::Write),
            Cause::NotConnected(error) => Reason::NotConnected(error),
            Cause::Lost(error) => Reason::Lost(error),
            Cause::Proxy(error) => Reason::Proxy(error),
            Cause::Tls(error) => Reason::Tls(error),
        });
        Self { reason, unsent: end.unsent, target: found.target }
    }
}
