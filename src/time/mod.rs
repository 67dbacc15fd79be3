//! L0, points in time: knows no clock; whoever owns one says what the time is.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod backoff;
pub mod wheel;

pub use backoff::Backoff;

use std::fmt;
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since that clock began.
///
/// Points of two different clocks must not be compared. All arithmetic saturates: 584 years after the beginning time
/// stands still instead of wrapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The beginning of the clock.
    pub const ZERO: Time = Time(0);

    /// The last point there is: a deadline that never comes.
    pub const MAX: Time = Time(u64::MAX);

    /// The point `nanoseconds` after the beginning.
    #[must_use]
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Time(nanoseconds)
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `span` later, or [`Time::MAX`] if there is none.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Time(self.0.saturating_add(nanoseconds(span)))
    }

    /// The point `span` later, or `None` past the end of time.
    #[must_use]
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        u64::try_from(span.as_nanos()).ok().and_then(|nanoseconds| self.0.checked_add(nanoseconds)).map(Time)
    }

    /// The point `span` earlier, or [`Time::ZERO`] if there is none.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        Time(self.0.saturating_sub(nanoseconds(span)))
    }

    /// How long after `earlier` this point is; zero if it is before it.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Time({:?})", Duration::from_nanos(self.0))
    }
}

/// The span in nanoseconds, cut at what 64 bits hold.
fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_saturates_at_the_end_of_time() {
        assert_eq!(Time::from_nanos(u64::MAX - 1).saturating_add(Duration::from_nanos(1)), Time::MAX);
        assert_eq!(Time::from_nanos(u64::MAX - 1).saturating_add(Duration::from_nanos(2)), Time::MAX);
        assert_eq!(Time::ZERO.saturating_add(Duration::MAX), Time::MAX);
    }

    #[test]
    fn checked_addition_tells_the_end_of_time() {
        let last_but_one = Time::from_nanos(u64::MAX - 1);
        assert_eq!(last_but_one.checked_add(Duration::from_nanos(1)), Some(Time::MAX));
        assert_eq!(last_but_one.checked_add(Duration::from_nanos(2)), None);
        assert_eq!(Time::ZERO.checked_add(Duration::MAX), None);
    }

    #[test]
    fn a_span_is_never_negative() {
        let (early, late) = (Time::from_nanos(5), Time::from_nanos(7));
        assert_eq!(late.since(early), Duration::from_nanos(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.saturating_sub(Duration::from_secs(1)), Time::ZERO);
    }
}
