//! What can go wrong, how often, and at which call: knows no socket.

use std::time::Duration;

use super::tape::Tape;

/// The calls of a [`System`](crate::net::System) that are counted and can be disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// [`System::poll`](crate::net::System::poll).
    Poll,
    /// [`System::random`](crate::net::System::random).
    Random,
    /// [`System::listen`](crate::net::System::listen).
    Listen,
    /// [`System::accept`](crate::net::System::accept).
    Accept,
    /// [`System::connect`](crate::net::System::connect).
    Connect,
    /// [`System::resolve`](crate::net::System::resolve).
    Resolve,
    /// [`System::register`](crate::net::System::register).
    Register,
    /// [`System::receive`](crate::net::System::receive).
    Receive,
    /// [`System::send`](crate::net::System::send) and [`System::send_gathered`](crate::net::System::send_gathered).
    Send,
    /// [`System::shutdown_write`](crate::net::System::shutdown_write).
    ShutdownWrite,
    /// [`System::close`](crate::net::System::close); never disturbed.
    Close,
    /// [`System::take_error`](crate::net::System::take_error).
    TakeError,
    /// [`System::peer`](crate::net::System::peer).
    Peer,
}

/// What a call does instead of all it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// All it can: no disturbance.
    Full,
    /// At most so many bytes, and a fresh edge; one at least.
    Short(usize),
    /// Nothing now although there would be something, and a fresh edge.
    WouldBlock,
    /// The wait ends early, as by a signal.
    Interrupted,
    /// The connection is reset (`ECONNRESET`).
    Reset,
    /// The connection is reset, and the call answers `EPIPE`.
    BrokenPipe,
    /// The connection has not been answered for too long (`ETIMEDOUT`).
    TimedOut,
    /// The kernel has no memory (`ENOBUFS`).
    NoBuffers,
    /// No descriptor is free (`EMFILE`).
    NoDescriptors,
    /// The waiting connection broke (`ECONNABORTED`).
    Aborted,
    /// Nobody is on the other side any more (`ENOTCONN`).
    NotConnected,
    /// Nobody listens there (`ECONNREFUSED`), or nobody knows the name.
    Refused,
    /// No way leads there (`ENETUNREACH`).
    Unreachable,
    /// The backlog is full: busy for a Unix-domain socket, over TCP an answer after a second. The address is taken, for
    /// a listen (`EADDRINUSE`).
    Busy,
    /// No answer comes to a TCP connection, which stays on its way for 127 seconds.
    Silent,
    /// An event that nothing has caused, for a socket that is open.
    Spurious,
    /// An event for a socket that was closed before.
    Stale,
    /// Only some of what is ready, in another order, its bits apart; the rest with the next wait.
    Split,
    /// The wait lasts longer than asked, as on a machine that sleeps; a name is resolved after five seconds.
    Late,
    /// The call fails for good (`EIO`): a broken listener, no source of randomness.
    Broken,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [CallKind; 13] = [
        CallKind::Poll,
        CallKind::Random,
        CallKind::Listen,
        CallKind::Accept,
        CallKind::Connect,
        CallKind::Resolve,
        CallKind::Register,
        CallKind::Receive,
        CallKind::Send,
        CallKind::ShutdownWrite,
        CallKind::Close,
        CallKind::TakeError,
        CallKind::Peer,
    ];

    /// The outcomes that the operating system may give to this call; without [`Outcome::Full`], which every call may
    /// have, and with one example of [`Outcome::Short`].
    #[must_use]
    pub const fn outcomes(self) -> &'static [Outcome] {
        use Outcome as O;
        match self {
            CallKind::Poll => &[O::Interrupted, O::Spurious, O::Stale, O::Split, O::Late, O::Broken],
            CallKind::Random => &[O::Broken],
            CallKind::Listen => &[O::NoDescriptors, O::NoBuffers, O::Busy],
            CallKind::Accept => &[O::WouldBlock, O::NoDescriptors, O::NoBuffers, O::Aborted, O::Broken],
            CallKind::Connect => {
                &[O::Refused, O::Unreachable, O::NoDescriptors, O::NoBuffers, O::Busy, O::Silent]
            }
            CallKind::Resolve => &[O::NoBuffers, O::Late, O::Refused],
            CallKind::Register => &[O::NoBuffers],
            CallKind::Receive => &[O::Short(1), O::WouldBlock, O::Reset, O::TimedOut, O::NoBuffers],
            CallKind::Send => {
                &[O::Short(1), O::WouldBlock, O::Reset, O::BrokenPipe, O::TimedOut, O::NoBuffers]
            }
            CallKind::ShutdownWrite | CallKind::Peer => &[O::NotConnected],
            CallKind::TakeError => &[O::Reset, O::TimedOut, O::Refused],
            CallKind::Close => &[],
        }
    }

    /// Whether `outcome` is one that this call may have.
    #[must_use]
    pub fn allows(self, outcome: Outcome) -> bool {
        let outcome = if let Outcome::Short(_) = outcome { Outcome::Short(1) } else { outcome };
        self.outcomes().contains(&outcome)
    }
}

