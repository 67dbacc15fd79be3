//! Compression: hostile DEFLATE data stays under its cap and means what a second decoder says; and what this crate
//! compresses is read back by itself, by another library, and within the window that was agreed (RFC 7692 §7).

use flate2::Decompress;
use gnezdo::ws::{
    Compress, DeflateParams, Limits, Message, NoKeys, Protocol, Role, Workspace, WorkspaceConfig,
};
use miniz_oxide::inflate::stream::{InflateState, inflate as inflate_by_other};
use miniz_oxide::{DataFormat, MZFlush};

use super::budget::{Budget, within};
use super::frames::{check_case, params};
use super::play::{Case, Seen};
use super::reference;
use super::tape::{Tape, mixed};

/// Checks one of both, as the first byte says.
pub fn check(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    if tape.flag() { check_hostile(tape) } else { check_round_trip(tape) }
}

/// A server sends this as compressed messages, each in as many fragments as the tape says.
fn check_hostile(mut tape: Tape<'_>) {
    let deflate = Some(DeflateParams { ..params(tape.byte() | 1).unwrap_or_default() });
    let most = tape.pick(&[70_000, 0, 1, 100, 4096, 20_000]);
    let limits = Limits { max_message: most, ..Limits::default() };
    let (opcode, pieces) = (tape.pick(&[2_u8, 1]), usize::from(tape.byte() % 4) + 1);
    let mut wire = Vec::new();
    loop {
        let length = usize::from(tape.u16());
        let message = tape.take(length);
        write_fragments(&mut wire, opcode, message, pieces);
        if tape.is_at_end() {
            break;
        }
    }
    let trace = check_case(&Case { end: Role::Client, deflate, limits, closing: false, wire });
    for event in trace.events {
        assert!(!matches!(event, Seen::Message { length, .. } if length > most), "longer than allowed");
    }
}

fn write_fragments(wire: &mut Vec<u8>, opcode: u8, message: &[u8], pieces: usize) {
    let step = message.len() / pieces + 1;
    let count = message.len().div_ceil(step).max(1);
    for index in 0..count {
        let piece = &message[index * step..message.len().min((index + 1) * step)];
        let first = if index == 0 { opcode | 0x40 } else { 0 };
        wire.push(if index + 1 == count { first | 0x80 } else { first });
        write_length(wire, piece.len());
        wire.extend_from_slice(piece);
    }
}

