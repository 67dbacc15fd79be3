//! What a peer of ours may find on the wire, judged by the letter of RFC 6455, RFC 7692 and RFC 9112: written from the
//! RFCs alone, it shares nothing with the crate's codec. A broken rule is a panic that names it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use sha1::{Digest, Sha1};

/// Who wrote the bytes that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// An answer's head, then frames without a mask.
    Server,
    /// A request's head, then masked frames.
    Client,
}

/// A whole message, as it was meant.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) text: bool,
    pub(crate) payload: Vec<u8>,
}

impl Note {
    pub(crate) fn new(text: bool, payload: impl Into<Vec<u8>>) -> Self {
        Self { text, payload: payload.into() }
    }
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = String::from_utf8_lossy(&self.payload[..self.payload.len().min(24)]).into_owned();
        write!(f, "{}({} bytes, {start:?})", if self.text { "text" } else { "binary" }, self.payload.len())
    }
}

/// What a close frame says: its code, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close(pub(crate) Option<u16>);

/// What was found in a stream so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The status of an answer, once its head was read.
    pub(crate) status: Option<u16>,
    /// The resource of a request, once its head was read.
    pub(crate) resource: Option<String>,
    /// The key of a request.
    pub(crate) key: String,
    /// Whether permessage-deflate was offered by a request or agreed to by an answer.
    pub(crate) deflate: bool,
    pub(crate) messages: Vec<Note>,
    pub(crate) pings: Vec<Vec<u8>>,
    pub(crate) pongs: Vec<Vec<u8>>,
    /// The close frame, once it came.
    pub(crate) close: Option<Close>,
    pub(crate) body: Vec<u8>,
}

/// Reads a stream as it comes, however it is cut.
#[derive(Debug)]
pub(crate) struct Judge {
    writer: Writer,
    /// The key of the request, where an answer is judged.
    key: String,
    stage: Stage,
    unread: Vec<u8>,
    inflater: Inflater,
    pub(crate) found: Findings,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// The body of an answer, of so many bytes still.
    Body(usize),
    /// Between frames, with what came of a fragmented message.
    Frames(Option<Partial>),
    /// After a whole body nothing may follow.
    Over,
}

#[derive(Debug)]
struct Partial {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
}

struct Frame {
    fin: bool,
    compressed: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl Judge {
    /// Of an answer to the request with this key.
    pub(crate) fn of_server(key: &str) -> Self {
        Self::new(Writer::Server, key)
    }

    pub(crate) fn of_client() -> Self {
        Self::new(Writer::Client, "")
    }

    fn new(writer: Writer, key: &str) -> Self {
        let (stage, unread, found) = (Stage::Head, Vec::new(), Findings::default());
        Self { writer, key: key.to_owned(), stage, unread, inflater: Inflater::new(), found }
    }

    /// Whether the opening handshake is through.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Frames(_))
    }

