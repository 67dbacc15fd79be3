//! What a running reactor asks of the heap: nothing, for whatever goes back and forth in steady state (G17).
//!
//! Reactor and client take turns on one thread, whose allocations are counted; the client's buffers are there before
//! the counting begins. What is counted is therefore the reactor's, to the digit.
#![cfg(feature = "net")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a helper of tests fails the test")]
#![expect(clippy::cast_possible_truncation, reason = "some megabytes")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use gnezdo::{Addr, Config, ConnId, Context, Handler, Message, Reactor, SendError};
use support::{BINARY, KIB, MIB, PING, Stream, TEXT, Target, fragment, frame, report};

const ROUNDS: usize = 10_000;
const WARM_UP: usize = 100;

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if let Err(SendError::TooBig { .. } | SendError::Full { .. }) = cx.send(id, message) {
            cx.abort(id);
        }
    }
}

/// A reactor and one client of it, in one thread.
struct Pair {
    reactor: Reactor<Echo>,
    client: Stream,
    received: Vec<u8>,
}

impl Pair {
    fn new(mut config: Config, unix: bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Pings are counted here, not limited.
        config.websocket.limits.pings_per_second = u32::MAX;
        let mut reactor = Reactor::new(Echo, config).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gnezdo-allocations-{}-{number}", std::process::id()));
        let asked = if unix { format!("unix:{}", path.display()) } else { "127.0.0.1:0".to_owned() };
        let target = match reactor.listen(&asked.parse().unwrap()).unwrap().addr {
            Addr::Tcp(addr) => Target::Tcp(addr),
            Addr::Unix(_) => Target::Unix(path),
        };
        let mut client = target.connect().unwrap();
        client.request();
        client.set_nonblocking(true);
        let mut pair = Pair { reactor, client, received: vec![0; 4 * MIB as usize] };
        pair.turn_until(|pair| pair.read_some(0) > 0);
        pair
    }

