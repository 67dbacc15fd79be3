//! L4, what is kept of each connection beside the loop's own: which protocol it speaks and how far it is.

use crate::buf::NoMemory;
use crate::face::closed::Reason;
use crate::face::relief::Relief;
use crate::face::target::Target;
use crate::http::{BodyMode, HeadScanner};
use crate::time::Time;
use crate::ws::{Proposal, Protocol, Upgrade};

/// One connection, inline in the loop's slab: small while idle.
#[derive(Debug)]
pub(super) struct Session<C> {
    pub(super) user: C,
    pub(super) stage: Stage,
    /// Which of the reactor's services it came by.
    pub(super) service: ServiceIndex,
    pub(super) met: Met,
    /// Whether the peer was silent for so long that it was sent a ping.
    pub(super) probed: bool,
    /// Whether the first close frame was ours.
    pub(super) closing: bool,
    /// When the peer was last heard.
    pub(super) heard: Moment,
    /// When it opened.
    pub(super) opened: Moment,
}

/// What a connection is waiting for.
///
/// ```text
///             head complete          accepted
/// Opening ───────────────► (Held) ───────────► Socket ──┐
///    │                        │                  ▲       ├──► Ended
///    └── refused, answered ───┴───────────────── │ ──────┤
///             transport stands        answered   │       │
/// Dialling ───────────────────► Calling ─────────┘       │
///    └── raw ───────────────────────────────► Raw ───────┘
/// Admitting ── raw, what came first is over ────┘
/// ```
#[derive(Debug)]
pub(super) enum Stage {
    /// For what comes before the bytes of a raw connection: a proxy's header, the TLS handshake.
    Admitting,
    /// For a successor to say how far it is.
    Successor(Box<Relief>),
    /// For the rest of the request's head; what came of it, if anything did.
    Opening(Option<Box<PartialHead>>),
    /// For the handler's decision.
    Held(Box<Held>),
    /// For an address to answer, so that it can be called.
    Dialling(Box<Call>),
    /// For the rest of the answer's head.
    Calling(Box<Call>),
    /// For WebSocket frames.
    Socket(Protocol),
    /// For bytes.
    Raw,
    /// For nothing: the outcome stands, the loop does the rest.
    Ended(Option<Box<Outcome>>),
}

/// What is known of an end before the loop tells of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why, where the loop did not find out by itself.
    pub(super) reason: Option<Reason>,
    /// What was called, where the connection never opened.
    pub(super) target: Option<Target>,
}

impl Outcome {
    /// The outcome of a connection that ends in `stage`.
    pub(super) fn of(stage: &Stage, reason: Option<Reason>) -> Self {
        let target = match stage {
            Stage::Dialling(call) | Stage::Calling(call) => Some(call.target.clone()),
            Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Socket(_)
            | Stage::Raw
            | Stage::Ended(_) => None,
        };
        Self { reason, target }
    }
}

/// A head that did not come whole.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    pub(super) bytes: Vec<u8>,
    pub(super) scanner: HeadScanner,
}

impl PartialHead {
    /// Keeps all of `bytes`, or none where there is no memory for them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        self.bytes.try_reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// A connection of ours that is not open yet.
#[derive(Debug)]
pub(super) struct Call {
    /// Whom it is to.
    pub(super) target: Target,
    /// What is asked of a WebSocket server; nothing on a raw connection.
    pub(super) proposal: Option<Proposal>,
    /// What came of the answer.
    pub(super) answer: PartialHead,
}

/// What a held request needs to be answered later.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) upgrade: Option<Upgrade>,
    /// Whether an answer by HTTP has a body.
    pub(super) body: BodyMode,
}

/// How much the handler knows of a connection, and so whether it has to hear of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Nothing, or only a request that it answered.
    No,
    /// It holds the request, or has asked for the connection.
    Held,
    /// It was told, or will be before the turn ends, that the connection is open.
    Open,
    /// It was told of the end.
    Closed,
}

/// A time in milliseconds modulo 2^32, in four bytes: exact for spans of up to 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl Moment {
    /// When `time` is.
    #[inline]
    pub(super) fn of(time: Time) -> Self {
        let [a, b, c, d, ..] = milliseconds(time).to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// Milliseconds since an earlier moment.
    pub(super) fn since(self, earlier: Self) -> u64 {
        u64::from(self.0.wrapping_sub(earlier.0))
    }
}

/// The loop's time in milliseconds.
#[inline]
pub(super) fn milliseconds(time: Time) -> u64 {
    time.as_nanos() / 1_000_000
}

/// An index into the reactor's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServiceIndex(pub(super) u16);

impl<C: Default> Session<C> {
    pub(super) fn new(service: ServiceIndex, stage: Stage) -> Self {
        Self {
            user: C::default(),
            stage,
            service,
            met: Met::No,
            probed: false,
            closing: false,
            heard: Moment(0),
            opened: Moment(0),
        }
    }
}

impl<C> Session<C> {
    /// Whether it counts as one that has not completed its opening handshake.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Admitting | Stage::Opening(_) | Stage::Held(_))
    }

    /// How many bytes there are of a message that is not whole yet.
    pub(super) fn held(&self) -> usize {
        if let Stage::Socket(protocol) = &self.stage { protocol.held() } else { 0 }
    }
}
