//! L3, what a loop counts: numbers alone, and how they are put together when somebody asks.

use crate::reactor::core::Core;
use crate::reactor::{Io, Shed};
use crate::stats::{Arrivals, Bytes, Handshakes, Refusals, Turns, add};

/// What a loop has counted since it began, and what is there now.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// Connections that there are, those on their way in or out among them.
    pub connections: usize,
    /// Those that came.
    pub arrivals: Arrivals,
    /// What was not let in, or out.
    pub refusals: Refusals,
    /// Bytes that the kernel took and gave.
    pub bytes: Bytes,
    /// What the driver has told by [`Io::count_messages`].
    pub messages: u64,
    /// Bytes that the kernel has refused of all connections together, and that wait.
    pub queued: usize,
    /// The most that ever did.
    pub queued_most: usize,
    /// What was done for those that did not keep up with what was shared.
    pub shed: Shed,
    /// TLS handshakes.
    pub tls: Handshakes,
    /// Timers and deadlines that were due.
    pub timers: u64,
    /// Turns.
    pub turns: Turns,
}

/// What is counted all the time: side by side, so that a turn can remember what it was when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Bytes.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// What the driver says it took of them: messages, and the like.
    pub(super) messages: u64,
    /// Connections.
    pub(super) accepted: u64,
    pub(super) timers: u64,
}

impl Flow {
    /// What has been counted since an earlier moment.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            messages: self.messages.saturating_sub(earlier.messages),
            accepted: self.accepted.saturating_sub(earlier.accepted),
            timers: self.timers.saturating_sub(earlier.timers),
        }
    }
}

impl<P> Io<'_, P> {
    /// What was counted so far, and what is there now.
    #[must_use]
    pub fn stats(&self) -> LoopStats {
        self.core.stats()
    }

    /// Counts what the driver took of what was received, for [`SlowTurn::messages`](super::SlowTurn::messages).
    #[inline]
    pub fn count_messages(&mut self, count: u64) {
        add(&mut self.core.flow.messages, count);
    }
}

impl<P> Core<P> {
    /// All that is counted, and all that there is.
    pub(super) fn stats(&self) -> LoopStats {
        let Flow { received, sent, messages, accepted, timers } = self.flow;
        let counted = self.stats.clone();
        LoopStats {
            connections: self.connections.len(),
            arrivals: Arrivals { accepted, ..counted.arrivals },
            bytes: Bytes { received, sent },
            messages,
            queued: self.queued,
            shed: self.shed,
            timers,
            ..counted
        }
    }
}
