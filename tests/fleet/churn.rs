//! Clients that stay and clients that come and go on two threads, while handlers and other threads publish: each message
//! carries its number, and nobody misses one, gets one twice, or gets one before an earlier one of the same publisher.
//!
//! Lasts a few seconds, or as many as `GNEZDO_FLEET_CHURN` says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use gnezdo::{Config, ConnId, Context, Fleet, Handler, Message, Prepared};

use crate::rules::{CLOSE, Client, Dice, Directory, PATIENCE};
use crate::{Running, local, publish};

/// Threads that publish past all handlers.
const PUBLISHERS: usize = 2;
/// Clients whose handlers publish what they say; each waits until it hears itself.
const CRIERS: usize = 4;
/// Clients that hear everything from the first message to the last.
const STAYERS: usize = 4;
/// Threads with a client that comes and goes.
const CHURNERS: usize = 3;
/// So far the fastest publisher may be ahead of the slowest that stays.
const LEAD: u64 = 500;
/// What is published, again and again, once nothing else is.
const END: &[u8] = b"end";

/// Publishes to all threads what it is told, and to one whose queue is full a moment later.
#[derive(Default)]
struct Relay {
    late: VecDeque<(Vec<usize>, Prepared)>,
}

impl Handler for Relay {
    type Conn = ();
    type Post = &'static str;

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.subscribe(id, "all").unwrap();
        let _ = cx.send(id, "welcome");
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
        let mut message = Prepared::new(message);
        if let Some((threads, _)) = self.late.back().cloned() {
            // Not before those that wait.
            let _ = cx.publish("all", &mut message);
            return self.late.push_back((threads, message));
        }
        let (_, spread) = cx.publish_everywhere("all", &mut message);
        if !spread.full.is_empty() {
            self.late.push_back((spread.full, message));
            cx.set_timer(Duration::from_millis(1), 0);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, _token: u64) {
        let fleet = cx.fleet().unwrap();
        while let Some((threads, message)) = self.late.pop_front() {
            let full = fleet.publish_on(&threads, "all", &message).full;
            if !full.is_empty() {
                self.late.push_front((full, message));
                cx.set_timer(Duration::from_millis(1), 0);
                return;
            }
        }
    }
}

/// What happened so far.
#[derive(Default)]
struct Ledger {
    stop: AtomicBool,
    /// How many messages each publisher published, criers behind the others.
    published: [AtomicU64; PUBLISHERS + CRIERS],
    /// How many messages each stayer heard of all.
    heard: [AtomicU64; STAYERS],
    arrivals: AtomicU64,
}

impl Ledger {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn all_published(&self) -> u64 {
        self.published.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// The next message of a publisher, which is noted before it is published.
    fn next(&self, publisher: usize) -> String {
        format!("{publisher} {}", self.published[publisher].fetch_add(1, Ordering::SeqCst))
    }

