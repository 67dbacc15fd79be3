//! The others: clients and servers that follow a script, good and bad, and judge all that our side sends them.
//!
//! They speak from the RFCs alone and live outside of any reactor, directly on the queues of the simulated kernel.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use gnezdo::Addr;
use gnezdo::sim::Peer;
use gnezdo::time::Time;

use super::wire::{self, COMPRESSED, Close, FIN, Judge, Note};

/// One thing an actor does; it goes on to the next when that is done.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A client asks for a WebSocket; a server waits for the request and answers it with 101.
    Greet,
    /// A server waits for the request and answers it with this.
    Answer(Vec<u8>),
    /// A message in so many frames.
    Say {
        note: Note,
        frames: usize,
        compressed: bool,
    },
    Ping(usize),
    /// A close frame with this code.
    Close(u16),
    /// These bytes, whatever they mean. Whoever says them is not listened to as to what our handler should have heard.
    Babble(Vec<u8>),
    /// Sends the first bytes of what it has to say, and then a reset.
    CutAt(usize),
    Wait(Duration),
    /// Waits until something is so, but not for longer than [`PATIENCE`].
    Until(Until),
    ReadAt(Pace),
    WriteAt(Pace),
    /// From now on it answers neither pings nor closes, nor closes when our side has.
    DropManners,
    /// Once all was sent: ends its stream, and goes on reading.
    ShutWrite,
    /// Once all was sent: closes.
    Leave,
    Reset,
}

/// What a script waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The opening handshake is through.
    Open,
    /// So many messages, or bytes on a raw stream, have come.
    Heard(usize),
    /// A close frame or the end of the stream has come.
    Closed,
    /// The stream has ended.
    Ended,
}

/// How fast an actor reads or writes: so many bytes, so often. Zero bytes are none, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) bytes: usize,
    pub(crate) every: Duration,
}

impl Pace {
    pub(crate) const FULL: Pace = Pace { bytes: usize::MAX, every: Duration::ZERO };
    pub(crate) const NEVER: Pace = Pace { bytes: 0, every: Duration::ZERO };

    pub(crate) const fn drip(bytes: usize, milliseconds: u64) -> Self {
        Self { bytes, every: Duration::from_millis(milliseconds) }
    }
}

/// Which side of what protocol an actor is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Calls a WebSocket server of ours.
    Client,
    /// Is called by a WebSocket client of ours.
    Server,
    /// Speaks bytes.
    Raw,
}

/// How a stream ended, as the actor saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Our side ended it in good order.
    Ended,
    /// A reset, or another failure.
    Broken,
    /// The actor itself broke it off.
    Left,
}

/// How the judge of a stream reads it.
#[derive(Debug)]
enum Ear {
    WebSocket(Box<Judge>),
    Raw(Vec<u8>),
}

/// One end of a connection, outside of our side.
#[derive(Debug)]
pub(crate) struct Actor {
    part: Part,
    /// There are no resets on a Unix-domain socket: an end of stream does not say that all is well.
    pub(crate) is_unix: bool,
    /// Given to visitors.
    tag: Option<u32>,
    /// Until it left.
    peer: Option<Peer>,
    script: VecDeque<Step>,
    ear: Ear,
    outbox: Vec<u8>,
    /// Everything it ever meant our handler to hear.
    pub(crate) spoken: Vec<Note>,
    /// What its pings said, in order.
    pub(crate) pinged: Vec<Vec<u8>>,
    /// The pings of our side that it has answered: the first so many.
    pub(crate) ponged: usize,
    /// The bytes it put into the kernel.
    pub(crate) uttered: Vec<u8>,
    /// It said what no good peer would.
    pub(crate) wild: bool,
    /// Something it meant to send was refused.
    pub(crate) lost: bool,
    pub(crate) fate: Option<Fate>,
    /// It ended its own stream.
    pub(crate) shut: bool,
    manners: bool,
    closing: bool,
    reading: Pace,
    writing: Pace,
    read_at: Time,
    write_at: Time,
    wait_until: Option<Time>,
    masks: u32,
}

