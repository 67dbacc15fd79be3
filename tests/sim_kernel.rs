//! The simulated system call by call: time, disturbances and limits. What the calls mean when nothing is disturbed is
//! held to the real kernel elsewhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use gnezdo::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, Readiness,
    SocketId, System,
};
use gnezdo::sim::{CallKind, FaultPlan, Faults, Outcome, Peer, SimSystem, Tape, World, WorldConfig};
use gnezdo::time::Time;

/// A system with a listener, and a connection of a scripted peer that it has accepted and registered as 1.
struct Scene {
    world: World,
    system: SimSystem,
    listener: SocketId,
    addr: Addr,
    socket: SocketId,
    peer: Peer,
}

fn tcp() -> Addr {
    "127.0.0.1:80".parse().unwrap()
}

fn scene(config: WorldConfig, tape: Tape) -> Scene {
    let world = World::new(config, tape);
    let mut system = world.system();
    let (listener, addr) = system.listen(&tcp(), &ListenOptions::default()).unwrap();
    system.register(listener, Key(0)).unwrap();
    let peer = world.connect(&addr).unwrap();
    let socket = loop {
        match system.accept(listener) {
            Ok((socket, _)) => break socket,
            // It is late.
            Err(_) => system.poll(&mut Vec::new(), Some(Duration::from_millis(1))).unwrap(),
        }
    };
    system.register(socket, Key(1)).unwrap();
    Scene { world, system, listener, addr, socket, peer }
}

/// A scene in which the first such call has an outcome.
fn planned(call: CallKind, outcome: Outcome) -> Scene {
    scene(
        WorldConfig { plan: Some(FaultPlan::at(Some(call), 1, outcome)), ..WorldConfig::default() },
        Tape::calm(),
    )
}

fn calm() -> Scene {
    scene(WorldConfig::default(), Tape::calm())
}

impl Scene {
    fn poll(&mut self, timeout: Option<Duration>) -> Vec<Event> {
        let mut events = Vec::new();
        self.system.poll(&mut events, timeout).unwrap();
        events
    }

    /// What a poll tells now.
    fn look(&mut self) -> Vec<Event> {
        self.poll(Some(Duration::ZERO))
    }

    fn receive(&mut self) -> io::Result<usize> {
        self.system.receive(self.socket, &mut [0; 100])
    }
}

fn event(key: u64, readiness: Readiness) -> Event {
    Event { key: Key(key), readiness }
}

fn both() -> Readiness {
    Readiness::READABLE | Readiness::WRITABLE
}

#[test]
fn a_short_receive_and_a_needless_would_block_are_followed_by_a_fresh_edge() {
    for (outcome, expected) in
        [(Outcome::Short(2), Ok(2)), (Outcome::WouldBlock, Err(io::ErrorKind::WouldBlock))]
    {
        let mut scene = planned(CallKind::Receive, outcome);
        scene.peer.send(b"hello").unwrap();
        assert_eq!(scene.look(), [event(1, both())]);
        assert_eq!(scene.receive().map_err(|error| error.kind()), expected);
        assert_eq!(scene.look(), [event(1, both())]);
        assert_eq!(scene.receive().unwrap(), 5 - expected.unwrap_or(0));
        assert_eq!((scene.look(), scene.world.stats().injected), (vec![], 1));
    }
}

#[test]
fn a_short_send_and_a_needless_would_block_are_followed_by_a_fresh_edge() {
    for (outcome, expected) in
        [(Outcome::Short(2), Ok(2)), (Outcome::WouldBlock, Err(io::ErrorKind::WouldBlock))]
    {
        let mut scene = planned(CallKind::Send, outcome);
        assert_eq!(scene.look(), [event(1, Readiness::WRITABLE)]);
        assert_eq!(scene.system.send(scene.socket, b"hello").map_err(|error| error.kind()), expected);
        assert_eq!(scene.peer.unread(), expected.unwrap_or(0));
        assert_eq!(scene.look(), [event(1, Readiness::WRITABLE)]);
    }
}

