//! L4, what the threads of a fleet know of each other: how each is reached, how many connections it has, and what one sends
//! another. Knows no handler.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::face::remote::Posts;
use crate::face::{FleetCounts, FleetHandle, PostError, Remote, Spread, Stats};
use crate::net::Peer;
use crate::reactor::ListenerId;
use crate::ws::Prepared;

/// What one thread is sent by another one.
#[derive(Debug)]
pub(in crate::face) enum Mail {
    /// A message for its subscribers.
    Publish(Arc<Notice>),
    /// A connection to be its own.
    Adopt(Arrival),
    /// A question for what it has counted.
    Report(Question),
}

/// Asks one thread for its [`Stats`].
#[derive(Debug)]
pub(in crate::face) struct Question {
    thread: usize,
    answers: SyncSender<(usize, Stats)>,
}

impl Question {
    /// There is room for the answers of all threads; whoever asked may have stopped waiting for them.
    pub(in crate::face) fn answer(&self, stats: Stats) {
        let _ = self.answers.try_send((self.thread, stats));
    }
}

/// A message and where it belongs; there once for all threads.
#[derive(Debug)]
pub(in crate::face) struct Notice {
    pub(super) topic: Box<str>,
    pub(super) message: Prepared,
}

/// A connection that was accepted on another thread.
#[derive(Debug)]
pub(in crate::face) struct Arrival {
    /// The number of the listener it came by.
    door: usize,
    pub(in crate::face) stream: OwnedFd,
    pub(in crate::face) peer: Peer,
}

/// All threads of a fleet.
#[derive(Debug)]
pub(super) struct Crew {
    places: Box<[Place]>,
    dealt: AtomicU64,
    turned_away: AtomicU64,
    overflowed: AtomicU64,
    /// All were told to end.
    ends: AtomicBool,
}

/// One thread, as the others see it.
#[derive(Debug)]
struct Place {
    remote: Remote<Mail>,
    /// How many connections it had when it looked last.
    connections: AtomicUsize,
    /// How many it was dealt and has not looked at.
    coming: AtomicUsize,
}

/// What a thread itself knows of its fleet.
#[derive(Debug)]
pub(in crate::face) struct Member {
    thread: usize,
    fleet: FleetHandle,
    mail: Posts<Mail>,
    /// The listeners of the fleet, by a number that is the same on all threads.
    doors: Vec<ListenerId>,
    /// Who was dealt a connection last.
    last: usize,
    /// Most connections of a thread.
    most: usize,
}

impl Crew {
    pub(super) fn new(remotes: impl Iterator<Item = Remote<Mail>>) -> Self {
        let place = |remote| Place { remote, connections: AtomicUsize::new(0), coming: AtomicUsize::new(0) };
        let [dealt, turned_away, overflowed] = [const { AtomicU64::new(0) }; 3];
        Self {
            places: remotes.map(place).collect(),
            dealt,
            turned_away,
            overflowed,
            ends: AtomicBool::new(false),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.places.len()
    }

    /// Puts a message into the queues of some threads.
    pub(super) fn publish(
        &self,
        threads: impl Iterator<Item = usize>,
        topic: &str,
        message: &Prepared,
    ) -> Spread {
        let notice = Arc::new(Notice { topic: topic.into(), message: message.clone() });
        let mut spread = Spread::default();
        for thread in threads {
            let Some(place) = self.places.get(thread) else { continue };
            match place.remote.try_post(Mail::Publish(Arc::clone(&notice))) {
                Ok(()) => spread.taken = spread.taken.saturating_add(1),
                Err(PostError::Full(_)) => spread.full.push(thread),
                Err(PostError::Gone(_)) => spread.gone.push(thread),
            }
        }
        count(&self.overflowed, spread.full.len());
        spread
    }

    /// Whether all were told to end.
    pub(super) fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// Ends every thread in some way, whatever becomes of it with one; the first error is the answer.
    pub(super) fn end(&self, act: impl Fn(&Remote<Mail>) -> io::Result<()>) -> io::Result<()> {
        self.ends.store(true, Ordering::Release);
        self.places.iter().map(|place| act(&place.remote)).fold(Ok(()), io::Result::and)
    }

    /// Asks every thread what it has counted, and waits for the answers, but no longer than this.
    pub(super) fn stats(&self, patience: Duration) -> Vec<Option<Stats>> {
        let (sender, answers) = sync_channel(self.threads());
        for (thread, place) in self.places.iter().enumerate() {
            // Who cannot be asked does not answer.
            drop(place.remote.try_post(Mail::Report(Question { thread, answers: sender.clone() })));
        }
        drop(sender);
        let (began, mut all) = (Instant::now(), vec![None; self.threads()]);
        while let Ok((thread, stats)) = answers.recv_timeout(patience.saturating_sub(began.elapsed())) {
            if let Some(place) = all.get_mut(thread) {
                *place = Some(stats);
            }
        }
        all
    }

    pub(super) fn counts(&self) -> FleetCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (dealt, turned_away) = (read(&self.dealt), read(&self.turned_away));
        FleetCounts { dealt, turned_away, overflowed: read(&self.overflowed) }
    }

