//! Every MUST of RFC 6455 §5 to §8 that a server can be made to keep: bytes in, events and bytes out, however cut.

use crate::rig::{Receive, Rig, Seen, Vector, frame, head, masked, refusal};
use gnezdo::ws::{CloseCode, Compress, Control, Kind, Lengths, Limits, NotSent, ProtocolError, State};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const TEXT_FIRST: u8 = 0x01;
const BINARY_FIRST: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

#[track_caller]
fn accepts(wire: &[Vec<u8>], events: &[Seen], output: &[u8]) {
    let trace = Vector::new(wire.concat()).same_however_cut();
    assert_eq!((trace.events.as_slice(), trace.output.as_slice()), (events, output));
}

/// A good message, then the wire: the message is seen, the error is seen, the Close has the code and nothing follows.
#[track_caller]
fn refuses(error: ProtocolError, code: u16, wire: &[u8]) {
    refuses_with(Limits::default(), error, code, wire);
}

#[track_caller]
fn refuses_with(limits: Limits, error: ProtocolError, code: u16, wire: &[u8]) {
    assert_eq!(u16::from(error.close_code()), code, "{error:?}");
    assert!(error.section().starts_with("RFC "));
    let good = frame(TEXT, b"good");
    let wire = [&good[..], wire, &good, &frame(PING, b""), &frame(CLOSE, b"\x03\xE8")].concat();
    let trace = Vector { limits, ..Vector::new(wire) }.same_however_cut();
    assert_eq!(trace.events, [text("good"), Seen::Failed(error)]);
    assert_eq!(trace.output, refusal(error));
    assert_eq!(trace.output[2..4], code.to_be_bytes());
}

// RFC 6455 §5.6, §5.7: messages.

#[test]
fn the_examples_of_section_5_7_are_understood() {
    accepts(&[b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()], &[text("Hello")], b"");
    accepts(&[frame(TEXT_FIRST, b"Hel"), frame(LAST, b"lo")], &[text("Hello")], b"");
    accepts(&[frame(PING, b"Hello")], &[Seen::Ping(b"Hello".to_vec())], b"\x8A\x05Hello");
    accepts(&[frame(BINARY, &[7; 256])], &[binary(&[7; 256])], b"");
    accepts(&[frame(BINARY, &[7; 65536])], &[binary(&[7; 65536])], b"");
}

#[test]
fn every_length_of_payload_arrives() {
    for length in (0..200).chain([1023, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 200_000]) {
        let payload: Vec<u8> = (0..length).map(|n: u32| (n * 7 + n / 251) as u8).collect();
        let vector = Vector::new(masked(BINARY, &payload, [1, 2, 3, 4]));
        assert_eq!(vector.whole().events, [binary(&payload)]);
        for cut in [1, 2, 5, 9, 13, 14, 15, vector.wire.len() / 2, vector.wire.len() - 1] {
            let cut = cut.min(vector.wire.len() - 1);
            for how in [Receive::Buffer, Receive::Landing] {
                assert_eq!(vector.cut(&[cut], how).events, [binary(&payload)], "{length} cut at {cut}");
            }
        }
    }
}

#[test]
fn empty_messages_are_messages() {
    accepts(&[frame(TEXT, b""), frame(BINARY, b"")], &[text(""), binary(b"")], b"");
    accepts(&[frame(TEXT_FIRST, b""), frame(MORE, b""), frame(LAST, b"")], &[text("")], b"");
}

#[test]
fn an_unmasked_key_of_zeros_is_a_key() {
    accepts(&[masked(TEXT, b"plain", [0; 4])], &[text("plain")], b"");
}

// RFC 6455 §5.4: fragmentation.

