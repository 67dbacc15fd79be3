//! L4, a request as a handler sees it, and what the handler may answer.

use std::ops::Deref;

use crate::http::{self, HeaderError, Headers, Response};
use crate::net::Peer;
use crate::ws::Upgrade;

/// A request, before anything was answered: method, path, query, headers and cookies by way of
/// [`http::Request`], and who sent it.
#[derive(Debug)]
pub struct Request<'a> {
    pub(super) head: &'a http::Request<'a>,
    pub(super) peer: &'a Peer,
    pub(super) upgrade: Option<&'a Upgrade>,
}

impl Request<'_> {
    /// Who is on the other side of the connection, as [`Context::peer`](crate::Context::peer) tells.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// Whether this is a valid request for a WebSocket (RFC 6455 §4.2.1), from an allowed origin, that may be
    /// answered by an [`Accept`]. An invalid one never reaches a handler.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.upgrade.is_some()
    }
}

impl<'a> Deref for Request<'a> {
    type Target = http::Request<'a>;

    fn deref(&self) -> &Self::Target {
        self.head
    }
}

/// What a handler answers to a [`Request`].
#[derive(Debug)]
#[must_use = "a request needs an answer"]
pub enum Answer {
    /// Speak WebSocket. Where the request did not ask for it, it is answered 426 instead.
    Accept(Accept),
    /// Answer by HTTP, and close.
    Respond(Response),
    /// Decide later, by [`Context::accept`](crate::Context::accept) or
    /// [`Context::respond`](crate::Context::respond), within [`Timeouts::opening`](crate::Timeouts::opening).
    Hold,
}

/// How a WebSocket is accepted: with which subprotocol and which headers of one's own.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    pub(super) subprotocol: Option<String>,
    pub(super) headers: Headers,
}

impl Accept {
    /// No subprotocol, no further headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Speaks `subprotocol`, which must be one that the request offers (RFC 6455 §4.2.2); otherwise the request is
    /// answered 500 and the connection closed.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocol = Some(subprotocol.into());
        self
    }

    /// Adds a header to the 101.
    ///
    /// # Errors
    ///
    /// A name or value that could break out of its line (R10), or a header the handshake sets itself.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.headers.add(name, value)?;
        Ok(self)
    }
}

impl From<Accept> for Answer {
    fn from(accept: Accept) -> Self {
        Answer::Accept(accept)
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Answer::Respond(response)
    }
}
