//! L3, what a driver may do to the loop from any of its calls: send, end, pause, arm, listen.

use std::{fmt, io};

use crate::journal::Kind;
use crate::mutants::mutant;
use crate::net::{
    Addr, CloseHow, ConnectOptions, Destination, Inherited, ListenOptions, NetError, Peer, System,
};
use crate::proxy::{Header, TrustedProxies};
use crate::reactor::connection::{Connection, Flags, Phase};
use crate::reactor::core::{Alarm, Core, Course, Cut, Listener, Source, tick_after};
use crate::reactor::driver::{Cause, ConnId, ListenerId};
use crate::reactor::sent::{Bound, SendError, Sent};
use crate::reactor::{announce, dial, event, write};
use crate::stats::add_one;
use crate::time::Time;
use crate::time::wheel::TimerKey;
use crate::tls::{Acceptor, Session, TlsError};

/// The loop as a driver sees it: borrowed for one call, and never re-entered.
pub struct Io<'a, P> {
    pub(super) core: &'a mut Core<P>,
    pub(super) system: &'a mut dyn System,
}

impl<P> fmt::Debug for Io<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

impl<P> Io<'_, P> {
    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// A connection's session, until the driver was told of its end.
    #[inline]
    #[must_use]
    pub fn session(&mut self, id: ConnId) -> Option<&mut P> {
        self.core.connections.get_mut(id.0).map(|connection| &mut connection.session)
    }

    /// A connection's session, to look at.
    #[inline]
    #[must_use]
    pub fn peek(&self, id: ConnId) -> Option<&P> {
        self.core.connections.get(id.0).map(|connection| &connection.session)
    }

    /// Sends `head` and `payload`, in this order and with nothing between.
    ///
    /// Small ones go out together at the end of the turn; a large payload is offered to the kernel at once, from
    /// where it lies, and only what the kernel refuses is copied.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    #[inline]
    pub fn send(&mut self, id: ConnId, head: &[u8], payload: &[u8], bound: Bound) -> Result<Sent, SendError> {
        let size = head.len().saturating_add(payload.len());
        let limit = self.core.settings.max_queue;
        let Some(connection) = self.core.connections.get_mut(id.0) else { return Err(SendError::Gone) };
        connection.takes()?;
        let pending = connection.pending();
        if bound == Bound::Kept && pending.saturating_add(size) > limit {
            return self.send_beyond(id, head, payload);
        }
        if connection.queued() == 0 && size <= STAGE_AT_MOST && self.core.output.has_room(size) {
            self.core.output.stage(&mut connection.staged, head, payload);
            if !connection.flags.has(Flags::DIRTY) {
                connection.flags.set(Flags::DIRTY);
                self.core.dirty.push(id.0);
            }
            return Ok(Sent::Staged);
        }
        write::flush(self.core, self.system, id.0, head, payload);
        Ok(self.outcome(id))
    }

    /// What is staged might fill the bound although the kernel would take it: offers that first.
    #[cold]
    fn send_beyond(&mut self, id: ConnId, head: &[u8], payload: &[u8]) -> Result<Sent, SendError> {
        let size = head.len().saturating_add(payload.len());
        write::flush(self.core, self.system, id.0, &[], &[]);
        let pending = self.pending(id);
        if pending.saturating_add(size) > self.core.settings.max_queue {
            return Err(self.refuse(id, size, pending));
        }
        self.send(id, head, payload, Bound::Exempt)
    }

    /// Why a send is refused. One that may be tried again is owed a word when there is room.
    #[cold]
    pub(super) fn refuse(&mut self, id: ConnId, size: usize, pending: usize) -> SendError {
        let limit = self.core.settings.max_queue;
        add_one(&mut self.core.stats.refusals.sends);
        if size > limit {
            return SendError::TooBig { size, limit };
        }
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.flags.set(Flags::REFUSED);
            self.core.list(id.0);
        }
        SendError::Full { pending }
    }

    /// What became of bytes that were offered at once.
    fn outcome(&self, id: ConnId) -> Sent {
        match self.pending(id) {
            0 => Sent::Written,
            pending => Sent::Queued { pending },
        }
    }

    /// Whether so many bytes would be taken now.
    ///
    /// # Errors
    ///
    /// What [`Io::send`] would say.
    pub fn ask(&mut self, id: ConnId, size: usize) -> Result<(), SendError> {
        let limit = self.core.settings.max_queue;
        // As in a send: the kernel may take what is only staged.
        let is_in_the_way = |connection: &Connection<P>| {
            connection.phase == Phase::Open
                && connection.staged.len() > 0
                && connection.pending().saturating_add(size) > limit
        };
        if self.core.connections.get(id.0).is_some_and(is_in_the_way) {
            write::flush(self.core, self.system, id.0, &[], &[]);
        }
        let Some(connection) = self.core.connections.get(id.0) else { return Err(SendError::Gone) };
        match (connection.phase, connection.pending()) {
            (Phase::Open, pending) if pending.saturating_add(size) > limit => {
                Err(self.refuse(id, size, pending))
            }
            (Phase::Open, _) => Ok(()),
            (Phase::Dialling | Phase::Announcing | Phase::Securing | Phase::Finishing, _) => {
                Err(SendError::Closing)
            }
            (Phase::Lingering | Phase::Dead, _) => Err(SendError::Gone),
        }
    }

    /// Whether a connection can be sent to.
    #[must_use]
    pub fn is_open(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(|connection| connection.phase == Phase::Open)
    }

    /// Bytes waiting for a connection in user space.
    #[must_use]
    pub fn pending(&self, id: ConnId) -> usize {
        self.core.connections.get(id.0).map_or(0, Connection::pending)
    }

    /// Bytes that the kernel has refused so far.
    #[must_use]
    pub fn queued(&self, id: ConnId) -> usize {
        self.core.connections.get(id.0).map_or(0, Connection::queued)
    }

    /// The same but for those of shared messages.
    #[must_use]
    pub fn own_queued(&self, id: ConnId) -> usize {
        self.core.connections.get(id.0).map_or(0, Connection::own_queued)
    }

    /// Whether a driver in the middle of [`Driver::receive`](super::Driver::receive) should go on: the connection
    /// is open, not paused, and not choked.
    #[inline]
    #[must_use]
    pub fn listens(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(Connection::listens)
    }

    /// Whether what waits for a connection alone has met its high-water mark and has not come down to the low one.
    #[must_use]
    pub fn is_choked(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(|connection| connection.flags.has(Flags::CHOKED))
    }

    /// Whether the peer has said that it will send no more, though its last bytes may not have been read.
    #[must_use]
    pub fn has_left(&self, id: ConnId) -> bool {
        let left = |connection: &Connection<P>| connection.flags.has(Flags::HALF_CLOSED);
        self.core.connections.get(id.0).is_some_and(left)
    }

    /// Whether the peer neither sends nor receives any more.
    #[must_use]
    pub fn has_hung_up(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(|connection| connection.flags.has(Flags::HUNG_UP))
    }

    /// Ends a connection well: what is queued is sent, then the write side is shut, then the peer's end of stream
    /// is awaited, with a bound. Nothing is received any more.
    pub fn finish(&mut self, id: ConnId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else { return };
        match connection.phase {
            Phase::Open => {}
            Phase::Dialling | Phase::Announcing | Phase::Securing => {
                return self.core.kill(id.0, Cause::Aborted, Cut::Clean);
            }
            Phase::Finishing | Phase::Lingering | Phase::Dead => return,
        }
        connection.phase = Phase::Finishing;
        if let Some(backlog) = connection.backlog.as_mut() {
            backlog.carry.advance(usize::MAX, &mut self.core.buffers);
        }
        connection.trim();
        self.core.set_deadline(id.0, None);
        self.core.mark_dirty(id.0);
    }

    /// Sends no more, but goes on receiving: once the queue is flushed the write side is shut, and the peer reads the end
    /// of the stream. When the peer's own end is read as well, the connection is finished.
    pub fn finish_writing(&mut self, id: ConnId) {
        let Some(connection) = self.core.connections.get_mut(id.0) else { return };
        if connection.phase == Phase::Open {
            connection.flags.set(Flags::LAST_SENT);
            self.core.mark_dirty(id.0);
        }
    }

    /// As [`Io::finish`], but leaves it to the peer to close first, with the same bound: who closes first keeps the
    /// port pair busy for a while (RFC 6455 §7.1.1).
    pub fn finish_after_peer(&mut self, id: ConnId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.flags.set(Flags::YIELDS);
        }
        self.finish(id);
    }

    /// Starts a connection to a destination, whose name is resolved off this thread and whose addresses race (RFC
    /// 8305). [`Driver::connected`](super::Driver::connected) tells that it stands, and
    /// [`Driver::closed`](super::Driver::closed) that it does not; how long that may take is up to
    /// [`Io::set_deadline`].
    ///
    /// # Errors
    ///
    /// If there are as many connections as there may be, or too many names wait to be resolved.
    pub fn connect(
        &mut self,
        destination: &Destination,
        options: ConnectOptions,
        session: P,
    ) -> Result<ConnId, NetError> {
        let started = dial::start(self.core, self.system, destination, options, session);
        match &started {
            Ok(id) => {
                add_one(&mut self.core.stats.arrivals.dialled);
                self.note(Kind::Arrival, format_args!("{id:?} is on its way to {destination}"));
            }
            Err(_) => add_one(&mut self.core.stats.refusals.connects),
        }
        started
    }

    /// Makes a connection that was just asked for one with TLS: [`Driver::connected`](super::Driver::connected) tells
    /// that it stands once the handshake is over, too.
    pub fn secure(&mut self, id: ConnId, tls: Box<Session>) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.secure(tls);
        }
    }

    /// Makes every connection that comes by this listener from now on begin with a TLS handshake.
    pub fn secure_listener(&mut self, id: ListenerId, tls: Acceptor) {
        if let Some(listener) = self.core.listeners.get_mut(id.0) {
            listener.tls = Some(tls);
        }
    }

    /// Makes every connection that comes by this listener from now on come from one of these proxies and begin with what
    /// it says, before anything else; all others end with [`Cause::Proxy`].
    pub fn trust_proxies(&mut self, id: ListenerId, proxies: TrustedProxies) {
        if let Some(listener) = self.core.listeners.get_mut(id.0) {
            listener.proxies = Some(proxies);
        }
    }

    /// Whether a connection is still in its TLS handshake.
    #[must_use]
    pub fn is_securing(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(|connection| connection.phase == Phase::Securing)
    }

    /// Whether what goes in and out of a connection is encrypted.
    #[must_use]
    pub fn is_secure(&self, id: ConnId) -> bool {
        self.core.connections.get(id.0).is_some_and(Connection::is_secure)
    }

    /// What it means, where TLS says when a stream is over, that this one is over now without its saying so.
    #[must_use]
    pub fn truncation(&mut self, id: ConnId) -> Option<TlsError> {
        self.core.connections.get_mut(id.0)?.tls()?.cut()
    }

    /// Ends a connection at once, with a reset; what is queued is lost.
    pub fn abort(&mut self, id: ConnId) {
        self.core.kill(id.0, Cause::Aborted, Cut::Reset);
    }

    /// Stops reading; the kernel's buffers fill, and then the peer waits.
    pub fn pause(&mut self, id: ConnId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.flags.set(Flags::PAUSED);
        }
    }

    /// Reads again.
    pub fn resume(&mut self, id: ConnId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.flags.clear(Flags::PAUSED);
            if !mutant("forget to list the resumed") {
                self.core.list(id.0);
            }
        }
    }

    /// Arms, moves or (`None`) cancels a connection's deadline. It is never met early, and at most 4 ms late while
    /// the loop is not busy.
    pub fn set_deadline(&mut self, id: ConnId, at: Option<Time>) {
        let phase = self.core.connections.get(id.0).map(|connection| connection.phase);
        if matches!(phase, Some(Phase::Open | Phase::Dialling | Phase::Announcing | Phase::Securing)) {
            self.core.set_deadline(id.0, at);
        }
    }

    /// Arms a timer that calls [`Driver::timer`](super::Driver::timer) once, with `token`.
    pub fn set_timer(&mut self, at: Time, token: u64) -> Option<TimerKey> {
        self.core.wheel.set(tick_after(at), Alarm::Timer(token.to_ne_bytes()))
    }

    /// Disarms a timer; answers whether it was armed.
    pub fn cancel_timer(&mut self, timer: TimerKey) -> bool {
        self.core.wheel.cancel(timer).is_some()
    }

    /// Fills `bytes` with unpredictable ones.
    ///
    /// # Errors
    ///
    /// If the system has no source of randomness.
    pub fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.system.random(bytes)
    }

    /// Who is on the other side: who a trusted proxy says it is, or else who is at the other end of the socket. What a
    /// proxy said is known until [`Driver::closed`](super::Driver::closed) returned.
    ///
    /// # Errors
    ///
    /// Where the connection is gone, or the system does not know.
    pub fn peer(&self, id: ConnId) -> io::Result<Peer> {
        match self.announced(id).and_then(announce::peer_of) {
            Some(peer) => Ok(peer),
            None => self.socket_peer(id),
        }
    }

    /// What the proxy of a connection said of it.
    #[must_use]
    pub fn announced(&self, id: ConnId) -> Option<&Header> {
        self.core.announced.get(&id.0)
    }

    /// Who is at the other end of the socket, which may be a proxy.
    ///
    /// # Errors
    ///
    /// Where the connection is gone, or the system does not know.
    pub fn socket_peer(&self, id: ConnId) -> io::Result<Peer> {
        match self.core.connections.get(id.0) {
            Some(connection) if connection.phase != Phase::Dead => self.system.peer(connection.socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Opens a listener; answers its id and the address it really has.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address and the cure.
    pub fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(ListenerId, Addr), NetError> {
        listen(self.core, self.system, addr, options)
    }

    /// Serves a listening socket of another process; answers its id and the address it has.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address.
    pub fn adopt(
        &mut self,
        inherited: Inherited,
        options: &ListenOptions,
    ) -> Result<(ListenerId, Addr), NetError> {
        let (socket, addr) = self.system.adopt(inherited, options)?;
        let id = listen_on(self.core, self.system, Source::Own(socket), &addr)?;
        Ok((id, addr))
    }

    /// Sends listeners to the process at the other end of a Unix-domain connection. They stay open here.
    ///
    /// # Errors
    ///
    /// If one of them or the connection is gone, the other process is another user's, or the system cannot.
    pub fn hand_over(&mut self, to: ConnId, listeners: &[ListenerId]) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let socket_of = |id: &ListenerId| self.core.listeners.get(id.0)?.source.socket();
        let sockets: Option<Vec<_>> = listeners.iter().map(socket_of).collect();
        let connection = self.core.connections.get(to.0).filter(|connection| connection.phase == Phase::Open);
        self.system.hand_over(connection.ok_or_else(gone)?.socket, &sockets.ok_or_else(gone)?)
    }

    /// Makes a listener of a socket that listens on `addr` already, or of none where another loop accepts. A socket that
    /// cannot be watched is closed.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address and the cure.
    pub fn listen_on(&mut self, source: Source, addr: &Addr) -> Result<ListenerId, NetError> {
        listen_on(self.core, self.system, source, addr)
    }

    /// Closes a listener; its connections stay. Answers whether it was open.
    pub fn close_listener(&mut self, id: ListenerId) -> bool {
        let Some(source) = self.strike(id) else { return false };
        if let Some(socket) = source.socket() {
            self.system.close(socket, CloseHow::Graceful);
        }
        true
    }

    /// The same for one that another process has as well: the file of a Unix-domain one stays.
    pub fn release_listener(&mut self, id: ListenerId) -> bool {
        let Some(source) = self.strike(id) else { return false };
        if let Some(socket) = source.socket() {
            self.system.release(socket);
        }
        true
    }

    /// Forgets a listener; answers where its connections came from.
    fn strike(&mut self, id: ListenerId) -> Option<Source> {
        let listener = self.core.listeners.remove(id.0)?;
        if let Some(retry) = listener.retry {
            self.core.wheel.cancel(retry);
        }
        if listener.source.socket().is_some() {
            self.note(Kind::Listener, format_args!("no longer listening on {}", listener.addr));
        }
        Some(listener.source)
    }

    /// Where a listener listens, while it is open.
    #[must_use]
    pub fn listener_addr(&self, id: ListenerId) -> Option<&Addr> {
        self.core.listeners.get(id.0).map(|listener| &listener.addr)
    }

    /// All listeners.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &Addr)> {
        let keys = (0..self.core.listeners.end()).filter_map(|index| self.core.listeners.key_at(index));
        keys.filter_map(|key| Some((ListenerId(key), &self.core.listeners.get(key)?.addr)))
    }

    /// Bytes that the kernel refused of all connections together, and what each shared message among them takes beside.
    #[must_use]
    pub fn all_queued(&self) -> usize {
        self.core.queued
    }

    /// How many connections there are, those that linger among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.core.connections.len()
    }

    /// A bound for [`Io::connection_at`].
    #[must_use]
    pub fn connections_end(&self) -> usize {
        self.core.connections.end()
    }

    /// The connection at a place of the slab, if one is there: for a walk over all of them.
    #[must_use]
    pub fn connection_at(&self, index: usize) -> Option<ConnId> {
        self.core.connections.key_at(index).map(ConnId)
    }

    /// Asks for [`Driver::drained`](super::Driver::drained) once nothing waits but shared messages.
    pub fn want_drained(&mut self, id: ConnId) {
        if let Some(connection) = self.core.connections.get_mut(id.0) {
            connection.flags.set(Flags::WANTED);
            self.core.list(id.0);
        }
    }

    /// Writes a line to the journal.
    #[inline]
    pub(crate) fn note(&mut self, kind: Kind, what: fmt::Arguments<'_>) {
        self.core.journal.note(self.core.now, kind, what);
    }

    /// Makes the next turn start without a wait: the driver has work that no event announces.
    pub fn again(&mut self) {
        if self.core.course == Course::On {
            self.core.course = Course::Again;
        }
    }

    /// Calls [`Driver::woken`](super::Driver::woken) again in the next turn, which does not wait.
    pub fn wake_again(&mut self) {
        self.core.woken = true;
    }

    /// Makes the loop stop when the last connection is gone.
    pub fn stop_when_empty(&mut self) {
        if self.core.course != Course::Stopped {
            self.core.course = Course::UntilEmpty;
        }
    }

    /// Makes the loop stop after this turn.
    pub fn stop(&mut self) {
        self.core.course = Course::Stopped;
    }

    /// The same, borrowed for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> Io<'_, P> {
        Io { core: &mut *self.core, system: &mut *self.system }
    }
}