#[test]
fn control_frames_may_come_between_fragments() {
    let wire = [
        frame(TEXT_FIRST, b"one "),
        frame(PING, b"p"),
        frame(MORE, b"two "),
        frame(PONG, b"q"),
        frame(LAST, b"three"),
        frame(BINARY_FIRST, b""),
        frame(LAST, b"!"),
    ];
    let events = [Seen::Ping(b"p".to_vec()), Seen::Pong(b"q".to_vec()), text("one two three"), binary(b"!")];
    accepts(&wire, &events, b"\x8A\x01p");
}

#[test]
fn a_continuation_needs_a_message() {
    for first in [MORE, LAST] {
        refuses(ProtocolError::NothingToContinue, 1002, &frame(first, b"x"));
    }
    let finished = [frame(TEXT_FIRST, b"a"), frame(LAST, b"b")].concat();
    let trace = Vector::new([finished, frame(LAST, b"c")].concat()).same_however_cut();
    assert_eq!(trace.events, [text("ab"), Seen::Failed(ProtocolError::NothingToContinue)]);
}

#[test]
fn messages_are_not_interleaved() {
    for first in [TEXT, BINARY, TEXT_FIRST, BINARY_FIRST] {
        let wire = [frame(BINARY_FIRST, b"a"), frame(first, b"b")].concat();
        refuses(ProtocolError::MessageInterrupted, 1002, &wire);
    }
}

// RFC 6455 §5.1, §5.2: the header.

#[test]
fn unmasked_frames_are_refused() {
    for wire in [&b"\x81\x05Hello"[..], b"\x82\x00", b"\x89\x00", b"\x88\x02\x03\xE8", b"\x81\x7E\x00\x80"] {
        refuses(ProtocolError::Unmasked, 1002, wire);
    }
}

#[test]
fn reserved_bits_are_refused() {
    for bits in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] {
        for first in [TEXT, BINARY, PING, PONG, CLOSE, TEXT_FIRST] {
            refuses(ProtocolError::ReservedBits, 1002, &frame(first | bits, b""));
        }
    }
}

#[test]
fn rsv1_without_compression_is_refused() {
    for first in [TEXT, BINARY, TEXT_FIRST, BINARY_FIRST] {
        refuses(ProtocolError::CompressionNotAgreed, 1002, &frame(first | 0x40, b"x"));
    }
    for first in [PING, PONG, CLOSE] {
        refuses(ProtocolError::MisplacedRsv1, 1002, &frame(first | 0x40, b""));
    }
    let wire = [frame(TEXT_FIRST, b"a"), frame(LAST | 0x40, b"b")].concat();
    refuses(ProtocolError::MisplacedRsv1, 1002, &wire);
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        refuses(ProtocolError::ReservedOpCode, 1002, &frame(0x80 | opcode, b""));
        refuses(ProtocolError::ReservedOpCode, 1002, &frame(opcode, b"x"));
    }
}

#[test]
fn lengths_in_too_many_bytes_are_refused_unless_lenient() {
    let wires: [&[u8]; 4] = [
        b"\x82\xFE\x00\x00\0\0\0\0",
        b"\x82\xFE\x00\x7D\0\0\0\0",
        b"\x82\xFF\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\0",
        b"\x82\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF\0\0\0\0",
    ];
    for wire in wires {
        refuses(ProtocolError::NonMinimalLength, 1002, wire);
    }
    let lenient = Limits { lengths: Lengths::Lenient, ..Limits::default() };
    let trace = Vector { limits: lenient, ..Vector::new(b"\x81\xFE\x00\x01\0\0\0\0a") }.same_however_cut();
    assert_eq!(trace.events, [text("a")]);
}

// RFC 6455 §5.5: control frames.

#[test]
fn control_frames_are_not_fragmented() {
    for opcode in [8, 9, 0xA] {
        refuses(ProtocolError::FragmentedControl, 1002, &frame(opcode, b""));
    }
}

