//! L4, what a handler may do from any of its calls: send, close, pause, decide, arm, listen, stop.

use std::io;
use std::time::Duration;

use crate::face::closed::Reason;
use crate::face::config::{Drain, Listen};
use crate::face::reactor::Listening;
use crate::face::runtime::Shared;
use crate::face::services::Service;
use crate::face::session::{Met, Outcome, Session, Stage};
use crate::face::shutdown;
use crate::face::{Accept, FleetError, Handler, Result, Serve};
use crate::http::Response;
use crate::mutants::mutant;
use crate::net::{Addr, Inherited, NetError, Peer};
use crate::proxy;
use crate::reactor::{Bound, ConnId, Io, ListenerId, SendError, Sent};
use crate::stats::add_one;
use crate::time::Time;
use crate::time::wheel::TimerKey;
use crate::ws::{CloseCode, Compress, Control, HandshakeError, Message, NotSent, Role};

/// The reactor as its handler sees it, borrowed for one call. Nothing done here calls the handler back before that
/// call returned.
pub struct Context<'a, H: Handler> {
    pub(super) io: Io<'a, Session<H::Conn>>,
    pub(super) shared: &'a mut Shared,
}

impl<H: Handler> std::fmt::Debug for Context<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("now", &self.io.now()).finish_non_exhaustive()
    }
}

/// Why a held request was not decided.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// The connection is gone: the peer gave up, or the time for the decision was over.
    #[error("the connection is gone")]
    Gone,
    /// There is no held request on this connection.
    #[error("no request of this connection is held")]
    NotHeld,
    /// The request did not ask for a WebSocket; it was answered 426.
    #[error("the request did not ask for a WebSocket")]
    NotWebSocket,
    /// The request does not allow this answer; it was answered 500.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Why a connection was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// It is gone.
    #[error("the connection is gone")]
    Gone,
    /// It is closing already, or not open yet.
    #[error("the connection is closing already, or not open yet")]
    Closing,
}

