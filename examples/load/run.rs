//! One run: from its first message to its last echo, and what was measured on the way. Knows no connections.

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Counts and latencies.
#[derive(Debug)]
pub(crate) struct Run {
    began: Instant,
    /// When no more is sent.
    ends: Instant,
    /// When the last echo came.
    ended: Instant,
    /// Between two messages, at a fixed rate.
    pub(crate) interval: Option<Duration>,
    /// How many messages were sent.
    pub(crate) sent: u64,
    /// How many came back.
    pub(crate) echoed: u64,
    /// Nanoseconds from the send to the echo.
    pub(crate) service: Histogram<u64>,
    /// Nanoseconds from when the message was due to the echo.
    response: Histogram<u64>,
    cpu_before: u64,
    cpu_after: u64,
}

/// When a message was due, and when it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) due: Instant,
    pub(crate) sent: Instant,
}

impl Run {
    /// A run that sends from now on.
    pub(crate) fn new(rate: Option<f64>, span: Duration) -> Result<Self, Box<dyn Error>> {
        let began = Instant::now();
        let interval = rate.map(|rate| Duration::try_from_secs_f64(rate.recip())).transpose()?;
        let histogram = Histogram::new_with_max(LONGEST, 3)?;
        Ok(Self {
            began,
            ends: began + span,
            ended: began,
            interval,
            sent: 0,
            echoed: 0,
            service: histogram.clone(),
            response: histogram,
            cpu_before: own_cpu(),
            cpu_after: 0,
        })
    }

    /// Whether there is still something to send.
    #[inline]
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        now < self.ends
    }

    /// Whether all was sent and came back.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        !self.goes_on(now) && self.sent == self.echoed
    }

    /// What is still to come is overdue.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        now > self.ends + PATIENCE && now > self.ended + PATIENCE
    }

    /// At a fixed rate, when the next message is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let after = self.interval?.as_secs_f64() * self.sent as f64;
        Some(self.began + Duration::from_secs_f64(after))
    }

    #[inline]
    pub(crate) fn record(&mut self, stamp: Stamp, now: Instant) {
        self.echoed += 1;
        self.ended = now;
        self.service.saturating_record(nanoseconds(now - stamp.sent));
        if self.interval.is_some() {
            self.response.saturating_record(nanoseconds(now - stamp.due));
        }
    }

    pub(crate) fn finish(&mut self) {
        self.cpu_after = own_cpu();
        if self.interval.is_none() {
            // A client waited for each echo; one that does not would have sent another each time as long as usual.
            self.response = self.service.clone_correct(self.service.value_at_quantile(0.5));
        }
    }

    /// Latencies as those meet them who do not wait for each other.
    pub(crate) fn response(&self) -> &Histogram<u64> {
        &self.response
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now - self.began
    }

    /// From the first message to the last echo.
    pub(crate) fn seconds(&self) -> f64 {
        (self.ended - self.began).as_secs_f64()
    }

    pub(crate) fn messages_per_second(&self) -> f64 {
        self.echoed as f64 / self.seconds().max(f64::MIN_POSITIVE)
    }

    /// Nanoseconds of processor time of this program per message, where the system says.
    pub(crate) fn own_cpu_per_message(&self) -> f64 {
        (self.cpu_after.saturating_sub(self.cpu_before)) as f64 / self.echoed.max(1) as f64
    }
}

#[inline]
fn nanoseconds(span: Duration) -> u64 {
    span.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(span.subsec_nanos()))
}

/// Nanoseconds that this thread has run, as Linux counts them; 0 elsewhere.
fn own_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// A minute; what takes longer is counted as this.
const LONGEST: u64 = 60_000_000_000;
/// How long after the end of a run, and after the last echo, another one is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
