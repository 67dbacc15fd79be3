//! Frames, messages and the closing handshake, from the outside: what a peer may do, what it may not, and what it is told.
#![cfg(feature = "net")]
#![cfg(feature = "deflate")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod rules;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flate2::{Compress as Zip, Compression, Decompress as Unzip, FlushCompress, FlushDecompress};
use gnezdo::ws::{CloseCode, Compress, DeflateConfig, Lengths};
use gnezdo::{Config, Listen, SendError, Serve, WebSocketConfig};
use rules::{
    BINARY, CLOSE, CONTINUATION, Client, Dice, End, Frame, PATIENCE, PING, PONG, SOON, Scripted, Server,
    TEXT, eventually, head, long_head, upgrade_request,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

fn echo_with(change: impl FnOnce(&mut Config)) -> Server {
    Server::start(Scripted::echo(), config(change))
}

/// The head of a client's frame of so many bytes, its key of zeros included: what follows needs no mask.
fn masked_head(first: u8, length: u64) -> Vec<u8> {
    [head(first, true, length), vec![0; 4]].concat()
}

fn masked_long_head(first: u8, width: usize, length: u64) -> Vec<u8> {
    [long_head(first, true, width, length), vec![0; 4]].concat()
}

// Messages.

/// Every length and both kinds come back as they were.
#[test]
fn messages_of_every_length_come_back() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    let lengths = (0..300).chain([65_534, 65_535, 65_536, 65_537, 131_072, MIB - 1, MIB]);
    for length in lengths {
        let bytes = Dice::new(length as u64).bytes(length);
        client.binary(&bytes);
        client.expect_binary(&bytes);
        let text = "aé€𝄞".chars().cycle().take(length / 3).collect::<String>();
        client.text(&text);
        client.expect_text(&text);
    }
}

/// Any mix of messages, fragments and pings, cut anywhere, whatever is received at a time.
#[test]
fn any_mix_of_fragments_cut_anywhere_is_understood() {
    for receive_budget in [4 * KIB, 64 * KIB] {
        let server = echo_with(|config| {
            config.settings.receive_budget = receive_budget;
            config.websocket.limits.pings_per_second = 1_000_000;
        });
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let server = &server;
                scope.spawn(move || talk_at_random(server, seed));
            }
        });
        server.expect_empty();
    }
}

fn talk_at_random(server: &Server, seed: u64) {
    let mut dice = Dice::new(seed * 77 + 3);
    for _ in 0..10 {
        let mut client = Client::open(server);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..dice.below(30) {
            let sizes = [0, 1, 5, 125, 126, 1000, 4096, 8192, 20_000, 70_000];
            let size = sizes[dice.below(10)];
            let message = Frame::binary(dice.bytes(size));
            let cuts = dice.below(4);
            let mut rest = &message.payload[..];
            let mut pongs = Vec::new();
            for at in 0..=cuts {
                let count = if at == cuts { rest.len() } else { dice.below(rest.len() as u64 + 1) };
                let (piece, left) = rest.split_at(count);
                let mut frame = Frame::new(if at == 0 { BINARY } else { CONTINUATION }, piece);
                frame.fin = at == cuts;
                if dice.below(5) == 0 {
                    let size = dice.below(126);
                    let ping = Frame::ping(dice.bytes(size));
                    bytes.extend(ping.masked());
                    pongs.push(Frame { opcode: PONG, ..ping });
                }
                bytes.extend(frame.masked());
                rest = left;
            }
            expected.extend(pongs);
            expected.push(message);
        }
        std::thread::scope(|scope| {
            let (mut sender, mut rest) = (client.twin(), &bytes[..]);
            let dice = &mut dice;
            scope.spawn(move || {
                while !rest.is_empty() {
                    let count = (dice.below(30_000) + 1).min(rest.len());
                    sender.send(&rest[..count]);
                    rest = &rest[count..];
                    if dice.below(3) == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
            });
            for frame in &expected {
                let got = client.next();
                assert!(got == *frame, "seed {seed}: {got:?} instead of {frame:?}");
            }
        });
    }
}

// R11: lengths.

/// R11: what is announced is judged before any of it is received.
#[test]
fn announced_lengths_are_judged_at_once() {
    let server = Server::echo();
    for (length, code) in [
        (u64::MAX, 1002),
        (1 << 63, 1002),
        ((1 << 63) - 1, 1009),
        (1 << 62, 1009),
        (1 << 40, 1009),
        ((1 << 32) + 1, 1009),
        (1 << 32, 1009),
        (u64::from(u32::MAX), 1009),
        ((1 << 31) + 1, 1009),
        (MIB as u64 + 1, 1009),
    ] {
        for opcode in [TEXT, BINARY] {
            let mut client = Client::open(&server);
            client.send(&masked_long_head(0x80 | opcode, 8, length));
            let _ = client.try_send(&[b'x'; 10]);
            client.expect_close(code);
        }
        // The same behind a fragment, where lengths are added.
        let mut client = Client::open(&server);
        client.frame(&Frame::binary("begun").unfinished());
        client.send(&masked_long_head(0x80 | CONTINUATION, 8, length));
        client.expect_close(code);
    }
    server.expect_empty();
    assert!(server.cpu() < Duration::from_secs(1));
}

/// R11, R12: the limits on frames and messages hold to the byte, in one frame or in many.
#[test]
fn the_limits_on_length_hold_to_the_byte() {
    let server = echo_with(|config| {
        config.websocket.limits.max_frame = 20_000;
        config.websocket.limits.max_message = 30_000;
    });
    let outcome = |frames: &[Frame]| {
        let mut client = Client::open(&server);
        let bytes = frames.iter().flat_map(Frame::masked).collect::<Vec<u8>>();
        let _ = client.try_send(&bytes);
        let frame = client.next();
        if frame.opcode == CLOSE { Err(frame.close_code().unwrap()) } else { Ok(frame.payload.len()) }
    };
    for length in [19_999, 20_000, 20_001] {
        let expected = if length <= 20_000 { Ok(length) } else { Err(1009) };
        assert_eq!(outcome(&[Frame::binary(vec![1; length])]), expected);
    }
    for length in [29_999, 30_000, 30_001] {
        let expected = if length <= 30_000 { Ok(length) } else { Err(1009) };
        let rest = vec![1; length - 15_000];
        assert_eq!(outcome(&[Frame::binary([1; 15_000]).unfinished(), Frame::more(&rest)]), expected);
        let (one, two) = rest.split_at(7_000);
        let first = Frame::binary([1; 15_000]).unfinished();
        assert_eq!(outcome(&[first, Frame::more(one).unfinished(), Frame::more(two)]), expected);
    }
}

// R12: fragments.

/// R12: so many fragments, and no more.
#[test]
fn the_number_of_fragments_is_limited() {
    let server = echo_with(|config| config.websocket.limits.max_fragments = 10);
    for (count, passes) in [(1, true), (2, true), (9, true), (10, true), (11, false)] {
        let mut client = Client::open(&server);
        for at in 0..count {
            let opcode = if at == 0 { TEXT } else { CONTINUATION };
            let mut frame = Frame::new(opcode, "x");
            frame.fin = at + 1 == count;
            let _ = client.try_send(&frame.masked());
        }
        if passes {
            client.expect_text(&"x".repeat(count));
        } else {
            client.expect_close(1008);
        }
    }
}

/// R12: and so many empty ones in a row.
#[test]
fn the_run_of_empty_fragments_is_limited() {
    let server = echo_with(|config| config.websocket.limits.max_empty_fragments = 4);
    for (empty, passes) in [(0, true), (3, true), (4, true), (5, false)] {
        let mut client = Client::open(&server);
        client.frame(&Frame::text("a").unfinished());
        for run in 0..3 {
            for _ in 0..empty {
                let _ = client.try_send(&Frame::more("").unfinished().masked());
            }
            let _ = client.try_send(&Frame::more(run.to_string()).unfinished().masked());
        }
        let _ = client.try_send(&Frame::more("").masked());
        if passes {
            client.expect_text("a012");
        } else {
            client.expect_close(1008);
        }
    }
}

/// R12: with the defaults, floods of small fragments end, and cost little.
#[test]
fn floods_of_fragments_are_refused() {
    let server = Server::echo();
    let mut healthy = Client::open(&server);
    for (piece, most) in [("", 64), ("x", 65_536)] {
        let mut client = Client::open(&server);
        let mut sender = client.twin();
        let flood = Frame::more(piece).unfinished().masked().repeat(1000);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                sender.frame(&Frame::binary("x").unfinished());
                (0..2_000).take_while(|_| sender.try_send(&flood).is_ok()).count()
            });
            assert_eq!(client.next().close_code(), Some(1008), "{most} are allowed");
            drop(client);
        });
        healthy.expect_alive();
    }
    assert!(server.cpu() < Duration::from_secs(2), "{:?} of CPU", server.cpu());
}

