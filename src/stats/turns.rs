//! L0, how long the turns of a loop take: a sum, the longest, and a histogram of a sample; knows no clock.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How many turns there were, and how long they took.
///
/// A turn is measured from the moment when the loop knows what is to be done until it has done it: the callbacks of all
/// connections, timers and posts that were due, and the system calls between them, but not the wait. So it is what an
/// event that comes at its beginning has to wait at most.
///
/// One of 16 turns with something to do goes into the histogram, which tells spans up to 60 s apart by 1 %, and by 128 ns
/// where that is more. It takes 23 KiB, whatever happens.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Turns {
    /// All turns.
    pub all: u64,
    /// Those with something to do; the others only looked.
    pub busy: u64,
    nanoseconds: u64,
    longest: u64,
    sampled_nanoseconds: u64,
    /// `None` where nothing was ever measured.
    samples: Option<Histogram<u64>>,
}

impl Turns {
    /// None yet, and memory for all that may come.
    pub(crate) fn measured() -> Self {
        Self { samples: histogram(), ..Self::default() }
    }

    /// A turn had something to do, and took so long.
    #[inline]
    pub(crate) fn note(&mut self, nanoseconds: u64) {
        if self.busy.is_multiple_of(SAMPLED) {
            self.sample(nanoseconds);
        }
        super::add_one(&mut self.busy);
        super::add(&mut self.nanoseconds, nanoseconds);
        self.longest = self.longest.max(nanoseconds);
    }

    #[cold]
    fn sample(&mut self, nanoseconds: u64) {
        super::add(&mut self.sampled_nanoseconds, nanoseconds);
        if let Some(samples) = &mut self.samples {
            samples.saturating_record(nanoseconds);
        }
    }

    /// How long all turns with something to do took together: over a span of time, the share of it in which the loop was
    /// busy.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// How long the longest took, in the sample or not.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// How many turns are in the sample.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.as_ref().map_or(0, Histogram::len)
    }

    /// How long those of the sample took together.
    #[must_use]
    pub fn sampled_time(&self) -> Duration {
        Duration::from_nanos(self.sampled_nanoseconds)
    }

    /// How many turns of the sample took `span` or less.
    #[must_use]
    pub fn samples_within(&self, span: Duration) -> u64 {
        let most = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.samples.as_ref().map_or(0, |samples| samples.count_between(0, most))
    }

    /// What so large a part of the sample, from 0 to 1, did not exceed; zero where there is no sample.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let samples = self.samples.as_ref();
        Duration::from_nanos(samples.map_or(0, |samples| samples.value_at_quantile(part)))
    }

    /// Adds those of another loop; the longest is that of both.
    pub fn merge(&mut self, other: &Self) {
        super::add(&mut self.all, other.all);
        super::add(&mut self.busy, other.busy);
        super::add(&mut self.nanoseconds, other.nanoseconds);
        super::add(&mut self.sampled_nanoseconds, other.sampled_nanoseconds);
        self.longest = self.longest.max(other.longest);
        if let Some(theirs) = &other.samples {
            // All histograms have the same bounds, so none is too large for another.
            let _ = self.samples.get_or_insert_with(|| Histogram::new_from(theirs)).add(theirs);
        }
    }
}

/// The bounds below are good ones, so there always is a histogram.
fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(FINEST, LONGEST, DIGITS).ok()
}

/// One of so many turns is sampled: to record a span costs about as many instructions as half a message.
const SAMPLED: u64 = 16;
/// Nanoseconds by which spans are told apart at least.
const FINEST: u64 = 128;
/// Longer ones count as this.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(each: impl IntoIterator<Item = u64>) -> Turns {
        let mut turns = Turns::measured();
        each.into_iter().for_each(|nanoseconds| turns.note(nanoseconds));
        turns
    }

    #[test]
    fn one_of_sixteen_turns_is_sampled_and_each_is_counted() {
        let turns = turns((0..160).map(|n| if n % 16 == 0 { 1_000 } else { 2_000_000 }));
        assert_eq!((turns.busy, turns.samples()), (160, 10));
        assert_eq!(turns.sampled_time(), Duration::from_micros(10));
        assert_eq!(turns.time(), Duration::from_micros(10) + 150 * Duration::from_millis(2));
        assert_eq!(turns.longest(), Duration::from_millis(2), "though it was not sampled");
        assert_eq!(turns.samples_within(Duration::from_micros(2)), 10);
        assert_eq!(turns.samples_within(Duration::from_nanos(500)), 0);
    }

    #[test]
    fn a_quantile_is_right_to_one_percent() {
        let turns = turns((0..16_000).map(|n| (n / 16) * 1_000_000));
        for (part, millis) in [(0.5, 499.0), (0.99, 989.0), (1.0, 999.0)] {
            let off = turns.quantile(part).as_secs_f64() * 1_000.0 / millis;
            assert!((0.99..1.01).contains(&off), "{part}: {:?}", turns.quantile(part));
        }
    }

    #[test]
    fn the_longest_span_of_all_is_counted_too() {
        let turns = turns([u64::MAX]);
        assert_eq!(turns.samples_within(Duration::MAX), 1);
        assert!(turns.quantile(1.0) >= Duration::from_secs(59), "{:?}", turns.quantile(1.0));
    }

    #[test]
    fn the_histogram_takes_no_more_than_it_says() {
        let samples = Turns::measured().samples.unwrap();
        assert!(samples.distinct_values() * size_of::<u64>() <= 23 * 1024, "{}", samples.distinct_values());
    }

    #[test]
    fn turns_of_several_loops_are_those_of_one() {
        let (first, second) = (turns([1_000; 32]), turns([3_000_000; 48]));
        let mut sum = Turns::default();
        sum.merge(&first);
        sum.merge(&second);
        assert_eq!((sum.busy, sum.samples()), (80, 5));
        assert_eq!(sum.samples_within(Duration::from_micros(10)), 2);
        assert_eq!(sum.longest(), second.longest());
        assert_eq!(sum.time(), first.time() + second.time());
    }

    #[test]
    fn where_nothing_was_measured_everything_is_zero() {
        let none = Turns::default();
        assert_eq!((none.samples(), none.quantile(0.5)), (0, Duration::ZERO));
        assert_eq!(none.samples_within(Duration::MAX), 0);
    }
}
