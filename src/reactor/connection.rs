//! L3, what the loop keeps of one connection: knows bytes and phases, not what the bytes mean.

use crate::buf::{Buffer, BufferPool, NoMemory};
use crate::mutants::mutant;
use crate::net::SocketId;
use crate::reactor::dial::Dial;
use crate::reactor::driver::Drain;
use crate::reactor::output::Staged;
use crate::reactor::queue::Queue;
use crate::reactor::sent::SendError;
use crate::time::wheel::TimerKey;
use crate::tls::Session;

/// One stream in the slab, with the driver's session inline.
#[derive(Debug)]
pub(super) struct Connection<P> {
    pub(super) session: P,
    pub(super) socket: SocketId,
    pub(super) phase: Phase,
    pub(super) flags: Flags,
    /// What was sent to this connection in this turn and not yet offered to the kernel.
    pub(super) staged: Staged,
    /// The driver's deadline while the connection is open; the loop's own while it lingers.
    pub(super) deadline: Option<TimerKey>,
    /// What a connection in trouble carries along; one that keeps up has none.
    pub(super) backlog: Option<Box<Backlog>>,
}

/// The life of a connection, as the loop sees it.
///
/// ```text
/// Dialling ──┐ the first of its attempts stands; those accepted begin here
///            ▼
/// (Announcing) │ behind a proxy: it has said whose connection this is
///            ▼
/// (Securing) │ with TLS: its handshake is over
///            ▼
///           finish()            queue flushed, write side shut          end of stream, bound or deadline
/// Open ───────────────► Finishing ───────────────────► Lingering ───────────────────► Dead
///   │                       │                                                           ▲
///   └───────────────────────┴───────── abort(), error, stalled ─────────────────────────┘
/// ```
///
/// The driver hears of the end once: on the way into `Lingering`, or into `Dead` where that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// On its way to a peer.
    Dialling,
    /// Waits for the header of its proxy.
    Announcing,
    /// Performs its TLS handshake.
    Securing,
    /// Receives and sends.
    Open,
    /// Sends what is queued and takes nothing new.
    Finishing,
    /// Has sent its last byte; reads and discards, so that the peer is not reset before it read it (R41).
    Lingering,
    /// Waits for the end of the turn, where the descriptor is closed and the slot freed.
    Dead,
}

/// What the loop remembers of a connection between events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// A receive may give something; cleared by a would-block answer or a short receive.
    pub(super) const READABLE: Self = Self(1);
    /// A send may take something; cleared by a would-block answer or a short send.
    pub(super) const WRITABLE: Self = Self(1 << 1);
    /// The peer sent its last byte: short receives no longer mean that nothing is left to read.
    pub(super) const HALF_CLOSED: Self = Self(1 << 2);
    /// The end of the peer's stream was read.
    pub(super) const ENDED: Self = Self(1 << 3);
    /// Stands in the ready list.
    pub(super) const LISTED: Self = Self(1 << 4);
    /// Stands in the list of connections to flush.
    pub(super) const DIRTY: Self = Self(1 << 5);
    /// The driver asked for no more input.
    pub(super) const PAUSED: Self = Self(1 << 6);
    /// Of its own bytes more wait than the high-water mark: no more input until it is the low one.
    pub(super) const CHOKED: Self = Self(1 << 7);
    /// A send was refused: the driver is owed a word when there is room again.
    pub(super) const REFUSED: Self = Self(1 << 8);
    /// The driver asked for a word when there is room.
    pub(super) const WANTED: Self = Self(1 << 9);
    /// The driver was told of the end.
    pub(super) const TOLD: Self = Self(1 << 10);
    /// The peer took bytes since the stall timer was armed.
    pub(super) const PROGRESSED: Self = Self(1 << 11);

    /// Nothing more will be sent: the write side is shut once the queue is empty, while reading goes on.
    pub(super) const LAST_SENT: Self = Self(1 << 14);
    /// The write side is shut.
    pub(super) const SHUT: Self = Self(1 << 15);
    /// A finished connection leaves it to the peer to close first.
    pub(super) const YIELDS: Self = Self(1 << 13);
    /// The peer has closed both directions: nothing that is sent can arrive.
    pub(super) const HUNG_UP: Self = Self(1 << 12);

    /// A new socket may be tried in both directions.
    pub(super) fn fresh() -> Self {
        Self(Self::WRITABLE.0)
    }

    pub(super) fn none() -> Self {
        Self(0)
    }

    #[inline]
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[inline]
    pub(super) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[inline]
    pub(super) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// Bytes that could not go where they belong: out to the kernel, or in to the driver.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Refused by the kernel, in order.
    pub(super) queue: Queue,
    /// Received, but left by the driver for later.
    pub(super) carry: ByteQueue,
    /// Ends a connection whose peer takes nothing.
    pub(super) stall: Option<TimerKey>,
    /// The attempts of one that is not there yet.
    pub(super) dial: Option<Box<Dial>>,
    /// Received and thrown away while lingering.
    pub(super) discarded: usize,
    /// Of a connection with TLS, which carries it from its first byte to its last.
    pub(super) tls: Option<Box<Session>>,
}

