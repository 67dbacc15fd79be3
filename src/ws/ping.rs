//! How fast pings may come: the generic cell rate algorithm (ITU-T I.371) in four bytes. Knows no clock.

/// Lets through so many pings per second, and as many at once after a second of silence.
///
/// `due` is the theoretical arrival time: the microsecond, modulo 2³², at which the burst would be paid off. Legal
/// values lie at most a second ahead of now; anything else is the past seen through the wrap of the counter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PingLimiter {
    due: u32,
}

impl PingLimiter {
    /// Whether a ping may pass at `now_ms`, and counts it if it may.
    pub(super) fn admit(&mut self, now_ms: u64, per_second: u32) -> bool {
        let Some(interval) = SECOND.checked_div(per_second) else { return false };
        let now = microseconds(now_ms);
        let ahead = self.due.wrapping_sub(now);
        let ahead = if ahead > SECOND { 0 } else { ahead };
        let ahead = ahead.saturating_add(interval);
        if ahead > SECOND {
            return false;
        }
        self.due = now.wrapping_add(ahead);
        true
    }
}

/// Microseconds modulo 2³².
fn microseconds(now_ms: u64) -> u32 {
    let [a, b, c, d, ..] = now_ms.wrapping_mul(1000).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// In microseconds.
const SECOND: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_seconds_worth_passes_and_one_more_does_not() {
        for rate in [1, 2, 3, 99, 100, 1000, 1_000_000] {
            let mut limiter = PingLimiter::default();
            let passed = (0..=rate).filter(|_| limiter.admit(5_000, rate)).count();
            assert_eq!(passed, rate as usize, "{rate}");
        }
        assert!(!PingLimiter::default().admit(0, 0));
    }

    #[test]
    fn the_allowance_comes_back_at_the_rate() {
        let mut limiter = PingLimiter::default();
        assert!((0..100).all(|_| limiter.admit(0, 100)));
        assert!(!limiter.admit(9, 100));
        assert!(limiter.admit(10, 100));
        assert!(!limiter.admit(10, 100));
        assert!((0..50).all(|_| limiter.admit(510, 100)));
        assert!(!limiter.admit(510, 100));
    }

    #[test]
    fn a_steady_rate_passes_for_ever_and_over_every_wrap_of_the_counter() {
        let mut limiter = PingLimiter::default();
        assert!((0..2_000_000_u64).all(|tick| limiter.admit(tick * 10, 100)));
    }

    #[test]
    fn a_long_silence_never_counts_against_the_peer() {
        for silence in [1_u64 << 31, 1 << 32, 4_294_967, 4_294_968, 40 * 86_400_000] {
            let mut limiter = PingLimiter::default();
            assert!((0..50).all(|_| limiter.admit(1, 100)));
            assert!(limiter.admit(1 + silence, 100), "{silence}");
        }
    }
}
