//! L0, when to try again: exponential with full jitter, as a value without a clock; knows not what is tried.
//!
//! After M. Brooker, "Exponential backoff and jitter" (AWS Architecture Blog, 2015): each pause is drawn evenly from
//! zero up to a bound that doubles, so that many who failed at once do not come back at once.

use std::time::Duration;

/// The pauses between attempts, one after the other; the same for the same seed.
///
/// ```
/// use std::time::Duration;
/// use gnezdo::time::Backoff;
///
/// let mut backoff = Backoff::new(7).between(Duration::from_millis(100), Duration::from_secs(30)).at_most(3);
/// assert!(backoff.pause().is_some_and(|pause| pause <= Duration::from_millis(100)));
/// assert!(backoff.pause().is_some_and(|pause| pause <= Duration::from_millis(200)));
/// assert!(backoff.pause().is_some_and(|pause| pause <= Duration::from_millis(400)));
/// assert_eq!(backoff.pause(), None, "three attempts were enough");
/// backoff.reset();
/// assert_eq!(backoff.attempts(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempts: u32,
    at_most: Option<u32>,
    state: u64,
}

impl Backoff {
    /// Pauses of up to 250 ms at first and up to 30 s at last, without end. Every client needs a seed of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (first, most) = (Duration::from_millis(250), Duration::from_secs(30));
        Self { first, most, attempts: 0, at_most: None, state: seed }
    }

    /// Sets the bound of the first pause and of the longest.
    #[must_use]
    pub fn between(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most);
        self
    }

    /// Gives up after so many attempts in a row.
    #[must_use]
    pub fn at_most(mut self, attempts: u32) -> Self {
        self.at_most = Some(attempts);
        self
    }

    /// How long to wait before the next attempt; `None` where there is to be none.
    pub fn pause(&mut self) -> Option<Duration> {
        if self.at_most.is_some_and(|most| self.attempts >= most) {
            return None;
        }
        let doubled = 2u32.saturating_pow(self.attempts.min(31));
        let bound = self.first.saturating_mul(doubled).min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        let nanoseconds = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(self.draw(nanoseconds)))
    }

    /// An attempt succeeded: the next failure starts with short pauses again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many pauses were taken since the start or the last [`Backoff::reset`].
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A number from 0 to `most`: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014), scaled by a wide multiplication.
    fn draw(&mut self, most: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let scaled = u128::from(mixed).saturating_mul(u128::from(most).saturating_add(1)) >> 64;
        u64::try_from(scaled).unwrap_or(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_within_its_bound_and_the_bound_doubles_up_to_the_longest() {
        for seed in 0..1_000 {
            let mut backoff =
                Backoff::new(seed).between(Duration::from_millis(10), Duration::from_millis(75));
            for bound in [10, 20, 40, 75, 75, 75] {
                assert!(backoff.pause().unwrap() <= Duration::from_millis(bound));
            }
        }
    }

    #[test]
    fn pauses_are_spread_over_the_whole_bound() {
        let pauses: Vec<u128> =
            (0..4_000).map(|seed| Backoff::new(seed).pause().unwrap().as_millis()).collect();
        for quarter in 0..4u128 {
            let within = pauses.iter().filter(|pause| **pause * 4 / 251 == quarter).count();
            assert!((850..1_150).contains(&within), "{within} of 4,000 in quarter {quarter}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses_and_another_one_others() {
        let take = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 8].map(|()| backoff.pause())
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn extreme_spans_do_not_overflow() {
        let mut backoff = Backoff::new(1).between(Duration::MAX, Duration::MAX);
        assert!((0..100).all(|_| backoff.pause().is_some()));
        assert_eq!(Backoff::new(1).at_most(0).pause(), None);
    }
}
