//! Many connections at once that have only to be there, and to be ended.

use std::time::{Duration, Instant};

use super::Peer;

pub(crate) struct Crowd(pub(crate) Vec<Peer>);

impl Crowd {
    pub(crate) fn new(count: usize, enter: impl FnMut(usize) -> Peer) -> Self {
        Self((0..count).map(enter).collect())
    }

    /// Waits until the server has ended all of them, and says after how long.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, limit: Duration) -> Duration {
        let began = Instant::now();
        loop {
            self.0.retain_mut(|peer| !peer.has_ended());
            if self.0.is_empty() {
                return began.elapsed();
            }
            assert!(began.elapsed() < limit, "{} still open after {limit:?}", self.0.len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many of them the server has ended by now; these leave.
    pub(crate) fn take_ended(&mut self) -> usize {
        let before = self.0.len();
        self.0.retain_mut(|peer| !peer.has_ended());
        before - self.0.len()
    }
}