fn write_length(wire: &mut Vec<u8>, length: usize) {
    match u16::try_from(length) {
        Ok(short @ 0..=125) => wire.push(short.to_be_bytes()[1]),
        Ok(long) => {
            wire.push(126);
            wire.extend_from_slice(&long.to_be_bytes());
        }
        Err(_) => {
            wire.push(127);
            wire.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Messages from one end, read at the other.
fn check_round_trip(mut tape: Tape<'_>) {
    let agreed = params(tape.byte() | 1).unwrap_or_default();
    let level = tape.byte() % 10;
    let from = tape.pick(&[Role::Server, Role::Client]);
    let config = WorkspaceConfig { compress_from: 1, level, ..WorkspaceConfig::default() };
    let mut pair = Pair::new(agreed, from, config);
    let budget = Budget { live: 8 << 20, taken: 256 << 20, calls: 20_000 };
    within(&budget, || {
        for _ in 0..MOST_MESSAGES {
            let compress = tape.pick(&[Compress::Auto, Compress::Never]);
            let payload = payload(&mut tape);
            pair.carry(&payload, compress);
            if tape.is_at_end() {
                break;
            }
        }
    });
}

/// Bytes as they are, or repeated, or noise: so that few bytes of tape make messages of every kind.
fn payload(tape: &mut Tape<'_>) -> Vec<u8> {
    let length = usize::from(tape.u16());
    match tape.byte() % 4 {
        0 | 1 => tape.take(length).to_vec(),
        2 => {
            let period = usize::from(tape.byte()) + 1;
            let pattern = tape.take(period);
            pattern.iter().copied().cycle().take(if pattern.is_empty() { 0 } else { length }).collect()
        }
        _ => {
            let mut state = tape.u64();
            (0..length).map(|_| mixed(&mut state).to_le_bytes()[0]).collect()
        }
    }
}

/// Two ends, and two other inflaters that read along.
struct Pair {
    sender: Protocol,
    receiver: Protocol,
    space: Workspace,
    from: Role,
    /// The window is forgotten after each message.
    forgets: bool,
    window_bits: u8,
    by_window: Decompress,
    by_other: Box<InflateState>,
    seed: u64,
}

impl Pair {
    fn new(agreed: DeflateParams, from: Role, config: WorkspaceConfig) -> Pair {
        let (server, client) = (Protocol::server(Some(agreed)), Protocol::client(Some(agreed)));
        let (sender, receiver, forgets, bits) = match from {
            Role::Server => {
                (server, client, agreed.server_no_context_takeover, agreed.server_max_window_bits)
            }
            Role::Client => {
                (client, server, agreed.client_no_context_takeover, agreed.client_max_window_bits)
            }
        };
        let window_bits = bits.clamp(9, 15);
        Pair {
            sender,
            receiver,
            space: Workspace::new(config),
            from,
            forgets,
            window_bits,
            by_window: Decompress::new_with_window_bits(false, window_bits),
            by_other: InflateState::new_boxed(DataFormat::Raw),
            seed: 1,
        }
    }

    fn carry(&mut self, payload: &[u8], compress: Compress) {
        let wire = self.sent(payload, compress);
        let (compressed, body) = self.read_frame(&wire);
        if compressed {
            assert!(compress == Compress::Auto && !payload.is_empty(), "compressed unasked");
            self.check_others(&body, payload);
        } else {
            assert!(body == payload, "sent as it is");
        }
        assert!(
            !compressed || !self.forgets || body.len() < payload.len(),
            "compressed to no less than it was"
        );
        assert!(wire.len() <= self.sender.longest(payload.len(), compress), "longer than it can be");
        self.check_receiver(wire, payload);
    }

    fn sent(&mut self, payload: &[u8], compress: Compress) -> Vec<u8> {
        let state = &mut self.seed;
        let filled = self.space.keys().refill(|bytes| {
            bytes.fill_with(|| mixed(state).to_le_bytes()[0]);
            Ok::<_, NoKeys>(())
        });
        filled.expect("this generator never fails");
        let mut wire = Vec::new();
        let message = Message::Binary(payload);
        self.sender.encode(message, compress, &mut self.space).expect("open").write_to(&mut wire);
        wire
    }

    /// Whether RSV1 is set, and the payload: one whole binary message in one frame.
    fn read_frame(&self, wire: &[u8]) -> (bool, Vec<u8>) {
        assert_eq!(wire[0] & 0xBF, 0x82);
        let head = match wire[1] & 127 {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let (key, body) = match self.from {
            Role::Server => ([0; 4], &wire[head..]),
            Role::Client => (*wire[head..].first_chunk::<4>().expect("a key"), &wire[head + 4..]),
        };
        (wire[0] & 0x40 != 0, body.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect())
    }

    fn check_others(&mut self, body: &[u8], payload: &[u8]) {
        if self.forgets {
            self.by_window = Decompress::new_with_window_bits(false, self.window_bits);
            self.by_other.reset(DataFormat::Raw);
        }
        let inflated = reference::inflate(&mut self.by_window, body, payload.len());
        assert!(inflated.is_some_and(|inflated| inflated == payload), "not within the agreed window");
        let flushed = [body, &[0, 0, 0xFF, 0xFF]].concat();
        let mut output = vec![0; payload.len() + 1];
        let result = inflate_by_other(&mut self.by_other, &flushed, &mut output, MZFlush::None);
        assert_eq!((result.bytes_consumed, result.bytes_written), (flushed.len(), payload.len()));
        assert!(output[..payload.len()] == *payload, "another library reads something else");
    }

    fn check_receiver(&mut self, mut wire: Vec<u8>, payload: &[u8]) {
        let limits = Limits::default();
        let mut rest = wire.as_mut_slice();
        self.space.renew_inflate_budget();
        let event = loop {
            match self.receiver.receive(&mut rest, &mut self.space, &limits, 0) {
                Some(event) => break event,
                None => self.space.renew_inflate_budget(),
            }
        };
        let gnezdo::ws::Event::Message(message) = event else { panic!("{event:?}") };
        assert!(message.message().as_bytes() == payload, "the peer reads something else");
        self.space.recycle(message);
        assert!(rest.is_empty());
    }
}

const MOST_MESSAGES: usize = 64;
