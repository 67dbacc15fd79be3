//! One end of a connection under test: fed a wire as a loop would feed it, cut in any way; what comes out is noted.

use gnezdo::ws::{
    CloseCode, CloseFrame, Control, DeflateParams, Event, Kind, Limits, NoKeys, Protocol, ProtocolError,
    Role, Workspace, WorkspaceConfig,
};

use super::tape::{hash, mixed};

/// A wire and the end that reads it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) end: Role,
    pub(crate) deflate: Option<DeflateParams>,
    pub(crate) limits: Limits,
    /// Whether the end has sent its Close before anything arrives.
    pub(crate) closing: bool,
    pub(crate) wire: Vec<u8>,
}

/// How it is read.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) cuts: Vec<usize>,
    /// Whether large frames are received in place.
    pub(crate) landing: bool,
    pub(crate) inflate_budget: usize,
}

/// What the application saw, and what went out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) events: Vec<Seen>,
    pub(crate) output: Vec<u8>,
    /// How often more inflating was allowed. Depends on the way.
    pub(crate) renewals: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Message { kind: Kind, length: usize, hash: u64 },
    Ping(Control),
    Pong(Control),
    Close(Option<CloseFrame>),
    Failed(ProtocolError),
}

impl Seen {
    pub(crate) fn message(kind: Kind, bytes: &[u8]) -> Seen {
        Seen::Message { kind, length: bytes.len(), hash: hash(bytes) }
    }
}

impl Way {
    pub(crate) fn whole() -> Way {
        Way { cuts: Vec::new(), landing: false, inflate_budget: WorkspaceConfig::default().inflate_budget }
    }

    pub(crate) fn cut(cuts: Vec<usize>) -> Way {
        Way { cuts, ..Way::whole() }
    }
}

struct Player<'c> {
    case: &'c Case,
    protocol: Protocol,
    space: Workspace,
    trace: Trace,
    keys: u64,
}

/// Reads the wire in this way.
pub(crate) fn play(case: &Case, way: &Way) -> Trace {
    let mut player = Player::new(case, way);
    let mut bytes = case.wire.clone();
    let mut rest = bytes.as_mut_slice();
    let mut from = 0;
    for &to in way.cuts.iter().chain([&case.wire.len()]) {
        let (piece, behind) = std::mem::take(&mut rest).split_at_mut(to - from);
        player.receive(piece, way.landing);
        (rest, from) = (behind, to);
    }
    player.protocol.release(&mut player.space);
    player.trace
}

impl<'c> Player<'c> {
    fn new(case: &'c Case, way: &Way) -> Player<'c> {
        let protocol = match case.end {
            Role::Server => Protocol::server(case.deflate),
            Role::Client => Protocol::client(case.deflate),
        };
        let config = WorkspaceConfig { inflate_budget: way.inflate_budget, ..WorkspaceConfig::default() };
        let space = Workspace::new(config);
        let mut player = Player { case, protocol, space, trace: Trace::default(), keys: 1 };
        player.fetch_keys();
        if case.closing {
            let Player { protocol, space, trace, .. } = &mut player;
            protocol.close(CloseCode::NORMAL, "", space, &mut trace.output).expect("an open connection");
        }
        player
    }

    /// One read's worth of bytes.
    fn receive(&mut self, mut rest: &mut [u8], landing: bool) {
        while !rest.is_empty() {
            if landing && self.land(&mut rest) {
                continue;
            }
            let before = rest.len();
            while let Some(event) = self.protocol.receive(&mut rest, &mut self.space, &self.case.limits, 0) {
                self.note(event);
            }
            if !rest.is_empty() {
                assert!(rest.len() <= before && self.space_is_spent(), "bytes are left with budget to go on");
                self.space.renew_inflate_budget();
                self.trace.renewals += 1;
                // Each portion takes at least a step's worth of work, so that their number is bounded by the bytes.
                assert!(self.trace.renewals <= MOST_RENEWALS, "inflating never ends");
            }
        }
    }

    /// Nothing but a spent budget leaves bytes behind: with compression agreed.
    fn space_is_spent(&self) -> bool {
        self.case.deflate.is_some()
    }

    fn land(&mut self, rest: &mut &mut [u8]) -> bool {
        let Some(place) = self.protocol.landing(&mut self.space) else { return false };
        let count = place.len().min(rest.len());
        let (front, back) = std::mem::take(rest).split_at_mut(count);
        place[..count].copy_from_slice(front);
        *rest = back;
        if let Some(event) = self.protocol.landed(count, &mut self.space, &self.case.limits, 0) {
            self.note(event);
        }
        true
    }

    fn note(&mut self, event: Event<'_>) {
        let seen = match &event {
            Event::Message(payload) => {
                let message = payload.message();
                Seen::message(message.kind(), message.as_bytes())
            }
            Event::Ping(ping) => {
                let sent = self.protocol.pong(ping, &mut self.space, &mut self.trace.output);
                sent.expect("a pong is due until the peer's Close");
                Seen::Ping(*ping)
            }
            Event::Pong(pong) => Seen::Pong(*pong),
            Event::Close(close) => Seen::Close(*close),
            Event::Failed(error) => Seen::Failed(*error),
        };
        if let Event::Message(payload) = event {
            self.space.recycle(payload);
        }
        self.trace.events.push(seen);
        self.trace.output.append(&mut self.space.replies);
        self.fetch_keys();
    }

    fn fetch_keys(&mut self) {
        let state = &mut self.keys;
        let keys = self.space.keys();
        if self.case.end == Role::Client && keys.remaining() < 2 {
            let filled = keys.refill(|bytes| {
                bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&mixed(state).to_le_bytes()));
                Ok::<_, NoKeys>(())
            });
            filled.expect("this generator never fails");
        }
    }
}

/// More than any input of a megabyte can need.
const MOST_RENEWALS: usize = 50_000_000;
