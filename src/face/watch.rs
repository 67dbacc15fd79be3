//! L4, the watch over open connections: one deadline for each, looked at lazily, so that a message costs no timer.
//!
//! A receive only notes when it was. The deadline, once met, compares: it pings a silent peer, cuts a dead one, closes
//! one that lived long enough, or is armed again for what was heard meanwhile.

use std::time::Duration;

use crate::face::closed::Timeout;
use crate::face::runtime::Runtime;
use crate::face::session::{Moment, Session, Stage, milliseconds};
use crate::face::{Handler, Timeouts};
use crate::reactor::{ConnId, Io};
use crate::time::Time;
use crate::ws::{CloseCode, State};

/// What is to be done about an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// It was silent for long enough to be asked whether it lives.
    Ping,
    /// It was silent for too long.
    Cut,
    /// It lived for as long as any may.
    Retire,
}

/// What is known of an open connection, in milliseconds. The ends of each span are rounded down, so that it may be just
/// short of one longer than what it measures.
#[derive(Clone, Copy, Debug)]
struct Signs {
    /// Since it was last heard.
    silent: u64,
    /// Since it opened.
    age: u64,
    /// Whether it was pinged in this silence.
    probed: Probed,
}

/// Whether a silent peer was asked, or can be asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probed {
    NotYet,
    Yes,
    /// A raw connection has no pings.
    Never,
}

impl Signs {
    fn judge(self, timeouts: &Timeouts) -> Verdict {
        let limits = |span: Option<Duration>| span.map_or(u64::MAX, surely_over);
        let (lifetime, idle) = (limits(timeouts.lifetime), limits(timeouts.idle));
        // A peer is asked while there is still time to answer.
        let ping = limits(timeouts.ping.map(|ping| timeouts.idle.map_or(ping, |idle| ping.min(idle / 2))));
        if self.age >= lifetime {
            return Verdict::Retire;
        }
        if self.silent >= idle {
            return Verdict::Cut;
        }
        let next_ping = match self.probed {
            Probed::NotYet if self.silent >= ping => return Verdict::Ping,
            Probed::NotYet => ping.saturating_sub(self.silent),
            // Whether it answered shows later: a receive only notes when it was.
            Probed::Yes => ping,
            Probed::Never => u64::MAX,
        };
        let to_live = lifetime.saturating_sub(self.age);
        Verdict::Wait(idle.saturating_sub(self.silent).min(next_ping).min(to_live))
    }
}

impl<H: Handler> Runtime<H> {
    /// The connection has opened, or its deadline is met: looks at it, and arms the next one.
    pub(super) fn watch(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let now = Moment::of(io.now());
        // Nobody is heard where nobody listens. Who is behind is watched by the stall timeout: what we would ask it waits
        // behind all the rest. Who has left is seen to have.
        let deaf = (!io.listens(id) || io.queued(id) > 0) && !io.has_left(id);
        let Some(session) = io.session(id) else { return };
        if deaf {
            session.heard = now;
        }
        match signs(session, now).judge(&self.shared.timeouts) {
            Verdict::Wait(span) => self.look_again(io, id, span),
            Verdict::Cut => self.cut(io, id, Timeout::Idle),
            Verdict::Retire => self.retire(io, id),
            Verdict::Ping => {
                session.probed = true;
                // One that takes no ping is on its way out.
                let _ = self.context(io).1.ping(id, &[]);
                self.watch(io, id);
            }
        }
    }

    /// The deadline of an open connection.
    pub(super) fn overdue(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let Some(session) = io.session(id) else { return };
        match &session.stage {
            Stage::Socket(protocol) if protocol.state() == State::CloseSent => {
                self.cut(io, id, Timeout::Close);
            }
            _ => self.watch(io, id),
        }
    }

    fn look_again(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, span: u64) {
        let now = Time::ZERO.saturating_add(Duration::from_millis(milliseconds(io.now())));
        let at = now.saturating_add(Duration::from_millis(span.clamp(1, MOST_EXACT)));
        let Timeouts { ping, idle, lifetime, .. } = &self.shared.timeouts;
        let never = ping.is_none() && idle.is_none() && lifetime.is_none();
        io.set_deadline(id, (!never).then_some(at));
    }

