//! L4, what a user writes: one value that a reactor calls about all of its connections.

use std::io;

use crate::face::{Accept, Answer, Closed, Context, Request};
use crate::http::{Response, Status};
use crate::net::Addr;
use crate::proxy::ProxyError;
use crate::reactor::{ConnId, SlowTurn};
use crate::tls::TlsError;
use crate::ws::{Agreed, Message};

/// The user's half of a server. Every method has a default; each is called on the loop's thread, and none inside
/// another.
///
/// A WebSocket connection meets them in this order:
///
/// ```text
/// on_request → on_open → ( on_message | on_pong | on_drain )* → on_close
/// ```
///
/// and one of a raw listener in this: `on_open → ( on_bytes | on_drain )* → on_end? → on_close`.
pub trait Handler: Sized {
    /// What is kept of each connection, inline in the loop's slab: [`Context::get`], [`Context::get_mut`].
    type Conn: Default;

    /// What other threads send to the loop by [`Remote::try_post`](crate::Remote::try_post); `()` where none do.
    type Post: Send + 'static;

    /// A request came, on a WebSocket listener. The default accepts what asks for a WebSocket and answers 426 to
    /// everything else.
    fn on_request(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, request: &Request<'_>) -> Answer {
        if request.is_websocket() { Accept::new().into() } else { upgrade_required().into() }
    }

    /// The server accepted a connection that [`Context::connect`] asked for, with these terms. [`Handler::on_open`]
    /// follows.
    fn on_accepted(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _agreed: &Agreed) {}

    /// The connection is open and may be sent to.
    fn on_open(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId) {}

    /// A message is complete. It is lent: whoever wants to keep it copies it.
    fn on_message(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _message: Message<'_>) {}

    /// Bytes came on a connection of a raw listener, cut as the network cut them.
    fn on_bytes(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _bytes: &[u8]) {}

    /// A pong came (RFC 6455 §5.5.3). Pings are answered without the handler.
    fn on_pong(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _payload: &[u8]) {}

    /// The peer of a raw connection will send no more. The default closes the connection once everything sent to it
    /// is flushed.
    fn on_end(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.finish(id);
    }

    /// There is room again: the connection's queue had met its high-water mark and is at the low one, or it had
    /// refused a send and is empty.
    fn on_drain(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId) {}

    /// A timer of [`Context::set_timer`] is due.
    fn on_timer(&mut self, _cx: &mut Context<'_, Self>, _token: u64) {}

    /// Another thread posted a value.
    fn on_post(&mut self, _cx: &mut Context<'_, Self>, _post: Self::Post) {}

    /// The connection is over: exactly once for each that [`Handler::on_open`] was called for, for each request that
    /// was held and ended undecided, and for each [`Context::connect`] that gave an id and failed. [`Context::get`]
    /// still finds its data.
    fn on_close(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _closed: &Closed) {}

    /// A turn of the loop took longer than [`Settings::slow_turn`](crate::Settings::slow_turn): meanwhile nobody else was
    /// served. For logs; called when the turn is over.
    fn on_slow_turn(&mut self, _cx: &mut Context<'_, Self>, _turn: &SlowTurn) {}

    /// A listener failed and was closed; its connections and the other listeners go on.
    fn on_listener_error(&mut self, _cx: &mut Context<'_, Self>, _addr: &Addr, _error: &io::Error) {}

    /// A client's connection never opened, because TLS failed: it did not speak it, it left, or one side refused the
    /// other one. For logs and counts: the connection is over, and there is no [`Handler::on_close`].
    fn on_tls_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _error: &TlsError) {}

    /// A connection of a listener behind proxies ([`Listen::proxy`](crate::Listen::proxy)) was refused: it did not come
    /// from one of them, or did not begin as it must. For logs and counts: the connection is over, and there is no
    /// [`Handler::on_close`].
    fn on_proxy_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _error: &ProxyError) {}
}

/// The answer to a request that does not speak the only protocol there is.
pub(super) fn upgrade_required() -> Response {
    // RFC 6455 §4.4 names the version, RFC 9110 §15.5.22 the protocol.
    let response = Response::new(Status::UPGRADE_REQUIRED).text("This is a WebSocket endpoint.\n");
    response.own_header("Sec-WebSocket-Version", "13").offer_upgrade("websocket")
}
