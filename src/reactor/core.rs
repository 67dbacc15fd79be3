//! L3, the loop's own state, apart from the driver and the system: knows connections, lists and deadlines.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::buf::{BufferPool, NoMemory};
use crate::journal::Journal;
use crate::mutants::mutant;
use crate::net::{Addr, SocketId};
use crate::proxy::{Header, TrustedProxies};
use crate::reactor::connection::{Connection, Flags, Phase};
use crate::reactor::driver::{Cause, End};
use crate::reactor::output::{Output, Part, Staged};
use crate::reactor::queue::Queue;
use crate::reactor::share::{Account, Shed};
use crate::reactor::stats::{Flow, LoopStats};
use crate::reactor::{ListenerId, Settings};
use crate::slab::{Key, Slab};
use crate::stats::{Turns, add_one};
use crate::time::Time;
use crate::time::wheel::{Tick, TimerKey, Wheel};
use crate::tls::{Acceptor, Seal};

/// Everything a loop knows, but for who drives it and what it runs on.
#[derive(Debug)]
pub(super) struct Core<P> {
    pub(super) settings: Settings,
    pub(super) connections: Slab<Connection<P>>,
    pub(super) listeners: Slab<Listener>,
    pub(super) output: Output,
    /// What all queues together weigh, but for those of the dead.
    pub(super) queued: usize,
    /// What is to be done for those that do not keep up, and what was, where that is anything but nothing.
    pub(super) accounts: HashMap<Key, Account>,
    /// What was done for all of them together, since the loop began.
    pub(super) shed: Shed,
    /// What proxies have said of the connections that they relay.
    pub(super) announced: HashMap<Key, Header>,
    /// Where queues get their memory, and give it back.
    pub(super) buffers: BufferPool,
    /// Connections to visit in the next turn, in order; each stands here once at most ([`Flags::LISTED`]).
    pub(super) ready: VecDeque<Key>,
    /// Connections whose TLS handshake can go on, in order; they are listed as those that are ready.
    pub(super) handshakes: VecDeque<Key>,
    /// Where what is encrypted is put together.
    pub(super) seal: Seal,
    /// Paused connections whose peers were seen to leave in this turn.
    pub(super) left: Vec<Key>,
    /// Connections to flush at the end of this turn; each stands here once at most ([`Flags::DIRTY`]).
    pub(super) dirty: Vec<Key>,
    /// Connections whose driver is to be told of their end, and why they ended.
    pub(super) ended: VecDeque<(Key, End)>,
    /// Connections whose descriptor is to be closed at the end of this turn.
    pub(super) dead: Vec<(Key, Cut)>,
    /// Listeners that may have connections waiting.
    pub(super) accepting: VecDeque<ListenerId>,
    pub(super) wheel: Wheel<Alarm>,
    /// The time of this turn: the clock is read once, after the poll.
    pub(super) now: Time,
    /// Whatever arrived before this time was offered to the driver: deadlines up to here may be judged, never later
    /// than `now`.
    pub(super) seen: Time,
    /// What the driver asked of the turns to come.
    pub(super) course: Course,
    /// The driver was woken and has not done all that it was woken for.
    pub(super) woken: bool,
    /// What is counted all the time.
    pub(super) flow: Flow,
    /// What else is counted; see [`Core::stats`] for the rest.
    pub(super) stats: LoopStats,
    pub(super) journal: Journal,
}

/// Whether and why the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It waits for events.
    On,
    /// The driver has work that no event announces: the next turn does not wait.
    Again,
    /// It stops when the last connection is gone.
    UntilEmpty,
    /// It stops after this turn.
    Stopped,
}

/// What an armed deadline is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    /// The driver's, or the end of a linger.
    Connection(Key),
    /// A peer that takes nothing.
    Stall(Key),
    /// The next address of a connection on its way.
    Dial(Key),
    /// A listener without descriptors looks again.
    Accept(ListenerId),
    /// The driver's own timer, with its token as bytes, which need no alignment.
    Timer([u8; 8]),
}

