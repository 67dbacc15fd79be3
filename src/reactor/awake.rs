//! L3, for how long the loop stays awake: knows the time and that something happened, not what.

use std::time::Duration;

use crate::time::Time;

/// Decides whether a poll may sleep.
///
/// A thread that sleeps is woken some microseconds after the event, and later still where its core has gone to sleep as
/// well. Who has the core for it polls on for a while: what a peer answers soon is then met at once.
#[derive(Debug)]
pub(super) struct Awake {
    /// How long after the last event.
    span: Duration,
    /// When that is over.
    until: Time,
    /// When it was last asked.
    asked: Time,
}

impl Awake {
    pub(super) fn new(span: Duration, now: Time) -> Self {
        Self { span, until: now, asked: now }
    }

    /// Something happened.
    #[inline]
    pub(super) fn stir(&mut self, now: Time) {
        self.until = now.saturating_add(self.span);
    }

    /// Whether the next poll is not to sleep. A clock that stood still since the last question moves only while somebody
    /// sleeps, as a simulated one does.
    #[inline]
    pub(super) fn stays(&mut self, now: Time) -> bool {
        let moves = std::mem::replace(&mut self.asked, now) < now;
        moves && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_micros(50);

    fn at(nanoseconds: u64) -> Time {
        Time::from_nanos(nanoseconds)
    }

    #[test]
    fn it_stays_awake_for_the_span_after_an_event_and_not_a_nanosecond_more() {
        let mut awake = Awake::new(SPAN, at(0));
        assert!(!awake.stays(at(1)), "nothing has happened yet");
        awake.stir(at(1_000));
        assert!(awake.stays(at(1_001)) && awake.stays(at(50_999)));
        assert!(!awake.stays(at(51_000)) && !awake.stays(at(51_001)));
        awake.stir(at(60_000));
        assert!(awake.stays(at(109_999)), "each event begins it anew");
    }

    #[test]
    fn without_a_span_it_never_stays_awake() {
        let mut awake = Awake::new(Duration::ZERO, at(0));
        awake.stir(at(5));
        assert!(!awake.stays(at(5)) && !awake.stays(at(6)));
    }

    #[test]
    fn a_span_without_end_is_none() {
        let mut awake = Awake::new(Duration::MAX, at(0));
        awake.stir(at(5));
        assert!(awake.stays(at(u64::MAX - 1)));
    }

    #[test]
    fn it_does_not_wait_for_a_clock_that_stands_still() {
        let mut awake = Awake::new(SPAN, at(0));
        awake.stir(at(10));
        assert!(awake.stays(at(11)));
        assert!(!awake.stays(at(11)), "only a sleep moves this clock");
        assert!(awake.stays(at(12)));
    }
}
