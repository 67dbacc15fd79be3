//! permessage-deflate (RFC 7692): every kind of block, every window, every cut; bombs; what goes out comes back.

use crate::rig::{Receive, Rig, Seen, Vector, frame, refusal};
use flate2::{Compress as Compressor, Compression, Decompress, FlushCompress, FlushDecompress};
use gnezdo::ws::{Compress, DeflateParams, Kind, Limits, Message, ProtocolError, WorkspaceConfig};

const TEXT: u8 = 0xC1;
const BINARY: u8 = 0xC2;
const TEXT_FIRST: u8 = 0x41;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takeover {
    Yes,
    No,
}

fn params(bits: u8, takeover: Takeover) -> DeflateParams {
    DeflateParams {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        server_no_context_takeover: takeover == Takeover::No,
        client_no_context_takeover: takeover == Takeover::No,
        ..DeflateParams::default()
    }
}

fn agreed(bits: u8, takeover: Takeover, wire: &[Vec<u8>]) -> Vector {
    Vector { deflate: Some(params(bits, takeover)), ..Vector::new(wire.concat()) }
}

/// A client's compressor.
struct Client(Compressor);

impl Client {
    fn new(bits: u8) -> Client {
        Client(Compressor::new_with_window_bits(Compression::new(6), false, bits.max(9)))
    }

    /// RFC 7692 §7.2.1: flushed, less the four bytes that every flush ends with.
    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() * 2 + 1000);
        self.0.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    }
}

fn compressed(payload: &[u8]) -> Vec<u8> {
    Client::new(15).compress(payload)
}

fn lorem(length: usize) -> Vec<u8> {
    let words = ["гнездо ", "nest ", "event ", "loop ", "socket ", "сокет ", "frame "];
    let mut seed = 12345_u32;
    let mut text = String::new();
    while text.len() < length {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words[(seed >> 16) as usize % words.len()]);
    }
    text.into_bytes()
}

fn noise(length: usize) -> Vec<u8> {
    let mut seed = 1_u64;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(length)
    .collect()
}

#[track_caller]
fn refuses(error: ProtocolError, code: u16, vector: &Vector) {
    let trace = vector.same_however_cut();
    assert_eq!(trace.events, [Seen::Failed(error)]);
    assert_eq!(trace.output, refusal(error));
    assert_eq!(u16::from(error.close_code()), code);
}