/// A socket that connections come from.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) source: Source,
    pub(super) addr: Addr,
    /// Stands in the accepting list.
    pub(super) listed: bool,
    /// Armed while it waits for a descriptor or for room.
    pub(super) retry: Option<TimerKey>,
    /// It found none when it looked last.
    pub(super) waits: bool,
    /// Where its connections begin with a TLS handshake.
    pub(super) tls: Option<Acceptor>,
    /// Where its connections come from these proxies alone, and begin with what they say.
    pub(super) proxies: Option<TrustedProxies>,
}

/// Where the connections of a listener come from, and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are accepted here, and stay.
    Own(SocketId),
    /// They are accepted here, and each is offered to [`Driver::deal`](super::Driver::deal) first.
    Dealt(SocketId),
    /// Another loop accepts them, and deals them out: see [`adopt`](super::adopt).
    Elsewhere,
}

impl Source {
    /// The socket that listens, where it is one of this loop.
    pub(super) fn socket(self) -> Option<SocketId> {
        match self {
            Self::Own(socket) | Self::Dealt(socket) => Some(socket),
            Self::Elsewhere => None,
        }
    }
}

/// How the descriptor of a dead connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All was said and heard.
    Clean,
    /// With a reset.
    Reset,
}

impl<P> Core<P> {
    pub(super) fn new(settings: Settings, now: Time) -> Self {
        Self {
            queued: 0,
            accounts: HashMap::new(),
            shed: Shed::default(),
            announced: HashMap::new(),
            buffers: BufferPool::new(settings.queue_pool),
            settings,
            connections: Slab::with_capacity(CONNECTIONS_AT_FIRST),
            listeners: Slab::new(),
            output: Output::default(),
            ready: VecDeque::new(),
            handshakes: VecDeque::new(),
            seal: Seal::default(),
            left: Vec::new(),
            dirty: Vec::new(),
            ended: VecDeque::new(),
            dead: Vec::new(),
            accepting: VecDeque::new(),
            wheel: Wheel::new(tick_of(now)),
            now,
            seen: now,
            course: Course::On,
            woken: false,
            flow: Flow::default(),
            stats: LoopStats { turns: Turns::measured(), ..LoopStats::default() },
            journal: Journal::default(),
        }
    }

    /// Whether something is to be done without waiting for an event.
    pub(super) fn has_work(&self) -> bool {
        let idle = self.ready.is_empty() && self.dirty.is_empty() && self.ended.is_empty();
        !idle
            || !self.handshakes.is_empty()
            || !self.dead.is_empty()
            || !self.accepting.is_empty()
            || self.woken
            || self.course_is_due()
    }

    /// Whether a deadline has passed.
    pub(super) fn is_due(&self) -> bool {
        self.next_deadline().is_some_and(|at| at <= self.now)
    }

    fn course_is_due(&self) -> bool {
        match self.course {
            Course::On => false,
            Course::UntilEmpty => self.connections.is_empty(),
            Course::Again | Course::Stopped => true,
        }
    }

    /// Puts a connection onto the ready list if a visit could do anything.
    #[inline]
    pub(super) fn list(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.has_work(self.settings.low_water) && !connection.flags.has(Flags::LISTED) {
            connection.flags.set(Flags::LISTED);
            self.ready.push_back(key);
        }
    }

    /// Puts a connection onto the list of those to flush.
    #[inline]
    pub(super) fn mark_dirty(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !connection.flags.has(Flags::DIRTY) {
            connection.flags.set(Flags::DIRTY);
            self.dirty.push(key);
        }
    }

    /// Puts a listener onto the list of those to accept from.
    pub(super) fn list_listener(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(id.0) else { return };
        if !listener.listed && listener.retry.is_none() {
            listener.listed = true;
            self.accepting.push_back(id);
        }
    }