// R13: pings.

/// R13: pings within the rate are answered, each with its payload and in its place among the messages.
#[test]
fn pings_are_answered_in_order() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    let payloads: Vec<Vec<u8>> = (0..50).map(|n| vec![n; usize::from(n) * 125 / 49]).collect();
    let mut bytes = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        bytes.extend(Frame::text(&at.to_string()).masked());
        bytes.extend(Frame::ping(payload).masked());
        bytes.extend(Frame::binary(vec![0; 12 * KIB]).masked());
    }
    client.send(&bytes);
    for (at, payload) in payloads.iter().enumerate() {
        client.expect_text(&at.to_string());
        client.expect_pong(payload);
        client.expect_binary(&[0; 12 * KIB]);
    }
}

/// R13: beyond the rate there is a 1008, whether the peer reads or not.
#[test]
fn a_ping_flood_is_refused() {
    let server = Server::echo();
    for payload in [0, 125] {
        let mut client = Client::open(&server);
        let _ = client.try_send(&Frame::ping(vec![7; payload]).masked().repeat(5_000));
        let mut pongs = 0;
        let close = loop {
            let frame = client.next();
            if frame.opcode == CLOSE {
                break frame;
            }
            assert_eq!(frame, Frame::new(PONG, vec![7; payload]));
            pongs += 1;
        };
        assert_eq!(close.close_code(), Some(1008));
        assert!((100..=400).contains(&pongs), "{pongs} pongs");
    }
    // The burst is for those who were silent, and it comes back with time.
    let mut patient = Client::open(&server);
    for _ in 0..3 {
        for _ in 0..60 {
            patient.frame(&Frame::ping("x"));
            patient.expect_pong(b"x");
        }
        std::thread::sleep(milliseconds(700));
    }
}

/// R13: where no rate holds, a peer that does not read owes its own memory: the answers do not pile up here.
#[test]
fn pongs_do_not_pile_up_for_a_peer_that_does_not_read() {
    let server = echo_with(|config| config.websocket.limits.pings_per_second = 1_000_000);
    let mut healthy = Client::open(&server);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    let mut sender = client.twin();
    let (count, text) = (100_000_u32, Frame::text("behind").masked());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count / 100 {
                let ping = |n: u32| Frame::ping([&(number * 100 + n).to_be_bytes()[..], &[0; 121]].concat());
                let block = (0..100).flat_map(|n| ping(n).masked()).collect::<Vec<u8>>();
                sender.send(&block);
            }
            sender.send(&text);
        });
        std::thread::sleep(milliseconds(300));
        for _ in 0..10 {
            healthy.expect_alive();
        }
        let (mut last, mut pongs) = (None, 0);
        loop {
            let frame = client.next();
            if frame == Frame::text("behind") {
                break;
            }
            assert_eq!((frame.opcode, frame.payload.len()), (PONG, 125));
            let number = u32::from_be_bytes(*frame.payload.first_chunk().unwrap());
            assert!(last < Some(number), "{number} after {last:?}");
            (last, pongs) = (Some(number), pongs + 1);
        }
        println!("{pongs} pongs to {count} pings");
        assert!(last.is_some());
    });
}