    /// Takes in what was received.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        while self.step() {}
        assert!(self.unread.len() < MOST_UNREAD, "a frame or head that never ends");
    }

    /// The stream ended in good order: nothing may be half said.
    pub(crate) fn end(&self) {
        assert!(
            self.unread.is_empty(),
            "the stream ends in the middle: {} bytes left over",
            self.unread.len()
        );
        assert!(
            !matches!(self.stage, Stage::Body(left) if left > 0),
            "the stream ends inside an answer's body"
        );
        assert!(!matches!(self.stage, Stage::Frames(Some(_))), "the stream ends inside a message");
    }

    /// Takes one thing off the front; `false` where it is not whole yet.
    fn step(&mut self) -> bool {
        match &mut self.stage {
            Stage::Head => self.head(),
            Stage::Body(left) => {
                let count = self.unread.len().min(*left);
                *left -= count;
                self.found.body.extend(self.unread.drain(..count));
                if *left == 0 {
                    self.stage = Stage::Over;
                }
                count > 0
            }
            Stage::Frames(_) => self.frame(),
            Stage::Over => {
                assert!(self.unread.is_empty(), "{} bytes after the last one", self.unread.len());
                false
            }
        }
    }

    fn head(&mut self) -> bool {
        let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = std::str::from_utf8(&head[..end]).expect("a head of ours is ASCII");
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = Fields(lines.map(field).collect());
        match self.writer {
            Writer::Server => self.answer(&first, &fields),
            Writer::Client => self.request(&first, &fields),
        }
        true
    }

    fn answer(&mut self, line: &str, fields: &Fields) {
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        assert_eq!(line.as_bytes().get(12), Some(&b' '), "RFC 9112 §4: a space follows the status");
        let status: u16 = status.parse().expect("a status has three digits");
        self.found.status = Some(status);
        if status == 101 {
            fields.must_be("upgrade", "websocket");
            fields.must_be("connection", "Upgrade");
            fields.must_be("sec-websocket-accept", &accept_of(&self.key));
            self.found.deflate = fields.one("sec-websocket-extensions").is_some();
            self.inflater.resets = fields.has("sec-websocket-extensions", "server_no_context_takeover");
            self.stage = Stage::Frames(None);
        } else {
            assert!((200..600).contains(&status), "{status} is no final answer");
            fields.must_have("connection", "close");
            let length = fields.one("content-length").expect("an answer says how long it is");
            self.stage = Stage::Body(length.parse().expect("a length is a number"));
        }
    }

    fn request(&mut self, line: &str, fields: &Fields) {
        let words: Vec<&str> = line.split(' ').collect();
        let [method, resource, version] = words[..] else { panic!("{line:?} is no request line") };
        assert_eq!((method, version), ("GET", "HTTP/1.1"), "RFC 6455 §4.1");
        assert!(fields.one("host").is_some(), "RFC 6455 §4.1: a request has a Host");
        fields.must_be("upgrade", "websocket");
        fields.must_have("connection", "upgrade");
        fields.must_be("sec-websocket-version", "13");
        let key = fields.one("sec-websocket-key").expect("a key");
        assert_eq!(STANDARD.decode(key).expect("a key is base64").len(), 16, "RFC 6455 §4.1: 16 bytes");
        key.clone_into(&mut self.found.key);
        self.found.resource = Some(resource.to_owned());
        self.found.deflate = fields.one("sec-websocket-extensions").is_some();
        self.stage = Stage::Frames(None);
    }

    fn frame(&mut self) -> bool {
        let Some((frame, size)) = self.read_frame() else { return false };
        self.unread.drain(..size);
        let may_come = self.found.close.is_none() || frame.opcode == PONG;
        assert!(may_come, "RFC 6455 §5.5.1: opcode {} after a close frame", frame.opcode);
        if frame.opcode >= CLOSE {
            self.control(&frame);
        } else {
            self.data(frame);
        }
        true
    }

    /// RFC 6455 §5.2, with the bytes it takes; `None` where it is not whole yet.
    fn read_frame(&self) -> Option<(Frame, usize)> {
        let (first, second) = (*self.unread.first()?, *self.unread.get(1)?);
        let masked = second & 0x80 != 0;
        assert_eq!(masked, self.writer == Writer::Client, "RFC 6455 §5.1: clients mask, servers do not");
        assert_eq!(first & 0x30, 0, "RFC 6455 §5.2: RSV2 and RSV3 are 0");
        let (length, mut at) = self.length(second & 0x7F)?;
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(self.unread.get(at..at + 4)?);
            at += 4;
        }
        let payload = self.unread.get(at..at.checked_add(length)?)?;
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let frame =
            Frame { fin: first & 0x80 != 0, compressed: first & 0x40 != 0, opcode: first & 0x0F, payload };
        Some((frame, at + length))
    }

    /// The payload's length, and where what follows it begins.
    fn length(&self, short: u8) -> Option<(usize, usize)> {
        let (length, least, end) = match short {
            126 => {
                let bytes = self.unread.get(2..4)?;
                (bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)), 126, 4)
            }
            127 => {
                let bytes = self.unread.get(2..10)?;
                (bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)), 0x1_0000, 10)
            }
            _ => (u64::from(short), 0, 2),
        };
        assert!(length >= least, "RFC 6455 §5.2: {length} is not written in the fewest bytes");
        Some((usize::try_from(length).expect("RFC 6455 §5.2: the highest bit is 0"), end))
    }

    fn data(&mut self, frame: Frame) {
        let Stage::Frames(partial) = &mut self.stage else { return };
        let mut message = match (frame.opcode, partial.take()) {
            (0, Some(partial)) => {
                assert!(!frame.compressed, "RFC 7692 §6.1: RSV1 only on the first frame");
                partial
            }
            (1 | 2, None) => {
                assert!(!frame.compressed || self.found.deflate, "RFC 6455 §5.2: RSV1 was not negotiated");
                Partial { text: frame.opcode == 1, compressed: frame.compressed, payload: Vec::new() }
            }
            (opcode, partial) => panic!("RFC 6455 §5.4: opcode {opcode} after {partial:?}"),
        };
        message.payload.extend(frame.payload);
        if frame.fin {
            self.message(message);
        } else {
            *partial = Some(message);
        }
    }

    fn message(&mut self, message: Partial) {
        let Partial { text, compressed, payload } = message;
        let payload = if compressed { self.inflater.inflate(payload) } else { payload };
        assert!(!text || std::str::from_utf8(&payload).is_ok(), "RFC 6455 §5.6: text is UTF-8");
        self.found.messages.push(Note { text, payload });
    }

    fn control(&mut self, frame: &Frame) {
        assert!(frame.fin && !frame.compressed, "RFC 6455 §5.5: a control frame is whole and plain");
        assert!(frame.payload.len() <= 125, "RFC 6455 §5.5: a control frame has 125 bytes at most");
        match frame.opcode {
            CLOSE => self.found.close = Some(Close(close_code(&frame.payload))),
            PING => self.found.pings.push(frame.payload.clone()),
            PONG => self.found.pongs.push(frame.payload.clone()),
            opcode => panic!("RFC 6455 §5.2: opcode {opcode} is reserved"),
        }
    }
}

