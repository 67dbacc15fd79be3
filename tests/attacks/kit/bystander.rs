//! Healthy clients beside an attack: they echo by a timetable, check every echo, and note how late each was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Frame, Peer};
use crate::support::Target;

/// Healthy clients on a thread of their own.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// How many clients there are, and how long after one message the next is due, whosever it is.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) clients: usize,
    pub(crate) pause: Duration,
}

impl Schedule {
    /// A single client, a hundred messages per second.
    pub(crate) const ONE: Self = Self { clients: 1, pause: Duration::from_millis(10) };
}

/// How healthy clients were served.
#[derive(Clone, Copy, Default)]
pub(crate) struct Service {
    pub(crate) messages: usize,
    pub(crate) p99: Duration,
    pub(crate) worst: Duration,
}

impl Bystander {
    pub(crate) fn start(target: &Target, schedule: Schedule) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, target) = (Arc::clone(&stop), target.clone());
        let mut clients: Vec<Peer> =
            (0..schedule.clients).map(|_| Peer::new(target.connect().unwrap()).opened()).collect();
        // The server's first touch of its buffers is no growth.
        let large = Frame::binary(vec![7; 60_000]);
        assert!(clients[0].frame(&large));
        clients[0].expect(&large);
        let thread = std::thread::spawn(move || serve(&mut clients, schedule.pause, &told));
        Self { stop, thread }
    }

    /// Ends it, and tells how it was served. Panics where it was not.
    pub(crate) fn finish(self) -> Result<Service, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut delays = self.thread.join().map_err(|panic| super::judge::message(panic.as_ref()))?;
        delays.sort_unstable();
        let at = |share: usize| delays.get((delays.len() * share / 100).min(delays.len().saturating_sub(1)));
        let (p99, worst) = (at(99).copied().unwrap_or_default(), at(100).copied().unwrap_or_default());
        Ok(Service { messages: delays.len(), p99, worst })
    }
}

/// Each message is late by the time from when it was due, not from when it could be sent: one that waited behind a
/// late one is late as well.
fn serve(clients: &mut [Peer], pause: Duration, stop: &AtomicBool) -> Vec<Duration> {
    let (began, mut delays) = (Instant::now(), Vec::new());
    for number in 0.. {
        let due = began + pause * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = number as usize % clients.len();
        clients[at].expect_echo(&format!("message {number} of a healthy client"));
        delays.push(due.elapsed());
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    delays
}
