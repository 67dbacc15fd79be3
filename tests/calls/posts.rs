//! Values from other threads (R33): each is delivered once or handed back, the loop is woken once for many, and nobody ever
//! waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gnezdo::{Config, Context, Handler, PostError, Reactor, Remote};

use super::caller::PATIENCE;
use super::ledger::Ledger;
use super::system::Recorded;

/// Notes what is posted, and posts what it was told to from inside the call.
#[derive(Default)]
struct Inbox {
    posts: Vec<u64>,
    /// For each post, as many more from inside the call as it is large.
    echo: Option<Remote<u64>>,
    refused: Vec<u64>,
}

impl Handler for Inbox {
    type Conn = ();
    type Post = u64;

    fn on_post(&mut self, _cx: &mut Context<'_, Self>, post: u64) {
        self.posts.push(post);
        let Some(remote) = &self.echo else { return };
        for value in 0..post {
            match remote.try_post(0) {
                Ok(()) => {}
                Err(PostError::Full(_)) => self.refused.push(value),
                Err(PostError::Gone(_)) => unreachable!("the loop is here"),
            }
        }
    }
}

fn with_room(max_posts: usize) -> Config {
    Config { max_posts, ..Config::default() }
}

#[test]
fn r33_many_posts_wake_the_loop_once() {
    let _alone = Ledger::open();
    let (system, record) = Recorded::new([]);
    let mut reactor = Reactor::with_system(Inbox::default(), with_room(1_000), system).unwrap();
    let remote = reactor.remote();
    for round in 1..=3 {
        let remote = remote.clone();
        let posting = std::thread::spawn(move || (0..200).try_for_each(|n| remote.try_post(n)));
        posting.join().unwrap().unwrap();
        assert_eq!(record.wakes.load(Ordering::SeqCst), round, "one wake-up for each batch");
        reactor.turn(Some(PATIENCE)).unwrap();
        assert_eq!(reactor.handler().posts.len(), 200 * round);
    }
    assert_eq!(reactor.handler().posts[200..400], (0..200).collect::<Vec<_>>(), "in order");
}

#[test]
fn r33_what_one_turn_does_not_take_makes_the_next_one_due() {
    let _alone = Ledger::open();
    let config = Config { post_budget: 10, ..with_room(100) };
    let mut reactor = Reactor::new(Inbox::default(), config).unwrap();
    let remote = reactor.remote();
    (0..25).try_for_each(|n| remote.try_post(n)).unwrap();
    for taken in [10, 20, 25] {
        reactor.turn(Some(PATIENCE)).unwrap();
        assert_eq!(reactor.handler().posts.len(), taken);
        assert_eq!(reactor.next_wait(), (taken < 25).then_some(Duration::ZERO));
    }
}

#[test]
fn r33_a_handler_that_posts_to_its_own_full_loop_gets_the_value_back() {
    let _alone = Ledger::open();
    let mut reactor = Reactor::new(Inbox::default(), with_room(4)).unwrap();
    let remote = reactor.remote();
    reactor.with(|inbox, _| inbox.echo = Some(remote.clone()));
    remote.try_post(10).unwrap();
    reactor.turn(Some(PATIENCE)).unwrap();
    reactor.turn(Some(PATIENCE)).unwrap();
    assert_eq!(reactor.handler().refused, [4, 5, 6, 7, 8, 9], "there was room for four");
    assert_eq!(reactor.handler().posts, [10, 0, 0, 0, 0]);
}

#[test]
fn r33_a_reactor_that_is_gone_gives_everything_back() {
    let _alone = Ledger::open();
    let reactor = Reactor::new(Inbox::default(), Config::default()).unwrap();
    let remote = reactor.remote();
    remote.try_post(1).unwrap();
    drop(reactor);
    assert_eq!(remote.try_post(7), Err(PostError::Gone(7)));
    let copy = remote.clone();
    assert_eq!(std::thread::spawn(move || copy.try_post(8)).join().unwrap(), Err(PostError::Gone(8)));
    // Whether there is anybody to wake is the system's to say; nobody waits for it.
    let _ = (remote.stop(), remote.shutdown(Duration::from_secs(1)));
}

#[test]
fn r33_of_a_hundred_thousand_posts_none_is_lost_and_none_comes_twice() {
    const THREADS: u64 = 4;
    const EACH: u64 = 25_000;
    let _alone = Ledger::open();
    let mut reactor = Reactor::new(Inbox::default(), with_room(64)).unwrap();
    let (refused, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let remote = reactor.remote();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let (refused, done) = (&refused, &done);
        scope.spawn(move || {
            std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let remote = remote.clone();
                    scope.spawn(move || {
                        for value in 0..EACH {
                            if let Err(PostError::Full(back)) = remote.try_post(thread * EACH + value) {
                                assert_eq!(back, thread * EACH + value, "another value came back");
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    });
                }
            });
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            assert!(began.elapsed() < PATIENCE, "somebody waits for somebody");
            reactor.turn(Some(Duration::from_millis(10))).unwrap();
        }
        reactor.turn(Some(Duration::ZERO)).unwrap();
    });
    let mut posts = std::mem::take(&mut reactor.with(|inbox, _| std::mem::take(&mut inbox.posts)));
    let delivered = posts.len() as u64;
    assert_eq!(delivered + refused.load(Ordering::SeqCst), THREADS * EACH);
    for thread in 0..THREADS {
        let of_thread = posts.iter().filter(|post| **post / EACH == thread);
        assert!(of_thread.is_sorted(), "each thread's posts keep their order");
    }
    posts.sort_unstable();
    posts.dedup();
    assert_eq!(posts.len() as u64, delivered, "some came twice");
}

/// A post that comes while the loop waits ends the wait.
#[test]
fn r33_a_post_ends_a_wait() {
    let _alone = Ledger::open();
    let mut reactor = Reactor::new(Inbox::default(), Config::default()).unwrap();
    let remote = Arc::new(reactor.remote());
    let began = Instant::now();
    let posting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        remote.try_post(1)
    });
    while reactor.handler().posts.is_empty() {
        reactor.turn(Some(PATIENCE)).unwrap();
    }
    assert!(began.elapsed() < PATIENCE / 2);
    posting.join().unwrap().unwrap();
}