/// Pongs that nobody asked for are not answered (RFC 6455 §5.5.3).
#[test]
fn unasked_pongs_are_let_pass() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    client.send(&Frame::new(PONG, "x").masked().repeat(5_000));
    client.expect_alive();
}

// R14: UTF-8.

/// What is text, at the edges of what is allowed.
const TEXTS: [&str; 10] = [
    "κόσμε",
    "\u{0}",
    "\u{7F}\u{80}\u{7FF}\u{800}",
    "\u{D7FF}\u{E000}",
    "\u{FFFE}\u{FFFF}",
    "\u{10000}",
    "\u{10FFFF}",
    "\u{1FFFE}",
    "𝄞",
    "\u{FEFF}a",
];

/// What is not: the bytes, and how many of them it takes to know.
const NO_TEXTS: [(&[u8], usize); 18] = [
    (b"\x80", 1),
    (b"\xBF", 1),
    (b"\xC0\x80", 1),
    (b"\xC1\xBF", 1),
    (b"\xE0\x80\x80", 2),
    (b"\xE0\x9F\xBF", 2),
    (b"\xED\xA0\x80", 2),
    (b"\xED\xBF\xBF", 2),
    (b"\xF0\x80\x80\x80", 2),
    (b"\xF0\x8F\xBF\xBF", 2),
    (b"\xF4\x90\x80\x80", 2),
    (b"\xF5\x80\x80\x80", 1),
    (b"\xFE", 1),
    (b"\xFF", 1),
    (b"\xC3\x28", 2),
    (b"\xE2\x82\x28", 3),
    (b"\xF0\x9F\x98\x28", 4),
    (b"\xF0\x9F\x98\xF0", 4),
];

/// Every way to cut so many bytes into pieces.
fn all_cuts(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    (0..1 << (bytes.len() - 1))
        .map(|cuts: u32| {
            let mut pieces = vec![vec![bytes[0]]];
            for (at, byte) in bytes[1..].iter().enumerate() {
                if cuts >> at & 1 == 1 {
                    pieces.push(Vec::new());
                }
                pieces.last_mut().unwrap().push(*byte);
            }
            pieces
        })
        .collect()
}

fn fragments(pieces: &[Vec<u8>]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = pieces.iter().map(Frame::more).collect();
    for frame in &mut frames {
        frame.fin = false;
    }
    frames.first_mut().unwrap().opcode = TEXT;
    frames.last_mut().unwrap().fin = true;
    frames
}

/// R14: a character may be cut anywhere, by frames and by the network.
#[test]
fn characters_may_be_cut_anywhere() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    for text in TEXTS {
        client.text(text);
        client.expect_text(text);
    }
    for text in ["𝄞", "\u{10FFFF}", "a€b"] {
        for pieces in all_cuts(text.as_bytes()) {
            let frames = fragments(&pieces);
            client.send(&frames.iter().flat_map(Frame::masked).collect::<Vec<u8>>());
            client.expect_text(text);
            for frame in frames {
                for byte in frame.masked() {
                    client.send(&[byte]);
                }
            }
            client.expect_text(text);
        }
    }
}

/// R14: what is no UTF-8 is refused at the byte that shows it, before the frame or the message ends.
#[test]
fn what_is_no_text_is_refused_at_the_first_byte_that_shows_it() {
    let server = Server::echo();
    for (bytes, enough) in NO_TEXTS {
        for before in ["", "fine so far, straße ", &"x".repeat(20_000)] {
            let shown = [before.as_bytes(), &bytes[..enough]].concat();
            // In one frame of which more is to come.
            let mut client = Client::open(&server);
            client.send(&[masked_head(0x80 | TEXT, 100_000), shown.clone()].concat());
            client.expect_close(1007);
            // In a fragment that is not the last.
            let mut client = Client::open(&server);
            client.frame(&Frame::new(TEXT, &shown).unfinished());
            client.expect_close(1007);
            // Whole.
            let mut client = Client::open(&server);
            client.send(&[Frame::text("before").masked(), Frame::new(TEXT, &shown).masked()].concat());
            client.expect_text("before");
            client.expect_close(1007);
        }
        for pieces in all_cuts(bytes) {
            let mut client = Client::open(&server);
            for frame in fragments(&pieces) {
                let _ = client.try_send(&frame.masked());
            }
            client.expect_close(1007);
        }
    }
}

/// R14: text that ends inside a character is refused at its end, and not before.
#[test]
fn text_that_ends_inside_a_character_is_refused_at_its_end() {
    let server = Server::echo();
    for cut in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x98"] {
        let mut client = Client::open(&server);
        client.frame(&Frame::new(TEXT, cut).unfinished());
        client.expect_silence(milliseconds(30));
        client.frame(&Frame::more(""));
        client.expect_close(1007);
        let mut client = Client::open(&server);
        client.frame(&Frame::new(TEXT, cut));
        client.expect_close(1007);
        // As binary it is as good as anything.
        let mut client = Client::open(&server);
        client.binary(cut);
        client.expect_binary(cut);
    }
}

// R15, R16, R17: compression.

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
/// What RFC 7692 §7.2.1 takes off the end of a compressed message.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

fn zip() -> Zip {
    Zip::new(Compression::new(6), false)
}

/// The payload of a compressed message.
fn deflate(zip: &mut Zip, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let before = zip.total_in();
    loop {
        out.reserve(64 * KIB);
        let taken = usize::try_from(zip.total_in() - before).unwrap();
        zip.compress_vec(&message[taken..], &mut out, FlushCompress::Sync).unwrap();
        let taken = usize::try_from(zip.total_in() - before).unwrap();
        if taken == message.len() && out.len() < out.capacity() {
            break;
        }
    }
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - 4);
    out
}

