//! The release build of the `proxy` example between a fast side and a slow one: every byte in its place, in memory that
//! its water marks bound, and each half of a connection closed when its other end was. Prints what it measured.
//!
//!     cargo test --release --test proxy -- --include-ignored --test-threads 1
#![cfg(all(target_os = "linux", feature = "net", feature = "deflate"))]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]
#![expect(clippy::cast_precision_loss, reason = "figures to look at")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use support::{BINARY, CLOSE, Client, KIB, MIB, PATIENCE, Target, build, frame, peak, report};

/// Two queues at their high-water marks, 64 KiB by default, with a read of as much on top of each; as much again, because
/// what grows is twice as large as what is in it; and as much as both for whole pages and what the allocator keeps.
const MEMORY: u64 = MIB;

#[test]
#[ignore = "takes 16 s by its nature"]
fn a_slow_reader_on_either_side_is_waited_for_in_bounded_memory() {
    let rate = Some(4 * MIB);
    carry(Load { bytes: 64 * MIB, rate }, Load { bytes: 64 * MIB, rate });
}

#[test]
#[ignore = "moves gigabytes"]
fn four_gibibytes_go_through_in_bounded_memory() {
    carry(Load { bytes: 4096 * MIB, rate: None }, Load { bytes: 512 * MIB, rate: None });
}

/// How much goes one way, and how much of it a second its reader takes at most.
#[derive(Clone, Copy)]
struct Load {
    bytes: u64,
    rate: Option<u64>,
}

/// Sends `down` from a TCP service through the proxy to a WebSocket client, and `up` the other way, at the same time.
fn carry(down: Load, up: Load) {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&["127.0.0.1:0", &format!("tcp://{}", service.local_addr().unwrap())]);
    let mut reader = Client::connect(&Target::Tcp(proxy.addr.parse().unwrap()));
    let (far, _) = service.accept().unwrap();
    let (before, began) = (peak(proxy.child.id()), Instant::now());
    std::thread::scope(|scope| {
        let (mut writer, mut far_reader, mut far_writer) = (reader.stream.duplicate(), &far, &far);
        scope.spawn(move || {
            let frame = frame(BINARY, &pattern()[..UP_FRAME]);
            (0..up.bytes / UP_FRAME as u64).for_each(|_| writer.write_all(&frame).unwrap());
        });
        scope.spawn(move || {
            let mut check = Check::new(&pattern()[..UP_FRAME], up);
            let mut buffer = vec![0; 256 * 1024];
            while !check.is_complete() {
                let count = far_reader.read(&mut buffer).unwrap();
                check.take(&buffer[..count]);
            }
        });
        scope.spawn(move || {
            let pattern = pattern();
            let mut left = usize::try_from(down.bytes).unwrap();
            while left > 0 {
                let count = left.min(pattern.len());
                far_writer.write_all(&pattern[..count]).unwrap();
                left -= count;
            }
        });
        read_messages(&mut reader, Check::new(pattern(), down));
    });
    let (took, grown) = (began.elapsed(), peak(proxy.child.id()) - before);
    drop(far);
    assert_eq!(reader.receive().close_code(), Some(1000));
    report(&format!(
        "{} MiB down and {} MiB up through the proxy in {took:.1?}, {:.0} MiB/s, byte for byte; its memory grew by {} \
         KiB at most",
        down.bytes / MIB,
        up.bytes / MIB,
        (down.bytes + up.bytes) as f64 / MIB as f64 / took.as_secs_f64(),
        grown / KIB
    ));
    assert!(grown <= MEMORY, "{} KiB", grown / KIB);
}

/// Small enough that no message has to be put together from many receives.
const UP_FRAME: usize = 16 * 1024;

/// Reads messages, and compares what is in them.
fn read_messages(client: &mut Client, mut check: Check) {
    let mut buffered = BufReader::with_capacity(256 * 1024, client.stream.duplicate());
    let mut left_of_frame = 0;
    while !check.is_complete() {
        if left_of_frame == 0 {
            left_of_frame = message_length(&mut buffered);
        }
        let bytes = buffered.fill_buf().unwrap();
        let count = bytes.len().min(left_of_frame);
        check.take(&bytes[..count]);
        buffered.consume(count);
        left_of_frame -= count;
    }
    assert_eq!((left_of_frame, buffered.buffer()), (0, &[][..]), "nothing is sent before we are done");
}

