//! Memory that runs out costs one connection, never the process (G21): the n-th request for 64 KiB or more, of the heap or
//! for pages of its own, is refused, for each n in turn, while one peer makes the server need many of them and another one
//! is served throughout.
//!
//! Of a long life of requests one in so many is refused by default, and with `GNEZDO_ALLOCATIONS=all` each of a thousand.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use failing_allocator::FailingAllocator;
use gnezdo::ws::{DeflateConfig, Kind};
use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor, Remote};

#[global_allocator]
static ALLOCATOR: FailingAllocator = FailingAllocator;

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        // A text is only taken in.
        if message.kind() == Kind::Binary {
            let _ = cx.send(id, message);
        }
    }
}

/// A server on a thread of its own.
struct Server {
    path: PathBuf,
    remote: Remote<()>,
    thread: thread::JoinHandle<()>,
}

impl Server {
    fn start() -> Server {
        let path = std::env::temp_dir().join(format!("gnezdo-memory-{}.sock", std::process::id()));
        // Nothing waits in the pools for its next use, so that every message asks the allocator.
        let mut config = Config { message_pool: 0, ..Config::default() };
        config.settings.queue_pool = 0;
        // Nobody waits for anybody for long: a peer is read from as long as its echoes fit, and one that only writes is
        // cut off soon where the server has stopped to read.
        config.settings.high_water = config.settings.max_queue;
        config.settings.stall_timeout = Duration::from_millis(50);
        // The healthy peer gets echoes alone.
        config.timeouts.ping = None;
        config.timeouts.idle = None;
        let window_lives_on = DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            level: 1,
            ..DeflateConfig::default()
        };
        config.websocket.deflate = Some(window_lives_on);
        let mut reactor = Reactor::new(Echo, config).unwrap();
        reactor.listen(&format!("unix:{}", path.display()).parse().unwrap()).unwrap();
        let remote = reactor.remote();
        let thread = thread::spawn(move || reactor.run().unwrap());
        Server { path, remote, thread }
    }

    fn connect(&self, extensions: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream
    }

    fn stop(self) {
        self.remote.stop().unwrap();
        self.thread.join().expect("the server lives");
    }
}

/// What a peer does that needs much memory.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// A message in pieces, longer than a receive.
    Fragments,
    /// Messages that are echoed while nobody reads.
    Backlog,
    /// A message that is inflated, and compressed again.
    Compressed,
}

impl Demand {
    const ALL: [Demand; 3] = [Demand::Fragments, Demand::Backlog, Demand::Compressed];

    fn extensions(self) -> &'static str {
        match self {
            Demand::Fragments | Demand::Backlog => "",
            Demand::Compressed => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        }
    }

    /// Frames whose masking key is zero, so that they need no work.
    fn frames(self) -> Vec<u8> {
        let mut wire = Vec::new();
        match self {
            Demand::Fragments => {
                for first in [0x02, 0x00, 0x00, 0x80] {
                    write_frame(&mut wire, first, &vec![b'x'; 70_000]);
                }
            }
            Demand::Backlog => {
                for _ in 0..4 {
                    write_frame(&mut wire, 0x82, &vec![b'y'; 150_000]);
                }
            }
            Demand::Compressed => {
                write_frame(&mut wire, 0xC2, &deflated(&noise()));
            }
        }
        wire
    }
}

/// What cannot be compressed (xorshift).
fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..100_000).map(|_| next()).collect()
}

/// A frame of more than 64 KiB, as all of them here are.
fn write_frame(wire: &mut Vec<u8>, first: u8, payload: &[u8]) {
    wire.extend_from_slice(&[first, 0xFF]);
    wire.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    wire.extend_from_slice(&[0; 4]);
    wire.extend_from_slice(payload);
}

/// A message as RFC 7692 §7.2.1 has it.
fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2);
    let mut stream = flate2::Compress::new(flate2::Compression::fast(), false);
    stream.compress_vec(payload, &mut out, flate2::FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// Makes the demand, and reads until the peer of it has nothing more to say, or has been cut off.
fn demand(mut stream: UnixStream, wire: &[u8]) {
    let sent = stream.write_all(wire).and_then(|()| stream.write_all(&CLOSE));
    assert_ended(sent.map(|()| 0));
    let mut place = [0; 16 * 1024];
    loop {
        match stream.read(&mut place) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return assert_ended(Err(error)),
        }
    }
}

/// Nothing is left hanging: a failure is the end of the connection, not the end of patience.
fn assert_ended(outcome: Result<usize>) {
    let hangs =
        outcome.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(!hangs, "the connection was neither served nor ended");
}

/// The healthy peer's message comes back.
fn assert_served(healthy: &mut UnixStream) {
    healthy.write_all(b"\x82\x85\0\0\0\0hello").unwrap();
    let mut echo = [0; 7];
    healthy.read_exact(&mut echo).expect("the healthy connection is served");
    assert_eq!(&echo, b"\x82\x05hello");
}

#[test]
fn the_nth_large_request_that_is_refused_costs_one_connection() {
    let _alone = ALONE.lock();
    let server = Server::start();
    let mut healthy = server.connect("");
    let wires = Demand::ALL.map(|demand| (demand, demand.frames()));
    let mut refused = [0; Demand::ALL.len()];
    for round in 0..ROUNDS {
        let (kind, wire) = &wires[round % wires.len()];
        let stream = server.connect(kind.extensions());
        FailingAllocator::refuse(round / wires.len() % LARGE_REQUESTS + 1);
        demand(stream, wire);
        refused[round % wires.len()] += FailingAllocator::grant();
        assert_served(&mut healthy);
    }
    server.stop();
    println!("refused by demand: {refused:?}");
    assert!(refused.iter().all(|refused| *refused >= 20), "there were hardly any refusals: {refused:?}");
}

#[test]
fn a_connection_may_live_for_long_before_its_memory_is_refused() {
    let _alone = ALONE.lock();
    let server = Server::start();
    let mut healthy = server.connect("");
    let is_all = std::env::var("GNEZDO_ALLOCATIONS").is_ok_and(|which| which == "all");
    let large = large_message();
    for nth in (1..=LONG_LIFE).filter(|nth| is_all || nth % ONE_IN == 1 || *nth == LONG_LIFE) {
        let mut stream = server.connect("");
        FailingAllocator::refuse(nth);
        let mut sent = 0;
        while FailingAllocator::refused() == 0 && stream.write_all(&large).is_ok() {
            sent += 1;
            assert!(sent < nth + 20, "{sent} large messages made fewer than {nth} requests");
        }
        assert_eq!(FailingAllocator::grant(), 1);
        demand(stream, &[]);
        assert_served(&mut healthy);
    }
    server.stop();
}

/// A message in two frames, so that it needs a large request even where it comes at once.
fn large_message() -> Vec<u8> {
    let mut wire = Vec::new();
    for first in [0x01, 0x80] {
        write_frame(&mut wire, first, &vec![b'z'; 66_000]);
    }
    wire
}

/// A Close without a word.
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];
/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 1000;
/// As many requests as are counted of one connection, and how many of them are granted between two that are tried.
const LONG_LIFE: usize = 1000;
const ONE_IN: usize = 37;
/// What is refused is refused to the whole process.
static ALONE: Mutex<()> = Mutex::new(());
/// More than any of the demands makes.
const LARGE_REQUESTS: usize = 16;