impl<H: Handler> Context<'_, H> {
    /// The time of this turn: the clock is read once per turn.
    #[must_use]
    pub fn now(&self) -> Time {
        self.io.now()
    }

    /// What the handler keeps of a connection, until its [`Handler::on_close`] returned.
    #[inline]
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&H::Conn> {
        let session = self.io.peek(id)?;
        (session.met != Met::Closed).then_some(&session.user)
    }

    /// What the handler keeps of a connection, to change it.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut H::Conn> {
        let session = self.io.session(id)?;
        (session.met != Met::Closed).then_some(&mut session.user)
    }

    /// Sends a message on a WebSocket, or its bytes on a raw connection.
    ///
    /// ```no_run
    /// # use gnezdo::{ConnId, Context, Handler, Message};
    /// # struct Greeter;
    /// # impl Handler for Greeter {
    /// #     type Conn = ();
    /// #     type Post = ();
    /// fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
    ///     let _ = cx.send(id, "welcome");
    ///     let _ = cx.send(id, &[0x67, 0x6E]);
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the message was not taken, not even in part.
    #[inline]
    pub fn send<'m>(
        &mut self,
        id: ConnId,
        message: impl Into<Message<'m>>,
    ) -> std::result::Result<Sent, SendError> {
        self.send_with(id, message, Compress::Auto)
    }

    /// As [`Context::send`], saying whether the message may be compressed where that was agreed.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    #[inline]
    pub fn send_with<'m>(
        &mut self,
        id: ConnId,
        message: impl Into<Message<'m>>,
        compress: Compress,
    ) -> std::result::Result<Sent, SendError> {
        let message = message.into();
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        match &mut session.stage {
            Stage::Ended(_) if session.met == Met::Closed => Err(SendError::Gone),
            Stage::Socket(protocol) if !protocol.is_plain() => self.send_encoded(id, message, compress),
            Stage::Socket(protocol) => {
                let head = protocol.head(message.kind(), message.len()).map_err(|_| SendError::Closing)?;
                let sent = &mut self.shared.tally.sent;
                // Counted before, since what is known afterwards had to be kept during the call.
                sent.count(message.kind());
                let outcome = self.io.send(id, head.as_bytes(), message.as_bytes(), Bound::Kept);
                outcome.inspect_err(|_| sent.discount(message.kind()))
            }
            Stage::Raw => self.io.send(id, &[], message.as_bytes(), Bound::Kept),
            Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Dialling(_)
            | Stage::Calling(_)
            | Stage::Ended(_) => Err(SendError::Closing),
        }
    }

    /// The peer's window moves with every message that was compressed for it, so this asks for room first.
    #[cold]
    fn send_encoded(
        &mut self,
        id: ConnId,
        message: Message<'_>,
        compress: Compress,
    ) -> std::result::Result<Sent, SendError> {
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        let Stage::Socket(protocol) = &mut session.stage else { return Err(SendError::Closing) };
        let longest = protocol.longest(message.len(), compress);
        self.io.ask(id, longest)?;
        self.shared.provide_keys(&mut self.io);
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        let Stage::Socket(protocol) = &mut session.stage else { return Err(SendError::Closing) };
        self.shared.choose_compression(session.service);
        let space = &mut self.shared.space;
        let frame = protocol.encode(message, compress, space).map_err(not_sent)?;
        let sent = self.io.send(id, frame.head.as_bytes(), frame.payload, Bound::Exempt)?;
        self.shared.tally.sent.count(message.kind());
        Ok(sent)
    }

    /// Sends a ping; the answer is [`Handler::on_pong`].
    ///
    /// # Errors
    ///
    /// See [`SendError`]; [`SendError::TooBig`] past 125 bytes (RFC 6455 §5.5).
    pub fn ping(&mut self, id: ConnId, payload: &[u8]) -> std::result::Result<Sent, SendError> {
        let too_big = SendError::TooBig { size: payload.len(), limit: Control::MAX };
        let payload = Control::new(payload).ok_or(too_big)?;
        self.shared.provide_keys(&mut self.io);
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        let mut frame = std::mem::take(&mut self.shared.scratch);
        let outcome = match &session.stage {
            Stage::Socket(protocol) => {
                protocol.ping(&payload, &mut self.shared.space, &mut frame).map_err(not_sent)
            }
            Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Dialling(_)
            | Stage::Calling(_)
            | Stage::Raw
            | Stage::Ended(_) => Err(SendError::Closing),
        };
        let outcome = outcome.and_then(|()| self.io.send(id, &frame, &[], Bound::Kept));
        frame.clear();
        self.shared.scratch = frame;
        if outcome.is_ok() {
            add_one(&mut self.shared.tally.sent.pings);
        }
        outcome
    }

    /// Starts the closing handshake of a WebSocket; [`Handler::on_close`] tells how it ended. A reason longer than
    /// 123 bytes is cut. On a raw connection `code` and `reason` go nowhere, and it is as [`Context::finish`]. A client for
    /// whose frame the system has no randomness is as one that called [`Context::abort`].
    ///
    /// # Errors
    ///
    /// Where it is gone or closing already.
    pub fn close(
        &mut self,
        id: ConnId,
        code: CloseCode,
        reason: &str,
    ) -> std::result::Result<(), CloseError> {
        self.shared.provide_keys(&mut self.io);
        let Some(session) = self.io.session(id) else { return Err(CloseError::Gone) };
        if session.met == Met::Closed {
            return Err(CloseError::Gone);
        }
        match &mut session.stage {
            Stage::Socket(protocol) => {
                let frame = &mut self.shared.scratch;
                frame.clear();
                match protocol.close(code, reason, &mut self.shared.space, frame) {
                    Ok(()) => {}
                    Err(NotSent::NoKeys) => {
                        self.abort(id);
                        return Ok(());
                    }
                    Err(_) => return Err(CloseError::Closing),
                }
                session.closing = true;
                self.shared.topics.leave(id);
                let outcome = self.io.send(id, frame, &[], Bound::Exempt);
                if !mutant("leave a close frame behind") {
                    frame.clear();
                }
                // The queue's bound does not hold for close frames, so only a connection that just failed refuses.
                let _ = outcome.map_err(|_| CloseError::Gone)?;
                let at = self.io.now().saturating_add(self.shared.timeouts.close);
                self.io.set_deadline(id, Some(at));
                self.io.resume(id);
                Ok(())
            }
            Stage::Raw => {
                self.finish(id);
                Ok(())
            }
            Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Dialling(_)
            | Stage::Calling(_)
            | Stage::Ended(_) => Err(CloseError::Closing),
        }
    }

    /// Ends a connection once everything sent to it is flushed, without a closing handshake. What the peer still
    /// sends is not read. For WebSocket connections [`Context::close`] is the polite way.
    pub fn finish(&mut self, id: ConnId) {
        self.end(id, None);
    }

    /// Sends no more on a raw connection, but goes on receiving: the peer reads the end of the stream once everything is
    /// flushed. When the peer's own end has been read, the connection is over. On a WebSocket it does nothing; see
    /// [`Context::close`].
    pub fn finish_writing(&mut self, id: ConnId) {
        if matches!(self.io.session(id).map(|session| &session.stage), Some(Stage::Raw)) {
            self.io.finish_writing(id);
        }
    }

    /// Ends a connection at once, by a reset; what is queued is lost.
    pub fn abort(&mut self, id: ConnId) {
        self.shared.topics.leave(id);
        self.io.abort(id);
    }

    /// Stops reading a connection: the kernel's buffers fill, then the peer waits. The loop does so by itself while
    /// the connection's own queue is above its high-water mark.
    pub fn pause(&mut self, id: ConnId) {
        if matches!(self.io.session(id).map(|session| &session.stage), Some(Stage::Socket(_) | Stage::Raw)) {
            self.io.pause(id);
        }
    }

    /// Reads a paused connection again.
    pub fn resume(&mut self, id: ConnId) {
        if matches!(self.io.session(id).map(|session| &session.stage), Some(Stage::Socket(_) | Stage::Raw)) {
            self.io.resume(id);
        }
    }

    /// Accepts a held request. [`Handler::on_open`] follows before the turn ends.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be accepted so; see [`DecideError`].
    pub fn accept(&mut self, id: ConnId, accept: &Accept) -> std::result::Result<(), DecideError> {
        self.decide_accept(id, accept)?;
        self.shared.accepted.push(id);
        self.io.resume(id);
        self.io.again();
        Ok(())
    }

    /// Answers a held request by HTTP, and closes.
    ///
    /// # Errors
    ///
    /// Where there is none; see [`DecideError`].
    pub fn respond(&mut self, id: ConnId, response: &Response) -> std::result::Result<(), DecideError> {
        self.decide_respond(id, response)
    }

    /// Whether what was sent to a connection, and waits, has met the high-water mark; then [`Handler::on_drain`] will tell
    /// when it is at the low one. For whoever feeds it from elsewhere and should stop for that long. What is published or
    /// prepared does not count.
    #[must_use]
    pub fn is_choked(&self, id: ConnId) -> bool {
        self.io.is_choked(id)
    }

    /// Bytes accepted for a connection that the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self, id: ConnId) -> usize {
        self.io.pending(id)
    }

    /// Bytes that the kernel has refused of all connections together, which [`Settings::max_queued`] bounds, with 64 more for
    /// each published or prepared message among them.
    ///
    /// [`Settings::max_queued`]: crate::Settings::max_queued
    #[must_use]
    pub fn queued(&self) -> usize {
        self.io.all_queued()
    }

    /// Bytes of messages that are not whole yet, of all connections together, which [`Config::max_partial`] bounds.
    ///
    /// [`Config::max_partial`]: crate::Config::max_partial
    #[must_use]
    pub fn partial(&self) -> usize {
        self.shared.space.held()
    }

    /// Whether a connection is an open WebSocket.
    #[must_use]
    pub fn is_websocket(&self, id: ConnId) -> bool {
        self.io.peek(id).is_some_and(|session| matches!(session.stage, Stage::Socket(_)))
    }

    /// Whether what goes in and out of a connection is encrypted.
    #[must_use]
    pub fn is_secure(&self, id: ConnId) -> bool {
        self.io.is_secure(id)
    }

    /// Who is on the other side: whom a trusted proxy ([`Listen::proxy`]) names, which is known until
    /// [`Handler::on_close`] returned, or else who is at the other end of the socket; that asks the system each time.
    ///
    /// # Errors
    ///
    /// Where the connection is gone, or the system does not know.
    pub fn peer(&self, id: ConnId) -> io::Result<Peer> {
        self.io.peer(id)
    }

    /// What a trusted proxy said of the connection: in which version of the protocol, and where it accepted it. `None`
    /// where there is no proxy.
    #[must_use]
    pub fn proxy_header(&self, id: ConnId) -> Option<&proxy::Header> {
        self.io.announced(id)
    }

    /// Who is at the other end of the socket: the proxy, where there is one. Asks the system each time.
    ///
    /// # Errors
    ///
    /// Where the connection is gone, or the system does not know.
    pub fn socket_peer(&self, id: ConnId) -> io::Result<Peer> {
        self.io.socket_peer(id)
    }

    /// Calls [`Handler::on_timer`] with `token` once `after` has passed; never earlier, and at most 4 ms later
    /// while the loop is not busy. `None` where 2^32 timers are armed already.
    pub fn set_timer(&mut self, after: Duration, token: u64) -> Option<TimerKey> {
        let at = self.io.now().saturating_add(after);
        self.io.set_timer(at, token)
    }

    /// Disarms a timer; answers whether it was armed.
    pub fn cancel_timer(&mut self, timer: TimerKey) -> bool {
        self.io.cancel_timer(timer)
    }

    /// Opens a listener.
    ///
    /// # Errors
    ///
    /// An [`Error`](crate::Error) that names the address and the cure.
    pub fn listen(&mut self, addr: &Addr, listen: &Listen) -> Result<Listening> {
        listen.check(addr)?;
        self.check_takeover(listen)?;
        self.serve(listen, |io| io.listen(addr, &listen.options))
    }

    /// Serves a listener that another process opened: the predecessor whose place this one takes, or systemd. Its
    /// backlog, its mode and how its port is shared stay as they are.
    ///
    /// # Errors
    ///
    /// An [`Error`](crate::Error) that names the address.
    pub fn listen_on(&mut self, inherited: Inherited, listen: &Listen) -> Result<Listening> {
        listen.check(inherited.addr())?;
        self.check_takeover(listen)?;
        self.serve(listen, |io| io.adopt(inherited, &listen.options))
    }

    /// Of several threads a successor would get the listeners of one.
    fn check_takeover(&self, listen: &Listen) -> Result<()> {
        let is_alone = self.fleet().is_none_or(|fleet| fleet.threads() == 1);
        if is_alone || !matches!(listen.serve, Serve::Takeover(_)) {
            return Ok(());
        }
        Err(FleetError::Takeover.into())
    }

    /// Has a listener that `open` opens serve what `listen` says.
    pub(super) fn serve(
        &mut self,
        listen: &Listen,
        open: impl FnOnce(&mut Io<'_, Session<H::Conn>>) -> std::result::Result<(ListenerId, Addr), NetError>,
    ) -> Result<Listening> {
        let service = self.shared.services.enter(listen)?;
        match open(&mut self.io) {
            Ok((id, addr)) => {
                self.shared.services.bind(id, service);
                if let Some(tls) = &listen.tls {
                    let protocol = matches!(service, Service::WebSocket(_)).then_some(HTTP);
                    self.io.secure_listener(id, tls.acceptor(protocol));
                }
                if let Some(proxies) = &listen.proxy {
                    self.io.trust_proxies(id, proxies.clone());
                }
                Ok(Listening { id, addr })
            }
            Err(error) => {
                self.shared.services.leave(service);
                Err(error.into())
            }
        }
    }

    /// Closes a listener; its connections stay. Answers whether it was open.
    pub fn close_listener(&mut self, id: ListenerId) -> bool {
        self.shared.services.unbind(id);
        self.io.close_listener(id)
    }

    /// How many connections there are, those on their way in or out among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.io.connections()
    }

    /// Ends everything in good order: closes the listeners, sends every WebSocket a close frame with 1001 (RFC 6455
    /// §7.4.1), flushes raw connections; after `grace` cuts what is left. Then [`Reactor::run`](crate::Reactor::run)
    /// returns, and [`Reactor::shutdown_report`](crate::Reactor::shutdown_report) tells how many ended well. Called again, it
    /// changes the grace to what is asked then. In a [`Fleet`](crate::Fleet) it ends all threads.
    pub fn shutdown(&mut self, grace: Duration) {
        shutdown::begin(self, grace);
        if let Some(member) = &self.shared.member {
            member.shut_others_down(grace);
        }
    }

    /// Takes no more connections: closes the listeners, lets the connections that stand go on for as long as `drain`
    /// says, and then ends what is left by [`Context::shutdown`]. Stops as soon as there are none. After a shutdown it
    /// changes nothing. In a [`Fleet`](crate::Fleet) of several threads it has no patience: it is a shutdown of them all.
    pub fn drain(&mut self, drain: Drain) {
        match self.fleet() {
            Some(fleet) if fleet.threads() > 1 => self.shutdown(drain.grace),
            _ => shutdown::drain(self, drain),
        }
    }

    /// Makes [`Reactor::run`](crate::Reactor::run) return after this turn. Connections are not told. In a
    /// [`Fleet`](crate::Fleet) it ends all threads.
    pub fn stop(&mut self) {
        self.io.stop();
        if let Some(member) = &self.shared.member {
            member.stop_others();
        }
    }

    /// Ends a connection once all is flushed, for a reason.
    pub(super) fn end(&mut self, id: ConnId, reason: Option<Reason>) {
        let Some(session) = self.io.session(id) else { return };
        if matches!(session.stage, Stage::Ended(_)) {
            return;
        }
        self.shared.topics.leave(id);
        let outcome = Outcome::of(&session.stage, reason);
        let stage = std::mem::replace(&mut session.stage, Stage::Ended(Some(Box::new(outcome))));
        let is_client = matches!(&stage, Stage::Socket(protocol) if protocol.role() == Role::Client);
        self.shared.left(stage);
        // RFC 6455 §7.1.1: the server closes the TCP connection first.
        if is_client { self.io.finish_after_peer(id) } else { self.io.finish(id) }
    }
}

/// What WebSocket runs on, by its name of RFC 7301.
pub(super) const HTTP: &str = "http/1.1";

pub(super) fn not_sent(error: NotSent) -> SendError {
    match error {
        NotSent::NotOpen => SendError::Closing,
        NotSent::NoKeys => SendError::NoKeys,
        NotSent::NoMemory => SendError::NoMemory,
    }
}
