//! L3, what the loop asks of the protocols above it: knows bytes, identity and time only.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::net::{Addr, NetError, Peer};
use crate::proxy::ProxyError;
use crate::reactor::{Io, SlowTurn};
use crate::slab::Key;
use crate::time::wheel::TimerKey;
use crate::tls::TlsError;

/// Names a connection for as long as it lives; a stale one names nothing, and never another connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub(super) Key);

/// Names a listener for as long as it listens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub(super) Key);

impl ConnId {
    /// The id as one integer, for maps and logs; unique among all connections a loop will ever have but for the
    /// wrap of a 32-bit generation.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0.to_bits()
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({:?})", self.0)
    }
}

impl fmt::Debug for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListenerId({:?})", self.0)
    }
}

/// The protocols of a loop: bytes come in through these calls, bytes and wishes go out through [`Io`].
///
/// A connection meets them in this order, each on the loop's thread and none inside another:
///
/// ```text
/// open → opened → admitted?, or connected → ( receive | stirred | landing → landed | deadline | drained | left )* → end_of_stream? → closed
/// ```
pub trait Driver {
    /// What a driver keeps of one connection, stored in the loop's slab.
    type Session;

    /// A listener accepted a connection: makes its session. `peer` is who connected.
    fn open(&mut self, listener: ListenerId, peer: &Peer) -> Self::Session;

    /// Whether another loop has room for a stream of a listener whose connections are dealt out; asked where this one has
    /// none.
    fn may_deal(&self) -> bool;

    /// A stream was accepted by a listener whose connections are dealt out: gives it to another loop, which
    /// [`adopt`](super::adopt)s it, or back to stay here. Where nobody has room it is closed.
    fn deal(
        &mut self,
        io: &mut Io<'_, Self::Session>,
        listener: ListenerId,
        stream: OwnedFd,
        peer: Peer,
    ) -> Option<(OwnedFd, Peer)>;

    /// The connection has its id and may be sent to; where something comes first, a header of a proxy or a TLS
    /// handshake, only once it is [`Driver::admitted`].
    fn opened(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// What came first on a connection that was accepted is over: it may be sent to.
    fn admitted(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// A connection of [`Io::connect`] stands, with TLS where it was asked for, and may be sent to.
    fn connected(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// Bytes arrived, in the loop's own buffer, to be used in place.
    ///
    /// Answers how many were taken; what was left is offered again, before newer bytes, once the connection
    /// listens: in the next turn, or later where [`Io::pause`] or a full queue stops it.
    fn receive(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, bytes: &mut [u8]) -> usize;

    /// A part of a TLS record came, of which nothing can be received yet: the peer is there.
    fn stirred(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// Where the next bytes should be received to, if not into the loop's buffer.
    fn landing<'s>(&mut self, session: &'s mut Self::Session) -> Option<&'s mut [u8]>;

    /// The first `count` bytes of the last [`Driver::landing`] were filled.
    fn landed(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, count: usize);

    /// The peer will send no more; what it sent was offered. [`Io::truncation`] tells of a TLS peer that did not say so.
    fn end_of_stream(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// The peer of a connection that [`Io::pause`] stopped has left, while input of it may still wait.
    /// [`Io::has_hung_up`] tells whether it can still be sent to. Called again where the peer goes further.
    fn left(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// There is room: what waited for the connection alone fell from above the high-water mark to the low one, or is all
    /// gone after [`Io::want_drained`] asked; or the queue is empty after a send was refused.
    fn drained(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, drain: Drain);

    /// The deadline of [`Io::set_deadline`] has passed; it is no longer armed.
    fn deadline(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId);

    /// A timer of [`Io::set_timer`] is due; it is no longer armed.
    fn timer(&mut self, io: &mut Io<'_, Self::Session>, timer: TimerKey, token: u64);

    /// Another thread woke the loop.
    fn woken(&mut self, io: &mut Io<'_, Self::Session>);

    /// Between the parts of a turn: what was put off, because it may not happen inside another call, happens now.
    fn deferred(&mut self, io: &mut Io<'_, Self::Session>);

    /// Connections that were over were freed; so many are left.
    fn freed(&mut self, connections: usize);

    /// The turn that is just over took longer than [`Settings::slow_turn`](super::Settings::slow_turn).
    fn slow_turn(&mut self, io: &mut Io<'_, Self::Session>, turn: &SlowTurn);

    /// A listener failed and was closed; the others go on.
    fn listener_failed(
        &mut self,
        io: &mut Io<'_, Self::Session>,
        listener: ListenerId,
        addr: &Addr,
        error: io::Error,
    );

    /// The connection is over; called once for each that was opened. Its session stays readable until the call
    /// returns; its id takes nothing any more.
    fn closed(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, end: End);
}

/// Why [`Driver::drained`] is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// The connection had been choked, or had refused a send.
    Crossed,
    /// Only because it was asked for.
    Wanted,
}

/// How a connection ended, as the loop saw it.
#[derive(Debug)]
pub struct End {
    /// What ended it.
    pub cause: Cause,
    /// Bytes that were accepted for sending and never reached the kernel.
    pub unsent: usize,
}

/// What ended a connection.
#[derive(Debug)]
pub enum Cause {
    /// [`Io::finish`]: all was flushed and the write side shut.
    Finished,
    /// [`Io::abort`].
    Aborted,
    /// The peer took none of the bytes waiting for it within [`Settings::stall_timeout`](crate::reactor::Settings).
    Stalled,
    /// All queues together passed [`Settings::max_queued`](crate::reactor::Settings), and this one was the longest.
    Crowded,
    /// It did not keep up with what is shared, and [`Overflow::Close`](crate::reactor::Overflow) was asked for.
    Overflowed,
    /// The connection never stood: no address answered, and this is what the last one said.
    NotConnected(NetError),
    /// The stream failed.
    Lost(io::Error),
    /// It did not come by a trusted proxy, or not as one has it come.
    Proxy(ProxyError),
    /// TLS failed.
    Tls(TlsError),
}