fn close_code(payload: &[u8]) -> Option<u16> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    assert!(std::str::from_utf8(reason).is_ok(), "RFC 6455 §5.5.1: a reason is UTF-8");
    let code = u16::from_be_bytes(*code);
    let is_legal = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    assert!(is_legal, "RFC 6455 §7.4: {code} is not for the wire");
    Some(code)
}

/// The fields of a head, names in lower case.
struct Fields(Vec<(String, String)>);

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("RFC 9112 §5: a field has a colon");
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "RFC 9110 §5.1: {name:?} is no field name");
    assert!(value.bytes().all(|byte| byte == b'\t' || byte >= b' '), "RFC 9110 §5.5: {value:?}");
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
}

impl Fields {
    /// A field that may come once at most.
    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter().filter(|(found, _)| found == name);
        let value = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} comes twice");
        value
    }

    fn has(&self, name: &str, part: &str) -> bool {
        self.one(name).is_some_and(|value| value.to_ascii_lowercase().contains(part))
    }

    fn must_have(&self, name: &str, part: &str) {
        assert!(self.has(name, part), "{name} says {:?}, not {part:?}", self.one(name));
    }

    fn must_be(&self, name: &str, value: &str) {
        assert_eq!(self.one(name), Some(value), "{name}");
    }
}

/// RFC 6455 §4.2.2, 5.4.
pub(crate) fn accept_of(key: &str) -> String {
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

/// The writer's window.
#[derive(Debug)]
struct Inflater {
    state: Decompress,
    /// Whether each message begins with an empty window.
    resets: bool,
}

impl Inflater {
    fn new() -> Self {
        Self { state: Decompress::new(false), resets: false }
    }

    /// RFC 7692 §7.2.2.
    fn inflate(&mut self, mut payload: Vec<u8>) -> Vec<u8> {
        if self.resets {
            self.state.reset(false);
        }
        payload.extend([0, 0, 0xFF, 0xFF]);
        let (mut out, before) = (Vec::with_capacity(1024), self.state.total_in());
        loop {
            let taken = usize::try_from(self.state.total_in() - before).unwrap_or(usize::MAX);
            let spare = out.capacity() - out.len();
            self.state
                .decompress_vec(&payload[taken..], &mut out, FlushDecompress::Sync)
                .expect("RFC 7692 §7.2.2");
            if out.capacity() > out.len() {
                return out;
            }
            out.reserve(spare.max(1024));
        }
    }
}

/// RFC 7692 §7.2.1, with an empty window each time.
pub(crate) fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut state = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(payload.len() + 64);
    state.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    out.truncate(out.len() - 4);
    out
}

/// A frame as a peer of ours writes it: `first` is its first byte, `mask` the client's key.
pub(crate) fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let length = payload.len().to_be_bytes();
    let mut bytes = match payload.len() {
        0..=125 => vec![first, bit | length[7]],
        126..=0xFFFF => [&[first, bit | EXTENDED], &length[6..]].concat(),
        _ => [&[first, bit | EXTENDED | 1], &length[..]].concat(),
    };
    let key = mask.unwrap_or_default();
    bytes.extend(mask.into_iter().flatten());
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The length follows in two bytes; with one more, in eight.
const EXTENDED: u8 = 0x7E;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;
/// RSV1: the message is compressed.
pub(crate) const COMPRESSED: u8 = 0x40;
/// More than anything a plan sends.
const MOST_UNREAD: usize = 8 * 1024 * 1024;
