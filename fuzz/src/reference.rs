//! A second decoder, written by the book and for nothing but to be right: whole wires, whole copies, one frame after the
//! other (RFC 6455 §5, §7; RFC 7692 §6, §7). Shares no code with the one under test.

use flate2::{Decompress, FlushDecompress, Status};
use gnezdo::ws::{CloseCode, CloseFrame, Control, Kind, Lengths, ProtocolError, Role};

use super::play::{Case, Seen};

/// What the application must see.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) events: Vec<Seen>,
    /// So many events came before the start of a compressed message that is not known to be good: from there on the
    /// connection may fail over it at any time, since it is inflated as it arrives.
    pub(crate) shaky: Option<usize>,
    /// That message is complete and is known to be bad.
    pub(crate) broken: bool,
}

/// A frame's header, as far as it matters.
struct Header {
    opcode: u8,
    last: bool,
    compressed: bool,
    key: Option<[u8; 4]>,
    length: u64,
}

/// A message of which a frame has begun.
struct Open {
    kind: Kind,
    compressed: bool,
    bytes: Vec<u8>,
    /// So many of the bytes are known to be whole characters.
    checked: usize,
    fragments: u32,
    empty: u32,
}

/// Why reading ends.
enum Stop {
    /// The wire ends.
    End,
    Closed,
    Error(ProtocolError),
    /// What is inflated is no DEFLATE data, too long, or not UTF-8: which, depends on where it is looked at.
    Broken,
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Stop {
        Stop::Error(error)
    }
}

struct Reference<'c> {
    case: &'c Case,
    rest: &'c [u8],
    open: Option<Open>,
    /// The window that lives on.
    window: Option<Decompress>,
    pings: u32,
    expected: Expected,
}

/// Reads the wire.
pub(crate) fn decode(case: &Case) -> Expected {
    let expected = Expected::default();
    let mut reference = Reference { case, rest: &case.wire, open: None, window: None, pings: 0, expected };
    let stop = loop {
        if let Err(stop) = reference.frame() {
            break stop;
        }
    };
    match stop {
        Stop::End | Stop::Closed => {}
        Stop::Error(error) => reference.expected.events.push(Seen::Failed(error)),
        Stop::Broken => reference.expected.broken = true,
    }
    reference.expected
}

