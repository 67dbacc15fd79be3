//! What the feature `log` tells, in a simulated world: of what, how often, and in which letters.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::cell::RefCell;
use std::time::Duration;

use gnezdo::sim::{Peer, SimSystem, Tape, World, WorldConfig};
use gnezdo::{Addr, Config, ConnId, Context, Handler, Message, Reactor};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps the lines of each thread, and so of each test.
struct Capture;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

impl Log for Capture {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        assert_eq!(record.target(), "gnezdo");
        LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
    }

    fn flush(&self) {}
}

/// The lines so far, which are forgotten.
fn lines() -> Vec<(Level, String)> {
    LINES.take()
}

struct Echo(World);

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _message: Message<'_>) {
        self.0.pass(Duration::from_millis(150));
    }
}

struct Stage {
    world: World,
    reactor: Reactor<Echo, SimSystem>,
    addr: Addr,
}

impl Stage {
    fn new(descriptors: usize) -> Self {
        // Another test may have been faster.
        let _ = log::set_logger(&Capture);
        log::set_max_level(LevelFilter::Trace);
        let world = World::new(WorldConfig { descriptors, ..WorldConfig::default() }, Tape::calm());
        let mut reactor =
            Reactor::with_system(Echo(world.clone()), Config::default(), world.system()).unwrap();
        let addr = reactor.listen(&"127.0.0.1:9001".parse().unwrap()).unwrap().addr;
        Self { world, reactor, addr }
    }

    /// A few turns that do not wait.
    fn turn(&mut self) {
        for _ in 0..4 {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    fn say(&mut self, bytes: &[u8]) -> Peer {
        let peer = self.world.connect(&self.addr).unwrap();
        self.turn();
        peer.send(bytes).unwrap();
        self.turn();
        peer
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Whether one of the lines has all of these words.
#[track_caller]
fn assert_told(lines: &[(Level, String)], level: Level, words: &str) {
    let is_it = |(its, line): &(Level, String)| *its == level && line.contains(words);
    assert!(lines.iter().any(is_it), "{level} {words:?} is not in {lines:#?}");
}

#[test]
fn the_edges_of_a_loop_are_told() {
    let mut stage = Stage::new(3);
    assert_eq!(lines(), [(Level::Info, "listening on 127.0.0.1:9001".to_owned())]);
    let peer = stage.say(REQUEST);
    assert_told(&lines(), Level::Debug, "came from 127.0.0.1:");
    peer.send(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
    stage.turn();
    assert_told(&lines(), Level::Warn, "a turn took 150.0ms: 1 events, ");
    peer.send(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    stage.turn();
    assert_told(&lines(), Level::Debug, "is over: closed by the peer");
    drop(peer);
    let _refused = stage.say(b"GET / HTTP/1.1\r\n\r\n");
    assert_told(&lines(), Level::Warn, "was refused: ");
    let _crowd = [(); 3].map(|()| stage.say(REQUEST));
    assert_told(&lines(), Level::Warn, "the listener on 127.0.0.1:9001 waits: descriptors or memory");
    stage.reactor.with(|_, cx| cx.shutdown(Duration::from_secs(1)));
    stage.reactor.run().unwrap();
    let told = lines();
    assert_told(&told, Level::Info, "no longer listening on 127.0.0.1:9001");
    assert_told(&told, Level::Info, "connections have 1s to end");
    assert_told(&told, Level::Info, "the grace is over, ");
    assert_told(&told, Level::Info, "nobody is left");
}

#[test]
fn a_flood_of_bad_handshakes_fills_no_log() {
    const FLOOD: usize = 10_000;
    const MOST_PER_SECOND: usize = 11;
    let mut stage = Stage::new(20_000);
    // So that spans of the journal are seconds of this test.
    stage.world.pass(Duration::from_secs(10));
    stage.turn();
    lines();
    let (mut told, mut left_out) = (0, 0);
    for second in 0..10 {
        for _ in 0..FLOOD / 10 {
            let _bad = stage.say(b"GET / HTTP/0.1\r\n\r\n");
        }
        let warnings: Vec<_> = lines().into_iter().filter(|(level, _)| *level == Level::Warn).collect();
        assert!(warnings.len() <= MOST_PER_SECOND, "{} in second {second}", warnings.len());
        for (_, line) in &warnings {
            match line.strip_prefix("refused requests: ").and_then(|rest| rest.split(' ').next()) {
                Some(count) => left_out += count.parse::<usize>().unwrap(),
                None => told += 1,
            }
        }
        stage.world.pass(Duration::from_secs(1));
    }
    drop(stage);
    let (_, last) = lines().pop().unwrap();
    assert_eq!(last, "refused requests: 990 more were left out");
    assert_eq!((told, left_out + 990), (100, FLOOD - 100));
}

#[test]
fn what_was_left_out_is_told_when_its_second_is_over() {
    let mut stage = Stage::new(20_000);
    for _ in 0..15 {
        let _bad = stage.say(b"GET / HTTP/0.1\r\n\r\n");
    }
    lines();
    stage.world.pass(Duration::from_secs(1));
    let _other = stage.say(REQUEST);
    assert_told(&lines(), Level::Warn, "refused requests: 5 more were left out");
}

#[test]
fn what_a_peer_says_is_escaped_and_cut() {
    let mut stage = Stage::new(10);
    let peer = stage.say(REQUEST);
    let reason = format!("a\n\u{1b}[31m\u{202e}{}", "я".repeat(50));
    let payload = [&1000_u16.to_be_bytes(), reason.as_bytes()].concat();
    peer.send(&[&[0x88, 0x80 | payload.len().to_le_bytes()[0], 0, 0, 0, 0], &payload[..]].concat()).unwrap();
    lines();
    stage.turn();
    let told = lines();
    assert_told(&told, Level::Debug, "closed by the peer (1000): a\\n\\u{1b}[31m\\u{202e}\\u{44f}");
    for (_, line) in told {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && line.len() < 300, "{line:?}");
    }
}