    /// Ends a connection: nothing is sent or received any more.
    pub(super) fn kill(&mut self, key: Key, cause: Cause, cut: Cut) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase == Phase::Dead {
            return;
        }
        let before = std::mem::replace(&mut connection.phase, Phase::Dead);
        if !mutant("count what waits for the dead") {
            self.queued = self.queued.saturating_sub(connection.weight());
        }
        self.dead.push((key, cut));
        self.tell(key, before, cause);
        self.disarm(key);
    }

    /// All was sent: waits for the peer's end of stream, and reads until then (R41).
    pub(super) fn linger(&mut self, key: Key) {
        self.linger_after(key, Cause::Finished);
    }

    /// The same, after what `cause` says.
    pub(super) fn linger_after(&mut self, key: Key, cause: Cause) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let before = std::mem::replace(&mut connection.phase, Phase::Lingering);
        let ended = connection.flags.has(Flags::ENDED);
        self.tell(key, before, cause);
        self.disarm(key);
        if ended {
            self.kill(key, Cause::Finished, Cut::Clean);
        } else {
            let at = self.now.saturating_add(self.settings.linger_timeout);
            self.set_deadline(key, Some(at));
            self.list(key);
        }
    }

    /// Notes, once, that the driver is to hear of the end of what was in a phase before.
    fn tell(&mut self, key: Key, before: Phase, cause: Cause) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if before == Phase::Securing {
            add_one(&mut self.stats.tls.failed);
        }
        if !connection.flags.has(Flags::TOLD) || mutant("tell the end twice") {
            connection.flags.set(Flags::TOLD);
            let unsent = connection.pending();
            self.ended.push_back((key, End { cause, unsent }));
        }
    }

    /// Cancels every deadline of a connection.
    fn disarm(&mut self, key: Key) {
        if mutant("forget to disarm") {
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        let backlog = connection.backlog.as_mut();
        let (stall, dial) = backlog.map_or((None, None), |backlog| {
            (backlog.stall.take(), backlog.dial.as_mut().and_then(|dial| dial.take_timer()))
        });
        for timer in [stall, dial, connection.deadline.take()].into_iter().flatten() {
            self.wheel.cancel(timer);
        }
    }

    /// Arms, moves or cancels a connection's one deadline.
    pub(super) fn set_deadline(&mut self, key: Key, at: Option<Time>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let timer = &mut connection.deadline;
        match (*timer, at) {
            (Some(armed), Some(at)) => drop(self.wheel.reset(armed, tick_after(at))),
            (None, Some(at)) => *timer = self.wheel.set(tick_after(at), Alarm::Connection(key)),
            (Some(armed), None) => {
                self.wheel.cancel(armed);
                *timer = None;
            }
            (None, None) => {}
        }
    }

    /// Keeps what the kernel refused of a connection's staged bytes, `head` and `payload`, and watches that the
    /// peer takes it. `taken` bytes of all these are the kernel's already. Where there is no memory for it, the
    /// connection is lost.
    #[cold]
    pub(super) fn enqueue(&mut self, key: Key, staged: Staged, head: &[u8], payload: &[u8], taken: usize) {
        match self.hold(key, staged, head, payload, taken) {
            Ok(()) => self.watch_queue(key),
            Err(NoMemory) => self.kill(key, Cause::Lost(io::ErrorKind::OutOfMemory.into()), Cut::Reset),
        }
    }

    /// The same, without a look at what it makes of all queues together: all there is for one that is about to end.
    #[cold]
    pub(super) fn hold(
        &mut self,
        key: Key,
        staged: Staged,
        head: &[u8],
        payload: &[u8],
        taken: usize,
    ) -> Result<(), NoMemory> {
        self.output.line_up(staged);
        let (keys, output) = (self.keys_of(key), std::mem::take(&mut self.output));
        let mut skip = if mutant("queue again what was taken") { 0 } else { taken };
        let (mut kept, mut replaced) = (Ok(()), 0);
        self.change(key, |queue, pool| {
            for part in output.parts().chain([Part::Bytes(head), Part::Bytes(payload)]) {
                let merged = part.wait(skip, queue, keys, pool);
                replaced = u64::saturating_add(replaced, u64::from(merged == Ok(true)));
                kept = kept.and(merged.map(drop));
                skip = skip.saturating_sub(part.bytes().len());
            }
        });
        self.output = output;
        self.note_shed(key, Shed { replaced, ..Shed::default() });
        kept
    }

    /// Changes a connection's queue, and counts what that makes of all of them together.
    pub(super) fn change<T>(
        &mut self,
        key: Key,
        act: impl FnOnce(&mut Queue, &mut BufferPool) -> T,
    ) -> Option<T> {
        let connection = self.connections.get_mut(key)?;
        let is_dead = connection.phase == Phase::Dead;
        let queue = &mut connection.backlog().queue;
        let before = queue.weight();
        let outcome = act(queue, &mut self.buffers);
        if !is_dead {
            self.queued = self.queued.saturating_sub(before).saturating_add(queue.weight());
        }
        Some(outcome)
    }

    /// Something waits: watches that the peer takes it, and hears no more of one for whom too much does.
    pub(super) fn watch_queue(&mut self, key: Key) {
        self.stats.queued_most = self.stats.queued_most.max(self.queued);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let backlog = connection.backlog();
        if backlog.stall.is_none() && !mutant("forget the stall timer") {
            let at = self.now.saturating_add(self.settings.stall_timeout);
            backlog.stall = self.wheel.set(tick_after(at), Alarm::Stall(key));
            connection.flags.clear(Flags::PROGRESSED);
        }
        if connection.own_queued() > self.settings.high_water {
            connection.flags.set(Flags::CHOKED);
        }
        self.list(key);
        self.relieve();
    }

    /// Cuts the connections of which most waits until all that waits is within its bound.
    fn relieve(&mut self) {
        while self.queued > self.settings.max_queued {
            let keys = (0..self.connections.end()).filter_map(|index| self.connections.key_at(index));
            let queues = keys.filter_map(|key| Some((key, self.connections.get(key)?)));
            let alive = queues.filter(|(_, connection)| connection.phase != Phase::Dead);
            let Some((longest, _)) = alive.max_by_key(|(_, connection)| connection.weight()) else { return };
            self.kill(longest, Cause::Crowded, Cut::Reset);
        }
    }

    /// The kernel took the first bytes of a queue.
    pub(super) fn dequeue(&mut self, key: Key, count: usize) {
        self.change(key, |queue, pool| queue.advance(count, pool));
        if let Some(connection) = self.connections.get_mut(key) {
            connection.flags.set(Flags::PROGRESSED);
        }
        self.watch_no_more(key);
    }

    /// Where nothing waits any more there is nothing to watch.
    pub(super) fn watch_no_more(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let backlog = connection.backlog();
        if backlog.queue.is_empty()
            && let Some(stall) = backlog.stall.take()
        {
            self.wheel.cancel(stall);
        }
        connection.trim();
    }

    /// Keeps bytes that the driver left for later, or of a header that has not come whole.
    #[cold]
    pub(super) fn carry(&mut self, key: Key, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if matches!(connection.phase, Phase::Open | Phase::Announcing)
            && connection.backlog().carry.append(bytes, &mut self.buffers) == Err(NoMemory)
        {
            self.kill(key, Cause::Lost(io::ErrorKind::OutOfMemory.into()), Cut::Reset);
        }
    }

    /// Gives a connection's queue another [`Settings::stall_timeout`] if the peer took bytes in the last one.
    pub(super) fn stall_alarm(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let progressed = connection.flags.has(Flags::PROGRESSED);
        connection.flags.clear(Flags::PROGRESSED);
        let Some(backlog) = connection.backlog.as_mut() else { return };
        backlog.stall = None;
        if progressed {
            let at = self.now.saturating_add(self.settings.stall_timeout);
            backlog.stall = self.wheel.set(tick_after(at), Alarm::Stall(key));
        } else {
            self.kill(key, Cause::Stalled, Cut::Reset);
        }
    }

    /// How long a poll may wait for the next deadline; `None` where none is armed.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.wheel.next_deadline().map(time_of)
    }
}

/// The tick a time lies in: the latest one that has begun.
pub(super) fn tick_of(time: Time) -> Tick {
    Tick(time.as_nanos() >> TICK_SHIFT)
}

/// The first tick that begins at or after a time: a deadline never fires early.
pub(super) fn tick_after(time: Time) -> Tick {
    if mutant("fire early") {
        return tick_of(time);
    }
    Tick(time.as_nanos().div_ceil(1 << TICK_SHIFT))
}

fn time_of(tick: Tick) -> Time {
    Time::from_nanos(tick.0.saturating_mul(1 << TICK_SHIFT))
}

/// Room for so many connections from the start: small blocks of memory that were outgrown would stay behind as holes.
const CONNECTIONS_AT_FIRST: usize = 4096;

/// A tick is 2^20 ns, 1.05 ms.
const TICK_SHIFT: u32 = 20;