fn inflate(unzip: &mut Unzip, payload: &[u8]) -> Vec<u8> {
    let input = [payload, &TAIL].concat();
    let (mut out, before) = (Vec::new(), unzip.total_in());
    loop {
        out.reserve(64 * KIB);
        let taken = usize::try_from(unzip.total_in() - before).unwrap();
        unzip.decompress_vec(&input[taken..], &mut out, FlushDecompress::Sync).unwrap();
        let taken = usize::try_from(unzip.total_in() - before).unwrap();
        if taken == input.len() && out.len() < out.capacity() {
            return out;
        }
    }
}

fn compressed(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame::new(opcode, payload).with_rsv(4)
}

/// A message compressed by itself.
fn zipped(message: impl AsRef<[u8]>) -> Frame {
    compressed(BINARY, deflate(&mut zip(), message.as_ref()))
}

fn deflating(deflate: DeflateConfig) -> Config {
    config(|config| config.websocket.deflate = Some(deflate))
}

fn deflating_echo() -> Server {
    Server::start(Scripted::echo(), deflating(DeflateConfig::default()))
}

/// A client with compression agreed.
fn deflating_client(server: &Server) -> Client {
    let mut client = Client::silent(server);
    let response = client.upgrade(&[OFFER]);
    assert!(response.header("sec-websocket-extensions").is_some());
    client
}

/// The next message, inflated by itself if it is compressed.
fn unzipped(client: &mut Client) -> Vec<u8> {
    let frame = client.next();
    assert!(frame.fin && matches!(frame.opcode, TEXT | BINARY), "{frame:?}");
    if frame.rsv == 4 { inflate(&mut Unzip::new(false), &frame.payload) } else { frame.payload }
}

/// R17: nobody is given compression unless the owner of the server said so.
#[test]
fn compression_is_never_agreed_to_by_default() {
    let server = Server::echo();
    for offer in [
        OFFER,
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: x, permessage-deflate",
    ] {
        let mut client = Client::silent(&server);
        assert_eq!(client.upgrade(&[offer]).header("sec-websocket-extensions"), None);
        client.frame(&zipped("compressed all the same"));
        client.expect_close(1002);
    }
}

/// Compressed and plain messages, whole and in fragments, with pings between.
#[test]
fn compressed_messages_come_back() {
    let server = deflating_echo();
    let mut client = deflating_client(&server);
    for length in [0, 1, 100, 1_023, 1_024, 5_000, 65_536, 300_000, MIB] {
        let message: Vec<u8> = (0..length).map(|n| u8::try_from(n / 50 % 251).unwrap()).collect();
        client.frame(&zipped(&message));
        assert!(unzipped(&mut client) == message, "{length}");
        client.binary(&message);
        assert!(unzipped(&mut client) == message, "{length}, plain");
        let whole = zipped(&message);
        for cut in [0, 1, whole.payload.len() / 2, whole.payload.len()] {
            let (one, two) = whole.payload.split_at(cut.min(whole.payload.len()));
            client.frame(&compressed(BINARY, one).unfinished());
            client.frame(&Frame::ping("between"));
            client.frame(&Frame::more(two));
            client.expect_pong(b"between");
            assert!(unzipped(&mut client) == message, "{length} cut at {cut}");
        }
        // Noise gets longer by it, and so over the limit on frames.
        let noise = Dice::new(9).bytes(length.min(MIB - KIB));
        client.frame(&zipped(&noise));
        assert!(unzipped(&mut client) == noise, "{length}, noise");
    }
}

/// R16: a compressed message cut at every byte, by frames and by the network.
#[test]
fn a_compressed_message_may_be_cut_anywhere() {
    let server = deflating_echo();
    let text = "Straße, straße, 𝄞 straße. ".repeat(8);
    let whole = compressed(TEXT, deflate(&mut zip(), text.as_bytes()));
    let mut client = deflating_client(&server);
    for cut in 0..=whole.payload.len() {
        let (one, two) = whole.payload.split_at(cut);
        client.send(&[compressed(TEXT, one).unfinished().masked(), Frame::more(two).masked()].concat());
        client.expect_text(&text);
    }
    let bytes = whole.masked();
    for cut in 1..bytes.len() {
        client.send_cut(&bytes, cut, Duration::from_micros(500));
        client.expect_text(&text);
    }
    for byte in &bytes {
        client.send(&[*byte]);
    }
    client.expect_text(&text);
}