impl Actor {
    pub(crate) fn new(part: Part, addr: &Addr, tag: Option<u32>, peer: Peer, script: &[Step]) -> Self {
        let ear = match part {
            Part::Client => Ear::WebSocket(Box::new(Judge::of_server(KEY))),
            Part::Server => Ear::WebSocket(Box::new(Judge::of_client())),
            Part::Raw => Ear::Raw(Vec::new()),
        };
        Self {
            part,
            is_unix: addr.is_unix(),
            tag,
            peer: Some(peer),
            script: script.iter().cloned().collect(),
            ear,
            outbox: Vec::new(),
            spoken: Vec::new(),
            pinged: Vec::new(),
            ponged: 0,
            uttered: Vec::new(),
            wild: false,
            lost: false,
            fate: None,
            shut: false,
            manners: true,
            closing: false,
            reading: Pace::FULL,
            writing: Pace::FULL,
            read_at: Time::ZERO,
            write_at: Time::ZERO,
            wait_until: None,
            masks: 0,
        }
    }

    /// The messages that came.
    pub(crate) fn heard(&self) -> &[Note] {
        match &self.ear {
            Ear::WebSocket(judge) => &judge.found.messages,
            Ear::Raw(_) => &[],
        }
    }

    /// The bytes that came on a raw stream.
    pub(crate) fn heard_bytes(&self) -> &[u8] {
        match &self.ear {
            Ear::WebSocket(_) => &[],
            Ear::Raw(bytes) => bytes,
        }
    }

    pub(crate) fn judge(&self) -> Option<&Judge> {
        match &self.ear {
            Ear::WebSocket(judge) => Some(judge),
            Ear::Raw(_) => None,
        }
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.part == Part::Raw
    }

    /// Whether it has nothing more to do of its own.
    pub(crate) fn is_done(&self) -> bool {
        self.fate.is_some() || self.script.is_empty() && self.outbox.is_empty()
    }

    /// Whether it still takes what it is sent, as fast as it comes.
    pub(crate) fn listens(&self) -> bool {
        self.fate.is_none() && self.reading == Pace::FULL
    }

