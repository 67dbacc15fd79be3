//! The virtual clock and what is to happen on it: knows not what the happenings do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;

/// What happens at some time without anybody's call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// A segment reaches the end of its way.
    Arrival(u64),
    /// A connection that is on its way knocks at the listener, for the given time.
    Knock { client: u64, local: SocketAddr, attempt: u32 },
    /// A connection that nobody answers is given up.
    GiveUp(u64),
    /// A name is resolved, or is not.
    Resolved { system: usize, token: u64, addrs: Option<Vec<SocketAddr>> },
    /// The script asked to be woken.
    Wakeup(u64),
}

/// The clock, and the happenings in their order; those of one moment in the order they were planned.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    now: Time,
    planned: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    count: u64,
}

impl Agenda {
    pub(super) const fn now(&self) -> Time {
        self.now
    }

    pub(super) fn plan(&mut self, at: Time, happening: Happening) {
        self.count = self.count.wrapping_add(1);
        self.planned.push(Reverse((at, self.count, happening)));
    }

    pub(super) fn plan_after(&mut self, delay: Duration, happening: Happening) {
        self.plan(self.now.saturating_add(delay), happening);
    }

    /// When the next happening is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.planned.peek().map(|Reverse((at, ..))| *at)
    }

    /// The clock never goes back.
    pub(super) fn advance_to(&mut self, at: Time) {
        self.now = self.now.max(at);
    }

    /// Takes a happening whose time has come.
    pub(super) fn pop_due(&mut self) -> Option<Happening> {
        if self.next()? > self.now {
            return None;
        }
        self.planned.pop().map(|Reverse((_, _, happening))| happening)
    }

    /// How many happenings are planned.
    pub(super) fn len(&self) -> usize {
        self.planned.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn happenings_come_by_time_and_then_in_the_order_they_were_planned() {
        let mut agenda = Agenda::default();
        agenda.plan_after(Duration::from_millis(2), Happening::Wakeup(3));
        agenda.plan_after(Duration::from_millis(1), Happening::Wakeup(2));
        agenda.plan_after(Duration::from_millis(1), Happening::Wakeup(1));
        assert_eq!(agenda.pop_due(), None);
        agenda.advance_to(Time::from_nanos(2_000_000));
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop_due()).collect();
        assert_eq!(order, [2, 1, 3].map(Happening::Wakeup));
    }

    #[test]
    fn the_clock_never_goes_back() {
        let mut agenda = Agenda::default();
        agenda.advance_to(Time::from_nanos(5));
        agenda.advance_to(Time::from_nanos(3));
        assert_eq!(agenda.now(), Time::from_nanos(5));
    }
}