/// R16: the odd forms that RFC 7692 §7.2.3 allows.
#[test]
fn odd_but_valid_deflate_is_understood() {
    let server = deflating_echo();
    let mut client = deflating_client(&server);
    let stored = |last: u8, bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap();
        [&[last][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    for (what, payload, message) in [
        // §7.2.3.6: an empty message is one empty block.
        ("empty", vec![0x00], &b""[..]),
        ("nothing at all", vec![], b""),
        // §7.2.3.1: the example.
        ("Hello", vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        // §7.2.3.3: no compression.
        ("stored", [stored(0, b"Hello"), vec![0x00]].concat(), b"Hello"),
        ("two stored", [stored(0, b"He"), stored(0, b"llo"), vec![0x00]].concat(), b"Hello"),
        // §7.2.3.4: BFINAL set.
        ("final", vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        ("final, then empty", [stored(1, b"Hello"), vec![0x00]].concat(), b"Hello"),
        // §7.2.3.5: two blocks.
        (
            "two blocks",
            vec![0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            b"Hello",
        ),
    ] {
        client.frame(&compressed(TEXT, &payload));
        let frame = client.next();
        assert_eq!((frame.opcode, &frame.payload[..]), (TEXT, message), "{what}");
        for byte in compressed(TEXT, &payload).masked() {
            client.send(&[byte]);
        }
        assert_eq!(client.next().payload, message, "{what}, byte by byte");
    }
}

/// R16: what is no DEFLATE data, or stands where it may not.
#[test]
fn broken_compression_is_refused() {
    let server = deflating_echo();
    let bad_text = deflate(&mut zip(), b"\xFF\xFE no text");
    let begun = || compressed(TEXT, &zipped("abc").payload).unfinished();
    for (what, frames, code) in [
        ("a reserved block", vec![compressed(BINARY, [0xFF; 20])], 1007),
        ("a broken stored block", vec![compressed(BINARY, [0, 5, 0, 0, 0, 1])], 1007),
        ("a distance too far", vec![compressed(BINARY, [0x4B, 0x04, 0x92, 0x00, 0x00])], 1007),
        ("no text in it", vec![compressed(TEXT, bad_text)], 1007),
        ("RSV1 on a continuation", vec![begun(), compressed(CONTINUATION, "x")], 1002),
        ("RSV1 on a ping", vec![compressed(PING, "")], 1002),
        ("RSV1 on a close", vec![compressed(CLOSE, [3, 0xE8])], 1002),
        ("RSV1 on a pong inside", vec![begun(), compressed(PONG, "")], 1002),
        ("RSV2", vec![Frame::binary("x").with_rsv(2)], 1002),
        ("RSV1 and RSV3", vec![zipped("x").with_rsv(5)], 1002),
    ] {
        let mut client = deflating_client(&server);
        client.frame(&zipped("good"));
        assert_eq!(unzipped(&mut client), b"good");
        for frame in frames {
            client.frame(&frame);
        }
        let close = client.next();
        assert_eq!((close.opcode, close.close_code()), (CLOSE, Some(code)), "{what}");
        client.expect_fin();
    }
}

/// R15: the limit is on what comes out, to the byte.
#[test]
fn the_limit_holds_for_what_comes_out() {
    let server = deflating_echo();
    for (length, passes) in [(MIB - 1, true), (MIB, true), (MIB + 1, false), (50 * MIB, false)] {
        let bomb = zipped(vec![0; length]);
        assert!(bomb.payload.len() < 60 * KIB);
        let mut client = deflating_client(&server);
        client.frame(&bomb);
        if passes {
            assert_eq!(unzipped(&mut client).len(), length);
            let (one, two) = bomb.payload.split_at(bomb.payload.len() / 2);
            client.frame(&compressed(BINARY, one).unfinished());
            client.frame(&Frame::more(two));
            assert_eq!(unzipped(&mut client).len(), length);
        } else {
            client.expect_close(1009);
            let mut client = deflating_client(&server);
            let (one, two) = bomb.payload.split_at(bomb.payload.len() / 2);
            client.frame(&compressed(BINARY, one).unfinished());
            let _ = client.try_send(&Frame::more(two).masked());
            client.expect_close(1009);
        }
    }
    assert!(server.cpu() < Duration::from_secs(2), "{:?} of CPU", server.cpu());
}

/// R15, R24: bombs that stay within a large limit hold neither the loop nor the neighbours.
#[test]
fn bombs_do_not_hold_the_loop() {
    // Another process may disturb a run; what the bombs do would be there in each.
    let is_served = (0..3).map(|_| waits_beside_bombs()).any(|waits| {
        let (p50, p99, most) =
            (waits[waits.len() / 2], waits[waits.len() * 99 / 100], waits[waits.len() - 1]);
        println!("healthy among 4 bombers: {} messages, p50 {p50:?}, p99 {p99:?}, max {most:?}", waits.len());
        p50 < milliseconds(100) && most < milliseconds(1_000)
    });
    assert!(is_served, "it waits for long in each of three runs");
}

/// How long the answers took, in order of it.
fn waits_beside_bombs() -> Vec<Duration> {
    let mut limits = deflating(DeflateConfig::default());
    limits.websocket.limits.max_message = 64 * MIB;
    let handler = Scripted::default().on_message(|cx, id, message| {
        let _ = cx.send(id, &message.len().to_string()).unwrap();
    });
    let server = Server::start(handler, limits);
    let (bomb, stop) = (zipped(vec![0; 60 * MIB]).masked(), AtomicBool::new(false));
    let mut waits = std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = deflating_client(&server);
            let (bomb, stop) = (&bomb, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    client.send(bomb);
                    client.expect_text(&(60 * MIB).to_string());
                }
            });
        }
        let mut healthy = Client::open(&server);
        let began = Instant::now();
        let mut waits = Vec::new();
        while began.elapsed() < Duration::from_secs(2) {
            let sent = Instant::now();
            healthy.text("ping");
            healthy.expect_text("4");
            waits.push(sent.elapsed());
            std::thread::sleep(milliseconds(5));
        }
        stop.store(true, Ordering::SeqCst);
        waits
    });
    waits.sort();
    waits
}

/// R16: with takeover both windows live on from message to message.
#[test]
fn windows_are_kept_where_that_was_agreed() {
    let config = DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        threshold: 0,
        ..DeflateConfig::default()
    };
    let server = Server::start(Scripted::echo(), deflating(config));
    let mut client = deflating_client(&server);
    let (mut zip, mut unzip) = (zip(), Unzip::new(false));
    let noise = Dice::new(4).bytes(5_000);
    let mut sizes = Vec::new();
    for round in 0..20 {
        let message = if round == 10 { b"something else".repeat(100) } else { noise.clone() };
        client.frame(&compressed(BINARY, deflate(&mut zip, &message)));
        let frame = client.next();
        assert_eq!(frame.rsv, 4);
        sizes.push(frame.payload.len());
        assert!(inflate(&mut unzip, &frame.payload) == message, "round {round}");
        client.frame(&Frame::ping("between"));
        client.expect_pong(b"between");
    }
    assert!(sizes[0] > 5_000 && sizes[1] < 200 && sizes[19] < 200, "{sizes:?}");
}

/// R16: every window that can be agreed on is kept to, by both sides.
#[test]
fn every_window_size_works() {
    let text = Dice::new(8).bytes(600).repeat(30);
    for bits in 9..=15 {
        let config = DeflateConfig {
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            ..DeflateConfig::default()
        };
        let server = Server::start(Scripted::echo(), deflating(config));
        let mut client = Client::silent(&server);
        let response = client.upgrade(&[OFFER]);
        let agreed = response.header("sec-websocket-extensions").unwrap();
        let names = |side: &str| agreed.contains(&format!("{side}_max_window_bits={bits}"));
        assert!(bits == 15 || (names("server") && names("client")), "{agreed}");
        for _ in 0..3 {
            let mut zip = Zip::new_with_window_bits(Compression::new(6), false, bits);
            client.frame(&compressed(BINARY, deflate(&mut zip, &text)));
            let frame = client.next();
            assert_eq!(frame.rsv, 4);
            let mut unzip = Unzip::new_with_window_bits(false, bits);
            assert!(inflate(&mut unzip, &frame.payload) == text, "{bits} bits");
        }
    }
}

