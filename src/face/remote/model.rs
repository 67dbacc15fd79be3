//! Tests alone: the remote, the alert and the loop as they are, over a system that only sleeps and wakes, with the threads
//! scheduled in thousands of orders. Run by `RUSTFLAGS="--cfg shuttle" cargo test --lib model`.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use crate::face::sleeper::{Bell, Sleeper};
use crate::face::{Config, Context, Handler, PostError, Reactor, Remote};

/// Notes what was posted.
#[derive(Debug, Default)]
struct Notes {
    posts: Vec<u32>,
}

impl Handler for Notes {
    type Conn = ();
    type Post = u32;

    fn on_post(&mut self, _: &mut Context<'_, Self>, post: u32) {
        self.posts.push(post);
    }
}

fn reactor(max_posts: usize, post_budget: usize) -> (Reactor<Notes, Sleeper>, Arc<Bell>) {
    let (system, mut config) = (Sleeper::default(), Config { max_posts, post_budget, ..Config::default() });
    config.settings.receive_budget = 4096;
    let bell = Arc::clone(&system.bell);
    (Reactor::with_system(Notes::default(), config, system).unwrap(), bell)
}

/// Posts `from` and the next one; where the queue is full, again once the loop had a chance.
fn post_two(remote: &Remote<u32>, from: u32) {
    for mut post in [from, from + 1] {
        while let Err(PostError::Full(refused)) = remote.try_post(post) {
            assert_eq!(refused, post, "what is refused comes back");
            post = refused;
            thread::yield_now();
        }
    }
}

/// Threads that post two values each, beside a loop that sleeps whenever it can.
fn posts_arrive(threads: u32, max_posts: usize, post_budget: usize) {
    let (mut reactor, bell) = reactor(max_posts, post_budget);
    let posters: Vec<_> = (0..threads)
        .map(|index| {
            let remote = reactor.remote();
            thread::spawn(move || post_two(&remote, 2 * index))
        })
        .collect();
    let expected = 2 * threads as usize;
    let mut turns = 0;
    while reactor.handler().posts.len() < expected {
        reactor.turn(None).unwrap();
        turns += 1;
    }
    for poster in posters {
        poster.join().unwrap();
    }
    assert_arrived(&reactor.handler().posts, threads);
    assert!(bell.times() <= expected, "a wake for each post at most");
    assert!(bell.times() <= turns + 1, "a wake for each turn at most, and one for the next");
}

fn assert_arrived(posts: &[u32], threads: u32) {
    for index in 0..threads {
        let of_thread: Vec<u32> = posts.iter().copied().filter(|post| post / 2 == index).collect();
        assert_eq!(of_thread, [2 * index, 2 * index + 1], "each once, in the order of its thread");
    }
}

#[test]
fn no_post_is_lost_in_any_order_of_one_thread_and_the_loop() {
    shuttle::check_dfs(|| posts_arrive(1, 8, 8), Some(EXHAUSTIVE));
}

#[test]
fn no_post_is_lost_in_random_orders_of_three_threads() {
    shuttle::check_random(|| posts_arrive(3, 8, 8), RANDOM);
    shuttle::check_pct(|| posts_arrive(3, 8, 8), RANDOM, 4);
}

#[test]
fn no_post_is_lost_where_a_turn_takes_fewer_than_wait() {
    shuttle::check_random(|| posts_arrive(2, 8, 1), RANDOM);
}

#[test]
fn a_full_queue_hands_the_post_back_and_has_room_again() {
    shuttle::check_random(|| posts_arrive(3, 1, 8), RANDOM);
}

#[test]
fn a_batch_costs_one_wake() {
    shuttle::check_random(
        || {
            let (mut reactor, bell) = reactor(8, 8);
            let remote = reactor.remote();
            for post in 0..4 {
                remote.try_post(post).unwrap();
            }
            assert_eq!(bell.times(), 1);
            reactor.turn(None).unwrap();
            assert_eq!(reactor.handler().posts, [0, 1, 2, 3]);
        },
        1,
    );
}

#[test]
fn a_wish_to_stop_ends_a_loop_that_sleeps_and_is_not_taken_back() {
    shuttle::check_random(
        || {
            let (mut reactor, _) = reactor(8, 8);
            let remote = reactor.remote();
            let other = remote.clone();
            let stopper = thread::spawn(move || remote.stop().unwrap());
            let shutter = thread::spawn(move || other.shutdown(Duration::from_secs(3600)).unwrap());
            reactor.run().unwrap();
            stopper.join().unwrap();
            shutter.join().unwrap();
        },
        RANDOM,
    );
}

#[test]
fn a_reactor_that_is_gone_hands_posts_back() {
    shuttle::check_random(
        || {
            let (reactor, _) = reactor(8, 8);
            let remote = reactor.remote();
            let poster = thread::spawn(move || {
                let mut taken = 0;
                loop {
                    match remote.try_post(taken) {
                        Ok(()) => taken += 1,
                        Err(PostError::Full(post)) => assert_eq!((post, taken), (8, 8)),
                        Err(PostError::Gone(post)) => return assert_eq!(post, taken),
                    }
                    thread::yield_now();
                }
            });
            drop(reactor);
            poster.join().unwrap();
        },
        RANDOM,
    );
}

/// Orders to try at most: of one thread and the loop there are fewer.
const EXHAUSTIVE: usize = 200_000;
/// Orders to try where there are too many for all.
const RANDOM: usize = 5_000;