#[test]
fn the_examples_of_rfc_7692_section_7_2_3_are_understood() {
    let hello = || Seen::Text("Hello".to_owned());
    let one = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for takeover in [Takeover::Yes, Takeover::No] {
        // 7.2.3.1: one block, in one frame and in two.
        let wire = [frame(TEXT, one), frame(TEXT_FIRST, &one[..3]), frame(LAST, &one[3..])];
        assert_eq!(agreed(15, takeover, &wire).same_however_cut().events, [hello(), hello()]);
        // 7.2.3.3: a block without compression.
        let stored = frame(TEXT, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
        // 7.2.3.4: a final block.
        let last = frame(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        // 7.2.3.5: two blocks.
        let two = frame(TEXT, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00");
        let trace = agreed(15, takeover, &[stored, last, two]).same_however_cut();
        assert_eq!(trace.events, [hello(), hello(), hello()]);
    }
    // 7.2.3.2: the second message refers to the first.
    let wire = [frame(TEXT, one), frame(TEXT, b"\xf2\x00\x11\x00\x00")];
    assert_eq!(agreed(15, Takeover::Yes, &wire).same_however_cut().events, [hello(), hello()]);
    // Without takeover there is nothing to refer to.
    let trace = agreed(15, Takeover::No, &wire).same_however_cut();
    assert_eq!(trace.events, [hello(), Seen::Failed(ProtocolError::BadDeflate)]);
}

#[test]
fn empty_messages_may_be_compressed() {
    for takeover in [Takeover::Yes, Takeover::No] {
        let hello = frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
        for empty in [&b"\x00"[..], b"", b"\x02\x00", b"\x03\x00", b"\x03\x00\x00"] {
            let wire = [frame(TEXT, empty), hello.clone(), frame(TEXT, empty), hello.clone()];
            let events = agreed(15, takeover, &wire).same_however_cut().events;
            let expected = ["", "Hello", "", "Hello"].map(|text| Seen::Text(text.to_owned()));
            assert_eq!(events, expected, "{empty:x?} {takeover:?}");
        }
    }
}

#[test]
fn compressed_and_plain_messages_mix() {
    let mut client = Client::new(15);
    let wire = [
        frame(TEXT, &client.compress(b"one one one one")),
        frame(0x81, b"plain"),
        frame(0x01, b"in "),
        frame(LAST, b"two"),
        frame(BINARY, &client.compress(b"one one one one")),
        frame(0x89, b"ping"),
        frame(BINARY, b"\x00"),
    ];
    let events = agreed(15, Takeover::Yes, &wire).same_however_cut().events;
    let text = |text: &str| Seen::Text(text.to_owned());
    let binary = |bytes: &[u8]| Seen::Binary(bytes.to_vec());
    let expected = [
        text("one one one one"),
        text("plain"),
        text("in two"),
        binary(b"one one one one"),
        Seen::Ping(b"ping".to_vec()),
        binary(b""),
    ];
    assert_eq!(events, expected);
}

#[test]
fn every_window_size_inflates() {
    for bits in 8..=15 {
        let mut client = Client::new(bits);
        let texts =
            [lorem(3), lorem(300), lorem(300), lorem(70_000), noise(5_000), vec![0; 100_000], lorem(300)];
        let wire: Vec<Vec<u8>> = texts.iter().map(|text| frame(BINARY, &client.compress(text))).collect();
        let expected: Vec<Seen> = texts.into_iter().map(Seen::Binary).collect();
        let vector = agreed(bits, Takeover::Yes, &wire);
        assert_eq!(vector.whole().events, expected, "{bits}");
        let cuts: Vec<usize> = (1..vector.wire.len()).step_by(777).collect();
        let config = WorkspaceConfig { inflate_budget: 1, ..WorkspaceConfig::default() };
        assert_eq!(vector.cut_with(&cuts, Receive::Landing, config).events, expected, "{bits}");
    }
}

#[test]
fn final_blocks_may_stand_anywhere() {
    let mut finished = Compressor::new(Compression::new(6), false);
    let mut last = Vec::with_capacity(1000);
    finished.compress_vec(b"the end ", &mut last, FlushCompress::Finish).unwrap();
    for takeover in [Takeover::Yes, Takeover::No] {
        let twice = [&last[..], &last].concat();
        let between = [&last[..], &compressed(b"of the beginning")].concat();
        let wire =
            [frame(TEXT, &last), frame(TEXT, &twice), frame(TEXT, &between), frame(TEXT, &compressed(b"."))];
        for bits in [15, 9] {
            let events = agreed(bits, takeover, &wire).same_however_cut().events;
            let expected = ["the end ", "the end the end ", "the end of the beginning", "."];
            assert_eq!(events, expected.map(|text| Seen::Text(text.to_owned())));
        }
    }
}

#[test]
fn rsv1_stands_on_the_first_frame_only() {
    let hello = compressed(b"Hello");
    let fragment = frame(TEXT_FIRST, &hello[..2]);
    let vector = agreed(15, Takeover::Yes, &[fragment.clone(), frame(0xC0, &hello[2..])]);
    refuses(ProtocolError::MisplacedRsv1, 1002, &vector);
    let vector = agreed(15, Takeover::Yes, &[fragment.clone(), frame(0x40, &hello[2..])]);
    refuses(ProtocolError::MisplacedRsv1, 1002, &vector);
    for control in [0xC8, 0xC9, 0xCA] {
        refuses(ProtocolError::MisplacedRsv1, 1002, &agreed(15, Takeover::Yes, &[frame(control, b"")]));
        let vector = agreed(15, Takeover::Yes, &[fragment.clone(), frame(control, b"")]);
        refuses(ProtocolError::MisplacedRsv1, 1002, &vector);
    }
    refuses(ProtocolError::NothingToContinue, 1002, &agreed(15, Takeover::Yes, &[frame(0xC0, b"")]));
    refuses(ProtocolError::CompressionNotAgreed, 1002, &Vector::new(frame(TEXT, &hello)));
}

#[test]
fn what_is_not_deflate_is_refused() {
    for bad in [
        &b"\x06"[..],                 // block type 3
        b"\x07\x00",                  // block type 3, final
        b"\x00\x05\x00\x00\x00Hello", // length and its complement differ
        b"\x02\x04\x00\x00",          // a distance before the beginning
        b"\xff\xff\xff\xff",
        b"\x04\x00\xfe\xff\xff\xff\xff",
    ] {
        for takeover in [Takeover::Yes, Takeover::No] {
            refuses(ProtocolError::BadDeflate, 1007, &agreed(15, takeover, &[frame(BINARY, bad)]));
        }
    }
}

#[test]
fn a_message_cut_short_whose_rest_would_be_made_of_the_flush_is_refused() {
    // A stored block of five bytes that holds two.
    let stored = frame(BINARY, b"\x00\x05\x00\xfa\xffHe");
    refuses(ProtocolError::BadDeflate, 1007, &agreed(15, Takeover::No, &[stored]));
}

#[test]
fn inflated_text_is_utf8_and_fails_before_the_message_is_whole() {
    for bad in [&b"\xED\xA0\x80"[..], b"ok \xC0", b"\xF4\x90\x80\x80", b"cut \xE2\x82"] {
        let vector = agreed(15, Takeover::Yes, &[frame(TEXT, &compressed(bad))]);
        refuses(ProtocolError::InvalidUtf8, 1007, &vector);
        let vector = agreed(15, Takeover::Yes, &[frame(BINARY, &compressed(bad))]);
        assert_eq!(vector.same_however_cut().events, [Seen::Binary(bad.to_vec())]);
    }
    let bytes = compressed(b"bad \xFF and then much more that never comes");
    let whole = frame(TEXT, &bytes);
    let trace = agreed(15, Takeover::Yes, &[whole[..whole.len() - 12].to_vec()]).same_however_cut();
    assert_eq!(trace.events, [Seen::Failed(ProtocolError::InvalidUtf8)]);
}

#[test]
fn text_may_be_cut_inside_characters_by_blocks_and_frames() {
    let text = "κόσμε 𐀀 гнездо".repeat(20);
    let mut client = Client::new(15);
    let mut wire = Vec::new();
    for (index, piece) in text.as_bytes().chunks(3).enumerate() {
        let mut bytes = client.compress(piece);
        bytes.extend_from_slice(b"\x00\x00\xff\xff");
        wire.push(frame(if index == 0 { TEXT_FIRST } else { MORE }, &bytes));
    }
    wire.push(frame(LAST, b"\x00"));
    let events = agreed(15, Takeover::Yes, &wire).same_however_cut().events;
    assert_eq!(events, [Seen::Text(text)]);
}

// R15: bombs.

#[test]
fn the_message_limit_counts_what_comes_out() {
    for length in [999, 1000, 1001] {
        for payload in [vec![b'x'; length], lorem(2000)[..length].to_vec(), noise(length)] {
            let limits = Limits { max_message: 1000, ..Limits::default() };
            let vector =
                Vector { limits, ..agreed(15, Takeover::Yes, &[frame(BINARY, &compressed(&payload))]) };
            if length <= 1000 {
                assert_eq!(vector.same_however_cut().events, [Seen::Binary(payload)]);
            } else {
                refuses(ProtocolError::MessageTooBig, 1009, &vector);
            }
        }
    }
}

#[test]
fn a_bomb_of_a_thousand_to_one_is_refused_at_the_limit() {
    // 1 MiB on the wire, 1 GiB inside.
    let mut compressor = Compressor::new(Compression::best(), false);
    let mut bomb = Vec::with_capacity(2 << 20);
    let zeros = vec![0; 1 << 20];
    for _ in 0..1000 {
        compressor.compress_vec(&zeros, &mut bomb, FlushCompress::None).unwrap();
    }
    compressor.compress_vec(&[], &mut bomb, FlushCompress::Sync).unwrap();
    let limits = Limits { max_frame: 2 << 20, ..Limits::default() };
    let vector = Vector { limits, ..agreed(15, Takeover::No, &[frame(BINARY, &bomb)]) };
    let trace = vector.cut(&(1..vector.wire.len()).step_by(65536).collect::<Vec<_>>(), Receive::Landing);
    assert_eq!(trace.events, [Seen::Failed(ProtocolError::MessageTooBig)]);
    assert_eq!(trace.output, refusal(ProtocolError::MessageTooBig));
}

#[test]
fn inflating_stops_when_the_budget_is_spent_and_goes_on_when_it_is_renewed() {
    let payload = vec![0; 1_000_000];
    let vector = agreed(15, Takeover::No, &[frame(BINARY, &compressed(&payload))]);
    let mut rig =
        Rig::with(&vector, WorkspaceConfig { inflate_budget: 100_000, ..WorkspaceConfig::default() });
    rig.receive(&vector.wire, Receive::Buffer);
    assert_eq!(rig.trace.events, [Seen::Binary(payload)]);
    assert!((9..=14).contains(&rig.renewals), "{} renewals", rig.renewals);
}

#[test]
fn blocks_with_nothing_in_them_spend_the_budget_too() {
    let wires = [b"\x00\x00\x00\xff\xff".repeat(40_000), b"\x03\x00".repeat(100_000)];
    for wire in wires {
        let vector = agreed(9, Takeover::Yes, &[frame(BINARY, &wire)]);
        let mut rig = Rig::new(&vector);
        rig.receive(&vector.wire, Receive::Buffer);
        assert!(rig.renewals > 5, "{} renewals", rig.renewals);
    }
}

// What goes out.

/// Inflates what a server sent, with a window of that size.
struct Peer(Decompress, Takeover);

impl Peer {
    fn new(bits: u8, takeover: Takeover) -> Peer {
        Peer(Decompress::new_with_window_bits(false, bits.max(9)), takeover)
    }

    fn inflate(&mut self, payload: &[u8], length: usize) -> Vec<u8> {
        if self.1 == Takeover::No {
            self.0.reset(false);
        }
        let mut out = Vec::with_capacity(length + 1000);
        let input = [payload, b"\x00\x00\xff\xff"].concat();
        self.0.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
        out
    }
}

#[test]
fn what_is_sent_compressed_inflates_to_the_same() {
    for (bits, takeover) in (8..=15).flat_map(|bits| [(bits, Takeover::Yes), (bits, Takeover::No)]) {
        let mut rig = Rig::new(&agreed(bits, takeover, &[]));
        let mut peer = Peer::new(bits, takeover);
        let texts =
            [lorem(600), lorem(600), lorem(200_000), noise(5_000), vec![0; 300_000], lorem(512), lorem(511)];
        for text in texts.iter().chain(&texts) {
            let sent = rig.protocol.encode(Message::Binary(text), Compress::Auto, &mut rig.space).unwrap();
            match sent.head.as_bytes()[0] {
                0xC2 => assert!(
                    peer.inflate(sent.payload, text.len()) == *text,
                    "{bits} {takeover:?} {}",
                    text.len()
                ),
                first => {
                    assert_eq!(first, 0x82);
                    assert_eq!(sent.payload, text);
                    assert!(
                        text.len() == 511 || takeover == Takeover::No,
                        "{bits} {takeover:?} {}",
                        text.len()
                    );
                }
            }
        }
    }
}

#[test]
fn takeover_makes_the_second_of_two_equal_messages_smaller_and_its_absence_does_not() {
    let text = noise(2_000).iter().map(|byte| char::from(b'a' + byte % 26)).collect::<String>();
    for (takeover, smaller) in [(Takeover::Yes, true), (Takeover::No, false)] {
        let mut rig = Rig::new(&agreed(15, takeover, &[]));
        let mut length =
            || rig.protocol.encode((&text).into(), Compress::Auto, &mut rig.space).unwrap().payload.len();
        let (first, second) = (length(), length());
        assert_eq!(second < first / 4, smaller, "{first} {second}");
    }
}

#[test]
fn a_message_is_sent_plain_when_asked_when_short_and_when_not_agreed() {
    let (long, short) = (lorem(1000), lorem(100));
    let mut rig = Rig::new(&agreed(15, Takeover::Yes, &[]));
    let mut first = |bytes: &[u8], compress| {
        let sent = rig.protocol.encode(Message::Binary(bytes), compress, &mut rig.space).unwrap();
        sent.head.as_bytes()[0]
    };
    assert_eq!(first(&long, Compress::Auto), 0xC2);
    assert_eq!(first(&long, Compress::Never), 0x82);
    assert_eq!(first(&short, Compress::Auto), 0x82);
    assert_eq!(rig.protocol.head(Kind::Binary, 9).unwrap().as_bytes(), [0x82, 9]);
    let mut plain = Rig::new(&Vector::default());
    let sent = plain.protocol.encode(Message::Binary(&long), Compress::Auto, &mut plain.space).unwrap();
    assert_eq!((sent.head.as_bytes()[0], sent.payload), (0x82, &long[..]));
}

#[test]
fn the_settings_of_compression_hold_from_the_next_message_on() {
    let mut rig = Rig::new(&agreed(15, Takeover::No, &[]));
    let (payload, mut lengths) = (lorem(300), Vec::new());
    for (from, level) in [(301, 9), (300, 9), (300, 1)] {
        rig.space.set_compression(from, level);
        let message = Message::Binary(&payload);
        let sent = rig.protocol.encode(message, Compress::Auto, &mut rig.space).unwrap();
        lengths.push(sent.payload.len());
    }
    assert!(lengths[0] == 300 && lengths[1] < lengths[2] && lengths[2] < 300, "{lengths:?}");
}

#[test]
fn what_compression_would_make_longer_is_sent_plain_where_no_window_lives_on() {
    let mut rig = Rig::new(&agreed(15, Takeover::No, &[]));
    let noise = noise(1000);
    let sent = rig.protocol.encode(Message::Binary(&noise), Compress::Auto, &mut rig.space).unwrap();
    assert_eq!((sent.head.as_bytes(), sent.payload), (&b"\x82\x7E\x03\xE8"[..], &noise[..]));
}

#[test]
fn a_connection_that_has_ended_holds_no_stream() {
    let mut rig = Rig::new(&agreed(15, Takeover::Yes, &[]));
    rig.receive(&frame(TEXT, &compressed(b"hello")), Receive::Buffer);
    rig.protocol.encode(Message::Binary(&lorem(1000)), Compress::Auto, &mut rig.space).unwrap();
    let printed = format!("{:?}", rig.protocol);
    assert!(printed.contains("inflater: Some(Inflater)") && printed.contains("deflater: Some(Deflater)"));
    rig.receive(&frame(0x88, b""), Receive::Buffer);
    let printed = format!("{:?}", rig.protocol);
    assert!(printed.contains("Windows(None)"), "{printed}");
}

#[test]
fn no_message_is_longer_on_the_wire_than_was_said() {
    const HEAD: usize = 14;
    for (takeover, growth) in [(Takeover::No, 0), (Takeover::Yes, 100 / 8 + 16)] {
        let mut rig = Rig::new(&agreed(15, takeover, &[]));
        assert_eq!(rig.protocol.longest(100, Compress::Never), 100 + HEAD);
        assert_eq!(rig.protocol.longest(100, Compress::Auto), 100 + growth + HEAD);
        for length in (512..3000).chain([70_000]) {
            let (noise, mut wire) = (noise(length), Vec::new());
            let message = Message::Binary(&noise);
            rig.protocol.encode(message, Compress::Auto, &mut rig.space).unwrap().write_to(&mut wire);
            assert!(wire.len() <= rig.protocol.longest(length, Compress::Auto), "{length}");
        }
    }
}

#[test]
fn without_takeover_a_secret_does_not_change_the_length_of_what_follows() {
    let mut rig = Rig::new(&agreed(15, Takeover::No, &[]));
    let mut length =
        |text: &str| rig.protocol.encode(text.into(), Compress::Auto, &mut rig.space).unwrap().payload.len();
    let guess = format!("token=correct-horse {}", "padding ".repeat(80));
    length(&format!("token=correct-horse {}", "something else ".repeat(50)));
    let after_right = length(&guess);
    length(&format!("token=wrong-battery {}", "something else ".repeat(50)));
    assert_eq!(length(&guess), after_right);
}