/// R17: under `no_context_takeover` nothing of one message shows in the length of the next.
#[test]
fn the_length_of_a_message_tells_nothing_of_the_one_before() {
    let server = deflating_echo();
    let secret = Dice::new(21).bytes(3_000);
    let guesses = [secret.clone(), Dice::new(22).bytes(3_000), b"guess ".repeat(500)];
    let length_of = |messages: &[&Vec<u8>]| {
        let mut client = deflating_client(&server);
        let mut length = 0;
        for message in messages {
            client.binary(message);
            length = client.next().payload.len();
        }
        length
    };
    for guess in &guesses {
        assert_eq!(length_of(&[guess]), length_of(&[&secret, guess]));
    }
}

/// A message can be kept out of the compressor, small ones are, and a listener's own settings are its own.
#[test]
fn what_is_compressed_can_be_chosen() {
    let own = |threshold| {
        let deflate = Some(DeflateConfig { threshold, ..DeflateConfig::default() });
        let config = WebSocketConfig { deflate, ..WebSocketConfig::default() };
        let listen = Listen { serve: Serve::WebSocketWith(Box::new(config)), ..Listen::default() };
        ("127.0.0.1:0".parse().unwrap(), listen)
    };
    let handler = Scripted::default().on_message(|cx, id, message| {
        let how = if message.as_bytes().starts_with(b"never") { Compress::Never } else { Compress::Auto };
        let _ = cx.send_with(id, message, how).unwrap();
    });
    let main = DeflateConfig { threshold: 500, ..DeflateConfig::default() };
    let listens = vec![("127.0.0.1:0".parse().unwrap(), Listen::default()), own(2_000)];
    let server = Server::start_on(handler, deflating(main), listens);
    for (at, start, length, rsv) in
        [(0, "x", 499, 0), (0, "x", 500, 4), (0, "never", 5_000, 0), (1, "x", 1_999, 0), (1, "x", 2_000, 4)]
    {
        let mut client = Client::to(&server.addrs[at]);
        client.upgrade(&[OFFER]);
        let text = format!("{start}{}", "a".repeat(length - start.len()));
        client.text(&text);
        assert_eq!(client.next().rsv, rsv, "listener {at}, {length} bytes");
    }
}

/// The effort is each listener's own, too, whoever was served before.
#[test]
fn each_listener_compresses_with_its_own_effort() {
    for keeps in [false, true] {
        let own = |level| {
            let deflate =
                DeflateConfig { level, server_no_context_takeover: !keeps, ..DeflateConfig::default() };
            let config = WebSocketConfig { deflate: Some(deflate), ..WebSocketConfig::default() };
            let listen = Listen { serve: Serve::WebSocketWith(Box::new(config)), ..Listen::default() };
            ("127.0.0.1:0".parse().unwrap(), listen)
        };
        let server = Server::start_on(Scripted::echo(), Config::default(), vec![own(1), own(9)]);
        let mut dice = Dice::new(31);
        let text: Vec<u8> = (0..40_000).map(|_| b"aabcdeeeffgh "[dice.below(13)]).collect();
        let mut length = |at: usize| {
            let mut client = Client::to(&server.addrs[at]);
            client.upgrade(&[OFFER]);
            client.binary(&text);
            let frame = client.next();
            assert_eq!(frame.rsv, 4);
            assert!(inflate(&mut Unzip::new(false), &frame.payload) == text);
            frame.payload.len()
        };
        let lengths = [0, 1, 0, 1, 1, 0].map(&mut length);
        let [fast, small, ..] = lengths;
        assert!(small < fast, "{lengths:?}");
        assert_eq!(lengths, [fast, small, fast, small, small, fast]);
    }
}

// R21: the closing handshake.

/// R21: a Close is answered with its code, and then we close first (RFC 6455 §7.1.1).
#[test]
fn a_close_is_answered_with_its_code() {
    let server = Server::echo();
    let legal =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for code in legal {
        let mut client = Client::open(&server);
        client.frame(&Frame::close(code, "because, ßo"));
        client.expect_close(code);
    }
    let mut client = Client::open(&server);
    client.frame(&Frame::new(CLOSE, ""));
    client.expect_close(None);
    let mut client = Client::open(&server);
    client.frame(&Frame::close(1000, &"é".repeat(61)));
    client.expect_close(1000);
    server.expect_empty();
    let reasons = server.reasons();
    assert!(reasons[0].contains("by: Peer") && reasons[0].contains("because, ßo"), "{}", reasons[0]);
    assert_eq!(reasons[legal.len()], "Handshake { by: Peer, frame: None }");
}

/// R21, R22: what a Close may not say.
#[test]
fn a_close_may_not_say_everything() {
    let server = Server::echo();
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65_535] {
        let mut client = Client::open(&server);
        client.close(code);
        client.expect_close(1002);
    }
    let mut client = Client::open(&server);
    client.frame(&Frame::new(CLOSE, [3]));
    client.expect_close(1002);
    for reason in [&b"\xFF"[..], b"\xED\xA0\x80", b"cut \xE2\x82"] {
        let mut client = Client::open(&server);
        client.frame(&Frame::new(CLOSE, [&[3, 0xE8], reason].concat()));
        client.expect_close(1007);
    }
    server.expect_empty();
}