impl<P> Connection<P> {
    pub(super) fn new(session: P, socket: SocketId) -> Self {
        let (staged, flags) = (Staged::default(), Flags::fresh());
        Self { session, socket, phase: Phase::Open, flags, staged, deadline: None, backlog: None }
    }

    /// One that has no socket yet.
    pub(super) fn dialling(session: P, dial: Box<Dial>) -> Self {
        let backlog = Some(Box::new(Backlog { dial: Some(dial), ..Backlog::default() }));
        let phase = Phase::Dialling;
        Self { phase, flags: Flags::none(), backlog, ..Self::new(session, NO_SOCKET) }
    }

    /// Makes it one with TLS, whose handshake comes first.
    pub(super) fn secure(&mut self, tls: Box<Session>) {
        self.backlog().tls = Some(tls);
        if self.phase == Phase::Open {
            self.phase = Phase::Securing;
        }
    }

    /// Whether the next step is one of a TLS handshake, or will be as soon as the proxy has spoken.
    pub(super) fn has_handshake_before_it(&self) -> bool {
        self.phase == Phase::Securing || self.phase == Phase::Announcing && self.is_secure()
    }

    /// Whether what goes in and out is encrypted.
    #[inline]
    pub(super) fn is_secure(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.tls.is_some())
    }

    pub(super) fn tls(&mut self) -> Option<&mut Session> {
        self.backlog.as_mut()?.tls.as_deref_mut()
    }

    /// Bytes that the kernel refused so far.
    #[inline]
    pub(super) fn queued(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.queue.len())
    }

    /// Those of them that are not sealed yet, if they are to be.
    pub(super) fn in_clear(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.queue.in_clear())
    }

    /// Those that are sealed.
    pub(super) fn sealed(&self) -> &[u8] {
        self.backlog.as_ref().map_or(&[], |backlog| backlog.queue.sealed())
    }

    /// What it costs to keep them.
    pub(super) fn weight(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.queue.weight())
    }

    /// Those of them that it alone was sent. Where it is its own input that makes them grow, it is heard no more for a while;
    /// what is shared comes from others, and something else is done about it ([`Overflow`](super::Overflow)).
    #[inline]
    pub(super) fn own_queued(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.queue.own())
    }

    /// Bytes that the driver left for later.
    pub(super) fn carried(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.carry.len())
    }

    /// Bytes accepted from the driver and not yet taken by the kernel.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        self.queued().saturating_add(self.staged.len())
    }

    /// Whether the kernel may be offered something.
    pub(super) fn may_send(&self) -> bool {
        self.phase != Phase::Dead && self.flags.has(Flags::WRITABLE)
    }

    /// Whether it takes anything to send.
    #[inline]
    pub(super) fn takes(&self) -> Result<(), SendError> {
        match self.phase {
            Phase::Open if !self.flags.has(Flags::LAST_SENT) => Ok(()),
            Phase::Open | Phase::Dialling | Phase::Announcing | Phase::Securing | Phase::Finishing => {
                Err(SendError::Closing)
            }
            Phase::Lingering | Phase::Dead => Err(SendError::Gone),
        }
    }

    pub(super) fn backlog(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_default()
    }

    /// Whether the driver would take input now.
    #[inline]
    pub(super) fn listens(&self) -> bool {
        self.phase == Phase::Open && !self.flags.has(Flags(Flags::PAUSED.0 | Flags::CHOKED.0))
    }

    /// Whether nothing is to follow what was sent so far.
    #[inline]
    pub(super) fn says_last(&self) -> bool {
        self.phase == Phase::Finishing || self.phase == Phase::Open && self.flags.has(Flags::LAST_SENT)
    }

    /// Whether there is nothing to think of but input: no backlog, nothing asked for, nothing owed. Most are so.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        const TROUBLE: u16 = Flags::PAUSED.0 | Flags::CHOKED.0 | Flags::REFUSED.0 | Flags::WANTED.0;
        self.phase == Phase::Open && self.backlog.is_none() && !self.flags.has(Flags(TROUBLE))
    }

    /// Whether the driver asked for no input.
    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        self.phase == Phase::Open && self.flags.has(Flags::PAUSED)
    }

    /// Whether the driver is to be told, now, that there is room. Who only asked for that is told once nothing of its own
    /// is queued: what is shared may be so for as long as others go on.
    #[inline]
    pub(super) fn owes_word(&self, low_water: usize) -> bool {
        self.has_room_again(low_water) || self.flags.has(Flags::WANTED) && self.own_queued() == 0
    }

    /// Whether there is room where sends had met a bound: on a choked connection at the low-water mark, but after a refused
    /// send only when nothing is queued, since else it might be refused, and tried, again and again.
    #[inline]
    fn has_room_again(&self, low_water: usize) -> bool {
        self.flags.has(Flags::CHOKED)
            && self.own_queued() <= low_water
            && !mutant("forget the low-water mark")
            || self.flags.has(Flags::REFUSED) && self.queued() == 0
    }

    /// There is room: settles what is owed, and answers whether the driver's sends had met a bound.
    pub(super) fn drained(&mut self, low_water: usize) -> Drain {
        let has_met_bound = self.has_room_again(low_water);
        if self.own_queued() == 0 {
            self.flags.clear(Flags::WANTED);
        }
        if !has_met_bound {
            return Drain::Wanted;
        }
        self.flags.clear(Flags(Flags::CHOKED.0 | Flags::REFUSED.0));
        Drain::Crossed
    }

    /// Whether a visit could do anything.
    #[inline]
    pub(super) fn has_work(&self, low_water: usize) -> bool {
        match self.phase {
            Phase::Open if self.is_plain() => self.flags.has(Flags::READABLE),
            Phase::Open => {
                self.listens() && (self.flags.has(Flags::READABLE) || self.carried() > 0)
                    || self.flags.has(Flags::WRITABLE) && self.queued() > 0
                    || self.owes_word(low_water)
            }
            Phase::Dialling => self.flags.has(Flags::WRITABLE),
            Phase::Securing => {
                self.flags.has(Flags::READABLE) || self.flags.has(Flags::WRITABLE) && self.queued() > 0
            }
            Phase::Finishing => self.flags.has(Flags::WRITABLE) && self.queued() > 0,
            Phase::Announcing | Phase::Lingering => self.flags.has(Flags::READABLE),
            Phase::Dead => false,
        }
    }

    /// The kernel had no bytes and no end of stream for us.
    pub(super) fn found_nothing(&mut self) {
        if !mutant("spin on would-block") {
            self.flags.clear(Flags::READABLE);
        }
        // An end that was there would have been read: it was told of another socket, lost in a race of addresses.
        self.flags.clear(Flags::HALF_CLOSED);
    }

    /// Counts bytes that were thrown away; answers how many that makes.
    pub(super) fn discard(&mut self, count: usize) -> usize {
        let backlog = self.backlog();
        backlog.discarded = backlog.discarded.saturating_add(count);
        backlog.discarded
    }

    /// Gives the memory of an empty backlog back.
    pub(super) fn trim(&mut self) {
        let idle = |backlog: &Backlog| {
            backlog.queue.is_empty()
                && backlog.carry.is_empty()
                && backlog.stall.is_none()
                && backlog.dial.is_none()
                && backlog.tls.is_none()
        };
        if self.backlog.as_deref().is_some_and(idle) {
            self.backlog = None;
        }
    }
}

