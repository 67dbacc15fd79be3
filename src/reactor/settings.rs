//! L3, the bounds a loop keeps: plain numbers; knows no protocol.

use std::time::Duration;

/// Budgets, marks and bounds of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most connections at once; at the bound the listeners wait, and so do the clients, in the kernel's backlog.
    /// Default 1,000,000.
    pub max_connections: usize,
    /// Most connections accepted per turn, so that a storm of them does not delay those that are there (R48).
    /// Default 128.
    pub accept_budget: usize,
    /// Most bytes received from a connection per turn, so that none starves the others (R24). 4 KiB to 16 MiB,
    /// default 128 KiB. Also the size of the loop's receive buffer.
    pub receive_budget: usize,
    /// Most bytes received from a connection per turn straight into the buffer of a large message, which need no parsing:
    /// those behind the message's beginning come in the same turn. At least 1, default 1 MiB.
    pub landing_budget: usize,
    /// Most steps of TLS handshakes done per turn, so that a flood of them delays those that are there by little: one
    /// takes up to a millisecond. To receive a part of a record is none, and is done for up to 64 of them. Default 1, which
    /// is as fast as more where a turn costs less than a step; raise it where turns are long.
    pub handshake_budget: usize,
    /// Most timers run per turn; the rest are run in the next. Default 1,024.
    pub timer_budget: usize,
    /// Most bytes that wait for a connection in user space; a send beyond it is refused (R36). Where a shared message is
    /// to wait as well, each of those counts 64 bytes more. Default 2 MiB.
    pub max_queue: usize,
    /// Most bytes that the kernel has refused of all connections together, with 64 more for each shared message. Beyond it
    /// the connection of which most wait is cut, and the next one, until the rest fits (R36): who takes least pays for all.
    /// Default 1 GiB.
    pub max_queued: usize,
    /// Above so many bytes refused by the kernel, nothing more is read from a connection: what a peer asks for must not
    /// pile up. Shared messages do not count, since others go on with them whatever this peer does: for those there is
    /// [`Overflow`](crate::Overflow). Default 64 KiB.
    pub high_water: usize,
    /// At so many bytes and below, it is read again. Default 16 KiB.
    pub low_water: usize,
    /// Most bytes of emptied queues kept for the next ones; the rest is the system's again. Default 4 MiB. Raise it
    /// when many peers take megabytes more slowly than they are sent.
    pub queue_pool: usize,
    /// How long a peer may take none of the bytes waiting for it (R42). Default 30 s.
    pub stall_timeout: Duration,
    /// How long a connection that has sent its last byte may wait for the peer's end of stream (R41). Default 2 s.
    pub linger_timeout: Duration,
    /// How many bytes it reads and discards meanwhile. Default 64 KiB.
    pub linger_bytes: usize,
    /// How long a listener without descriptors waits before it tries again, where none was freed before (R26).
    /// Default 100 ms.
    pub accept_retry: Duration,
    /// How long after the last event the loop goes on polling without sleeping: whatever comes within that time is met
    /// without the microseconds that waking a thread takes. Default zero: it sleeps at once. Give it more than the usual
    /// gap between events, and a core of its own, or it makes things worse; [`Duration::MAX`] never sleeps once something
    /// has happened. Turns then come without events, and cost what an empty poll does.
    pub busy_poll: Duration,
    /// A turn that takes longer is told of ([`Handler::on_slow_turn`](crate::Handler::on_slow_turn)): for as long, nobody
    /// else was served. `None` tells of none. Default 100 ms.
    pub slow_turn: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1_000_000,
            accept_budget: 128,
            receive_budget: 128 * 1024,
            landing_budget: 1024 * 1024,
            handshake_budget: 1,
            timer_budget: 1_024,
            max_queue: 2 * 1024 * 1024,
            max_queued: 1024 * 1024 * 1024,
            high_water: 64 * 1024,
            low_water: 16 * 1024,
            queue_pool: 4 * 1024 * 1024,
            stall_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(2),
            linger_bytes: 64 * 1024,
            accept_retry: Duration::from_millis(100),
            busy_poll: Duration::ZERO,
            slow_turn: Some(Duration::from_millis(100)),
        }
    }
}

/// Settings that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A budget or bound of zero would stop the loop.
    #[error("{0} is 0: nothing would ever happen; give it at least 1")]
    Zero(&'static str),
    /// The receive budget is outside 4 KiB to 16 MiB.
    #[error("receive_budget is {0} bytes: give it 4 KiB to 16 MiB")]
    ReceiveBudget(usize),
    /// The water marks are out of order.
    #[error("low_water ≤ high_water ≤ max_queue must hold, but they are {low}, {high} and {max} bytes")]
    WaterMarks {
        /// `low_water`
        low: usize,
        /// `high_water`
        high: usize,
        /// `max_queue`
        max: usize,
    },
}

impl Settings {
    /// Whether a loop can run with these.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), SettingsError> {
        let counts = [
            ("max_connections", self.max_connections),
            ("accept_budget", self.accept_budget),
            ("timer_budget", self.timer_budget),
            ("landing_budget", self.landing_budget),
            ("handshake_budget", self.handshake_budget),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(SettingsError::Zero(name));
        }
        if !(4 * 1024..=16 * 1024 * 1024).contains(&self.receive_budget) {
            return Err(SettingsError::ReceiveBudget(self.receive_budget));
        }
        let (low, high, max) = (self.low_water, self.high_water, self.max_queue);
        if low > high || high > max {
            return Err(SettingsError::WaterMarks { low, high, max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn a_contradiction_is_an_error_that_names_it() {
        let zero = Settings { accept_budget: 0, ..Settings::default() };
        assert_eq!(zero.check(), Err(SettingsError::Zero("accept_budget")));
        for receive_budget in [0, 4_095, 16 * 1024 * 1024 + 1] {
            let settings = Settings { receive_budget, ..Settings::default() };
            assert_eq!(settings.check(), Err(SettingsError::ReceiveBudget(receive_budget)));
        }
        let marks = Settings { low_water: 5, high_water: 4, ..Settings::default() };
        assert!(marks.check().unwrap_err().to_string().contains("low_water ≤ high_water"));
        let marks = Settings { high_water: 5, low_water: 4, max_queue: 4, ..Settings::default() };
        assert!(marks.check().is_err());
    }
}