/// R21: our Close is not answered: cut at the deadline, whatever else the peer sends.
#[test]
fn a_peer_that_does_not_answer_a_close_is_cut() {
    let handler = Scripted::default().on_message(|cx, id, message| {
        assert_eq!(message.as_bytes(), b"close", "a message after our Close");
        let _ = cx.send(id, "last").unwrap();
        cx.close(id, CloseCode::new(4000).unwrap(), &"é".repeat(100)).unwrap();
        assert!(cx.close(id, CloseCode::NORMAL, "").is_err());
        assert_eq!(cx.send(id, "x"), Err(SendError::Closing));
        assert_eq!(cx.ping(id, b""), Err(SendError::Closing));
    });
    let server = Server::start(handler, config(|config| config.timeouts.close = milliseconds(500)));
    for talks in [false, true] {
        let mut client = Client::open(&server);
        let (began, closed) = (Instant::now(), server.closed());
        client.text("close");
        client.expect_text("last");
        assert_eq!(client.next(), Frame::close(4000, &"é".repeat(61)));
        while talks && began.elapsed() < milliseconds(300) {
            let _ = client.try_send(&Frame::text("still talking").masked());
            std::thread::sleep(milliseconds(20));
        }
        client.expect_end(SOON);
        assert!(began.elapsed() >= milliseconds(490), "cut after {:?}", began.elapsed());
        eventually("it is told", || server.closed() > closed);
    }
    server.expect_empty();
    assert_eq!(server.reasons(), ["TimedOut(Close)", "TimedOut(Close)"]);
}

/// R21: our Close crosses data and pings; then the peer's answer ends it.
#[test]
fn data_that_crosses_our_close_is_not_delivered() {
    let handler = Scripted::default().on_message(|cx, id, message| {
        assert_eq!(message.as_bytes(), b"close", "a message after our Close");
        cx.close(id, CloseCode::GOING_AWAY, "").unwrap();
    });
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    let frames = [
        Frame::text("close"),
        Frame::text("crossing"),
        Frame::ping("p"),
        Frame::binary("begun").unfinished(),
        Frame::more("ended"),
        Frame::binary("begun again").unfinished(),
    ];
    client.send(&frames.iter().flat_map(Frame::masked).collect::<Vec<u8>>());
    assert_eq!(client.next().close_code(), Some(1001));
    client.close(1001);
    let (rest, end) = client.rest(SOON);
    // RFC 6455 §5.5.2: a ping is answered unless a Close was received; after our own it may be.
    assert!(rest.is_empty() || rest == Frame::new(PONG, "p").bare(), "{rest:?}");
    assert_eq!(end, End::Fin);
    server.expect_empty();
    assert!(server.reasons()[0].starts_with("Handshake { by: Local"), "{:?}", server.reasons());
}

/// R21: after the peer's Close nothing is processed: no data, no second Close, no ping.
#[test]
fn nothing_after_a_close_is_processed() {
    let server = Server::echo();
    for behind in [
        Frame::text("data").masked(),
        Frame::close(1001, "again").masked(),
        Frame::ping("ping").masked(),
        Frame::text("unmasked").bare(),
        vec![0xFF; 3_000],
    ] {
        let mut client = Client::open(&server);
        client.send(&[Frame::text("first").masked(), Frame::close(1000, "").masked(), behind].concat());
        client.expect_text("first");
        client.expect_close(1000);
    }
    server.expect_empty();
    assert_eq!(server.count(|watch| &watch.messages), 5);
}

/// R21, R41: megabytes behind a Close are not kept, and not waited for.
#[test]
fn ten_megabytes_behind_a_close_are_not_kept() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    let mut sender = client.twin();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            sender.close(1000);
            let block = Frame::binary(vec![1; 64 * KIB]).masked();
            (0..160).take_while(|_| sender.try_send(&block).is_ok()).count()
        });
        assert_eq!(client.next().close_code(), Some(1000));
        let (rest, end) = client.rest(PATIENCE);
        assert!(rest.is_empty() && end != End::Open, "{} bytes, {end:?}", rest.len());
        drop(client);
    });
    server.expect_empty();
    assert_eq!(server.closed(), 1);
}

/// R21: both close at the same instant: one Close each way, and the end.
#[test]
fn both_sides_may_close_at_once() {
    let handler = Scripted::default()
        .on_open(|cx, _| assert!(cx.set_timer(milliseconds(5), 0).is_some()))
        .on_message(|cx, id, _| cx.close(id, CloseCode::GOING_AWAY, "").unwrap());
    let server = Server::start(handler, Config::default());
    for round in 0..100 {
        let mut client = Client::open(&server);
        let (ours, theirs) = (Frame::close(1000, "").masked(), Frame::text("close").masked());
        if round % 2 == 0 {
            client.send(&[theirs, ours].concat());
            client.expect_close(1001);
        } else {
            client.send(&theirs);
            let _ = client.try_send(&ours);
            client.expect_close(1001);
        }
    }
    server.expect_empty();
    assert_eq!((server.opened(), server.closed()), (100, 100));
}

/// R21: a Close may stand between the fragments of a message, which then never ends.
#[test]
fn a_close_inside_a_fragmented_message_is_answered() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    client.frame(&Frame::text("begun").unfinished());
    client.close(1000);
    client.expect_close(1000);
    let deflating = deflating_echo();
    let mut client = deflating_client(&deflating);
    client.frame(&compressed(TEXT, &zipped("begun").payload).unfinished());
    client.close(1000);
    client.expect_close(1000);
    assert_eq!(server.count(|watch| &watch.messages), 0);
}

/// R21: a stream that ends without a Close is an end all the same: what came before it is answered.
#[test]
fn a_stream_that_ends_without_a_close_is_answered_to_its_end() {
    let server = Server::echo();
    let mut client = Client::open(&server);
    client.send(&[Frame::text("one").masked(), Frame::text("cut").masked()[..5].to_vec()].concat());
    client.shut();
    client.expect_text("one");
    client.expect_fin();
    server.expect_empty();
    assert_eq!(server.reasons(), ["EndOfStream"]);
}

// R22: what a peer may not do.