/// The number of no socket.
const NO_SOCKET: SocketId = SocketId(u32::MAX);

/// Bytes in order, appended at the end and taken from the front, in a buffer of the loop's pool.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    buffer: Buffer,
    /// How many of the buffer's bytes were taken already: never more than there are.
    taken: usize,
}

impl ByteQueue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.taken)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn append(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Result<(), NoMemory> {
        if self.taken > self.len() {
            self.buffer.consume(self.taken);
            self.taken = 0;
        }
        pool.append(&mut self.buffer, bytes)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.buffer.filled().get(self.taken..).unwrap_or_default()
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.filled_mut().get_mut(self.taken..).unwrap_or_default()
    }

    /// Drops bytes from the front; the memory goes back with the last of them.
    pub(super) fn advance(&mut self, count: usize, pool: &mut BufferPool) {
        self.taken = self.taken.saturating_add(count).min(self.buffer.len());
        if self.is_empty() {
            pool.give(std::mem::take(self).buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_queue_keeps_order_over_appends_and_advances() {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::new(1 << 20));
        let (mut wrote, mut read) = (Vec::new(), Vec::new());
        for round in 0u8..200 {
            let bytes = vec![round; usize::from(round) % 7];
            queue.append(&bytes, &mut pool).unwrap();
            wrote.extend_from_slice(&bytes);
            let count = (usize::from(round) % 5).min(queue.len());
            read.extend_from_slice(&queue.as_slice()[..count]);
            queue.advance(count, &mut pool);
        }
        read.extend_from_slice(queue.as_slice());
        assert_eq!(read, wrote);
        queue.advance(usize::MAX, &mut pool);
        assert!(queue.is_empty());
        assert_eq!(queue.buffer.capacity(), 0, "an empty queue holds no memory");
        assert!(pool.held() > 0, "it went back to the pool");
    }

    #[test]
    fn an_idle_connection_costs_no_more_than_this() {
        assert!(size_of::<Connection<()>>() <= 40, "{}", size_of::<Connection<()>>());
    }
}