impl<'c> Reference<'c> {
    fn take(&mut self, count: usize) -> Result<&'c [u8], Stop> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or(Stop::End)?;
        self.rest = rest;
        Ok(front)
    }

    fn frame(&mut self) -> Result<(), Stop> {
        let header = self.header()?;
        // RFC 6455 §5.1.
        match (self.case.end, header.key) {
            (Role::Server, None) => return Err(ProtocolError::Unmasked.into()),
            (Role::Client, Some(_)) => return Err(ProtocolError::Masked.into()),
            _ => {}
        }
        if header.opcode >= 8 { self.control(&header) } else { self.data(&header) }
    }

    fn header(&mut self) -> Result<Header, Stop> {
        let &[first, second] = self.take(2)? else { return Err(Stop::End) };
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits.into());
        }
        let (opcode, last) = (first & 15, first & 0x80 != 0);
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(ProtocolError::ReservedOpCode.into());
        }
        if opcode >= 8 && !last {
            return Err(ProtocolError::FragmentedControl.into());
        }
        if opcode >= 8 && second & 127 > 125 {
            return Err(ProtocolError::ControlTooLong.into());
        }
        let (length, fewest) = match second & 127 {
            126 => (number(self.take(2)?), 126),
            127 => (number(self.take(8)?), 65536),
            short => (u64::from(short), 0),
        };
        if length >= 1 << 63 {
            return Err(ProtocolError::LengthTopBit.into());
        }
        if length < fewest && self.case.limits.lengths == Lengths::Strict {
            return Err(ProtocolError::NonMinimalLength.into());
        }
        let key = if second & 0x80 == 0 { None } else { self.take(4)?.first_chunk().copied() };
        Ok(Header { opcode, last, compressed: first & 0x40 != 0, key, length })
    }

    /// What is there of the payload, and whether that is all of it.
    fn payload(&mut self, header: &Header) -> (Vec<u8>, bool) {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let whole = length <= self.rest.len();
        let bytes = self.take(length.min(self.rest.len())).unwrap_or_default();
        let key = header.key.unwrap_or_default();
        (bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(), whole)
    }

    fn control(&mut self, header: &Header) -> Result<(), Stop> {
        if header.compressed {
            return Err(ProtocolError::MisplacedRsv1.into());
        }
        let (payload, true) = self.payload(header) else { return Err(Stop::End) };
        match header.opcode {
            8 => {
                self.see(Seen::Close(close(&payload)?));
                return Err(Stop::Closed);
            }
            9 => {
                self.pings += 1;
                if self.pings > self.case.limits.pings_per_second {
                    return Err(ProtocolError::TooManyPings.into());
                }
                self.see(Seen::Ping(Control::new(&payload).expect("at most 125 bytes")));
            }
            _ => self.see(Seen::Pong(Control::new(&payload).expect("at most 125 bytes"))),
        }
        Ok(())
    }

    fn data(&mut self, header: &Header) -> Result<(), Stop> {
        if header.length > self.case.limits.max_frame {
            return Err(ProtocolError::FrameTooBig.into());
        }
        let mut open = self.begin(header)?;
        open.count(header, self.case)?;
        let length = (open.bytes.len() as u64).saturating_add(header.length);
        if !open.compressed && length > self.case.limits.max_message as u64 {
            return Err(ProtocolError::MessageTooBig.into());
        }
        let (payload, whole) = self.payload(header);
        open.bytes.extend(payload);
        if !open.compressed {
            open.check_text(header.last && whole)?;
        }
        match (whole, header.last) {
            (false, _) => return Err(Stop::End),
            (true, false) => self.open = Some(open),
            (true, true) => self.end(open)?,
        }
        Ok(())
    }

    fn begin(&mut self, header: &Header) -> Result<Open, ProtocolError> {
        let kind = match (header.opcode, self.open.take()) {
            (0, None) => return Err(ProtocolError::NothingToContinue),
            (0, Some(_)) if header.compressed => return Err(ProtocolError::MisplacedRsv1),
            (0, Some(open)) => return Ok(open),
            (_, Some(_)) => return Err(ProtocolError::MessageInterrupted),
            (1, None) => Kind::Text,
            (_, None) => Kind::Binary,
        };
        if header.compressed && self.case.deflate.is_none() {
            return Err(ProtocolError::CompressionNotAgreed);
        }
        if header.compressed {
            self.expected.shaky = Some(self.expected.events.len());
        }
        let compressed = header.compressed;
        Ok(Open { kind, compressed, bytes: Vec::new(), checked: 0, fragments: 0, empty: 0 })
    }

    fn end(&mut self, open: Open) -> Result<(), Stop> {
        let bytes =
            if open.compressed { self.inflated(&open.bytes).ok_or(Stop::Broken)? } else { open.bytes };
        if open.kind == Kind::Text && std::str::from_utf8(&bytes).is_err() {
            return Err(Stop::Broken);
        }
        self.expected.shaky = None;
        if !self.case.closing {
            self.see(Seen::message(open.kind, &bytes));
        }
        Ok(())
    }

    fn see(&mut self, seen: Seen) {
        self.expected.events.push(seen);
    }

    fn inflated(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let agreed = self.case.deflate?;
        let (bits, forgets) = match self.case.end {
            Role::Server => (agreed.client_max_window_bits, agreed.client_no_context_takeover),
            Role::Client => (agreed.server_max_window_bits, agreed.server_no_context_takeover),
        };
        // Any window at least as large as the peer's will do; a smaller one shows what a peer must not do.
        let bits = if forgets { 15 } else { bits.clamp(9, 15) };
        let mut window = self.window.take().unwrap_or_else(|| Decompress::new_with_window_bits(false, bits));
        let inflated = inflate(&mut window, payload, self.case.limits.max_message);
        self.window = Some(window).filter(|_| !forgets);
        inflated
    }
}