/// Reads the head of a binary message in one frame: its length.
fn message_length(from: &mut impl Read) -> usize {
    let mut bytes = |count: usize| {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes[8 - count..]).unwrap();
        usize::try_from(u64::from_be_bytes(bytes)).unwrap()
    };
    assert_eq!(bytes(1), 0x82);
    match bytes(1) {
        126 => bytes(2),
        127 => bytes(8),
        short => short,
    }
}

/// Bytes that look random, of a length that shares no divisor with any buffer's.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..(1 << 20) - 3).map(|_| byte()).collect()
    })
}

/// Compares a stream with a pattern that repeats, at the pace of its reader.
struct Check {
    pattern: &'static [u8],
    load: Load,
    taken: u64,
    began: Instant,
}

impl Check {
    fn new(pattern: &'static [u8], load: Load) -> Self {
        Self { pattern, load, taken: 0, began: Instant::now() }
    }

    fn is_complete(&self) -> bool {
        self.taken == self.load.bytes
    }

    fn take(&mut self, mut bytes: &[u8]) {
        assert!(!bytes.is_empty(), "the end after {} bytes", self.taken);
        while !bytes.is_empty() {
            let at = usize::try_from(self.taken % self.pattern.len() as u64).unwrap();
            let count = bytes.len().min(self.pattern.len() - at);
            assert!(bytes[..count] == self.pattern[at..at + count], "a wrong byte after {}", self.taken);
            self.taken += count as u64;
            bytes = &bytes[count..];
        }
        if let Some(rate) = self.load.rate {
            let due = Duration::from_secs_f64(self.taken as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(self.began.elapsed()));
        }
    }
}

/// A half-close of a TCP client reaches the service, which can go on talking.
#[test]
fn a_half_close_of_the_client_is_passed_on() {
    let (_proxy, mut client, mut service) = bridge();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut service), b"question");
    service.write_all(b"a long answer").unwrap();
    drop(service);
    assert_eq!(rest(&mut client), b"a long answer");
}

/// And the other way round.
#[test]
fn a_half_close_of_the_service_is_passed_on() {
    let (_proxy, mut client, mut service) = bridge();
    service.write_all(b"greeting").unwrap();
    service.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"greeting");
    client.write_all(b"a late answer").unwrap();
    drop(client);
    assert_eq!(rest(&mut service), b"a late answer");
}

/// A WebSocket has no halves: where the service ends its half, the client gets everything and then a close.
#[test]
fn the_end_of_the_service_closes_a_websocket() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&["127.0.0.1:0", &format!("tcp://{}", service.local_addr().unwrap())]);
    let mut client = Client::connect(&Target::Tcp(proxy.addr.parse().unwrap()));
    let (mut far, _) = service.accept().unwrap();
    far.write_all(b"last words").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.receive().payload, b"last words");
    assert_eq!(client.receive().close_code(), Some(1000));
    client.send(CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(rest(&mut far), b"", "and the service reads the end of the other half");
}

/// The end of a WebSocket is the end of the service's connection.
#[test]
fn a_close_of_a_websocket_ends_the_connection_to_the_service() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&["127.0.0.1:0", &format!("tcp://{}", service.local_addr().unwrap())]);
    let mut client = Client::connect(&Target::Tcp(proxy.addr.parse().unwrap()));
    let (mut far, _) = service.accept().unwrap();
    client.send(BINARY, b"last words");
    client.send(CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(rest(&mut far), b"last words");
    assert_eq!(client.receive().close_code(), Some(1000));
}

/// Two TCP connections with the proxy between.
fn bridge() -> (Proxy, TcpStream, TcpStream) {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&["--raw", "127.0.0.1:0", &format!("tcp://{}", service.local_addr().unwrap())]);
    let client = TcpStream::connect(&proxy.addr).unwrap();
    let (far, _) = service.accept().unwrap();
    for stream in [&client, &far] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (proxy, client, far)
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A running proxy, killed in the end.
struct Proxy {
    child: Child,
    addr: String,
}

impl Proxy {
    fn start(arguments: &[&str]) -> Self {
        static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| build("proxy"));
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().rsplit_once(' ').unwrap().1.to_owned();
        Proxy { child, addr }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
