//! The race of a host's addresses (RFC 8305): in order, staggered, the first that stands wins, one deadline over it all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gnezdo::net::Addr;
use gnezdo::{Config, ConnId};

use super::caller::{Caller, Told, giving_up_after};
use super::fake::{Kind, Listening};
use super::ledger::Ledger;
use super::system::{Record, Recorded};
use super::transports::{BlackHole, DeadPort};

/// RFC 8305 §5: how long an attempt is alone.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A caller for whom every name leads to these addresses.
struct Race {
    caller: Caller<Recorded>,
    record: Arc<Record>,
    ledger: Ledger,
    order: Vec<Addr>,
}

impl Race {
    fn between(config: Config, addrs: &[SocketAddr], mut ledger: Ledger) -> Self {
        let (system, record) = Recorded::new(addrs.iter().copied());
        let caller = Caller::with_system(config, system);
        ledger.count();
        Self { caller, record, ledger, order: addrs.iter().copied().map(Addr::Tcp).collect() }
    }

    fn start(&mut self) -> ConnId {
        self.caller.call("tcp://race.example:80")
    }

    fn streams(&self) -> usize {
        self.record.streams.load(Ordering::SeqCst)
    }

    /// The connection stands, to this address, after so many were tried; the other attempts are dropped.
    fn expect_winner(&mut self, id: ConnId, winner: SocketAddr, tried: usize) {
        assert_eq!(self.caller.next(id), Told::Open);
        let peer = self.caller.reactor.with(|_, cx| cx.peer(id).unwrap());
        assert_eq!(peer.to_string(), winner.to_string());
        assert_eq!(self.record.tried(), self.order[..tried]);
        assert_eq!(self.streams(), 1, "the losers are closed");
        self.caller.reactor.with(|_, cx| cx.abort(id));
        assert_eq!(self.caller.ended(id).reason, "Aborted");
        self.expect_nothing_left();
    }

    fn expect_nothing_left(&mut self) {
        self.ledger.balance(&mut self.caller);
        assert_eq!(self.streams(), 0);
    }
}

#[test]
fn the_first_address_that_stands_is_the_only_one_tried() {
    let ledger = Ledger::open();
    let (first, second) = (Listening::new(Kind::Tcp, 1), Listening::new(Kind::Tcp, 1));
    let mut race = Race::between(Config::default(), &[first.addr(), second.addr()], ledger);
    let id = race.start();
    race.expect_winner(id, first.addr(), 1);
}

#[test]
fn a_dead_address_makes_room_for_the_next_at_once() {
    let waits = || {
        let ledger = Ledger::open();
        let (dead, live) = (DeadPort::take("[::1]"), Listening::new(Kind::Tcp, 1));
        let mut race = Race::between(Config::default(), &[dead.addr(), live.addr()], ledger);
        let id = race.start();
        race.expect_winner(id, live.addr(), 2);
        race.record.between(0, 1)
    };
    // Another process may hold a run up.
    let is_at_once = (0..5).any(|_| waits() < ATTEMPT_DELAY);
    assert!(is_at_once, "the second address waited for nothing in each of five runs");
}

#[test]
fn a_slow_address_is_overtaken_after_its_head_start() {
    let ledger = Ledger::open();
    let (slow, live) = (BlackHole::dig(), Listening::new(Kind::Tcp, 1));
    let never = DeadPort::take("[::1]");
    let mut race = Race::between(Config::default(), &[slow.addr(), live.addr(), never.addr()], ledger);
    let id = race.start();
    race.expect_winner(id, live.addr(), 2);
    assert!(race.record.between(0, 1) >= ATTEMPT_DELAY, "the first had no head start");
}

#[test]
fn a_slow_and_a_dead_address_do_not_hide_a_live_one() {
    let ledger = Ledger::open();
    let (slow, dead, live) = (BlackHole::dig(), DeadPort::take("[::1]"), Listening::new(Kind::Tcp, 1));
    let mut race = Race::between(Config::default(), &[slow.addr(), dead.addr(), live.addr()], ledger);
    let id = race.start();
    race.expect_winner(id, live.addr(), 3);
}