impl Outcome {
    /// Whether nothing is lost by it but time: no connection ends and no call fails.
    #[must_use]
    pub const fn is_gentle(self) -> bool {
        matches!(
            self,
            Outcome::Full
                | Outcome::Short(_)
                | Outcome::WouldBlock
                | Outcome::Interrupted
                | Outcome::Spurious
                | Outcome::Stale
                | Outcome::Split
        )
    }
}

/// How often what goes wrong in a world, decided by its tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// One call in so many has another outcome than [`Outcome::Full`]; 0 for none.
    pub one_call_in: usize,
    /// Only outcomes by which nothing is lost but time, see [`Outcome::is_gentle`].
    pub only_gentle: bool,
    /// The longest time a TCP segment, a connection or a resolver's answer is on its way.
    pub latency: Duration,
    /// The longest time by which [`Outcome::Late`] outlasts a wait.
    pub oversleep: Duration,
}

impl Faults {
    /// Nothing goes wrong and nothing is late.
    pub const NONE: Faults =
        Faults { one_call_in: 0, only_gentle: true, latency: Duration::ZERO, oversleep: Duration::ZERO };

    /// Short counts, would-blocks, odd events and late segments: everything arrives all the same.
    pub const GENTLE: Faults = Faults {
        one_call_in: 5,
        only_gentle: true,
        latency: Duration::from_millis(50),
        oversleep: Duration::ZERO,
    };

    /// Everything that can go wrong, one call in twenty.
    pub const HARSH: Faults = Faults {
        one_call_in: 20,
        only_gentle: false,
        latency: Duration::from_millis(200),
        oversleep: Duration::from_secs(2),
    };
}

/// One call to be disturbed in a world that is calm otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// Which calls are counted; `None` counts all of [`CallKind::ALL`].
    pub call: Option<CallKind>,
    /// The how manieth of them, from 1.
    pub nth: u64,
    /// What it does. An outcome that this call cannot have changes nothing and is not counted as injected.
    pub outcome: Outcome,
}

impl FaultPlan {
    /// The `nth` call of `call`, from 1, has `outcome`.
    #[must_use]
    pub const fn at(call: Option<CallKind>, nth: u64, outcome: Outcome) -> Self {
        FaultPlan { call, nth, outcome }
    }
}

/// How often each call was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls([u64; CallKind::ALL.len()]);

impl Calls {
    /// How often `call` was made.
    #[must_use]
    pub fn of(&self, call: CallKind) -> u64 {
        self.0.get(call as usize).copied().unwrap_or(0)
    }

    /// How many calls were made.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn count(&mut self, call: CallKind) {
        if let Some(count) = self.0.get_mut(call as usize) {
            *count = count.saturating_add(1);
        }
    }
}

/// Decides about one call after another.
#[derive(Debug)]
pub(super) struct Decider {
    pub(super) faults: Faults,
    plan: Option<FaultPlan>,
    pub(super) calls: Calls,
    pub(super) injected: u64,
}

impl Decider {
    pub(super) fn new(faults: Faults, plan: Option<FaultPlan>) -> Self {
        Decider { faults, plan, calls: Calls::default(), injected: 0 }
    }

    /// From now on all is calm.
    pub(super) fn stop(&mut self) {
        self.faults = Faults::NONE;
        self.plan = None;
    }

    /// Counts a call and says what it does.
    pub(super) fn outcome(&mut self, call: CallKind, tape: &mut Tape) -> Outcome {
        self.calls.count(call);
        let outcome = self.planned(call).unwrap_or_else(|| self.random(call, tape));
        if outcome != Outcome::Full {
            self.injected = self.injected.saturating_add(1);
        }
        outcome
    }

    fn planned(&self, call: CallKind) -> Option<Outcome> {
        let plan = self.plan?;
        let (counts, reached) = match plan.call {
            Some(kind) => (kind == call, self.calls.of(kind)),
            None => (true, self.calls.all()),
        };
        (counts && reached == plan.nth && call.allows(plan.outcome)).then_some(plan.outcome)
    }

    fn random(&self, call: CallKind, tape: &mut Tape) -> Outcome {
        if call.outcomes().is_empty() || !tape.chance(self.faults.one_call_in) {
            return Outcome::Full;
        }
        let only_gentle = self.faults.only_gentle;
        let possible = call.outcomes().iter().filter(|outcome| is_random(call, **outcome));
        let possible: Vec<_> = possible.filter(|outcome| outcome.is_gentle() || !only_gentle).collect();
        match possible.get(tape.choose(possible.len())) {
            None => Outcome::Full,
            Some(Outcome::Short(_)) => Outcome::Short(1 + tape.choose(SHORT_AT_MOST)),
            Some(outcome) => **outcome,
        }
    }
}

/// A loop that cannot be polled is over, and there is nothing more to see: that is planned but does not come by chance.
fn is_random(call: CallKind, outcome: Outcome) -> bool {
    (call, outcome) != (CallKind::Poll, Outcome::Broken)
}

/// The longest short count that comes by chance.
const SHORT_AT_MOST: usize = 64;