#[test]
fn control_frames_carry_at_most_125_bytes() {
    for first in [PING, PONG, CLOSE] {
        for length in [126, 127, 65_536] {
            refuses(ProtocolError::ControlTooLong, 1002, &frame(first, &vec![0; length]));
        }
    }
    let full = [7; 125];
    let pong = [&[0x8A, 125][..], &full].concat();
    accepts(&[frame(PING, &full)], &[Seen::Ping(full.to_vec())], &pong);
    accepts(&[frame(PONG, &full)], &[Seen::Pong(full.to_vec())], b"");
}

#[test]
fn pings_are_answered_in_order_with_their_payload() {
    let wire = [frame(PING, b""), frame(PING, b"a"), frame(PING, b"bc")];
    let pings = [&b""[..], b"a", b"bc"].map(|payload| Seen::Ping(payload.to_vec()));
    accepts(&wire, &pings, b"\x8A\x00\x8A\x01a\x8A\x02bc");
}

#[test]
fn pongs_that_nobody_asked_for_are_no_error() {
    accepts(&[frame(PONG, b"hi")], &[Seen::Pong(b"hi".to_vec())], b"");
}

// RFC 6455 §5.5.1, §7: closing.

#[test]
fn a_close_is_answered_with_its_code_and_nothing_after_it_is_read() {
    let after = [frame(TEXT, b"late"), frame(PING, b""), vec![0xFF; 20], frame(CLOSE, b"\x03\xE9")].concat();
    for (payload, seen, answer) in [
        (&b""[..], None, &b"\x88\x00"[..]),
        (b"\x03\xE8", Some((1000, "")), b"\x88\x02\x03\xE8"),
        (b"\x0F\xA0go", Some((4000, "go")), b"\x88\x02\x0F\xA0"),
    ] {
        let seen = Seen::Close(seen.map(|(code, reason)| (code, reason.to_owned())));
        accepts(&[frame(CLOSE, payload), after.clone()], &[seen], answer);
    }
}

#[test]
fn a_close_inside_a_fragmented_message_closes() {
    let wire = [frame(TEXT_FIRST, b"never"), frame(CLOSE, b"\x03\xE9"), frame(LAST, b"done")];
    accepts(&wire, &[Seen::Close(Some((1001, String::new())))], b"\x88\x02\x03\xE9");
}

#[test]
fn every_close_code_is_echoed_or_refused() {
    for code in
        [1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        let wire = frame(CLOSE, &code.to_be_bytes());
        let echo = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        accepts(&[wire], &[Seen::Close(Some((code, String::new())))], &echo);
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        refuses(ProtocolError::CloseCodeForbidden(code), 1002, &frame(CLOSE, &code.to_be_bytes()));
    }
}

#[test]
fn half_a_close_code_is_refused() {
    refuses(ProtocolError::CloseTooShort, 1002, &frame(CLOSE, b"\x03"));
}

#[test]
fn a_close_reason_is_utf8() {
    refuses(ProtocolError::CloseReasonNotUtf8, 1007, &frame(CLOSE, b"\x03\xE8\xED\xA0\x80"));
    let longest = [&b"\x03\xE8"[..], &[b'x'; 123]].concat();
    let seen = Seen::Close(Some((1000, "x".repeat(123))));
    accepts(&[frame(CLOSE, &longest)], &[seen], b"\x88\x02\x03\xE8");
}

