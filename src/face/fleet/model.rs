//! Tests alone: the threads of a fleet as they are, over systems that only sleep and wake, scheduled in thousands of orders.
//! Run by `RUSTFLAGS="--cfg shuttle" cargo test --lib model`.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread::{self, JoinHandle};

use crate::face::fleet::seat::{Seat, muster};
use crate::face::fleet::{FleetHandle, Spread, doors};
use crate::face::sleeper::Sleeper;
use crate::face::{Config, Context, Handler, Listen, PostError, Remote};
use crate::reactor::ConnId;
use crate::ws::Prepared;

/// Greets its only connection, which subscribes, and cries what it is posted to everybody.
struct Crier;

impl Handler for Crier {
    type Conn = ();
    type Post = u8;

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.subscribe(id, "all").unwrap();
        cx.send(id, &[GREETING]).map(drop).unwrap();
    }

    fn on_post(&mut self, cx: &mut Context<'_, Self>, post: u8) {
        if post == STOP {
            return cx.stop();
        }
        let (here, _) = cx.publish_everywhere("all", &mut Prepared::new(&[post]));
        assert_eq!(here.subscribers(), 1);
    }
}

/// A fleet whose threads run, each with one client.
struct World {
    fleet: FleetHandle,
    remotes: Vec<Remote<u8>>,
    /// What each client was sent.
    heard: Vec<Arc<Mutex<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl World {
    /// With queues of so many.
    fn new(threads: usize, max_posts: usize) -> Self {
        let mut config = Config { max_posts, ..Config::default() };
        config.settings.receive_budget = 4096;
        let systems: Vec<Sleeper> = (0..threads).map(|_| Sleeper::default()).collect();
        let heard = systems.iter().map(|system| Arc::clone(&system.heard)).collect();
        let (mut seats, fleet) = muster(systems, &config);
        doors::open(&mut seats, &"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap();
        let remotes = seats.iter().map(Seat::remote).collect();
        let run = |seat: Seat<u8, Sleeper>| {
            let (fleet, config) = (fleet.clone(), config.clone());
            thread::spawn(move || assert_eq!(seat.serve(&fleet, &config, &|_| Crier).unwrap(), None))
        };
        let world =
            Self { threads: seats.into_iter().map(run).collect(), fleet: fleet.clone(), remotes, heard };
        world.until(|heard| heard.iter().all(|bytes| *bytes == [GREETING]));
        world
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.iter().map(|heard| heard.lock().unwrap().clone()).collect()
    }

    fn until(&self, is_so: impl Fn(&[Vec<u8>]) -> bool) {
        while !is_so(&self.heard()) {
            thread::yield_now();
        }
    }

    fn join(self) {
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Publishes to every thread; to one whose queue is full, again once it had a chance.
fn publish(fleet: &FleetHandle, byte: u8) {
    let message = Prepared::new(&[byte]);
    let mut spread = fleet.publish("all", &message);
    while !spread.full.is_empty() {
        thread::yield_now();
        spread = fleet.publish_on(&spread.full, "all", &message);
    }
    assert_eq!(spread.gone, []);
}

fn post(remote: &Remote<u8>, mut byte: u8) {
    while let Err(PostError::Full(refused)) = remote.try_post(byte) {
        byte = refused;
        thread::yield_now();
    }
}

/// What of `bytes` is above `least` and below the next ten.
fn of(bytes: &[u8], least: u8) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| (least..least + 10).contains(byte)).collect()
}

fn publishers_are_heard(threads: usize, max_posts: usize) {
    let world = World::new(threads, max_posts);
    let publishers: Vec<_> = [10, 20]
        .map(|from| {
            let fleet = world.fleet.clone();
            thread::spawn(move || (from..from + 3).for_each(|byte| publish(&fleet, byte)))
        })
        .into();
    world.until(|heard| heard.iter().all(|bytes| bytes.len() == 7));
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    for bytes in world.heard() {
        assert_eq!((of(&bytes, 10), of(&bytes, 20)), (vec![10, 11, 12], vec![20, 21, 22]));
    }
    world.fleet.stop().unwrap();
    world.join();
}

#[test]
fn what_others_publish_reaches_every_thread_once_and_in_order() {
    shuttle::check_random(|| publishers_are_heard(2, 8), RANDOM);
    shuttle::check_pct(|| publishers_are_heard(2, 8), RANDOM, 4);
}

#[test]
fn a_full_queue_says_so_and_has_room_again() {
    shuttle::check_random(|| publishers_are_heard(2, 1), RANDOM);
    shuttle::check_random(|| publishers_are_heard(3, 1), RANDOM);
}

/// Both cry at once into queues of one: nobody waits for anybody, and what was not taken was counted.
fn handlers_publish_to_each_other() {
    let world = World::new(2, 1);
    for byte in 0..3 {
        world.remotes.iter().zip([10, 20]).for_each(|(remote, from)| post(remote, from + byte));
    }
    let lost = || usize::try_from(world.fleet.counts().overflowed).unwrap();
    world.until(|heard| heard.iter().map(Vec::len).sum::<usize>() + lost() == 14);
    for (bytes, own) in world.heard().iter().zip([10, 20]) {
        assert_eq!(of(bytes, own), [own, own + 1, own + 2], "nothing is lost at home");
        assert!(of(bytes, 30 - own).is_sorted_by(|before, after| before < after), "{bytes:?}");
    }
    world.fleet.stop().unwrap();
    world.join();
}

#[test]
fn handlers_that_publish_to_each_other_do_not_wait_for_each_other() {
    shuttle::check_random(handlers_publish_to_each_other, RANDOM);
    shuttle::check_pct(handlers_publish_to_each_other, RANDOM, 4);
}

#[test]
fn a_handler_that_stops_ends_all_threads_that_sleep() {
    shuttle::check_random(
        || {
            let world = World::new(3, 2);
            post(&world.remotes[1], STOP);
            world.join();
        },
        RANDOM,
    );
}

#[test]
fn a_thread_that_is_gone_is_named() {
    shuttle::check_random(
        || {
            let world = World::new(2, 2);
            let (fleet, message) = (world.fleet.clone(), Prepared::new("late"));
            fleet.stop().unwrap();
            world.join();
            let expected = Spread { gone: vec![0, 1], ..Spread::default() };
            assert_eq!(fleet.publish("all", &message), expected);
        },
        1,
    );
}

const GREETING: u8 = 1;
const STOP: u8 = 2;
/// Orders to try.
const RANDOM: usize = 2_000;