    fn turn(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).unwrap();
    }

    fn turn_until(&mut self, mut is_done: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !is_done(self) {
            assert!(began.elapsed() < support::PATIENCE, "nothing comes");
            self.turn();
        }
    }

    /// Reads what there is, behind the first `at` bytes received.
    fn read_some(&mut self, at: usize) -> usize {
        match self.client.read(&mut self.received[at..]) {
            Ok(0) => panic!("the server has closed the connection"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// Writes the pieces, with a turn of the reactor after each, and reads until all of `answer` has come.
    fn exchange(&mut self, pieces: &[&[u8]], answer: &[u8]) {
        let mut came = 0;
        for piece in pieces {
            let mut written = 0;
            self.turn_until(|pair| {
                match pair.client.write(&piece[written..]) {
                    Ok(count) => written += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                came += pair.read_some(came);
                written == piece.len()
            });
            self.turn();
        }
        self.turn_until(|pair| {
            came += pair.read_some(came);
            came >= answer.len()
        });
        assert!(self.received[..came] == *answer, "another answer came");
    }

    /// The allocations of so many exchanges, after some that are not counted.
    fn count(&mut self, rounds: usize, pieces: &[&[u8]], answer: &[u8]) -> AllocationInfo {
        for _ in 0..WARM_UP.min(rounds) {
            self.exchange(pieces, answer);
        }
        measure(|| {
            for _ in 0..rounds {
                self.exchange(pieces, answer);
            }
        })
    }
}

/// What the server sends for a message: its frame without a mask.
fn answer(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(opcode, &[]);
    bytes.truncate(1);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => bytes.push(length),
        (_, Ok(length)) => bytes.extend([&[126], &length.to_be_bytes()[..]].concat()),
        _ => bytes.extend([&[127], &u64::try_from(length).unwrap().to_be_bytes()[..]].concat()),
    }
    bytes.extend(payload);
    bytes
}

/// Letters of one to four bytes.
fn letters(length: usize) -> Vec<u8> {
    let mut text = "aé€𝄞".repeat(length / 10);
    text.push_str(&"x".repeat(length - text.len()));
    text.into_bytes()
}

fn assert_none(what: &str, rounds: usize, counted: &AllocationInfo) {
    report(&format!(
        "{what}, {rounds} times: {} allocations, {} bytes in all, {} kept",
        counted.count_total, counted.bytes_total, counted.bytes_current
    ));
    assert_eq!(counted.count_total, 0, "{what}: {counted:?}");
}

fn whole_messages(length: usize) {
    for unix in [false, true] {
        for opcode in [TEXT, BINARY] {
            let payload = letters(length);
            let message = frame(opcode, &payload);
            let mut pair = Pair::new(Config::default(), unix);
            let counted = pair.count(ROUNDS, &[&message], &answer(opcode, &payload));
            let kind = if opcode == TEXT { "text" } else { "binary" };
            let socket = if unix { "Unix" } else { "TCP" };
            assert_none(&format!("{length} bytes of {kind} over {socket}"), ROUNDS, &counted);
        }
    }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!((counted.count_total, counted.bytes_total, counted.bytes_current), (1, 100, 0));
}

#[test]
fn echoing_20_bytes_allocates_nothing() {
    whole_messages(20);
}

#[test]
fn echoing_1_kib_allocates_nothing() {
    whole_messages(1024);
}

#[test]
fn echoing_16_kib_allocates_nothing() {
    whole_messages(16 * 1024);
}

#[test]
fn echoing_64_kib_allocates_nothing() {
    whole_messages(64 * 1024);
}

#[test]
fn echoing_1_mib_out_of_the_pool_allocates_nothing() {
    let payload = letters(MIB as usize);
    let message = frame(TEXT, &payload);
    let answer = answer(TEXT, &payload);
    let mut pair = Pair::new(Config::default(), false);
    let counted = pair.count(200, &[&message], &answer);
    assert_none("1 MiB of text over TCP", 200, &counted);
}

#[test]
fn a_message_that_comes_in_two_reads_allocates_nothing() {
    for length in [20, 1024, 16 * 1024] {
        let payload = letters(length);
        let message = frame(TEXT, &payload);
        for cut in [1, 5, message.len() / 2, message.len() - 1] {
            let (front, back) = message.split_at(cut);
            let mut pair = Pair::new(Config::default(), false);
            let counted = pair.count(ROUNDS / 4, &[front, back], &answer(TEXT, &payload));
            assert_none(&format!("{length} bytes of text, cut at {cut}"), ROUNDS / 4, &counted);
        }
    }
}

#[test]
fn a_message_in_fragments_allocates_nothing() {
    for length in [20, 1024, 16 * 1024] {
        let payload = letters(length);
        let parts: Vec<&[u8]> = payload.chunks(length.div_ceil(3)).collect();
        let frames = [fragment(TEXT, parts[0]), fragment(0, parts[1]), fragment(0x80, parts[2])];
        let together = frames.concat();
        let apart: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        for (how, pieces) in [("together", vec![&together[..]]), ("apart", apart)] {
            let mut pair = Pair::new(Config::default(), false);
            let counted = pair.count(ROUNDS / 2, &pieces, &answer(TEXT, &payload));
            assert_none(&format!("{length} bytes of text in 3 fragments, {how}"), ROUNDS / 2, &counted);
        }
    }
}

#[test]
fn answering_a_ping_allocates_nothing() {
    for payload in [&[][..], &[7; 125]] {
        for pings in [1, 20] {
            let mut pair = Pair::new(Config::default(), false);
            let bytes = frame(PING, payload).repeat(pings);
            let counted = pair.count(ROUNDS / pings, &[&bytes], &answer(0xA, payload).repeat(pings));
            let what = format!("{pings} pings of {} bytes at once", payload.len());
            assert_none(&what, ROUNDS / pings, &counted);
        }
    }
}

#[test]
fn many_small_messages_at_once_allocate_nothing() {
    let payload = letters(20);
    let message = frame(TEXT, &payload).repeat(500);
    let mut pair = Pair::new(Config::default(), false);
    let counted = pair.count(ROUNDS / 100, &[&message], &answer(TEXT, &payload).repeat(500));
    assert_none("500 messages of 20 bytes at once", ROUNDS / 100, &counted);
}

#[test]
fn renewing_the_deadline_of_an_idle_peer_allocates_nothing() {
    let mut config = Config::default();
    config.timeouts.idle = Some(Duration::from_secs(2));
    let mut pair = Pair::new(config, false);
    let payload = letters(20);
    let (message, answer) = (frame(BINARY, &payload), answer(BINARY, &payload));
    pair.count(1, &[&message], &answer);
    let began = Instant::now();
    let mut rounds = 0;
    // The deadline is looked at every half of the time allowed, so several times in this.
    let counted = measure(|| {
        while began.elapsed() < Duration::from_secs(5) {
            pair.exchange(&[&message], &answer);
            rounds += 1;
        }
    });
    assert_none("20 bytes while deadlines come and are renewed", rounds, &counted);
}

#[test]
fn pongs_that_nobody_reads_are_not_heaped_up() {
    let mut pair = Pair::new(Config::default(), false);
    let bytes = frame(PING, &[7; 125]);
    let count = 24 * MIB as usize / bytes.len();
    let bytes = bytes.repeat(1_000);
    let mut offered = 0;
    let counted = measure(|| {
        for _ in 0..count / 1_000 {
            offered += pair.client.write(&bytes[offered % 131..]).unwrap_or(0);
            pair.turn();
        }
    });
    report(&format!(
        "24 MiB of pings offered, no pong read: {} KiB taken, {} bytes of heap at most, {} kept",
        offered as u64 / KIB,
        counted.bytes_max,
        counted.bytes_current
    ));
    assert!(counted.bytes_max <= 256 * KIB, "{counted:?}");
}

#[test]
fn echoes_that_nobody_reads_are_not_heaped_up() {
    for length in [20, 16 * 1024] {
        let mut pair = Pair::new(Config::default(), false);
        let message = frame(BINARY, &letters(length));
        let bytes = message.repeat(64 * 1024 / message.len());
        let mut offered = 0;
        let counted = measure(|| {
            for _ in 0..48 * MIB as usize / bytes.len() {
                offered += pair.client.write(&bytes[offered % bytes.len()..]).unwrap_or(0);
                pair.turn();
            }
        });
        report(&format!(
            "48 MiB in messages of {length} bytes, nothing read: {} KiB taken, {} bytes of heap at most",
            offered as u64 / KIB,
            counted.bytes_max
        ));
        assert!(counted.bytes_max <= 512 * KIB, "{counted:?}");
    }
}
