//! L3, how long turns take, and what is told of one that takes too long: knows what happened in it, not why.

use std::fmt;
use std::time::Duration;

use crate::journal::Kind;
use crate::net::System;
use crate::reactor::event::listener_of;
use crate::reactor::stats::Flow;
use crate::reactor::{ConnId, Driver, EventLoop, Io};
use crate::slab::Key;
use crate::time::Time;

/// A turn that took longer than [`Settings::slow_turn`](crate::Settings::slow_turn), and what happened in it.
///
/// The clock is not read between two callbacks, so nobody knows which of them took the time; but mostly few of them ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowTurn {
    /// How long it took, without the wait before it.
    pub took: Duration,
    /// Sockets about which the system told something.
    pub events: usize,
    /// The first of the connections among them, 8 at most.
    pub connections: Vec<ConnId>,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Messages and control frames that were taken.
    pub messages: u64,
    /// Timers and deadlines that were due.
    pub timers: u64,
    /// Bytes that were received.
    pub received: u64,
    /// Bytes that were sent.
    pub sent: u64,
}

impl fmt::Display for SlowTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, events, connections, accepted, messages, timers, received, sent } = self;
        write!(
            f,
            "a turn took {took:.1?}: {events} events, {accepted} connections accepted, {messages} messages, {timers} timers, \
             {received} bytes received, {sent} sent; first {connections:?}"
        )
    }
}

/// The last turn, from when it was known what was to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) began: Time,
    /// What had been counted then.
    pub(super) before: Flow,
    /// Whether there was anything to do.
    pub(super) is_busy: bool,
}

impl<D: Driver, S: System> EventLoop<D, S> {
    /// The last turn had something to do, and was over at `end`.
    #[inline]
    pub(super) fn judge(&mut self, end: Time) {
        let nanoseconds = end.as_nanos().saturating_sub(self.turn.began.as_nanos());
        self.core.stats.turns.note(nanoseconds);
        if nanoseconds > self.slow {
            self.tell_slow(Duration::from_nanos(nanoseconds));
        }
        self.core.journal.catch_up(end);
    }

    #[cold]
    fn tell_slow(&mut self, took: Duration) {
        let Flow { received, sent, messages, accepted, timers } = self.core.flow.since(self.turn.before);
        let keys = self.events.iter().filter(|event| listener_of(event.key).is_none());
        let ids = keys.filter_map(|event| Key::from_bits(event.key.0)).map(ConnId);
        let connections = ids.take(NAMED).collect();
        let events = self.events.len();
        let slow = SlowTurn { took, events, connections, accepted, messages, timers, received, sent };
        let io = &mut Io { core: &mut self.core, system: &mut self.system };
        io.note(Kind::SlowTurn, format_args!("{slow}"));
        self.driver.slow_turn(io, &slow);
    }
}

/// So many connections are named.
const NAMED: usize = 8;
