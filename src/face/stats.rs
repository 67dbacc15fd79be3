//! L4, what a reactor counts: that of its loop, and that of the protocols.

use crate::face::closed::{Closed, Reason, Side, Timeout};
use crate::face::{Context, Handler, Reactor};
use crate::net::System;
use crate::reactor::{LoopStats, Shed};
use crate::stats::{Arrivals, Bytes, Ends, Handshakes, Messages, Refusals, Requests, Turns, add, add_one};
use crate::ws::Kind;

/// What a reactor has counted since it began, and what is there now: [`Context::stats`].
///
/// It is always counted, and costs a message a few instructions. Those of several reactors are added up by
/// [`Stats::merge`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that there are, those on their way in or out among them.
    pub connections: usize,
    /// Those that came. Those of them that are not in [`Stats::ends`] are among [`Stats::connections`].
    pub arrivals: Arrivals,
    /// Those that ended, by why.
    pub ends: Ends,
    /// What was not let in, or out.
    pub refusals: Refusals,
    /// Requests to WebSocket listeners.
    pub requests: Requests,
    /// TLS handshakes.
    pub tls: Handshakes,
    /// Bytes that the kernel took and gave.
    pub bytes: Bytes,
    /// Whole messages, pings and pongs that came on WebSocket connections.
    pub received: Messages,
    /// Those that a send accepted, and pings and pongs that the reactor sent by itself. Shared ones that were dropped since
    /// are in [`Stats::shed`] as well.
    pub sent: Messages,
    /// Bytes that the kernel has refused of all connections together, and that wait, with 64 more for each shared message
    /// among them.
    pub queued: usize,
    /// The most that ever did, in one reactor.
    pub queued_most: usize,
    /// Bytes of messages that are not whole yet.
    pub partial: usize,
    /// Shared messages that were dropped or replaced for connections that did not keep up.
    pub shed: Shed,
    /// Timers and deadlines that were due.
    pub timers: u64,
    /// Turns, and how long they took.
    pub turns: Turns,
}

impl Stats {
    fn new(of_loop: LoopStats, tally: &Tally, partial: usize) -> Self {
        let LoopStats {
            connections,
            arrivals,
            refusals,
            bytes,
            messages: taken,
            queued,
            queued_most,
            shed,
            tls,
            timers,
            turns,
        } = of_loop;
        let Tally { ends, requests, received, controls, sent } = *tally;
        let whole = taken.saturating_sub(controls);
        let received = Messages { binaries: whole.saturating_sub(received.texts), ..received };
        Self {
            connections,
            arrivals,
            ends,
            refusals,
            requests,
            tls,
            bytes,
            received,
            sent,
            queued,
            queued_most,
            partial,
            shed,
            timers,
            turns,
        }
    }

    /// Adds what another reactor has counted; of what is the most or the longest of each, the larger stays.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.connections, other.connections),
            (&mut self.queued, other.queued),
            (&mut self.partial, other.partial),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.queued_most = self.queued_most.max(other.queued_most);
        self.arrivals.merge(&other.arrivals);
        self.ends.merge(&other.ends);
        self.refusals.merge(&other.refusals);
        self.requests.merge(&other.requests);
        self.tls.merge(&other.tls);
        self.bytes.merge(&other.bytes);
        self.received.merge(&other.received);
        self.sent.merge(&other.sent);
        add(&mut self.shed.dropped, other.shed.dropped);
        add(&mut self.shed.replaced, other.shed.replaced);
        add(&mut self.timers, other.timers);
        self.turns.merge(&other.turns);
    }
}

/// What the protocols count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) ends: Ends,
    pub(super) requests: Requests,
    /// Without those that are no text: they are what is left of all that was taken.
    pub(super) received: Messages,
    /// Control frames of whatever kind that were taken.
    pub(super) controls: u64,
    pub(super) sent: Messages,
}

impl Tally {
    /// Counts a message that came, where it is text.
    #[inline]
    pub(super) fn count_text(&mut self, kind: Kind) {
        add(&mut self.received.texts, u64::from(kind == Kind::Text));
    }
}

impl Messages {
    #[inline]
    pub(super) fn count(&mut self, kind: Kind) {
        add_one(self.of(kind));
    }

    /// One that was counted was not taken.
    #[cold]
    pub(super) fn discount(&mut self, kind: Kind) {
        let count = self.of(kind);
        *count = count.saturating_sub(1);
    }

    #[inline]
    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Text => &mut self.texts,
            Kind::Binary => &mut self.binaries,
        }
    }
}

impl Ends {
    pub(super) fn count(&mut self, closed: &Closed) {
        add_one(match &closed.reason {
            Reason::Handshake { by: Side::Local, .. } => &mut self.closed_here,
            Reason::Handshake { by: Side::Peer, .. } => &mut self.closed_by_peer,
            Reason::Protocol(_) => &mut self.protocol,
            Reason::EndOfStream => &mut self.end_of_stream,
            Reason::Finished => &mut self.finished,
            Reason::TimedOut(Timeout::Connect) => &mut self.connect_timeout,
            Reason::TimedOut(Timeout::Opening) => &mut self.opening_timeout,
            Reason::TimedOut(Timeout::Idle) => &mut self.idle_timeout,
            Reason::TimedOut(Timeout::Close) => &mut self.close_timeout,
            Reason::TimedOut(Timeout::Write) => &mut self.write_timeout,
            Reason::Aborted => &mut self.aborted,
            Reason::Crowded => &mut self.crowded,
            Reason::Overflowed => &mut self.overflowed,
            Reason::NotConnected(_) => &mut self.not_connected,
            Reason::Refused(_) => &mut self.refused,
            Reason::Lost(_) => &mut self.lost,
            Reason::Proxy(_) => &mut self.proxy,
            Reason::Tls(_) => &mut self.tls,
        });
    }
}

impl<H: Handler> Context<'_, H> {
    /// What was counted so far. It is a copy, of 24 KiB: for whoever asks now and then, not with every message.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new(self.io.stats(), &self.shared.tally, self.shared.space.held())
    }
}

impl<H: Handler, S: System> Reactor<H, S> {
    /// What was counted so far; see [`Context::stats`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.driver().shared;
        Stats::new(self.inner.stats(), &shared.tally, shared.space.held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_of_several_reactors_are_added_up_and_the_most_stays() {
        let (mut first, mut second) = (Stats::default(), Stats::default());
        (first.connections, first.queued, first.queued_most, first.partial) = (1, 2, 9, 4);
        (second.connections, second.queued, second.queued_most, second.partial) = (10, 20, 3, 40);
        (first.ends.lost, second.ends.lost) = (5, 50);
        (first.shed.dropped, second.shed.replaced) = (6, 70);
        (first.timers, second.timers) = (7, 80);
        first.merge(&second);
        assert_eq!((first.connections, first.queued, first.queued_most, first.partial), (11, 22, 9, 44));
        assert_eq!((first.ends.total(), first.timers), (55, 87));
        assert_eq!(first.shed, Shed { dropped: 6, replaced: 70 });
    }
}