/// Every MUST of RFC 6455 §5 that a client can break: how, and with which code it is told.
fn violations() -> Vec<(&'static str, Vec<u8>, u16)> {
    let begun = Frame::text("begun").unfinished().masked();
    let mut cases = vec![
        ("a text that is not masked", Frame::text("x").bare(), 1002),
        ("a ping that is not masked", Frame::ping("x").bare(), 1002),
        ("a close that is not masked", Frame::close(1000, "").bare(), 1002),
        ("an empty frame that is not masked", Frame::binary("").bare(), 1002),
        ("RSV1 without an extension", Frame::text("x").with_rsv(4).masked(), 1002),
        ("RSV2", Frame::text("x").with_rsv(2).masked(), 1002),
        ("RSV3", Frame::text("x").with_rsv(1).masked(), 1002),
        ("RSV on a ping", Frame::ping("x").with_rsv(4).masked(), 1002),
        ("a fragmented ping", Frame::ping("x").unfinished().masked(), 1002),
        ("a fragmented pong", Frame::new(PONG, "x").unfinished().masked(), 1002),
        ("a fragmented close", Frame::close(1000, "").unfinished().masked(), 1002),
        ("a ping of 126 bytes", Frame::ping([0; 126]).masked(), 1002),
        ("a close of 126 bytes", Frame::close(1000, &"x".repeat(124)).masked(), 1002),
        ("a ping of 2^63 - 1 bytes", masked_long_head(0x80 | PING, 8, (1 << 63) - 1), 1002),
        ("a continuation of nothing", Frame::more("x").masked(), 1002),
        ("an unfinished continuation of nothing", Frame::more("x").unfinished().masked(), 1002),
        ("a text inside a message", [begun.clone(), Frame::text("x").masked()].concat(), 1002),
        ("a binary inside a message", [begun, Frame::binary("x").unfinished().masked()].concat(), 1002),
        ("125 in two bytes", [masked_long_head(0x80 | TEXT, 2, 125), vec![b'x'; 125]].concat(), 1002),
        ("0 in two bytes", masked_long_head(0x80 | TEXT, 2, 0), 1002),
        (
            "65,535 in eight bytes",
            [masked_long_head(0x80 | BINARY, 8, 65_535), vec![0; 65_535]].concat(),
            1002,
        ),
        ("5 in eight bytes", [masked_long_head(0x80 | BINARY, 8, 5), vec![0; 5]].concat(), 1002),
        ("a ping of 5 in two bytes", [masked_long_head(0x80 | PING, 2, 5), vec![0; 5]].concat(), 1002),
        ("the top bit of a length", masked_long_head(0x80 | TEXT, 8, 1 << 63 | 5), 1002),
        ("a text that is none", Frame::new(TEXT, b"\xC3\x28").masked(), 1007),
        ("a close of one byte", Frame::new(CLOSE, [3]).masked(), 1002),
        ("a close with 1005", Frame::close(1005, "").masked(), 1002),
        ("a close whose reason is no text", Frame::new(CLOSE, b"\x03\xE8\xFF").masked(), 1007),
    ];
    for opcode in (3..8).chain(11..16) {
        cases.push(("a reserved opcode", Frame::new(opcode, "").masked(), 1002));
        cases.push(("a reserved opcode with a payload", Frame::new(opcode, "x").masked(), 1002));
    }
    cases
}

/// R22: each violation is told by its code, then FIN; what was good before it is answered first.
#[test]
fn every_violation_is_told_by_its_code() {
    let server = Server::echo();
    for (what, bytes, code) in violations() {
        println!("{what}");
        let good =
            [Frame::text("first").masked(), Frame::ping("second").masked(), Frame::binary([3; 300]).masked()];
        let mut client = Client::open(&server);
        client.send(&[good.concat(), bytes.clone(), Frame::text("never seen").masked()].concat());
        client.expect_text("first");
        client.expect_pong(b"second");
        client.expect_binary(&[3; 300]);
        client.expect_close(code);

        let mut client = Client::open(&server);
        client.send(&bytes);
        client.expect_close(code);
    }
    let again = server.count(|watch| &watch.messages);
    assert_eq!(again, 2 * violations().len(), "nothing behind a violation is delivered");
    server.expect_empty();
    assert!(server.reasons().iter().all(|reason| reason.starts_with("Protocol(")), "{:?}", server.reasons());
}

/// R22: the same byte by byte.
#[test]
fn every_violation_is_found_byte_by_byte() {
    let server = Server::echo();
    for (what, bytes, code) in violations() {
        if bytes.len() > 1_000 {
            continue;
        }
        println!("{what}");
        let mut client = Client::open(&server);
        for byte in bytes {
            if client.try_send(&[byte]).is_err() {
                break;
            }
        }
        client.expect_close(code);
    }
}

/// R22: our own Close is out already: a violation gets no second one, only the end.
#[test]
fn a_violation_after_our_close_gets_no_second_close() {
    let handler = Scripted::default().on_message(|cx, id, _| cx.close(id, CloseCode::NORMAL, "").unwrap());
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    client.text("close");
    assert_eq!(client.next().close_code(), Some(1000));
    client.send(&Frame::text("unmasked").bare());
    client.expect_fin();
}

/// R22: lengths in more bytes than they need can be let pass, for peers that cannot be mended.
#[test]
fn long_lengths_can_be_let_pass() {
    let server = echo_with(|config| config.websocket.limits.lengths = Lengths::Lenient);
    let mut client = Client::open(&server);
    for width in [2, 8] {
        client.send(&[masked_long_head(0x80 | BINARY, width, 5), vec![7; 5]].concat());
        client.expect_binary(&[7; 5]);
    }
    client.send(&masked_long_head(0x80 | BINARY, 8, 1 << 63));
    client.expect_close(1002);
}

/// R22: a violation in the segment of the head is one after the 101.
#[test]
fn a_violation_behind_the_head_comes_after_the_101() {
    let server = Server::echo();
    let mut client = Client::silent(&server);
    client.send(&[upgrade_request(&[]), Frame::text("x").bare()].concat());
    client.expect_101();
    client.expect_close(1002);
}
