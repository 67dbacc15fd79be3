//! Deadlines: each can be set and switched off, none is early, and none is met by a peer that spoke in time but was not
//! heard: by a loop that was stopped, that slept, or that had more to hear than it could at once.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod jumping;
mod rules;

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gnezdo::time::Time;
use gnezdo::ws::CloseCode;
use gnezdo::{Addr, Closed, Config, ConnId, Connect, Context, Handler, Listen, Reactor, Serve};
use jumping::{Clock, Jumping};
use rules::{Client, Cx, Frame, PATIENCE, PING, Scripted, Server, eventually};

const SPAN: Duration = Duration::from_millis(300);
/// How late a deadline may be while the loop is not busy: the documented granularity.
const GRANULARITY: Duration = Duration::from_millis(4);

fn loopback() -> Addr {
    "127.0.0.1:0".parse().unwrap()
}

// Set and switched off.

/// A deadline of a reactor: how it is set, what starts it, and how a connection ends by it.
struct Deadline {
    set: fn(&mut Config, Option<Duration>),
    listen: fn() -> Listen,
    /// Begins the wait when a client's connection has opened; answers whose it is.
    begin: fn(&mut Cx<'_>, ConnId) -> Option<ConnId>,
    reason: &'static str,
}

const IDLE: Deadline = Deadline {
    set: |config, span| (config.timeouts.idle, config.timeouts.ping) = (span, None),
    listen: Listen::default,
    begin: |_, id| Some(id),
    reason: "TimedOut(Idle)",
};

const IDLE_RAW: Deadline = Deadline { listen: Listen::raw, ..IDLE };

const LIFETIME: Deadline = Deadline {
    set: |config, span| config.timeouts.lifetime = span,
    listen: Listen::raw,
    begin: |_, id| Some(id),
    reason: "Finished",
};

const CLOSE: Deadline = Deadline {
    set: |config, span| config.timeouts.close = span.unwrap_or(Duration::MAX),
    listen: Listen::default,
    begin: |cx, id| cx.close(id, CloseCode::NORMAL, "").ok().map(|()| id),
    reason: "TimedOut(Close)",
};

const STALL: Deadline = Deadline {
    // So little that it is soon done: a loop that works much is told late where others want the processor.
    set: |config, span| {
        config.settings.stall_timeout = span.unwrap_or(Duration::MAX);
        config.settings.max_queue = config.settings.high_water;
    },
    listen: Listen::raw,
    begin: |cx, id| {
        let block = [7; 16 * 1024];
        while cx.send(id, &block).is_ok() {}
        Some(id)
    },
    reason: "TimedOut(Write)",
};

const CLIENTS: usize = 10;

impl Deadline {
    /// A server with this deadline, its clients, and how long each connection lasted by the loop's clock.
    fn run(&self, span: Option<Duration>) -> (Server, Vec<Client>, Arc<Mutex<Vec<Duration>>>) {
        let mut config = Config::default();
        (self.set)(&mut config, span);
        let started: Arc<Mutex<HashMap<ConnId, Time>>> = Arc::default();
        let lasted: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let (begin, starts, ends) = (self.begin, Arc::clone(&started), Arc::clone(&lasted));
        let handler = Scripted::default()
            .on_open(move |cx, id| {
                let now = cx.now();
                started.lock().unwrap().extend(begin(cx, id).map(|id| (id, now)));
            })
            .on_close(move |cx, id, _| {
                let start = starts.lock().unwrap().remove(&id);
                ends.lock().unwrap().extend(start.map(|start| cx.now().since(start)));
            });
        let listen = (self.listen)();
        let raw = matches!(listen.serve, Serve::Raw);
        let server = Server::start_on(handler, config, vec![(loopback(), listen)]);
        let clients = (0..CLIENTS).map(|_| {
            // Not all in one turn, and not in step with the ticks.
            std::thread::sleep(Duration::from_micros(3_700));
            if raw { Client::narrow(&server, 4 * 1024) } else { Client::open(&server) }
        });
        let clients = clients.collect();
        (server, clients, lasted)
    }

    fn ends_what_takes_too_long(&self) {
        // Others use this machine too, but not all the time.
        let in_time = (0..10).map(|_| self.cuts_the_first_after()).any(|least| least <= SPAN + GRANULARITY);
        assert!(in_time, "all were cut late, in each of ten runs");
    }

    /// How long the first of them lasted, each of which was cut, and none early.
    fn cuts_the_first_after(&self) -> Duration {
        let (server, clients, lasted) = self.run(Some(SPAN));
        eventually("all of them are cut", || server.closed() == CLIENTS);
        assert_eq!(server.reasons(), vec![self.reason; CLIENTS]);
        drop((server, clients));
        let least = *lasted.lock().unwrap().iter().min().unwrap();
        assert!(least >= SPAN, "cut after {least:?}, which is early");
        least
    }

