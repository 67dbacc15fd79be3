//! Frames from a hostile peer, read by a server and by a client: however the wire is cut, the events and the answers are the
//! same, and they are those of a second decoder.

use gnezdo::ws::{DeflateParams, Lengths, Limits, ProtocolError, Role};

use super::budget::{Budget, within};
use super::play::{Case, Seen, Trace, Way, play};
use super::reference::{self, Expected};
use super::tape::{Tape, cuts, everywhere};

/// Checks a server that reads `bytes`.
pub fn check_server(bytes: &[u8]) {
    check(bytes, Role::Server);
}

/// Checks a client that reads `bytes`.
pub fn check_client(bytes: &[u8]) {
    check(bytes, Role::Client);
}

/// Eight bytes say on which terms, the rest is the wire.
fn check(bytes: &[u8], end: Role) {
    let mut tape = Tape::new(bytes);
    let deflate = params(tape.byte());
    let limits = limits(&mut tape);
    let closing = tape.flag();
    check_case(&Case { end, deflate, limits, closing, wire: tape.rest().to_vec() });
}

/// Holds all that must hold of a case.
pub(crate) fn check_case(case: &Case) -> Trace {
    let whole = within(&budget(case), || play(case, &Way::whole()));
    let small = Way { inflate_budget: 1, ..Way::whole() };
    for way in [
        Way::cut(everywhere(&case.wire)),
        Way { landing: true, ..Way::cut(cuts(&case.wire)) },
        Way { cuts: cuts(&case.wire), ..small.clone() },
        Way { landing: true, ..small },
    ] {
        let trace = within(&budget(case), || play(case, &way));
        assert_eq!(trace.events, whole.events, "{way:?}");
        assert_eq!(trace.output, whole.output, "{way:?}");
    }
    assert_expected(&whole, &reference::decode(case));
    assert_answers(&whole, case);
    whole
}

fn assert_expected(trace: &Trace, expected: &Expected) {
    if trace.events == expected.events && !expected.broken {
        return;
    }
    let Some((Seen::Failed(error), before)) = trace.events.split_last() else {
        panic!("saw {:?} instead of {expected:?}", trace.events);
    };
    let may_break = expected.shaky.is_some_and(|from| before.len() >= from) && is_of_content(*error);
    assert!(
        may_break && expected.events.starts_with(before),
        "saw {:?} instead of {expected:?}",
        trace.events
    );
}

/// What can only be found by inflating.
fn is_of_content(error: ProtocolError) -> bool {
    matches!(error, ProtocolError::BadDeflate | ProtocolError::InvalidUtf8 | ProtocolError::MessageTooBig)
}

/// Each ping has its pong, and the end its Close (RFC 6455 §5.5.1, §5.5.3, §7.1.7).
fn assert_answers(trace: &Trace, case: &Case) {
    let mut due: Vec<(u8, Vec<u8>)> = Vec::new();
    if case.closing {
        due.push((8, 1000_u16.to_be_bytes().to_vec()));
    }
    for event in &trace.events {
        match event {
            Seen::Ping(ping) => due.push((10, ping.as_bytes().to_vec())),
            Seen::Close(close) if !case.closing => {
                let code = close.map(|close| u16::from(close.code()).to_be_bytes());
                due.push((8, code.map(Vec::from).unwrap_or_default()));
            }
            Seen::Failed(error) if !case.closing => {
                let code = u16::from(error.close_code()).to_be_bytes();
                due.push((8, [&code[..], error.to_string().as_bytes()].concat()));
            }
            Seen::Message { .. } | Seen::Pong(_) | Seen::Close(_) | Seen::Failed(_) => {}
        }
    }
    assert_eq!(reference::sent(&trace.output, case.end), due);
}

/// What a connection may take: its own buffers, as long as its messages may be, and what is noted of it.
fn budget(case: &Case) -> Budget {
    let noted = case.wire.len() * 400;
    // A buffer that doubles lives beside its predecessor; pooled ones wait for the next message.
    let live = FIXED + noted + case.limits.max_message.saturating_mul(4);
    let messages = case.wire.len() / 2 + 1;
    Budget { live, taken: live.saturating_mul(messages), calls: 200 + 40 * case.wire.len() }
}

/// Two directions, four switches and the windows.
pub(crate) fn params(byte: u8) -> Option<DeflateParams> {
    let windows = [(15, 15), (9, 9), (15, 8), (10, 12)][usize::from(byte >> 3) % 4];
    (byte & 1 == 1).then_some(DeflateParams {
        server_max_window_bits: windows.0,
        client_max_window_bits: windows.1,
        server_no_context_takeover: byte & 2 != 0,
        client_no_context_takeover: byte & 4 != 0,
        names_server_window: false,
    })
}

pub(crate) fn limits(tape: &mut Tape<'_>) -> Limits {
    let small = Limits { max_message: 70_000, max_frame: 100_000, ..Limits::default() };
    Limits {
        max_frame: tape.pick(&[small.max_frame, 0, 1, 125, 126, 1000, u64::MAX]),
        max_message: tape.pick(&[small.max_message, 0, 1, 125, 126, 1000, 20_000]),
        max_fragments: tape.pick(&[small.max_fragments, 0, 1, 2, 5]),
        max_empty_fragments: tape.pick(&[small.max_empty_fragments, 0, 1, 2]),
        pings_per_second: tape.pick(&[small.pings_per_second, 0, 1, 3]),
        lengths: tape.pick(&[Lengths::Strict, Lengths::Lenient]),
    }
}

/// The workspace: a few streams with their windows, the masking keys.
const FIXED: usize = 512 * 1024;
