//! What a peer may ask for and no more (RFC 6455 §10.4): each limit at one less, at the limit and at one more.

use gnezdo::ws::{Limits, ProtocolError};

use crate::rig::{Receive, Rig, Seen, Vector, frame, head, refusal};

const BINARY: u8 = 0x82;
const BINARY_FIRST: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;

fn vector(limits: &Limits, wire: &[Vec<u8>]) -> Vector {
    Vector { limits: limits.clone(), ..Vector::new(wire.concat()) }
}

#[track_caller]
fn accepts(limits: &Limits, wire: &[Vec<u8>], length: usize) {
    let events = vector(limits, wire).same_however_cut().events;
    assert!(matches!(&events[..], [Seen::Binary(bytes)] if bytes.len() == length), "{events:?}");
}

#[track_caller]
fn refuses(limits: &Limits, error: ProtocolError, code: u16, wire: &[Vec<u8>]) {
    let trace = vector(limits, wire).same_however_cut();
    assert_eq!(trace.events, [Seen::Failed(error)]);
    assert_eq!(trace.output, refusal(error));
    assert_eq!(u16::from(error.close_code()), code);
}

// R11: lengths.

#[test]
fn a_frame_is_as_long_as_the_limit_or_refused_by_its_head() {
    let limits = Limits { max_frame: 5000, ..Limits::default() };
    for length in [4999, 5000] {
        accepts(&limits, &[frame(BINARY, &vec![1; length])], length);
    }
    refuses(&limits, ProtocolError::FrameTooBig, 1009, &[frame(BINARY, &[1; 5001])]);
    refuses(&limits, ProtocolError::FrameTooBig, 1009, &[[head(BINARY, 5001), vec![0; 4]].concat()]);
    refuses(&limits, ProtocolError::FrameTooBig, 1009, &[frame(BINARY_FIRST, &[1; 5001])]);
}

#[test]
fn a_message_is_as_long_as_the_limit_or_refused_by_the_head_that_passes_it() {
    let limits = Limits { max_message: 1000, ..Limits::default() };
    for length in [999, 1000] {
        accepts(&limits, &[frame(BINARY, &vec![1; length])], length);
        accepts(&limits, &[frame(BINARY_FIRST, &[1; 500]), frame(LAST, &vec![2; length - 500])], length);
    }
    refuses(&limits, ProtocolError::MessageTooBig, 1009, &[frame(BINARY, &[1; 1001])]);
    let wire = [frame(BINARY_FIRST, &[1; 500]), [head(LAST, 501), vec![0; 4]].concat()];
    refuses(&limits, ProtocolError::MessageTooBig, 1009, &wire);
    let wire = [frame(BINARY_FIRST, &[1; 1000]), frame(MORE, b""), frame(LAST, b"x")];
    refuses(&limits, ProtocolError::MessageTooBig, 1009, &wire);
}

#[test]
fn huge_lengths_are_refused_before_a_byte_of_them_is_stored() {
    for length in [u64::MAX, 1 << 63] {
        let wire = [[head(BINARY, length), vec![0; 14]].concat()];
        refuses(&Limits::default(), ProtocolError::LengthTopBit, 1002, &wire);
    }
    for length in [(1 << 63) - 1, 1 << 62, 1 << 40, (1 << 32) + 1, (1 << 20) + 1] {
        let wire = [[head(BINARY, length), vec![0; 14]].concat()];
        refuses(&Limits::default(), ProtocolError::FrameTooBig, 1009, &wire);
        let no_frame_limit = Limits { max_frame: u64::MAX, ..Limits::default() };
        refuses(&no_frame_limit, ProtocolError::MessageTooBig, 1009, &wire);
    }
}

#[test]
fn without_limits_memory_follows_what_is_received_and_not_what_is_announced() {
    let limits = Limits { max_frame: u64::MAX, max_message: usize::MAX, ..Limits::default() };
    let wire = [head(BINARY, (1 << 63) - 1), vec![0; 4], vec![7; 100_000]].concat();
    let mut rig = Rig::new(&Vector { limits, ..Vector::default() });
    rig.receive(&wire, Receive::Buffer);
    assert_eq!(rig.trace.events, []);
    let place = rig.protocol.landing(&mut rig.space).unwrap().len();
    // Twice what is here, and of pages that nothing was written to sixteen times as much.
    assert!(place <= 16 * 128 * 1024, "{place} bytes of room for 100,000 received");
}

