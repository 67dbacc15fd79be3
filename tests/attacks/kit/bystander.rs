//! Healthy clients beside an attack: they echo by a timetable, check every echo, and note how late each was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Frame, Peer};
use crate::support::Target;

/// Healthy clients on threads of their own.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

/// How many clients there are, on how many threads, and how long after one message of a thread its next is due,
/// whosever it is.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) clients: usize,
    pub(crate) threads: usize,
    pub(crate) pause: Duration,
}

impl Schedule {
    /// A single client, fifty messages per second.
    pub(crate) const ONE: Self = Self { clients: 1, threads: 1, pause: Duration::from_millis(20) };
    /// A hundred clients, each with ten messages per second.
    pub(crate) const HUNDRED: Self = Self { clients: 100, threads: 100, pause: Duration::from_millis(100) };
    /// A thousand that are mostly idle, each of which speaks every five seconds.
    pub(crate) const QUIET: Self = Self { clients: 1_000, threads: 20, pause: Duration::from_millis(100) };
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
        let mut clients: Vec<Peer> =
            (0..schedule.clients).map(|_| Peer::new(target.connect().unwrap()).opened()).collect();
        // The server's first touch of its buffers is no growth.
        let large = Frame::binary(vec![7; 60_000]);
        assert!(clients[0].frame(&large));
        clients[0].expect(&large);
        let each = schedule.clients.div_ceil(schedule.threads);
        let threads = (0..schedule.threads).map(|number| {
            let mut share = clients.split_off(clients.len().saturating_sub(each));
            let told = Arc::clone(&stop);
            // Not all at the same moment.
            let first = schedule.pause.mul_f64(f64::from(u32::try_from(number).unwrap()) / 100.0);
            std::thread::spawn(move || serve(&mut share, Instant::now() + first, schedule.pause, &told))
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Ends it, and tells how it was served, or why it was not.
    pub(crate) fn finish(self) -> Result<Service, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut delays = Vec::new();
        for thread in self.threads {
            delays.extend(thread.join().map_err(|panic| super::judge::message(panic.as_ref()))?);
        }
        delays.sort_unstable();
        let at = |share: usize| delays.get((delays.len() * share / 100).min(delays.len().saturating_sub(1)));
        let (p99, worst) = (at(99).copied().unwrap_or_default(), at(100).copied().unwrap_or_default());
        Ok(Service { messages: delays.len(), p99, worst })
    }
}

/// Each message is late by the time from when it was due, not from when it could be sent: one that waited behind a
/// late one is late as well.
fn serve(clients: &mut [Peer], began: Instant, pause: Duration, stop: &AtomicBool) -> Vec<Duration> {
    let mut delays = Vec::new();
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