    /// The threads that have fewer connections than `most`, those with fewest first; of several the next one after `last`.
    fn with_room(&self, most: usize, last: usize) -> Vec<usize> {
        let (before, after) = (0..=last, last.saturating_add(1)..self.threads());
        let loads = after.chain(before).filter_map(|thread| Some((thread, self.places.get(thread)?.load())));
        let mut loads: Vec<_> = loads.filter(|(_, load)| *load < most).collect();
        loads.sort_by_key(|(_, load)| *load);
        loads.into_iter().map(|(thread, _)| thread).collect()
    }
}

impl Place {
    /// Whoever comes is counted once at least: first among those that come, and only then no more among them.
    fn load(&self) -> usize {
        let coming = self.coming.load(Ordering::Acquire);
        coming.saturating_add(self.connections.load(Ordering::Relaxed))
    }
}

impl Member {
    pub(super) fn new(
        thread: usize,
        fleet: FleetHandle,
        mail: Posts<Mail>,
        doors: Vec<ListenerId>,
        most: usize,
    ) -> Self {
        Self { thread, fleet, mail, doors, last: thread, most }
    }

    pub(super) fn fleet(&self) -> &FleetHandle {
        &self.fleet
    }

    pub(in crate::face) fn next(&self) -> Option<Mail> {
        self.mail.next()
    }

    /// The listener that an arrival belongs to.
    pub(in crate::face) fn door(&self, arrival: &Arrival) -> Option<ListenerId> {
        self.doors.get(arrival.door).copied()
    }

    fn place(&self) -> Option<&Place> {
        self.fleet.crew.places.get(self.thread)
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let thread = self.thread;
        (0..self.fleet.threads()).filter(move |other| *other != thread)
    }

    /// Tells the others how many connections this thread has.
    pub(in crate::face) fn note(&self, connections: usize) {
        let Some(place) = self.place() else { return };
        // Most turns change nothing, and then the others' copy of it stays where it is.
        if place.connections.load(Ordering::Relaxed) != connections {
            place.connections.store(connections, Ordering::Relaxed);
        }
    }

    /// An arrival was looked at, and this became of it.
    pub(in crate::face) fn took(&self, taken: &io::Result<()>, connections: usize) {
        self.note(connections);
        if let Some(place) = self.place() {
            place.coming.fetch_sub(1, Ordering::Release);
        }
        if taken.is_err() {
            self.turn_away();
        }
    }

    fn turn_away(&self) {
        count(&self.fleet.crew.turned_away, 1);
    }

    /// Whether another thread has room for a connection.
    pub(in crate::face) fn may_deal(&self) -> bool {
        let places = &self.fleet.crew.places;
        self.others().filter_map(|other| places.get(other)).any(|place| place.load() < self.most)
    }

    /// Gives a connection to the thread that has fewest and takes it, or back where that is this one, which has `here`.
    pub(in crate::face) fn deal(
        &mut self,
        here: usize,
        listener: ListenerId,
        stream: OwnedFd,
        peer: Peer,
    ) -> Option<(OwnedFd, Peer)> {
        self.note(here);
        let Some(door) = self.doors.iter().position(|door| *door == listener) else {
            return Some((stream, peer));
        };
        let mut arrival = Arrival { door, stream, peer };
        for chosen in self.fleet.crew.with_room(self.most, self.last) {
            self.last = chosen;
            if chosen == self.thread {
                return Some((arrival.stream, arrival.peer));
            }
            // Where its queue is full the next one is asked.
            arrival = self.hand_over(chosen, arrival).err()?;
        }
        if here < self.most {
            return Some((arrival.stream, arrival.peer));
        }
        self.turn_away();
        None
    }

    /// Puts an arrival into the queue of a thread; it comes back where that takes no more.
    fn hand_over(&self, thread: usize, arrival: Arrival) -> Result<(), Arrival> {
        let crew = &self.fleet.crew;
        let Some(place) = crew.places.get(thread) else { return Err(arrival) };
        place.coming.fetch_add(1, Ordering::Relaxed);
        let Err(PostError::Full(mail) | PostError::Gone(mail)) = place.remote.try_post(Mail::Adopt(arrival))
        else {
            count(&crew.dealt, 1);
            return Ok(());
        };
        place.coming.fetch_sub(1, Ordering::Relaxed);
        match mail {
            Mail::Adopt(arrival) => Err(arrival),
            Mail::Publish(_) | Mail::Report(_) => Ok(()),
        }
    }

    /// Publishes to the subscribers on the other threads.
    pub(super) fn publish_elsewhere(&self, topic: &str, message: &Prepared) -> Spread {
        self.fleet.crew.publish(self.others(), topic, message)
    }

    /// A thread that cannot be woken ends at its next event.
    pub(in crate::face) fn shut_others_down(&self, grace: Duration) {
        self.to_others(|remote| remote.shutdown(grace));
    }

    /// The same, at once.
    pub(in crate::face) fn stop_others(&self) {
        self.to_others(Remote::stop);
    }

    fn to_others(&self, act: impl Fn(&Remote<Mail>) -> io::Result<()>) {
        let crew = &self.fleet.crew;
        crew.ends.store(true, Ordering::Release);
        self.others().filter_map(|other| crew.places.get(other)).for_each(|place| drop(act(&place.remote)));
    }
}

/// Who was dealt to a thread that has ended is turned away.
impl Drop for Member {
    fn drop(&mut self) {
        while let Some(mail) = self.next() {
            if matches!(mail, Mail::Adopt(_)) {
                self.turn_away();
            }
        }
    }
}

fn count(counter: &AtomicU64, more: usize) {
    if more > 0 {
        counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