#[test]
fn after_our_close_messages_are_dropped_pings_answered_and_the_close_ends_it() {
    let mut rig = Rig::new(&Vector::default());
    let mut out = Vec::new();
    rig.protocol.close(CloseCode::GOING_AWAY, "bye", &mut rig.space, &mut out).unwrap();
    assert_eq!(out, b"\x88\x05\x03\xE9bye");
    assert_eq!(rig.protocol.state(), State::CloseSent);
    assert_eq!(rig.protocol.close(CloseCode::NORMAL, "", &mut rig.space, &mut out), Err(NotSent::NotOpen));
    assert_eq!(rig.protocol.head(Kind::Text, 1).map(drop), Err(NotSent::NotOpen));
    assert_eq!(rig.protocol.ping(&Control::default(), &mut rig.space, &mut out), Err(NotSent::NotOpen));
    assert!(rig.protocol.encode("late".into(), Compress::Auto, &mut rig.space).is_err());

    let late =
        [frame(TEXT, b"late"), frame(TEXT_FIRST, b"very "), frame(PING, b"?"), frame(LAST, b"late")].concat();
    rig.receive(&late, Receive::Buffer);
    rig.receive(&frame(CLOSE, b"\x03\xE9"), Receive::Buffer);
    assert_eq!(rig.trace.events, [Seen::Ping(b"?".to_vec()), Seen::Close(Some((1001, String::new())))]);
    assert_eq!(rig.trace.output, b"\x8A\x01?", "the Close is not answered a second time");
    assert_eq!(rig.protocol.state(), State::Closed);
    rig.receive(&frame(TEXT, b"later"), Receive::Buffer);
    assert_eq!(rig.trace.events.len(), 2);
}

#[test]
fn an_error_after_our_close_fails_without_a_second_close() {
    let mut rig = Rig::new(&Vector::default());
    rig.protocol.close(CloseCode::NORMAL, "", &mut rig.space, &mut Vec::new()).unwrap();
    rig.receive(b"\x81\x00", Receive::Buffer);
    assert_eq!(rig.trace.events, [Seen::Failed(ProtocolError::Unmasked)]);
    assert_eq!(rig.trace.output, b"");
    assert_eq!(rig.protocol.state(), State::Failed);
}

#[test]
fn large_messages_are_dropped_after_our_close_however_received() {
    for how in [Receive::Buffer, Receive::Landing] {
        let mut rig = Rig::new(&Vector::default());
        rig.protocol.close(CloseCode::NORMAL, "", &mut rig.space, &mut Vec::new()).unwrap();
        for piece in frame(BINARY, &[1; 300_000]).chunks(10_000) {
            rig.receive(piece, how);
        }
        rig.receive(&frame(CLOSE, b""), how);
        assert_eq!(rig.trace.events, [Seen::Close(None)]);
    }
}

#[test]
fn a_connection_that_was_given_up_takes_nothing_more_in() {
    let mut rig = Rig::new(&Vector::default());
    rig.receive(&frame(BINARY, &[1; 100_000])[..10_000], Receive::Buffer);
    assert!(rig.protocol.landing(&mut rig.space).is_some());
    rig.protocol.release(&mut rig.space);
    assert!(rig.protocol.landing(&mut rig.space).is_none());
    rig.receive(&[1; 90_000], Receive::Landing);
    assert_eq!((rig.trace.events.len(), rig.protocol.state()), (0, State::Closed));
}

#[test]
fn the_rest_of_a_frame_is_received_in_place_from_4_kib_on_and_in_few_pieces() {
    let rest = |length: usize, here: usize| {
        let mut rig = Rig::new(&Vector::default());
        let wire = frame(BINARY, &vec![1; length]);
        rig.receive(&wire[..wire.len() - length + here], Receive::Buffer);
        rig.protocol.landing(&mut rig.space).map(|place| place.len())
    };
    assert_eq!((rest(5000, 905), rest(5000, 904), rest(5000, 903)), (None, Some(4096), Some(4097)));
    assert_eq!(rest(60_000, 5000), Some(55_000));
}