    /// Whether its end of the connection is there.
    pub(crate) fn is_there(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether all it said is out of its hands.
    pub(crate) fn is_silent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Which connection this is, in both books: told to our side by the request or the first bytes, or read there.
    pub(crate) fn tag(&self) -> Option<u32> {
        let read = || match &self.ear {
            Ear::WebSocket(judge) => judge.found.resource.as_ref()?.strip_prefix('/')?.parse().ok(),
            Ear::Raw(heard) => heard.first_chunk::<4>().map(|tag| u32::from_be_bytes(*tag)),
        };
        self.tag.or_else(read)
    }

    /// The world ends: it follows its script no further, and who reads at all reads all.
    pub(crate) fn hush(&mut self) {
        self.script.clear();
        if self.reading != Pace::NEVER {
            self.reading = Pace::FULL;
        }
    }

    /// Leaves, once all it has to say is said.
    pub(crate) fn leave(&mut self) {
        if self.script.is_empty() {
            self.script.push_back(Step::Leave);
        }
    }

    /// When it wants to act although nothing happened.
    pub(crate) fn wakes_at(&self) -> Option<Time> {
        if self.fate.is_some() {
            return None;
        }
        let write = (!self.outbox.is_empty() && self.writing.bytes > 0).then_some(self.write_at);
        let read = (self.reading.bytes > 0 && self.reading.every > Duration::ZERO).then_some(self.read_at);
        [write, read, self.wait_until].into_iter().flatten().min()
    }

    /// Does whatever can be done now; answers whether that was anything.
    pub(crate) fn act(&mut self, now: Time) -> bool {
        let mut acted = false;
        while self.fate.is_none() && (self.read(now) | self.write(now) | self.follow(now)) {
            acted = true;
        }
        acted
    }

    fn read(&mut self, now: Time) -> bool {
        if self.reading.bytes == 0 || now < self.read_at {
            return false;
        }
        let mut buffer = vec![0; self.reading.bytes.min(READ_AT_MOST)];
        match self.peer.as_ref().map_or(Ok(0), |peer| peer.receive(&mut buffer)) {
            Ok(0) => self.meet_end(),
            Ok(count) => {
                self.read_at = now.saturating_add(self.reading.every);
                self.hear(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.fate = Some(Fate::Broken);
                true
            }
        }
    }

    fn meet_end(&mut self) -> bool {
        if self.lost {
            // The kernel has told of the failure already, to the send that met it.
            self.fate = Some(Fate::Broken);
            return true;
        }
        if let (Ear::WebSocket(judge), false) = (&self.ear, self.is_unix) {
            judge.end();
        }
        self.fate = Some(Fate::Ended);
        if self.manners {
            self.peer = None;
        }
        true
    }

    fn hear(&mut self, bytes: &[u8]) {
        let judge = match &mut self.ear {
            Ear::Raw(heard) => return heard.extend_from_slice(bytes),
            Ear::WebSocket(judge) => judge,
        };
        judge.take(bytes);
        if !self.manners {
            return;
        }
        let pings = judge.found.pings[self.ponged..].to_vec();
        let close = judge.found.close;
        self.ponged += pings.len();
        for ping in pings {
            self.frame(FIN | wire::PONG, &ping);
        }
        if let Some(Close(code)) = close {
            self.say_close(code);
            if self.part == Part::Server {
                self.script.clear();
                self.script.push_back(Step::Leave);
            }
        }
    }

    fn say_close(&mut self, code: Option<u16>) {
        if !std::mem::replace(&mut self.closing, true) {
            self.frame(FIN | wire::CLOSE, &code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec()));
        }
    }

    fn write(&mut self, now: Time) -> bool {
        if self.outbox.is_empty() || self.writing.bytes == 0 || now < self.write_at || self.shut {
            return false;
        }
        let before_the_cut = match self.script.front() {
            Some(Step::CutAt(count)) => count.saturating_sub(self.uttered.len()),
            _ => usize::MAX,
        };
        let count = self.outbox.len().min(self.writing.bytes).min(before_the_cut);
        match self.peer.as_ref().map_or(Ok(0), |peer| peer.send(&self.outbox[..count])) {
            Ok(0) => false,
            Ok(count) => {
                self.write_at = now.saturating_add(self.writing.every);
                self.uttered.extend(self.outbox.drain(..count));
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                // What came before the end may still be read.
                self.outbox.clear();
                self.lost = true;
                self.writing = Pace::NEVER;
                self.script.clear();
                self.reading = Pace::FULL;
                true
            }
        }
    }

    /// Takes the next step of the script if it can be taken.
    fn follow(&mut self, now: Time) -> bool {
        let Some(step) = self.script.front().cloned() else { return false };
        if !self.may_take(&step, now) {
            return false;
        }
        self.script.pop_front();
        self.wait_until = None;
        self.take(step);
        true
    }

    fn may_take(&mut self, step: &Step, now: Time) -> bool {
        match step {
            Step::Wait(span) => self.has_waited(*span, now),
            Step::Until(until) => self.is_so(*until) || self.has_waited(PATIENCE, now),
            Step::Greet | Step::Answer(_) if self.part == Part::Server => {
                self.judge().is_some_and(Judge::is_open) || self.has_waited(PATIENCE, now)
            }
            Step::ShutWrite | Step::Leave => self.outbox.is_empty() || self.has_waited(PATIENCE, now),
            Step::CutAt(count) => self.uttered.len() >= *count || self.outbox.is_empty(),
            _ => true,
        }
    }

    fn has_waited(&mut self, span: Duration, now: Time) -> bool {
        *self.wait_until.get_or_insert(now.saturating_add(span)) <= now
    }

    fn is_so(&self, until: Until) -> bool {
        match until {
            Until::Open => self.judge().is_none_or(Judge::is_open),
            Until::Heard(count) => self.heard().len().max(self.heard_bytes().len()) >= count,
            Until::Closed => self.judge().is_some_and(|judge| judge.found.close.is_some()),
            Until::Ended => self.fate.is_some(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Greet => self.greet(),
            Step::Say { note, frames, compressed } => self.say(note, frames, compressed),
            Step::Ping(size) => self.ping(size),
            Step::Close(code) => self.say_close(Some(code)),
            Step::Answer(bytes) | Step::Babble(bytes) => {
                self.wild = true;
                self.outbox.extend(bytes);
            }
            Step::CutAt(_) | Step::Reset => {
                if let Some(peer) = self.peer.take() {
                    peer.reset();
                }
                self.fate = Some(Fate::Left);
            }
            Step::ReadAt(pace) => self.reading = pace,
            Step::WriteAt(pace) => self.writing = pace,
            Step::DropManners => self.manners = false,
            Step::ShutWrite => {
                self.shut = true;
                let _ = self.peer.as_ref().map(Peer::shutdown_write);
            }
            Step::Leave => {
                self.peer = None;
                self.fate = Some(Fate::Left);
            }
            Step::Wait(_) | Step::Until(_) => {}
        }
    }

    fn greet(&mut self) {
        match (self.part, &self.ear) {
            (Part::Client, _) => {
                let tag = self.tag.unwrap_or_default();
                let request = format!(
                    "GET /from/{tag} HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
                     Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
                );
                self.outbox.extend(request.into_bytes());
            }
            (Part::Server, Ear::WebSocket(judge)) => {
                let accept = wire::accept_of(&judge.found.key);
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
                    if judge.found.deflate { EXTENSION } else { "" }
                );
                self.outbox.extend(answer.into_bytes());
            }
            _ => self.outbox.extend(self.tag.unwrap_or_default().to_be_bytes()),
        }
    }

    fn say(&mut self, note: Note, frames: usize, compressed: bool) {
        if self.closing || self.shut {
            return;
        }
        if self.part == Part::Raw {
            return self.outbox.extend(note.payload);
        }
        let compressed = compressed && self.judge().is_some_and(|judge| judge.found.deflate);
        let payload = if compressed { wire::deflate(&note.payload) } else { note.payload.clone() };
        let opcode = if note.text { 1 } else { 2 };
        let size = payload.len().div_ceil(frames.max(1)).max(1);
        let count = payload.len().div_ceil(size).max(1);
        for index in 0..count {
            let part = &payload[(index * size).min(payload.len())..((index + 1) * size).min(payload.len())];
            let first = if index == 0 { opcode | if compressed { COMPRESSED } else { 0 } } else { 0 };
            let fin = if index + 1 == count { FIN } else { 0 };
            self.frame(fin | first, part);
        }
        self.spoken.push(note);
    }

    /// A ping that tells itself from the others, as far as so many bytes can.
    fn ping(&mut self, size: usize) {
        if self.closing || self.shut || self.part == Part::Raw {
            return;
        }
        let name = format!("{}?", self.pinged.len());
        let payload: Vec<u8> = name.bytes().cycle().take(size).collect();
        self.frame(FIN | wire::PING, &payload);
        self.pinged.push(payload);
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        self.masks = self.masks.wrapping_add(0x9E37_79B9);
        let mask = (self.part == Part::Client).then(|| self.masks.to_be_bytes());
        self.outbox.extend(wire::frame(first, payload, mask));
    }
}

/// The key of every request.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const EXTENSION: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                         client_no_context_takeover\r\n";
/// How long a script waits for what may never come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
const READ_AT_MOST: usize = 64 * 1024;
