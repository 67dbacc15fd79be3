//! What a reactor counts, against what is known to have happened: in a simulated world, where all of it is known.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::io::ErrorKind;
use std::time::Duration;

use gnezdo::http::{Response, Status};
use gnezdo::sim::{Peer, SimSystem, Tape, World, WorldConfig};
use gnezdo::stats::{Ends, Messages};
use gnezdo::ws::CloseCode;
use gnezdo::{
    Accept, Addr, Answer, Config, ConnId, Connect, Context, Handler, Listen, Message, Prepared, Reactor,
    Request, SendError, SlowTurn,
};

/// Does what it is told: `/web` is answered by HTTP, texts that name something have it done, all else comes back.
struct Echo {
    world: World,
    slow: Vec<SlowTurn>,
    open: Vec<ConnId>,
}

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_request(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, request: &Request<'_>) -> Answer {
        if request.path() == "/web" {
            Response::new(Status::OK).text("hello\n").into()
        } else {
            Accept::new().into()
        }
    }

    fn on_open(&mut self, _cx: &mut Context<'_, Self>, id: ConnId) {
        self.open.push(id);
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        match message.as_bytes() {
            b"close" => drop(cx.close(id, CloseCode::NORMAL, "")),
            b"abort" => cx.abort(id),
            b"work" => self.world.pass(Duration::from_millis(150)),
            b"work a little" => self.world.pass(Duration::from_millis(100)),
            _ => drop(cx.send(id, message)),
        }
    }

    fn on_slow_turn(&mut self, _cx: &mut Context<'_, Self>, turn: &SlowTurn) {
        self.slow.push(turn.clone());
    }
}