#[test]
fn connections_that_share_a_workspace_keep_apart_what_each_has_half_of() {
    let cut_off = [
        frame(PING, b"their ping"),
        frame(TEXT_FIRST, b"their text"),
        frame(TEXT, &[b'a'; 10_000]),
        [frame(TEXT_FIRST, b"begun"), frame(TEXT, b"and another")].concat(),
    ];
    for theirs in cut_off {
        for cut in [1, theirs.len() / 2, theirs.len() - 1, theirs.len()] {
            let (mut one, mut other) = (Rig::new(&Vector::default()), Rig::new(&Vector::default()));
            let ours = [frame(BINARY_FIRST, b"o"), frame(PING, b"our ping"), frame(LAST, b"urs")].concat();
            one.receive(&theirs[..cut], Receive::Buffer);
            std::mem::swap(&mut one.space, &mut other.space);
            for piece in ours.chunks(1) {
                other.receive(piece, Receive::Buffer);
            }
            assert_eq!(
                other.trace.events,
                [Seen::Ping(b"our ping".to_vec()), binary(b"ours")],
                "cut at {cut}"
            );
            std::mem::swap(&mut one.space, &mut other.space);
            let whole = Vector::new(theirs.clone()).whole();
            one.receive(&theirs[cut..], Receive::Buffer);
            assert_eq!(one.trace, whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_message_that_lies_whole_in_the_input_is_lent_from_there() {
    for first in [TEXT, BINARY] {
        let mut wire = [frame(first, b"hello"), frame(CLOSE, b"")].concat();
        let (mut input, mut rig) = (&mut wire[..], Rig::new(&Vector::default()));
        let message = rig.protocol.lend(&mut input, &rig.limits).unwrap();
        assert_eq!((message.as_bytes(), &*input), (&b"hello"[..], &frame(CLOSE, b"")[..]));
        assert!(rig.protocol.lend(&mut input, &rig.limits).is_none(), "no message");
    }
}

// RFC 6455 §8.1: text is UTF-8. (R14)

#[test]
fn text_may_be_cut_anywhere_even_inside_characters() {
    let word = "κόσμε ߿ ࠀ \u{ffff} 𐀀 \u{10FFFF} a";
    let bytes = word.as_bytes();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let wire = [
                frame(TEXT_FIRST, &bytes[..first]),
                frame(MORE, &bytes[first..second]),
                frame(LAST, &bytes[second..]),
            ];
            let vector = Vector::new(wire.concat());
            let every: Vec<usize> = (1..vector.wire.len()).collect();
            assert_eq!(vector.whole().events, [text(word)]);
            assert_eq!(vector.cut(&every, Receive::Buffer).events, [text(word)]);
        }
    }
}

/// The table of Autobahn's section 6 and of Markus Kuhn's stress test, in short.
const NOT_UTF8: [&[u8]; 22] = [
    b"\x80",
    b"\xBF",
    b"\xC0\xAF",
    b"\xC1\xBF",
    b"\xC3",
    b"\xC3\x28",
    b"\xE0\x80\xAF",
    b"\xE0\x9F\xBF",
    b"\xE2\x82",
    b"\xED\xA0\x80",
    b"\xED\xAD\xBF",
    b"\xED\xBF\xBF",
    b"\xED\xA0\x80\xED\xB0\x80",
    b"\xF0\x80\x80\xAF",
    b"\xF0\x8F\xBF\xBF",
    b"\xF0\x9F\x98",
    b"\xF4\x90\x80\x80",
    b"\xF5\x80\x80\x80",
    b"\xF8\x88\x80\x80\x80",
    b"\xFC\x84\x80\x80\x80\x80",
    b"\xFE",
    b"\xFF",
];

#[test]
fn what_is_not_utf8_is_refused() {
    for bad in NOT_UTF8 {
        for around in [
            "",
            "κόσμε",
            "plain text that is longer than any vector register of sixty-four bytes or so, really",
        ] {
            let whole = [around.as_bytes(), bad].concat();
            refuses(ProtocolError::InvalidUtf8, 1007, &frame(TEXT, &whole));
            let fragments =
                [frame(TEXT_FIRST, around.as_bytes()), frame(MORE, bad), frame(LAST, b"")].concat();
            refuses(ProtocolError::InvalidUtf8, 1007, &fragments);
            if around.is_empty() {
                continue;
            }
            let bad_first = [bad, b"(", around.as_bytes()].concat();
            refuses(ProtocolError::InvalidUtf8, 1007, &frame(TEXT, &bad_first));
        }
    }
}

#[test]
fn text_fails_at_the_first_impossible_byte_before_the_frame_is_whole() {
    for (prefix, bad) in [
        (&b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4"[..], 0x90),
        (b"\xED", 0xA0),
        (b"\xE0", 0x80),
        (b"\xF0", 0x80),
        (b"ab", 0xC0),
        (b"ab", 0xC1),
        (b"ab", 0xF5),
        (b"", 0x80),
    ] {
        // The frame announces 100 bytes; only the prefix and the bad one ever come.
        let payload = [prefix, &[bad]].concat();
        let mut wire = head(TEXT, 100);
        wire.extend_from_slice(&[0; 4]);
        wire.extend_from_slice(&payload);
        let before = Vector::new(&wire[..wire.len() - 1]).same_however_cut();
        assert_eq!(before.events, [], "{payload:x?}");
        let after = Vector::new(wire).same_however_cut();
        assert_eq!(after.events, [Seen::Failed(ProtocolError::InvalidUtf8)], "{payload:x?}");
        assert_eq!(after.output, refusal(ProtocolError::InvalidUtf8));
    }
}

#[test]
fn text_received_in_place_fails_once_and_what_lands_later_is_nothing() {
    let mut rig = Rig::new(&Vector::default());
    let wire = frame(TEXT, &[&[b'a'; 9000][..], b"\xFF", &[b'a'; 9000]].concat());
    rig.receive(&wire[..1000], Receive::Buffer);
    rig.receive(&wire[1000..9500], Receive::Landing);
    assert_eq!(rig.trace.events, [Seen::Failed(ProtocolError::InvalidUtf8)]);
    assert_eq!(rig.trace.output, refusal(ProtocolError::InvalidUtf8));
    assert!(rig.protocol.landed(1, &mut rig.space, &rig.limits, 0).is_none());
    assert_eq!((rig.protocol.state(), rig.space.replies.len()), (State::Failed, 0));
}

#[test]
fn binary_messages_are_any_bytes() {
    for bytes in NOT_UTF8 {
        accepts(&[frame(BINARY, bytes)], &[binary(bytes)], b"");
    }
}

// What goes out.

#[test]
fn sent_messages_have_the_shortest_head_and_no_mask() {
    let mut rig = Rig::new(&Vector::default());
    for (length, expected) in [
        (0_usize, &b"\x82\x00"[..]),
        (125, b"\x82\x7D"),
        (126, b"\x82\x7E\x00\x7E"),
        (65535, b"\x82\x7E\xFF\xFF"),
        (65536, b"\x82\x7F\0\0\0\0\0\x01\0\0"),
    ] {
        let payload = vec![0; length];
        assert_eq!(rig.protocol.head(Kind::Binary, length).unwrap().as_bytes(), expected);
        let sent = rig.protocol.encode((&payload).into(), Compress::Auto, &mut rig.space).unwrap();
        assert_eq!((sent.head.as_bytes(), sent.payload), (expected, &payload[..]));
    }
    let mut out = Vec::new();
    rig.protocol.ping(&Control::new(b"?").unwrap(), &mut rig.space, &mut out).unwrap();
    rig.protocol.encode("hi".into(), Compress::Auto, &mut rig.space).unwrap().write_to(&mut out);
    assert_eq!(out, b"\x89\x01?\x81\x02hi");
}

#[test]
fn a_long_close_reason_is_cut_at_a_character() {
    let mut rig = Rig::new(&Vector::default());
    let mut out = Vec::new();
    rig.protocol.close(CloseCode::POLICY, &"ü".repeat(100), &mut rig.space, &mut out).unwrap();
    assert_eq!(out, [&b"\x88\x7C\x03\xF0"[..], "ü".repeat(61).as_bytes()].concat());
}