/// What the loser was seen to do is not taken for the winner's: it hears and is heard.
#[test]
fn the_winner_of_a_race_with_losers_is_a_whole_connection() {
    let ledger = Ledger::open();
    let (slow, live) = (BlackHole::dig(), Listening::new(Kind::Tcp, 1));
    let mut race = Race::between(Config::default(), &[slow.addr(), live.addr()], ledger);
    let id = race.start();
    let server = std::thread::spawn(move || {
        let mut wire = live.accept();
        wire.wait_for_input();
        wire.write(b"heard");
        wire.shut();
    });
    assert_eq!(race.caller.next(id), Told::Open);
    race.caller.send(id, b"hello");
    assert_eq!(race.caller.next(id), Told::Bytes(b"heard".to_vec()));
    assert_eq!(race.caller.ended(id).reason, "Finished");
    server.join().unwrap();
    drop(slow);
    race.ledger.count();
    race.expect_nothing_left();
}

#[test]
fn where_no_address_is_alive_the_last_failure_is_told() {
    let ledger = Ledger::open();
    let dead: Vec<_> = ["[::1]", "127.0.0.1", "[::1]"].into_iter().map(DeadPort::take).collect();
    let addrs: Vec<_> = dead.iter().map(DeadPort::addr).collect();
    let mut race = Race::between(Config::default(), &addrs, ledger);
    let id = race.start();
    let ended = race.caller.ended(id);
    assert!(ended.reason.starts_with("NotConnected(Refused"), "{ended:?}");
    assert!(ended.said.contains(&addrs[2].to_string()), "{ended:?}");
    assert_eq!(ended.target.as_deref(), Some("tcp://race.example:80"));
    assert_eq!(race.record.tried(), race.order);
    race.expect_nothing_left();
}

#[test]
fn one_deadline_is_over_all_addresses() {
    let ledger = Ledger::open();
    let holes = [BlackHole::dig(), BlackHole::dig(), BlackHole::dig()];
    let addrs = holes.each_ref().map(BlackHole::addr);
    let span = Duration::from_millis(1_500);
    let mut race = Race::between(giving_up_after(span), &addrs, ledger);
    let began = Instant::now();
    let id = race.start();
    let ended = race.caller.ended(id);
    assert_eq!(ended.reason, "TimedOut(Connect)");
    assert_eq!(ended.target.as_deref(), Some("tcp://race.example:80"));
    assert!(began.elapsed() >= span, "never early");
    assert_eq!(race.record.tried(), race.order, "each had its head start");
    race.expect_nothing_left();
}

#[test]
fn a_race_that_is_called_off_leaves_nothing() {
    let ledger = Ledger::open();
    let holes = [BlackHole::dig(), BlackHole::dig()];
    let mut race = Race::between(Config::default(), &holes.each_ref().map(BlackHole::addr), ledger);
    let id = race.start();
    while race.streams() < 2 {
        race.caller.turn();
    }
    race.caller.reactor.with(|_, cx| cx.abort(id));
    let ended = race.caller.ended(id);
    assert_eq!((ended.reason.as_str(), ended.target.as_deref()), ("Aborted", Some("tcp://race.example:80")));
    race.expect_nothing_left();
}

#[test]
fn a_name_without_an_address_is_a_failure() {
    let mut race = Race::between(Config::default(), &[], Ledger::open());
    let id = race.start();
    assert!(race.caller.ended(id).reason.starts_with("NotConnected(Unresolved"));
    race.expect_nothing_left();
}

#[test]
fn a_host_of_very_many_addresses_is_not_tried_for_ever() {
    let ledger = Ledger::open();
    let dead = DeadPort::take("127.0.0.1");
    let mut race = Race::between(Config::default(), &[dead.addr(); 40], ledger);
    let id = race.start();
    assert!(race.caller.ended(id).reason.starts_with("NotConnected(Refused"));
    assert_eq!(race.record.tried().len(), 16);
    race.expect_nothing_left();
}