struct Stage {
    world: World,
    reactor: Reactor<Echo, SimSystem>,
    addr: Addr,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(WorldConfig::default(), change)
    }

    fn of(world: WorldConfig, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let world = World::new(world, Tape::calm());
        let echo = Echo { world: world.clone(), slow: Vec::new(), open: Vec::new() };
        let mut reactor = Reactor::with_system(echo, config, world.system()).unwrap();
        let addr = reactor.listen(&"127.0.0.1:9001".parse().unwrap()).unwrap().addr;
        Self { world, reactor, addr }
    }

    /// So many turns that do not wait: more than anything here needs.
    fn turn(&mut self) {
        for _ in 0..8 {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    fn wait(&mut self, span: Duration) {
        let until = self.world.now().saturating_add(span);
        while self.world.now() < until {
            self.reactor.turn(Some(until.since(self.world.now()))).unwrap();
        }
    }

    fn say(&mut self, peer: &Peer, bytes: &[u8]) {
        assert_eq!(peer.send(bytes).unwrap(), bytes.len());
        self.turn();
    }

    fn ask(&mut self, path: &str, more: &str) -> Peer {
        let peer = self.world.connect(&self.addr).unwrap();
        self.turn();
        self.say(&peer, format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n").as_bytes());
        peer
    }

    fn websocket(&mut self) -> Peer {
        let peer = self.ask("/", UPGRADE);
        assert!(heard(&peer).starts_with(b"HTTP/1.1 101 "));
        peer
    }

    fn ends(&mut self) -> Ends {
        self.turn();
        self.reactor.stats().ends
    }
}

/// All that has come.
fn heard(peer: &Peer) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match peer.receive_into(&mut all, 64 * 1024) {
            Ok(0) => return all,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A short frame of a client, whose key changes nothing.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

#[test]
fn messages_are_counted_by_their_kinds_both_ways() {
    let mut stage = Stage::new(|_| ());
    let peer = stage.websocket();
    let all = [frame(TEXT, b"a"), frame(TEXT, b"b"), frame(BINARY, b"c"), frame(PING, b""), frame(PONG, b"")];
    stage.say(&peer, &all.concat());
    // One that comes in two fragments is one.
    stage.say(&peer, &[&[1, 0x81, 0, 0, 0, 0, b'd'][..], &frame(0, b"e")].concat());
    let id = stage.reactor.handler().open[0];
    stage.reactor.with(|_, cx| {
        let _ = cx.ping(id, b"?").unwrap();
        let _ = cx.send(id, &b"f"[..]).unwrap();
        let _ = cx.send_prepared(id, &mut Prepared::new("g")).unwrap();
    });
    let stats = stage.reactor.stats();
    let counts = |messages: Messages| messages.each().map(|(_, count)| count).collect::<Vec<_>>();
    assert_eq!(counts(stats.received), [3, 1, 1, 1]);
    assert_eq!(counts(stats.sent), [4, 2, 1, 1]);
}

#[test]
fn what_is_not_taken_is_not_counted_as_sent() {
    let mut stage = Stage::new(|config| {
        (config.settings.low_water, config.settings.high_water, config.settings.max_queue) = (0, 10, 10);
    });
    let _peer = stage.websocket();
    let id = stage.reactor.handler().open[0];
    let refused = stage.reactor.with(|_, cx| cx.send(id, "eleven bytes and more"));
    assert!(matches!(refused, Err(SendError::TooBig { .. })));
    let stats = stage.reactor.stats();
    assert_eq!((stats.sent.texts, stats.refusals.sends), (0, 1));
}

#[test]
fn bytes_are_those_of_the_wire() {
    let mut stage = Stage::new(|_| ());
    let peer = stage.ask("/", UPGRADE);
    stage.say(&peer, &frame(TEXT, b"hello"));
    let (sent, received) = (heard(&peer).len() as u64, stage.world.stats().received);
    let bytes = stage.reactor.stats().bytes;
    assert_eq!((bytes.received, bytes.sent), (received, sent));
    assert!(received > 100 && sent > 100);
}

#[test]
fn every_end_is_counted_once_by_its_cause() {
    let mut stage = Stage::new(|_| ());
    let mut before = Ends::default();
    let mut expect = |stage: &mut Stage, cause: &str| {
        let after = stage.ends();
        let grown: Vec<_> =
            after.each().zip(before.each()).filter(|(after, before)| after != before).collect();
        let [((name, count), (_, earlier))] = grown[..] else { panic!("for {cause}: {grown:?}") };
        assert_eq!((name, count), (cause, earlier + 1));
        before = after;
    };
    let peer = stage.websocket();
    stage.say(&peer, &frame(TEXT, b"close"));
    stage.say(&peer, &frame(CLOSE, b""));
    expect(&mut stage, "closed_here");
    let peer = stage.websocket();
    stage.say(&peer, &frame(CLOSE, b""));
    expect(&mut stage, "closed_by_peer");
    let peer = stage.websocket();
    stage.say(&peer, &[0xFF, 0xFF]);
    expect(&mut stage, "protocol");
    let peer = stage.websocket();
    peer.shutdown_write().unwrap();
    expect(&mut stage, "end_of_stream");
    let _peer = stage.ask("/web", "");
    expect(&mut stage, "finished");
    let peer = stage.websocket();
    stage.say(&peer, &frame(TEXT, b"abort"));
    expect(&mut stage, "aborted");
    stage.websocket().reset();
    expect(&mut stage, "lost");
    let _peer = stage.world.connect(&stage.addr).unwrap();
    stage.wait(Duration::from_secs(11));
    expect(&mut stage, "opening_timeout");
    let peer = stage.websocket();
    stage.say(&peer, &frame(TEXT, b"close"));
    stage.wait(Duration::from_secs(6));
    expect(&mut stage, "close_timeout");
    let _peer = stage.websocket();
    stage.wait(Duration::from_secs(61));
    expect(&mut stage, "idle_timeout");
    let nobody = Connect::to("ws://127.0.0.1:1/").unwrap();
    let _ = stage.reactor.with(|_, cx| cx.connect(&nobody)).unwrap();
    expect(&mut stage, "not_connected");
    let ourselves = Connect::to("ws://127.0.0.1:9001/web").unwrap();
    let _ = stage.reactor.with(|_, cx| cx.connect(&ourselves)).unwrap();
    stage.wait(Duration::from_secs(3));
    let stats = stage.reactor.stats();
    assert_eq!((stats.ends.refused, stats.ends.finished), (1, 2), "both ends of a refused call");
    let arrivals = stats.arrivals;
    assert_eq!((arrivals.accepted, arrivals.dialled, arrivals.connected), (11, 2, 1));
    assert_eq!((arrivals.accepted + arrivals.dialled, stats.connections), (stats.ends.total(), 0));
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let mut stage = Stage::new(|config| config.max_opening = Some(1));
    let _accepted = stage.websocket();
    let _answered = stage.ask("/web", "");
    let _not_websocket = stage.ask("/", "");
    let _bad_key = stage.ask("/", "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    let (_oldest, _newest) = (stage.world.connect(&stage.addr), stage.world.connect(&stage.addr));
    stage.turn();
    let requests: Vec<_> = stage.reactor.stats().requests.each().collect();
    assert_eq!(requests, [("accepted", 1), ("answered", 1), ("refused", 2), ("crowded_out", 1)]);
}

#[test]
fn who_waits_for_room_or_descriptors_is_counted() {
    let mut stage = Stage::new(|config| config.settings.max_connections = 1);
    let (_first, _second) = (stage.websocket(), stage.world.connect(&stage.addr).unwrap());
    stage.turn();
    let refusals = stage.reactor.stats().refusals;
    assert_eq!((refusals.no_room, refusals.no_descriptors), (1, 0));
    let mut stage = Stage::of(WorldConfig { descriptors: 2, ..WorldConfig::default() }, |_| ());
    let (_first, _second) = (stage.websocket(), stage.world.connect(&stage.addr).unwrap());
    stage.turn();
    let refusals = stage.reactor.stats().refusals;
    assert_eq!((refusals.no_room, refusals.no_descriptors), (0, 1));
}

#[test]
fn the_most_that_waited_stays_when_nothing_waits_any_more() {
    let world = WorldConfig { capacity: 1_000, ..WorldConfig::default() };
    let mut stage = Stage::of(world, |_| ());
    let listen = Listen::raw();
    let addr = stage.reactor.listen_with(&"127.0.0.1:9002".parse().unwrap(), &listen).unwrap().addr;
    let peer = stage.world.connect(&addr).unwrap();
    stage.turn();
    let id = stage.reactor.handler().open[0];
    let _ = stage.reactor.with(|_, cx| cx.send(id, &[7; 3_000])).unwrap();
    stage.turn();
    assert_eq!(stage.reactor.stats().queued, 2_000);
    while !heard(&peer).is_empty() {
        stage.turn();
    }
    let stats = stage.reactor.stats();
    assert_eq!((stats.queued, stats.queued_most), (0, 2_000));
}

#[test]
fn a_slow_turn_is_told_of_once_with_what_happened_in_it() {
    let mut stage = Stage::new(|_| ());
    let peer = stage.websocket();
    let id = stage.reactor.handler().open[0];
    stage.say(&peer, &frame(TEXT, b"work a little"));
    assert_eq!(stage.reactor.handler().slow, [], "this took as long as it may");
    stage.say(&peer, &[frame(TEXT, b"work"), frame(TEXT, b"hello")].concat());
    let [slow] = &stage.reactor.handler().slow[..] else { panic!("{:?}", stage.reactor.handler().slow) };
    assert_eq!((slow.took, slow.events), (Duration::from_millis(150), 1));
    assert_eq!((&slow.connections[..], slow.messages, slow.accepted), (&[id][..], 2, 0));
    assert_eq!((slow.received, slow.sent), (10 + 11, 7));
    assert!(slow.to_string().starts_with("a turn took 150.0ms: 1 events, "), "{slow}");
    let turns = stage.reactor.stats().turns;
    assert_eq!((turns.longest(), turns.time()), (Duration::from_millis(150), Duration::from_millis(250)));
    assert!(turns.busy < turns.all && turns.samples() > 0, "{turns:?}");
}

#[test]
fn nobody_is_told_of_slow_turns_who_does_not_want_it() {
    let mut stage = Stage::new(|config| config.settings.slow_turn = None);
    let peer = stage.websocket();
    stage.say(&peer, &frame(TEXT, b"work"));
    assert_eq!(stage.reactor.handler().slow, []);
}