// R12: floods of fragments.

#[test]
fn a_message_has_as_many_fragments_as_the_limit_or_is_refused() {
    let limits = Limits { max_fragments: 10, ..Limits::default() };
    let fragments = |count: usize| {
        let mut wire = vec![frame(MORE, b"x"); count - 1];
        wire[0] = frame(BINARY_FIRST, b"x");
        wire.push(frame(LAST, b"x"));
        wire
    };
    for count in [2, 9, 10] {
        accepts(&limits, &fragments(count), count);
    }
    refuses(&limits, ProtocolError::TooManyFragments, 1008, &fragments(11));
    refuses(&limits, ProtocolError::TooManyFragments, 1008, &fragments(1000));
    // Each message counts anew.
    let events = vector(&limits, &[fragments(10), fragments(10)].concat()).same_however_cut().events;
    assert_eq!(events.len(), 2);
}

#[test]
fn empty_fragments_in_a_row_are_limited_and_a_byte_begins_the_row_anew() {
    let limits = Limits { max_empty_fragments: 4, ..Limits::default() };
    let row = |count| vec![frame(MORE, b""); count];
    let message = |rows: &[Vec<Vec<u8>>]| {
        [vec![frame(BINARY_FIRST, b"a")], rows.join(&frame(MORE, b"b")), vec![frame(LAST, b"")]].concat()
    };
    accepts(&limits, &message(&[row(3)]), 1);
    accepts(&limits, &message(&[row(4)]), 1);
    accepts(&limits, &message(&[row(4), row(4)]), 2);
    refuses(&limits, ProtocolError::TooManyEmptyFragments, 1008, &message(&[row(5)]));
    refuses(&limits, ProtocolError::TooManyEmptyFragments, 1008, &message(&[row(4), row(5)]));
    // The first fragment counts, too.
    let wire = [vec![frame(BINARY_FIRST, b"")], row(4)].concat();
    refuses(&limits, ProtocolError::TooManyEmptyFragments, 1008, &wire);
}

#[test]
fn endless_fragments_end_at_the_defaults() {
    for (piece, error) in
        [(&b""[..], ProtocolError::TooManyEmptyFragments), (b"x", ProtocolError::TooManyFragments)]
    {
        let mut rig = Rig::new(&Vector::default());
        rig.receive(&frame(BINARY_FIRST, piece), Receive::Buffer);
        for _ in 0..20 {
            rig.receive(&frame(MORE, piece).repeat(10_000), Receive::Buffer);
        }
        assert_eq!(rig.trace.events, [Seen::Failed(error)]);
        assert_eq!(rig.trace.output[2..4], 1008_u16.to_be_bytes());
    }
}

// R13: floods of pings.

#[test]
fn pings_are_limited_at_once_and_per_second() {
    let limits = Limits { pings_per_second: 10, ..Limits::default() };
    for count in [9, 10, 11] {
        let trace = vector(&limits, &vec![frame(PING, b"p"); count]).same_however_cut();
        let failed = trace.events.contains(&Seen::Failed(ProtocolError::TooManyPings));
        assert_eq!(failed, count > 10);
        assert_eq!(trace.events.len(), count.min(11));
        let pongs = b"\x8A\x01p".repeat(count.min(10));
        let close = if failed { refusal(ProtocolError::TooManyPings) } else { Vec::new() };
        assert_eq!(trace.output, [pongs, close].concat());
    }
    assert_eq!(u16::from(ProtocolError::TooManyPings.close_code()), 1008);
}

#[test]
fn the_allowance_for_pings_comes_back_with_time() {
    let vector = Vector { limits: Limits { pings_per_second: 10, ..Limits::default() }, ..Vector::default() };
    let mut rig = Rig::new(&vector);
    for second in 0..100 {
        rig.now_ms = second * 1000;
        rig.receive(&frame(PING, b"").repeat(10), Receive::Buffer);
    }
    assert_eq!(rig.trace.events.len(), 1000);
    rig.receive(&frame(PING, b""), Receive::Buffer);
    assert_eq!(rig.trace.events.last(), Some(&Seen::Failed(ProtocolError::TooManyPings)));
}
