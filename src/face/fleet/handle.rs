//! L4, the handle of a whole fleet: publishes to all of its threads, ends them, and tells what was lost between them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::face::fleet::crew::Crew;
use crate::face::{Remote, Stats};
use crate::ws::Prepared;

/// Reaches all threads of a [`Fleet`](crate::Fleet), from any thread: `Send`, `Sync`, and cheap to clone. Nothing it does
/// waits for another thread, but for [`FleetHandle::stats`].
#[derive(Clone, Debug)]
pub struct FleetHandle {
    pub(super) crew: Arc<Crew>,
}

/// Which threads took a message that was published to several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says which threads did not take it"]
pub struct Spread {
    /// So many took it: it reaches their subscribers in the order of whoever published it.
    pub taken: usize,
    /// These have as many messages waiting as may ([`Config::max_posts`](crate::Config::max_posts)) and did not: their
    /// subscribers won't get it, unless [`FleetHandle::publish_on`] is called for them, before the next message if the
    /// order matters.
    pub full: Vec<usize>,
    /// These have ended.
    pub gone: Vec<usize>,
}

/// What went from thread to thread since a fleet was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetCounts {
    /// Connections that thread 0 accepted and gave to another one.
    pub dealt: u64,
    /// Connections that were accepted and closed again, because no thread had room or it was about to end.
    pub turned_away: u64,
    /// How often a thread did not take a message, because its queue was full: [`Spread::full`] of all messages.
    pub overflowed: u64,
}

impl FleetHandle {
    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    /// Publishes a message to the subscribers of a topic on all threads. Its bytes are shared by all of them. What becomes
    /// of it where a subscriber does not keep up is up to
    /// [`Context::set_overflow`](crate::Context::set_overflow); [`Context::shed_by_all`](crate::Context::shed_by_all)
    /// counts.
    ///
    /// Messages of one thread keep their order with every subscriber, except that those of a handler by
    /// [`Context::publish_everywhere`](crate::Context::publish_everywhere) overtake those that its own thread published
    /// by this.
    pub fn publish(&self, topic: &str, message: &Prepared) -> Spread {
        self.crew.publish(0..self.threads(), topic, message)
    }

    /// The same for some of the threads, those that [`Spread::full`] named. A number that is none of a thread is passed
    /// over.
    pub fn publish_on(&self, threads: &[usize], topic: &str, message: &Prepared) -> Spread {
        self.crew.publish(threads.iter().copied(), topic, message)
    }

    /// Ends all threads in good order, as [`Context::shutdown`](crate::Context::shutdown) does for one.
    ///
    /// # Errors
    ///
    /// If the system refuses to wake one of them; it ends at its next event then.
    pub fn shutdown(&self, grace: Duration) -> io::Result<()> {
        self.crew.end(|remote| remote.shutdown(grace))
    }

    /// Ends all threads after their current turn; connections are not told.
    ///
    /// # Errors
    ///
    /// As [`FleetHandle::shutdown`].
    pub fn stop(&self) -> io::Result<()> {
        self.crew.end(Remote::stop)
    }

    /// What each thread has counted, by its number; [`Stats::merge`] adds them up. Waits for the threads, but no longer than
    /// `patience`: `None` for those that have not answered by then, because they are busy, have as many messages waiting as
    /// may, or do not run. Not for a handler: its own thread does not answer as long as it waits.
    #[must_use]
    pub fn stats(&self, patience: Duration) -> Vec<Option<Stats>> {
        self.crew.stats(patience)
    }

    /// What went from thread to thread so far.
    #[must_use]
    pub fn counts(&self) -> FleetCounts {
        self.crew.counts()
    }
}
