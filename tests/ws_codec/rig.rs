//! Feeds one vector to the codec in every way it could arrive, at either end, and notes what came out.

use gnezdo::ws::{
    CloseFrame, DeflateParams, Event, Limits, Message, NoKeys, Protocol, ProtocolError, Role, Workspace,
    WorkspaceConfig,
};

use crate::mirror::{mirror, mirrored_params};

/// What the peer of `end` sends: a client, unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) wire: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) deflate: Option<DeflateParams>,
    pub(crate) end: Role,
}

impl Default for Vector {
    fn default() -> Vector {
        Vector { wire: Vec::new(), limits: Limits::default(), deflate: None, end: Role::Server }
    }
}

/// What came out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) events: Vec<Seen>,
    pub(crate) output: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(ProtocolError),
}

/// How bytes of a large frame are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    Buffer,
    Landing,
}

/// One connection, played the way a loop does it.
pub(crate) struct Rig {
    pub(crate) protocol: Protocol,
    pub(crate) space: Workspace,
    pub(crate) limits: Limits,
    pub(crate) trace: Trace,
    pub(crate) renewals: usize,
    pub(crate) now_ms: u64,
}

impl Rig {
    pub(crate) fn new(vector: &Vector) -> Rig {
        Rig::with(vector, WorkspaceConfig::default())
    }

    pub(crate) fn with(vector: &Vector, config: WorkspaceConfig) -> Rig {
        Rig {
            protocol: match vector.end {
                Role::Server => Protocol::server(vector.deflate),
                Role::Client => Protocol::client(vector.deflate),
            },
            space: Workspace::new(config),
            limits: vector.limits.clone(),
            trace: Trace::default(),
            renewals: 0,
            now_ms: 0,
        }
    }

    /// One read's worth of bytes.
    pub(crate) fn receive(&mut self, bytes: &[u8], how: Receive) {
        let mut bytes = bytes.to_vec();
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            if how == Receive::Landing && self.land(&mut rest) {
                continue;
            }
            let before = rest.len();
            fill(&mut self.space);
            while let Some(event) =
                self.protocol.receive(&mut rest, &mut self.space, &self.limits, self.now_ms)
            {
                note(&mut self.trace, &self.protocol, &mut self.space, event);
            }
            if !rest.is_empty() {
                assert!(self.renewals < 10_000_000 && rest.len() <= before, "no progress");
                self.space.renew_inflate_budget();
                self.renewals += 1;
            }
        }
    }

    fn land(&mut self, rest: &mut &mut [u8]) -> bool {
        let Some(place) = self.protocol.landing(&mut self.space) else { return false };
        let count = place.len().min(rest.len());
        let (front, back) = std::mem::take(rest).split_at_mut(count);
        place[..count].copy_from_slice(front);
        *rest = back;
        if let Some(event) = self.protocol.landed(count, &mut self.space, &self.limits, self.now_ms) {
            note(&mut self.trace, &self.protocol, &mut self.space, event);
        }
        true
    }
}

/// Keeps the masking keys from running out. Nobody looks at them here.
pub(crate) fn fill(space: &mut Workspace) {
    let keys = space.keys();
    if keys.remaining() < 2 {
        let mut random = random(1);
        keys.refill(|bytes| random(bytes)).unwrap();
    }
}