    fn ends_nothing_where_it_is_off(&self) {
        let (server, clients, _) = self.run(None);
        eventually("all of them are there", || server.opened() == CLIENTS);
        std::thread::sleep(2 * SPAN);
        assert_eq!(server.closed(), 0, "{:?}", server.reasons());
        server.expect_idle();
        drop(clients);
    }
}

/// R42: silence, on a WebSocket and on a raw connection.
#[test]
fn idle_can_be_set_and_switched_off() {
    for deadline in [IDLE, IDLE_RAW] {
        deadline.ends_what_takes_too_long();
        deadline.ends_nothing_where_it_is_off();
    }
}

#[test]
fn lifetime_can_be_set_and_switched_off() {
    LIFETIME.ends_what_takes_too_long();
    LIFETIME.ends_nothing_where_it_is_off();
}

/// R21: the closing handshake.
#[test]
fn close_can_be_set_and_switched_off() {
    CLOSE.ends_what_takes_too_long();
    CLOSE.ends_nothing_where_it_is_off();
}

/// R42: write progress.
#[test]
fn stall_can_be_set_and_switched_off() {
    STALL.ends_what_takes_too_long();
    STALL.ends_nothing_where_it_is_off();
}

/// Notes how a connection of its own ended, and when.
#[derive(Default)]
struct Caller {
    ended: Option<(Time, String)>,
}

impl Handler for Caller {
    type Conn = ();
    type Post = ();

    fn on_close(&mut self, cx: &mut Context<'_, Self>, _: ConnId, closed: &Closed) {
        self.ended = Some((cx.now(), format!("{:?}", closed.reason)));
    }
}

/// R46: to be reached and answered; here the system accepts and nobody answers.
#[test]
fn connect_can_be_set_and_switched_off() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Connect::to(&format!("ws://{}/", mute.local_addr().unwrap())).unwrap();
    for span in [Some(SPAN), None] {
        let mut config = Config::default();
        config.timeouts.connect = span.unwrap_or(Duration::MAX);
        let mut reactor = Reactor::new(Caller::default(), config).unwrap();
        let start = reactor.with(|_, cx| {
            assert!(cx.connect(&target).is_ok());
            cx.now()
        });
        let began = Instant::now();
        let patience = if span.is_some() { PATIENCE } else { 2 * SPAN };
        while began.elapsed() < patience && reactor.handler().ended.is_none() {
            reactor.turn(Some(SPAN)).unwrap();
        }
        let ended = reactor.handler().ended.as_ref();
        let ended = ended.map(|(at, reason)| (at.since(start) >= SPAN, reason.as_str()));
        assert_eq!(ended, span.map(|_| (true, "TimedOut(Connect)")));
    }
}

/// R4: the opening handshake, from the accept on, whatever comes meanwhile.
#[test]
fn opening_can_be_set_and_switched_off() {
    for span in [SPAN, Duration::MAX] {
        let mut config = Config::default();
        config.timeouts.opening = span;
        let server = Server::start(Scripted::default(), config);
        let began = Instant::now();
        let mut clients = [Client::silent(&server), Client::silent(&server)];
        clients[1].send(b"GET / HTTP/1.1\r\nHost: ");
        while began.elapsed() < SPAN / 2 {
            let _ = clients[1].try_send(b"x");
            std::thread::sleep(SPAN / 10);
        }
        if span == SPAN {
            for client in &mut clients {
                client.expect_end(PATIENCE);
            }
            assert!(began.elapsed() >= SPAN, "cut after {:?}", began.elapsed());
        } else {
            for client in &mut clients {
                client.expect_silence(SPAN);
            }
            server.expect_idle();
        }
    }
}

/// R42: pings come after silence, and none where they are switched off.
#[test]
fn ping_can_be_set_and_switched_off() {
    for span in [Some(SPAN), None] {
        let mut config = Config::default();
        config.timeouts.ping = span;
        let server = Server::start(Scripted::default(), config);
        let began = Instant::now();
        let mut client = Client::open(&server);
        if span.is_some() {
            assert_eq!(client.next(), Frame::new(PING, ""));
            assert!(began.elapsed() >= SPAN, "pinged after {:?}", began.elapsed());
        } else {
            client.expect_silence(2 * SPAN);
        }
    }
}

/// R42: a peer that neither reads nor writes, so that no answer to a ping can come, is cut when ping and pong are over.
#[test]
fn a_black_hole_is_noticed_when_its_pong_is_due() {
    let pinged = Deadline {
        set: |config, span| {
            config.timeouts.idle = span;
            config.timeouts.ping = span.map(|span| span / 2);
        },
        ..IDLE
    };
    pinged.ends_what_takes_too_long();
}

// Heard late.

const MINUTE: Duration = Duration::from_secs(60);
const TALKING: usize = 40;
const SILENT: usize = 5;

/// A reactor on a clock that jumps, and its clients, which have just opened.
struct World {
    clock: Clock,
    reactor: Reactor<Scripted, Jumping>,
    talking: Vec<Client>,
    silent: Vec<Client>,
}