    /// Ends a connection that lived for [`Timeouts::lifetime`], in good order.
    fn retire(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let (_, mut cx) = self.context(io);
        // One that is closing already has its own bound.
        let _ = cx.close(id, CloseCode::GOING_AWAY, "lifetime");
    }
}

fn signs<C>(session: &Session<C>, now: Moment) -> Signs {
    let probed = match (&session.stage, session.probed) {
        (Stage::Socket(_), false) => Probed::NotYet,
        (Stage::Socket(_), true) => Probed::Yes,
        _ => Probed::Never,
    };
    Signs { silent: now.since(session.heard), age: now.since(session.opened), probed }
}

/// The fewest milliseconds by which two moments can differ only if so much time has passed between them: a deadline is
/// never early.
fn surely_over(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).saturating_add(1)
}

/// A [`Moment`] tells spans of up to 49 days apart: nobody is left unseen for more than 24.
const MOST_EXACT: u64 = 24 * 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(ping: u64, idle: u64, lifetime: u64) -> Timeouts {
        let span = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        Timeouts { ping: span(ping), idle: span(idle), lifetime: span(lifetime), ..Timeouts::default() }
    }

    fn judge(timeouts: &Timeouts, silent: u64, age: u64, probed: Probed) -> Verdict {
        Signs { silent, age, probed }.judge(timeouts)
    }

    #[test]
    fn a_silent_peer_is_pinged_once_and_then_cut() {
        let timeouts = timeouts(30, 60, 0);
        assert_eq!(judge(&timeouts, 0, 0, Probed::NotYet), Verdict::Wait(31));
        assert_eq!(judge(&timeouts, 30, 30, Probed::NotYet), Verdict::Wait(1));
        assert_eq!(judge(&timeouts, 31, 31, Probed::NotYet), Verdict::Ping);
        assert_eq!(judge(&timeouts, 31, 31, Probed::Yes), Verdict::Wait(30));
        assert_eq!(judge(&timeouts, 61, 61, Probed::Yes), Verdict::Cut);
    }

    #[test]
    fn a_raw_peer_is_never_pinged() {
        let timeouts = timeouts(30, 60, 0);
        assert_eq!(judge(&timeouts, 31, 31, Probed::Never), Verdict::Wait(30));
        assert_eq!(judge(&timeouts, 61, 61, Probed::Never), Verdict::Cut);
    }

    #[test]
    fn a_lifetime_ends_however_much_was_heard() {
        let timeouts = timeouts(30, 60, 100);
        assert_eq!(judge(&timeouts, 0, 90, Probed::NotYet), Verdict::Wait(11));
        assert_eq!(judge(&timeouts, 0, 101, Probed::NotYet), Verdict::Retire);
    }

    #[test]
    fn without_limits_nothing_is_ever_due() {
        let timeouts = timeouts(0, 0, 0);
        assert_eq!(judge(&timeouts, 1 << 40, 1 << 40, Probed::NotYet), Verdict::Wait(u64::MAX - (1 << 40)));
    }

    #[test]
    fn pings_go_on_where_silence_is_not_limited() {
        let timeouts = timeouts(30, 0, 0);
        assert_eq!(judge(&timeouts, 31, 31, Probed::NotYet), Verdict::Ping);
        assert_eq!(judge(&timeouts, 31, 31, Probed::Yes), Verdict::Wait(31));
    }

    #[test]
    fn a_ping_leaves_time_to_answer() {
        assert_eq!(judge(&timeouts(30_000, 800, 0), 401, 401, Probed::NotYet), Verdict::Ping);
    }

    #[test]
    fn a_span_is_over_only_if_it_is_wherever_in_their_milliseconds_its_ends_lay() {
        let span = Duration::from_micros(2_500);
        for began in (0..3_000_000).step_by(1_000) {
            let over = Duration::from_nanos(began) + span;
            let moment = |at: Duration| Moment::of(Time::ZERO.saturating_add(at));
            let apart =
                |at: Duration| moment(at).since(moment(Duration::from_nanos(began))) >= surely_over(span);
            assert!(
                !apart(over.saturating_sub(Duration::from_nanos(1)))
                    && apart(over + Duration::from_millis(3))
            );
        }
    }
}