/// Splitmix64, a generator that is good and not secret.
pub(crate) fn random(mut state: u64) -> impl FnMut(&mut [u8]) -> Result<(), NoKeys> + Send {
    move |bytes| {
        for chunk in bytes.chunks_mut(8) {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn note(trace: &mut Trace, protocol: &Protocol, space: &mut Workspace, event: Event<'_>) {
    let seen = match &event {
        Event::Message(payload) => match payload.message() {
            Message::Text(text) => {
                assert_eq!(std::str::from_utf8(text.as_bytes()), Ok(text.as_str()));
                Seen::Text(text.as_str().to_owned())
            }
            Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        },
        Event::Ping(ping) => {
            protocol.pong(ping, space, &mut trace.output).unwrap();
            Seen::Ping(ping.as_bytes().to_vec())
        }
        Event::Pong(pong) => Seen::Pong(pong.as_bytes().to_vec()),
        Event::Close(close) => {
            Seen::Close(close.map(|close: CloseFrame| (close.code().into(), close.reason().to_owned())))
        }
        Event::Failed(error) => Seen::Failed(*error),
    };
    trace.events.push(seen);
    trace.output.append(&mut space.replies);
    fill(space);
    if let Event::Message(payload) = event {
        space.recycle(payload);
    }
}

impl Vector {
    pub(crate) fn new(wire: impl Into<Vec<u8>>) -> Vector {
        Vector { wire: wire.into(), ..Vector::default() }
    }

    /// The vector cut at these places.
    pub(crate) fn cut(&self, cuts: &[usize], how: Receive) -> Trace {
        self.cut_with(cuts, how, WorkspaceConfig::default())
    }

    pub(crate) fn cut_with(&self, cuts: &[usize], how: Receive, config: WorkspaceConfig) -> Trace {
        let mut rig = Rig::with(self, config);
        let mut from = 0;
        for &to in cuts.iter().chain([&self.wire.len()]) {
            rig.receive(&self.wire[from..to], how);
            from = to;
        }
        rig.trace
    }

    pub(crate) fn whole(&self) -> Trace {
        self.cut(&[], Receive::Buffer)
    }

    /// The same sent to the other end.
    pub(crate) fn mirrored(&self) -> Vector {
        let end = match self.end {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let deflate = self.deflate.map(mirrored_params);
        Vector { wire: mirror(&self.wire).wire, limits: self.limits.clone(), deflate, end }
    }

    /// However cut, the same comes out; and the same of a client to which a server sends it.
    #[track_caller]
    pub(crate) fn same_however_cut(&self) -> Trace {
        let whole = self.same_however_cut_at_this_end();
        let theirs = self.mirrored().same_however_cut_at_this_end().mirrored();
        // Inside a key there is nothing to mirror, and a client may know of a fault before its server does.
        if !mirror(&self.wire).cut {
            assert_eq!(theirs, whole, "the client's end and the server's");
        }
        whole
    }

    /// Whole, byte by byte, cut once everywhere, received in place, inflated on the smallest budget: all the same.
    #[track_caller]
    fn same_however_cut_at_this_end(&self) -> Trace {
        let whole = self.whole();
        let every: Vec<usize> = (1..self.wire.len().max(1)).collect();
        let budget = || WorkspaceConfig { inflate_budget: 1, ..WorkspaceConfig::default() };
        for how in [Receive::Buffer, Receive::Landing] {
            assert_eq!(self.cut(&every, how), whole, "byte by byte, {how:?}");
            assert_eq!(self.cut_with(&every, how, budget()), whole, "byte by byte on a budget, {how:?}");
            assert_eq!(self.cut_with(&[], how, budget()), whole, "on a budget, {how:?}");
            let step = (self.wire.len() / 400).max(1);
            for cut in every.iter().step_by(step) {
                assert_eq!(self.cut(&[*cut], how), whole, "cut at {cut}, {how:?}");
            }
        }
        whole
    }
}

impl Trace {
    /// What a server would have done where a client did this. Its frames are all masked.
    #[track_caller]
    fn mirrored(mut self) -> Trace {
        for event in &mut self.events {
            if *event == Seen::Failed(ProtocolError::Masked) {
                *event = Seen::Failed(ProtocolError::Unmasked);
            }
        }
        let sent = mirror(&self.output);
        assert!(!sent.cut && sent.keys.iter().all(Option::is_some), "an unmasked frame of a client");
        let mut output = sent.wire;
        let refused = refusal(ProtocolError::Masked);
        if output.ends_with(&refused) {
            output.truncate(output.len() - refused.len());
            output.extend(refusal(ProtocolError::Unmasked));
        }
        self.output = output;
        self
    }
}

/// A masked frame with this first byte, written by the book.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, payload, [0x37, 0xFA, 0x21, 0x3D])
}

pub(crate) fn masked(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut wire = head(first, payload.len() as u64);
    wire.extend_from_slice(&key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

/// A masked frame's first bytes up to the key, with the length in the fewest bytes.
pub(crate) fn head(first: u8, length: u64) -> Vec<u8> {
    let mut wire = vec![first];
    match length {
        0..=125 => wire.push(0x80 | length as u8),
        126..=0xFFFF => {
            wire.push(0x80 | 0x7E);
            wire.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            wire.push(0x80 | 0x7F);
            wire.extend_from_slice(&length.to_be_bytes());
        }
    }
    wire
}

/// The frame with which a server refuses.
pub(crate) fn refusal(error: ProtocolError) -> Vec<u8> {
    let reason = error.to_string();
    let code = u16::from(error.close_code());
    let mut wire = vec![0x88, 2 + reason.len() as u8];
    wire.extend_from_slice(&code.to_be_bytes());
    wire.extend_from_slice(reason.as_bytes());
    wire
}