impl World {
    /// The idle timeout is a minute.
    fn new(events_at_once: usize) -> Self {
        let (system, clock) = Jumping::new(events_at_once);
        let mut reactor = Reactor::with_system(Scripted::echo(), Config::default(), system).unwrap();
        let addr = reactor.listen(&loopback()).unwrap().addr;
        let mut clients: Vec<Client> = (0..TALKING + SILENT).map(|_| Client::to(&addr)).collect();
        for client in &mut clients {
            client.send(&rules::upgrade_request(&[]));
        }
        let silent = clients.split_off(TALKING);
        let mut world = World { clock, reactor, talking: clients, silent };
        world.turn_until(|watch| watch.0 == TALKING + SILENT);
        for client in world.talking.iter_mut().chain(&mut world.silent) {
            client.expect_101();
        }
        world
    }

    /// Turns as an embedding loop does; the condition sees how many opened and how many closed.
    fn turn_until(&mut self, is_so: impl Fn((usize, usize)) -> bool) {
        let began = Instant::now();
        let watch = Arc::clone(&self.reactor.handler().watch);
        let load = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        while !is_so((load(&watch.opened), load(&watch.closed))) {
            self.reactor.turn(Some(Duration::from_millis(1))).unwrap();
            assert!(began.elapsed() < PATIENCE, "{} closed", load(&watch.closed));
        }
    }

    /// All who talk do, and the next poll finds it.
    fn talk(&mut self) {
        for client in &mut self.talking {
            client.text("here");
        }
        self.clock.await_input_of(TALKING);
    }

    /// Everybody who talked is served, and only those who did not are cut.
    fn expect_the_silent_ones_cut(mut self) {
        self.turn_until(|(_, closed)| closed >= SILENT);
        for _ in 0..3 {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        for client in &mut self.talking {
            client.expect_text("here");
        }
        for client in &mut self.silent {
            let _ = client.rest(PATIENCE);
        }
        assert_eq!(*self.reactor.handler().watch.reasons.lock().unwrap(), ["TimedOut(Idle)"; SILENT]);
    }
}

/// R31: a foreign loop that gives the reactor no turn for long.
#[test]
fn who_talked_while_no_turn_was_run_is_not_idle() {
    let mut world = World::new(usize::MAX);
    world.talk();
    world.clock.jump(2 * MINUTE);
    assert_eq!(world.reactor.next_wait(), Some(Duration::ZERO));
    world.expect_the_silent_ones_cut();
}

/// R31: more talk at once than a poll answers with.
#[test]
fn who_talked_is_not_idle_because_others_talked_as_well() {
    let mut world = World::new(3);
    world.talk();
    world.clock.jump(2 * MINUTE);
    world.expect_the_silent_ones_cut();
}

/// R31: the process stands still between a poll, which sees nothing or little, and the look at the clock.
#[test]
fn who_talked_after_the_poll_and_before_the_clock_was_read_is_not_idle() {
    for seen_before in [0, 1] {
        let mut world = World::new(usize::MAX);
        let mut talking = std::mem::take(&mut world.talking);
        for client in &mut talking[..seen_before] {
            client.text("here");
        }
        world.clock.await_input_of(seen_before);
        let clock = world.clock.clone();
        let returned = world.clock.jump_after_poll(2 * MINUTE, move || {
            for client in &mut talking[seen_before..] {
                client.text("here");
            }
            clock.await_input_of(TALKING - seen_before);
            talking
        });
        world.reactor.turn(Some(Duration::ZERO)).unwrap();
        world.talking = returned.take().unwrap();
        world.expect_the_silent_ones_cut();
    }
}

/// R31: deadlines are met although there is more to hear than can be heard, again and again.
#[test]
fn a_storm_does_not_hide_the_silent_ones() {
    let mut world = World::new(3);
    world.clock.jump(2 * MINUTE);
    let began = Instant::now();
    while world.reactor.handler().watch.closed.load(Ordering::SeqCst) < SILENT {
        world.talk();
        world.reactor.turn(Some(Duration::ZERO)).unwrap();
        assert!(began.elapsed() < PATIENCE, "the silent ones are still there");
    }
    assert_eq!(*world.reactor.handler().watch.reasons.lock().unwrap(), ["TimedOut(Idle)"; SILENT]);
}

// Asleep and awake.

/// R32: `busy_poll` has a turn look and come back for as long as it says, and no longer.
#[test]
fn a_loop_that_stays_awake_only_looks_until_its_time_is_over() {
    let (system, clock) = Jumping::new(usize::MAX);
    let mut config = Config::default();
    config.settings.busy_poll = AGE;
    config.timeouts.opening = Duration::MAX;
    let mut reactor = Reactor::with_system(Scripted::default(), config, system).unwrap();
    let listening = reactor.listen(&loopback()).unwrap();
    let _client = TcpStream::connect(listening.addr.as_tcp().unwrap()).unwrap();
    let began = Instant::now();
    // It is accepted, may be written to, and says nothing.
    for _ in 0..10 {
        reactor.turn(Some(PATIENCE)).unwrap();
    }
    assert!(began.elapsed() < PATIENCE, "it slept");
    clock.jump(AGE);
    let nap = Duration::from_millis(20);
    let began = Instant::now();
    reactor.turn(Some(nap)).unwrap();
    assert!(began.elapsed() >= nap, "it is awake after its time");
}

/// Longer than any test.
const AGE: Duration = Duration::from_secs(3600);