impl Open {
    /// RFC 6455 §10.4.
    fn count(&mut self, header: &Header, case: &Case) -> Result<(), ProtocolError> {
        self.fragments += 1;
        if self.fragments > case.limits.max_fragments.max(1) {
            return Err(ProtocolError::TooManyFragments);
        }
        self.empty = if header.length == 0 && !header.last { self.empty + 1 } else { 0 };
        if self.empty > case.limits.max_empty_fragments {
            return Err(ProtocolError::TooManyEmptyFragments);
        }
        Ok(())
    }

    /// RFC 6455 §8.1: at the first byte that cannot be.
    fn check_text(&mut self, ends: bool) -> Result<(), ProtocolError> {
        let fresh = &self.bytes[self.checked..];
        match std::str::from_utf8(fresh) {
            _ if self.kind == Kind::Binary => Ok(()),
            Ok(_) => {
                self.checked = self.bytes.len();
                Ok(())
            }
            Err(error) if error.error_len().is_none() && !ends => {
                self.checked += error.valid_up_to();
                Ok(())
            }
            Err(_) => Err(ProtocolError::InvalidUtf8),
        }
    }
}

/// The payload of a Close (RFC 6455 §5.5.1, §7.4).
pub(crate) fn close(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(ProtocolError::CloseTooShort),
        _ if payload.len() > 125 => return Err(ProtocolError::ControlTooLong),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let allowed =
        (1000..5000).contains(&code) && !(1004..=1006).contains(&code) && !(1015..3000).contains(&code);
    let code =
        CloseCode::new(code).ok().filter(|_| allowed).ok_or(ProtocolError::CloseCodeForbidden(code))?;
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
    Ok(Some(CloseFrame::new(code, reason)))
}

/// A compressed message, or nothing where it is bad or longer than it may be (RFC 7692 §7.2.2, §7.2.3.4).
pub(crate) fn inflate(window: &mut Decompress, payload: &[u8], most: usize) -> Option<Vec<u8>> {
    let (mut out, mut rest, mut fed) = (Vec::new(), payload, false);
    let mut chunk = [0; 4096];
    loop {
        let (taken, made, ended) = inflate_step(window, rest, &mut chunk)?;
        out.extend_from_slice(&chunk[..made]);
        rest = &rest[taken..];
        fed = (fed || taken > 0) && !ended;
        if out.len() > most {
            return None;
        }
        if rest.is_empty() && made < chunk.len() {
            break;
        }
        if taken == 0 && made == 0 && !ended {
            return None;
        }
    }
    if fed {
        let (_, made, _) = inflate_step(window, &[0, 0, 0xFF, 0xFF], &mut [0])?;
        if made > 0 {
            return None;
        }
    }
    Some(out)
}

fn inflate_step(window: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<(usize, usize, bool)> {
    let (before_in, before_out) = (window.total_in(), window.total_out());
    let status = window.decompress(input, output, FlushDecompress::None).ok()?;
    let taken = usize::try_from(window.total_in() - before_in).ok()?;
    let made = usize::try_from(window.total_out() - before_out).ok()?;
    let ended = status == Status::StreamEnd;
    if ended {
        window.reset(false);
    }
    Some((taken, made, ended))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The frames of what an end put out, which must be whole, well-formed, and masked by clients alone.
pub(crate) fn sent(output: &[u8], from: Role) -> Vec<(u8, Vec<u8>)> {
    let (mut frames, mut rest) = (Vec::new(), output);
    while let Some((&[first, second], body)) = rest.split_first_chunk::<2>() {
        assert_eq!(second & 0x80 != 0, from == Role::Client, "who masks");
        assert!(first & 0xF0 == 0x80 && second & 127 <= 125, "a control frame: {first:02X} {second:02X}");
        let (key, body) = if from == Role::Client { body.split_at(4) } else { (&[0; 4][..], body) };
        let (payload, behind) = body.split_at(usize::from(second & 127));
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push((first & 15, payload));
        rest = behind;
    }
    assert!(rest.is_empty(), "half a frame was sent");
    frames
}