/// Opens a listener and puts it into the loop.
pub(super) fn listen<P>(
    core: &mut Core<P>,
    system: &mut dyn System,
    addr: &Addr,
    options: &ListenOptions,
) -> Result<(ListenerId, Addr), NetError> {
    let (socket, addr) = system.listen(addr, options)?;
    let id = listen_on(core, system, Source::Own(socket), &addr)?;
    Ok((id, addr))
}

/// Puts a listener into the loop.
fn listen_on<P>(
    core: &mut Core<P>,
    system: &mut dyn System,
    source: Source,
    addr: &Addr,
) -> Result<ListenerId, NetError> {
    let listener = Listener {
        source,
        addr: addr.clone(),
        listed: false,
        retry: None,
        waits: false,
        tls: None,
        proxies: None,
    };
    let Ok(key) = core.listeners.insert(listener) else {
        if let Some(socket) = source.socket() {
            system.close(socket, CloseHow::Graceful);
        }
        return Err(NetError::listen(addr, "counting the listener", io::ErrorKind::OutOfMemory.into()));
    };
    let id = ListenerId(key);
    let Some(socket) = source.socket() else { return Ok(id) };
    if let Err(error) = system.register(socket, event::listener_token(id)) {
        core.listeners.remove(key);
        system.close(socket, CloseHow::Graceful);
        return Err(NetError::listen(addr, "watching the listener", error));
    }
    core.list_listener(id);
    core.journal.note(core.now, Kind::Listener, format_args!("listening on {addr}"));
    Ok(id)
}

/// A larger payload is offered to the kernel from where it lies; a smaller one is copied next to its head, so that
/// a turn's messages go out together.
const STAGE_AT_MOST: usize = 8 * 1024;