#[test]
fn an_accept_that_gives_nobody_is_followed_by_a_fresh_edge() {
    let plan = Some(FaultPlan::at(Some(CallKind::Accept), 2, Outcome::WouldBlock));
    let mut scene = scene(WorldConfig { plan, ..WorldConfig::default() }, Tape::calm());
    let _second = scene.world.connect(&scene.addr).unwrap();
    scene.look();
    assert!(matches!(scene.system.accept(scene.listener), Err(AcceptError::WouldBlock)));
    assert_eq!(scene.look(), [event(0, Readiness::READABLE)]);
    scene.system.accept(scene.listener).unwrap();
}

#[test]
fn a_connection_that_a_call_finds_broken_is_broken_at_both_ends() {
    for (outcome, kind) in
        [(Outcome::Reset, io::ErrorKind::ConnectionReset), (Outcome::BrokenPipe, io::ErrorKind::BrokenPipe)]
    {
        let mut scene = planned(CallKind::Send, outcome);
        assert_eq!(scene.system.send(scene.socket, b"hello").unwrap_err().kind(), kind);
        assert!(!scene.peer.is_connected());
        assert_eq!(scene.peer.receive(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(scene.look()[0].readiness.contains(Readiness::HANGUP));
        assert_eq!(scene.receive().unwrap(), 0);
    }
}

#[test]
fn one_call_is_disturbed_by_plan_and_an_outcome_it_cannot_have_changes_nothing() {
    let mut scene = planned(CallKind::Receive, Outcome::BrokenPipe);
    scene.peer.send(b"hello").unwrap();
    assert_eq!((scene.receive().unwrap(), scene.world.stats().injected), (5, 0));
    for kind in CallKind::ALL {
        assert!(kind.outcomes().iter().all(|outcome| kind.allows(*outcome) && *outcome != Outcome::Full));
    }
    let any = Some(FaultPlan::at(None, 6, Outcome::Short(1)));
    let mut scene = self::scene(WorldConfig { plan: any, ..WorldConfig::default() }, Tape::calm());
    assert_eq!(scene.system.send(scene.socket, b"hello").unwrap(), 5);
    assert_eq!((scene.system.send(scene.socket, b"hello").unwrap(), scene.world.stats().calls.all()), (1, 6));
}

#[test]
fn a_poll_can_end_early_fail_or_last_too_long() {
    let mut scene = planned(CallKind::Poll, Outcome::Interrupted);
    assert_eq!((scene.look(), scene.world.now()), (vec![], Time::ZERO));
    assert_eq!(scene.look().len(), 1);
    let mut scene = planned(CallKind::Poll, Outcome::Broken);
    assert!(scene.system.poll(&mut Vec::new(), None).is_err());
    let mut scene = planned(CallKind::Poll, Outcome::Late);
    scene.system.close(scene.socket, CloseHow::Graceful);
    assert_eq!(scene.poll(Some(Duration::from_secs(3))), []);
    assert_eq!(scene.world.now(), Time::ZERO.saturating_add(Duration::from_secs(4)));
}

#[test]
fn a_poll_can_tell_too_little_and_too_much() {
    let mut scene = planned(CallKind::Poll, Outcome::Split);
    scene.peer.send(b"hello").unwrap();
    assert_eq!(scene.look(), [event(1, Readiness::READABLE)]);
    assert!(scene.system.has_more());
    let _second = scene.world.connect(&scene.addr).unwrap();
    assert_eq!(scene.look(), [event(1, both()), event(0, Readiness::READABLE)]);
    assert!(!scene.system.has_more());

    let mut scene = planned(CallKind::Poll, Outcome::Spurious);
    assert_eq!(scene.look(), [event(0, both()), event(1, Readiness::WRITABLE)]);

    let mut scene = planned(CallKind::Poll, Outcome::Stale);
    scene.system.close(scene.socket, CloseHow::Graceful);
    assert_eq!(scene.look(), [event(1, both())]);
}

#[test]
fn the_clock_jumps_to_the_end_of_the_wait_or_to_what_happens_before() {
    let mut scene = calm();
    scene.look();
    scene.world.wake_at(Time::from_nanos(7), 42);
    assert_eq!(scene.poll(Some(Duration::from_nanos(10))), []);
    assert_eq!((scene.world.now(), scene.world.woken()), (Time::from_nanos(7), Some(42)));
    scene.poll(Some(Duration::from_nanos(10)));
    assert_eq!((scene.world.now(), scene.world.woken()), (Time::from_nanos(17), None));
}

#[test]
fn the_clock_stands_while_a_wakeup_is_not_taken() {
    let mut scene = calm();
    scene.look();
    scene.world.wake_at(Time::ZERO, 1);
    scene.poll(None);
    assert_eq!((scene.world.now(), scene.world.woken()), (Time::ZERO, Some(1)));
}

#[test]
fn a_wait_that_would_never_end_is_an_error() {
    let mut scene = calm();
    scene.look();
    let error = scene.system.poll(&mut Vec::new(), None).unwrap_err();
    assert_eq!((error.kind(), scene.world.stats().deadlocks), (io::ErrorKind::Deadlock, 1));
}

#[test]
fn a_waker_ends_one_wait_from_any_thread() {
    let mut scene = calm();
    scene.look();
    let waker = scene.system.waker();
    std::thread::spawn(move || waker.wake()).join().unwrap().unwrap();
    assert_eq!((scene.poll(None), scene.world.now()), (vec![], Time::ZERO));
    assert!(scene.system.poll(&mut Vec::new(), None).is_err());
}

#[test]
fn two_systems_share_the_clock_and_none_outruns_the_other() {
    let mut scene = calm();
    scene.look();
    let mut other = scene.world.system();
    let mut poll = |timeout| other.poll(&mut Vec::new(), timeout).unwrap();
    // The other has not polled yet, so it may have something to do.
    scene.poll(Some(Duration::from_secs(9)));
    assert_eq!(scene.world.now(), Time::ZERO);
    poll(Some(Duration::ZERO));
    scene.poll(Some(Duration::from_nanos(9)));
    scene.poll(Some(Duration::from_nanos(9)));
    assert_eq!(
        scene.world.now(),
        Time::from_nanos(9),
        "one that is never polled again does not stop the clock"
    );
    scene.peer.send(b"hello").unwrap();
    poll(Some(Duration::from_secs(9)));
    assert_eq!((scene.world.now(), scene.look().len()), (Time::from_nanos(9), 1));
    poll(Some(Duration::from_nanos(3)));
    assert_eq!(scene.world.now(), Time::from_nanos(9), "the first was told, and may act on it now");
}

#[test]
fn descriptors_are_limited_and_their_numbers_reused() {
    let config = WorldConfig { descriptors: 2, ..WorldConfig::default() };
    let mut scene = scene(config, Tape::calm());
    let second = scene.world.connect(&scene.addr).unwrap();
    assert!(matches!(scene.system.accept(scene.listener), Err(AcceptError::Exhausted)));
    assert!(second.is_connected(), "it waits in the backlog");
    let refused = scene.system.connect(&scene.addr, &ConnectOptions::default()).unwrap_err();
    assert!(matches!(refused, NetError::DescriptorsExhausted { .. }));
    scene.system.close(scene.socket, CloseHow::Graceful);
    assert_eq!(scene.system.accept(scene.listener).unwrap().0, scene.socket);
    assert_eq!(scene.world.stats().open, [2]);
}

#[test]
fn a_use_after_close_is_counted_where_numbers_are_not_reused() {
    let mut scene = scene(WorldConfig { reuse_numbers: false, ..WorldConfig::default() }, Tape::calm());
    scene.system.close(scene.socket, CloseHow::Graceful);
    let _second = scene.world.connect(&scene.addr).unwrap();
    assert_ne!(scene.system.accept(scene.listener).unwrap().0, scene.socket);
    assert_eq!(scene.receive().unwrap_err().raw_os_error(), Some(libc::EBADF));
    scene.system.close(scene.socket, CloseHow::Graceful);
    assert_eq!(scene.world.stats().bad_descriptors, 2);
}

#[test]
fn closing_takes_queued_edges_with_it() {
    let mut scene = calm();
    scene.peer.send(b"hello").unwrap();
    scene.system.close(scene.socket, CloseHow::Graceful);
    assert_eq!(scene.look(), []);
    assert_eq!(scene.peer.receive(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_sender_hears_of_room_when_a_third_is_free_and_not_before() {
    let mut scene = scene(WorldConfig { capacity: 9, ..WorldConfig::default() }, Tape::calm());
    scene.look();
    assert_eq!(scene.system.send(scene.socket, b"0123456789").unwrap(), 9);
    assert_eq!(scene.system.send(scene.socket, b"9").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    for (byte, expected) in [(1, vec![]), (2, vec![]), (3, vec![event(1, Readiness::WRITABLE)]), (4, vec![])]
    {
        scene.peer.receive(&mut [0; 1]).unwrap();
        assert_eq!(scene.look(), expected, "after {byte} bytes");
    }
    scene.peer.set_capacity(0);
    assert_eq!(scene.system.send(scene.socket, b"9").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    scene.peer.set_capacity(100);
    assert_eq!(scene.look(), [event(1, Readiness::WRITABLE)]);
}

#[test]
fn a_connection_that_finds_a_full_backlog_knocks_again_after_a_second() {
    let mut scene = calm();
    let options = ListenOptions { backlog: 0, ..ListenOptions::default() };
    let (narrow, addr) = scene.system.listen(&"127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let _first = scene.world.connect(&addr).unwrap();
    let second = scene.world.connect(&addr).unwrap();
    assert!(second.is_connecting());
    scene.system.accept(narrow).unwrap();
    scene.look();
    scene.poll(None);
    assert_eq!((scene.world.now().as_nanos(), second.is_connected()), (1_000_000_000, true));
}

#[test]
fn a_free_port_is_one_that_nobody_has() {
    let world = World::new(WorldConfig::default(), Tape::calm());
    let any: Addr = "0.0.0.0:0".parse().unwrap();
    let taken = world.listen(&"0.0.0.0:32769".parse().unwrap()).unwrap();
    let ports: Vec<u16> =
        (0..3).map(|_| world.listen(&any).unwrap().addr().as_tcp().unwrap().port()).collect();
    assert_eq!(ports, [32768, 32770, 32771]);
    assert_eq!(world.listen(taken.addr()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

/// What a receiver gets of late bytes whose sender resets the connection.
fn received_before_a_reset(seed: u64) -> usize {
    let faults = Faults { latency: Duration::from_millis(50), ..Faults::NONE };
    let mut scene = scene(WorldConfig { faults, ..WorldConfig::default() }, Tape::seed(seed));
    let sent = (0..5).map(|_| scene.system.send(scene.socket, b"x").unwrap()).sum::<usize>();
    scene.system.close(scene.socket, CloseHow::Abort);
    while scene.world.stats().planned > 0 {
        scene.poll(Some(Duration::from_secs(1)));
    }
    let mut received = Vec::new();
    while scene.peer.receive_into(&mut received, 9).is_ok() {}
    assert!(!scene.peer.is_connected() && received.len() <= sent);
    received.len()
}

#[test]
fn a_reset_destroys_late_bytes_or_comes_after_them() {
    let received: BTreeSet<usize> = (0..100).map(received_before_a_reset).collect();
    assert!(received.len() > 2 && received.contains(&5), "{received:?}");
}

#[test]
fn a_silent_address_fails_after_127_seconds_and_an_empty_one_at_once() {
    let mut scene = calm();
    let addr: Addr = "127.0.0.2:80".parse().unwrap();
    let mut connect = |addr: &Addr| match scene.system.connect(addr, &ConnectOptions::default()).unwrap() {
        Connecting::InProgress(socket) => socket,
        other => panic!("{other:?}"),
    };
    let refused = connect(&addr);
    scene.world.silence(&addr);
    let silent = connect(&addr);
    let finish =
        |scene: &mut Scene, socket| scene.system.finish_connect(socket).map_err(|error| error.kind());
    assert_eq!(finish(&mut scene, refused), Err(io::ErrorKind::ConnectionRefused));
    while finish(&mut scene, silent) == Ok(None) {
        scene.poll(Some(Duration::from_secs(60)));
    }
    assert_eq!(scene.world.now().as_nanos(), 127_000_000_000);
}

#[test]
fn a_unix_backlog_that_is_full_is_busy() {
    let world = World::new(WorldConfig::default(), Tape::calm());
    let addr: Addr = "unix:/s".parse().unwrap();
    let missing = world.connect(&addr).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let listener = world.listen(&addr).unwrap();
    let waiting: Vec<_> = (0..129).map(|_| world.connect(&addr).unwrap()).collect();
    assert_eq!(world.connect(&addr).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    listener.close();
    assert!(waiting.iter().all(|peer| !peer.is_connected()));
    assert_eq!(world.stats().sockets, 129);
}

#[test]
fn names_are_resolved_in_the_world() {
    let mut scene = calm();
    scene.world.name("here", &["10.0.0.1".parse().unwrap()]);
    scene.system.resolve("here", 80, 1).unwrap();
    scene.system.resolve("nowhere", 80, 2).unwrap();
    assert!(scene.system.resolved().is_none());
    scene.look();
    let here = scene.system.resolved().unwrap();
    assert_eq!((here.token, here.addrs.unwrap()), (1, vec!["10.0.0.1:80".parse().unwrap()]));
    assert_eq!(scene.system.resolved().unwrap().addrs.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_answered_name_ends_a_wait_without_a_jump() {
    let mut scene = calm();
    scene.look();
    scene.system.resolve("nowhere", 80, 2).unwrap();
    scene.poll(Some(Duration::from_secs(9)));
    assert_eq!((scene.world.now(), scene.system.resolved().is_some()), (Time::ZERO, true));
}

/// Bytes through a world with latency and faults by a tape; what came, and the hash.
fn exchange(seed: u64) -> (Vec<u8>, u64) {
    let world = World::new(
        WorldConfig { faults: Faults::GENTLE, capacity: 100, ..WorldConfig::default() },
        Tape::seed(seed),
    );
    let listener = world.listen(&tcp()).unwrap();
    let mut system = world.system();
    let Connecting::InProgress(socket) = system.connect(listener.addr(), &ConnectOptions::default()).unwrap()
    else {
        panic!("TCP is never there at once")
    };
    system.register(socket, Key(1)).unwrap();
    let (mut peer, mut sent, mut received) = (None, 0_u8, Vec::new());
    while received.len() < 255 {
        system.poll(&mut Vec::new(), Some(Duration::from_secs(1))).unwrap();
        peer = peer.or_else(|| listener.accept());
        let left: Vec<u8> = (sent..255).collect();
        if let Ok(count) = system.send(socket, &left) {
            sent += u8::try_from(count).unwrap();
        }
        if let Some(peer) = &peer {
            let _ = peer.receive_into(&mut received, 50);
        }
    }
    (received, world.trace_hash())
}

#[test]
fn late_bytes_come_in_order_and_the_same_tape_makes_the_same_world() {
    let all: Vec<u8> = (0..255).collect();
    let mut hashes = BTreeSet::new();
    for seed in 0..50 {
        let (received, hash) = exchange(seed);
        assert_eq!((received, hash), (all.clone(), exchange(seed).1));
        hashes.insert(hash);
    }
    assert_eq!(hashes.len(), 50);
}