    /// Waits until the slowest stayer is near.
    fn keep_near(&self) {
        let slowest = || self.heard.iter().map(|count| count.load(Ordering::SeqCst)).min().unwrap();
        let began = Instant::now();
        while self.all_published() > slowest() + LEAD {
            assert!(began.elapsed() < PATIENCE, "{} of {} are heard", slowest(), self.all_published());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A client, and of each publisher the number that has to come next.
struct Ear {
    client: Client,
    next: BTreeMap<usize, u64>,
}

impl Ear {
    /// One that has subscribed, by one of the two ways.
    fn open(running: &Running, number: usize) -> Self {
        let mut client = Client::open_at(&running.addrs[number % running.addrs.len()]);
        client.expect_text("welcome");
        Self { client, next: BTreeMap::new() }
    }

    /// The publisher of the next message; `None` at the end.
    fn hear(&mut self) -> Option<usize> {
        let message = self.client.message();
        if message == END {
            return None;
        }
        let text = String::from_utf8(message).unwrap();
        let (publisher, number) = text.split_once(' ').unwrap();
        let (publisher, number) = (publisher.parse().unwrap(), number.parse().unwrap());
        // Whoever came in the middle begins there.
        let next = self.next.entry(publisher).or_insert(number);
        assert_eq!(number, *next, "of publisher {publisher}");
        *next += 1;
        Some(publisher)
    }

    /// In one of the ways in which clients leave.
    fn leave(mut self, dice: &mut Dice) {
        match dice.below(4) {
            0 => self.client.reset(),
            1 => self.client.shut(),
            2 => {}
            _ => {
                self.client.close(1000);
                while self.client.next().opcode != CLOSE {}
            }
        }
    }
}

#[test]
fn no_message_is_lost_doubled_or_overtaken_while_clients_come_and_go() {
    let seconds = std::env::var("GNEZDO_FLEET_CHURN").map_or(3.0, |seconds| seconds.parse().unwrap());
    let directory = Directory::new("churn");
    // Small queues between the threads, so that they are full now and then; large ones for clients that a busy machine
    // keeps from reading.
    let mut config = Config { max_posts: 16, ..Config::default() };
    config.settings.max_queue = 64 << 20;
    // Who only listens is not asked whether it is still there.
    (config.timeouts.ping, config.timeouts.idle) = (None, None);
    let fleet = Fleet::new(2, config, |_| Relay::default()).unwrap();
    let running = Running::of(&[local(), directory.addr("relay")], fleet);
    let ledger = Ledger::default();
    live(&running, &ledger, Duration::from_secs_f64(seconds));
    let (published, arrivals) = (ledger.all_published(), ledger.arrivals.load(Ordering::SeqCst));
    let counts = running.fleet.counts();
    println!("{published} messages to {STAYERS} that stayed and {arrivals} that came and went; {counts:?}");
    assert!(published > 100 && arrivals > 10);
    assert_eq!(counts.turned_away, 0);
}

fn live(running: &Running, ledger: &Ledger, span: Duration) {
    std::thread::scope(|scope| {
        // All are there before anything is said.
        let stayers: Vec<Ear> = (0..STAYERS).map(|number| Ear::open(running, number)).collect();
        let criers: Vec<Ear> = (0..CRIERS).map(|number| Ear::open(running, number)).collect();
        let hearers = stayers.into_iter().enumerate();
        let hearers = hearers.map(|(number, ear)| scope.spawn(move || stay(ear, number, ledger)));
        let mut hearers: Vec<ScopedJoinHandle<'_, ()>> = hearers.collect();
        hearers.extend((0..CHURNERS).map(|number| scope.spawn(move || come_and_go(running, number, ledger))));
        let criers = (PUBLISHERS..).zip(criers);
        let criers = criers.map(|(number, ear)| scope.spawn(move || cry(ear, number, ledger)));
        let mut speakers: Vec<ScopedJoinHandle<'_, ()>> = criers.collect();
        speakers.extend((0..PUBLISHERS).map(|number| scope.spawn(move || tell(running, number, ledger))));
        let end = Instant::now() + span;
        let fails = || hearers.iter().chain(&speakers).any(ScopedJoinHandle::is_finished);
        while Instant::now() < end && !fails() {
            std::thread::sleep(Duration::from_millis(20));
        }
        ledger.stop.store(true, Ordering::SeqCst);
        for speaker in speakers {
            speaker.join().unwrap();
        }
        while !hearers.iter().all(ScopedJoinHandle::is_finished) {
            publish(&running.fleet, std::str::from_utf8(END).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

/// Hears everything there was, and only then believes in the end: that may overtake what others published.
fn stay(mut ear: Ear, number: usize, ledger: &Ledger) {
    let (mut count, mut has_ended) = (0, false);
    while !has_ended || count < ledger.all_published() {
        match ear.hear() {
            Some(_) => count += 1,
            None => has_ended = true,
        }
        ledger.heard[number].store(count, Ordering::SeqCst);
    }
    let heard: Vec<u64> = ear.next.into_values().collect();
    let published: Vec<u64> = ledger.published.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert_eq!(heard, published);
}

fn cry(mut ear: Ear, publisher: usize, ledger: &Ledger) {
    while ledger.goes_on() {
        ear.client.text(&ledger.next(publisher));
        while ear.hear() != Some(publisher) {}
    }
}

fn tell(running: &Running, publisher: usize, ledger: &Ledger) {
    while ledger.goes_on() {
        (0..20).for_each(|_| publish(&running.fleet, &ledger.next(publisher)));
        std::thread::sleep(Duration::from_millis(1));
        ledger.keep_near();
    }
}

fn come_and_go(running: &Running, number: usize, ledger: &Ledger) {
    let mut dice = Dice::new(number as u64 + 1);
    for round in 0.. {
        if !ledger.goes_on() {
            return;
        }
        let mut ear = Ear::open(running, number + round);
        ledger.arrivals.fetch_add(1, Ordering::SeqCst);
        for _ in 0..dice.below(50) {
            if ear.hear().is_none() {
                return;
            }
        }
        ear.leave(&mut dice);
    }
}
