//! L4, the end of a reactor in good order (R49): no new connections, 1001 to the old ones, a bound on the wait, a report.

use std::fmt;
use std::time::Duration;

use crate::face::session::{Met, Session, Stage};
use crate::face::{Closed, Context, Drain, Handler, Reason};
use crate::journal::Kind;
use crate::reactor::ConnId;
use crate::time::Time;
use crate::time::wheel::TimerKey;
use crate::ws::CloseCode;

/// How a shutdown went: what [`Reactor::shutdown_report`](crate::Reactor::shutdown_report) tells.
///
/// It counts the connections that [`Handler::on_close`] is owed for. Those that were not open yet when the shutdown began
/// are cut without a word, and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that ended in good order: by the closing handshake, or, raw ones, with everything flushed.
    pub closed: usize,
    /// Those that did not: cut at the end of the grace or for another timeout, left or broken off by their peer, or
    /// still there when [`Context::stop`] ended the shutdown itself.
    pub cut: usize,
    /// From the beginning of the shutdown to the end of the last turn.
    pub took: Duration,
}

impl ShutdownReport {
    /// How it went on two threads together: the counts are summed, and the longer time is that of both.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            closed: self.closed.saturating_add(other.closed),
            cut: self.cut.saturating_add(other.cut),
            took: self.took.max(other.took),
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, cut, took } = self;
        write!(f, "{closed} connections closed, {cut} cut, in {:.3} s", took.as_secs_f64())
    }
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    began: Time,
    /// Armed until its present part is over.
    timer: Option<TimerKey>,
    /// The grace that follows, where connections may go on until then.
    next: Option<Duration>,
    closed: usize,
    cut: usize,
}

impl Shutdown {
    /// Whether this is its timer.
    pub(super) fn waits_for(&self, timer: TimerKey) -> bool {
        self.timer == Some(timer)
    }

    /// Counts a connection that is over.
    pub(super) fn count(&mut self, closed: &Closed) {
        let in_order = matches!(closed.reason, Reason::Handshake { .. } | Reason::Finished);
        let count = if in_order && closed.unsent == 0 { &mut self.closed } else { &mut self.cut };
        *count = count.saturating_add(1);
    }

    /// Whether all connections were asked to end.
    pub(super) fn is_final(&self) -> bool {
        self.next.is_none()
    }

    /// What came of it by `now`, where these sessions are left.
    pub(super) fn report<'s, C: 's>(
        &self,
        now: Time,
        left: impl Iterator<Item = &'s Session<C>>,
    ) -> ShutdownReport {
        let owed = left.filter(|session| matches!(session.met, Met::Held | Met::Open)).count();
        ShutdownReport {
            closed: self.closed,
            cut: self.cut.saturating_add(owed),
            took: now.since(self.began),
        }
    }
}

/// Starts it; a second start changes the grace to what is asked then.
pub(super) fn begin<H: Handler>(cx: &mut Context<'_, H>, grace: Duration) {
    let left = cx.io.connections();
    cx.io.note(Kind::Shutdown, format_args!("shutdown: {left} connections have {grace:?} to end"));
    close_listeners(cx);
    arm(cx, grace, None);
    for index in 0..cx.io.connections_end() {
        if let Some(id) = cx.io.connection_at(index) {
            dismiss(cx, id);
        }
    }
    cx.io.stop_when_empty();
}

/// Lets connections go on for a while before it starts it, unless it has started.
pub(super) fn drain<H: Handler>(cx: &mut Context<'_, H>, drain: Drain) {
    close_listeners(cx);
    if cx.shared.shutdown.as_ref().is_none_or(|shutdown| shutdown.next.is_some()) {
        let (left, patience) = (cx.io.connections(), drain.patience);
        cx.io.note(Kind::Shutdown, format_args!("drain: {left} connections may go on for {patience:?}"));
        arm(cx, patience, Some(drain.grace));
        cx.io.stop_when_empty();
    }
}

fn close_listeners<H: Handler>(cx: &mut Context<'_, H>) {
    let listeners: Vec<_> = cx.io.listeners().map(|(id, _)| id).collect();
    for id in listeners {
        cx.close_listener(id);
    }
}

/// Begins a part that takes `span` at most.
fn arm<H: Handler>(cx: &mut Context<'_, H>, span: Duration, next: Option<Duration>) {
    let now = cx.io.now();
    let timer = cx.io.set_timer(now.saturating_add(span), 0);
    let fresh = Shutdown { began: now, timer: None, next: None, closed: 0, cut: 0 };
    let shutdown = cx.shared.shutdown.get_or_insert(fresh);
    shutdown.next = next;
    if let Some(earlier) = std::mem::replace(&mut shutdown.timer, timer) {
        cx.io.cancel_timer(earlier);
    }
}

/// Asks one connection to leave.
fn dismiss<H: Handler>(cx: &mut Context<'_, H>, id: ConnId) {
    let Some(session) = cx.io.session(id) else { return };
    match session.stage {
        // Where it is closing already, its own bound holds.
        Stage::Socket(_) => drop(cx.close(id, CloseCode::GOING_AWAY, "")),
        Stage::Raw => cx.finish(id),
        Stage::Admitting
        | Stage::Successor(_)
        | Stage::Opening(_)
        | Stage::Held(_)
        | Stage::Dialling(_)
        | Stage::Calling(_) => cx.abort(id),
        Stage::Ended(_) => {}
    }
}

/// The time of its present part is over: what was let go on is asked to leave, and what was asked to is cut.
pub(super) fn go_on<H: Handler>(cx: &mut Context<'_, H>) {
    match cx.shared.shutdown.as_mut().and_then(|shutdown| shutdown.next.take()) {
        Some(grace) => begin(cx, grace),
        None => cut(cx),
    }
}

fn cut<H: Handler>(cx: &mut Context<'_, H>) {
    let left = cx.io.connections();
    cx.io.note(Kind::Shutdown, format_args!("shutdown: the grace is over, {left} connections are cut off"));
    for index in 0..cx.io.connections_end() {
        if let Some(id) = cx.io.connection_at(index) {
            cx.abort(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_a_line() {
        let report = ShutdownReport { closed: 90, cut: 10, took: Duration::from_millis(5_001) };
        assert_eq!(report.to_string(), "90 connections closed, 10 cut, in 5.001 s");
    }

    #[test]
    fn what_was_not_sent_counts_as_cut() {
        let mut shutdown = Shutdown { began: Time::ZERO, timer: None, next: None, closed: 0, cut: 0 };
        for (reason, unsent) in [(Reason::Finished, 0), (Reason::Finished, 1), (Reason::EndOfStream, 0)] {
            shutdown.count(&Closed { reason, unsent, target: None });
        }
        let report = shutdown.report(Time::from_nanos(7), std::iter::empty::<&Session<()>>());
        assert_eq!(report, ShutdownReport { closed: 1, cut: 2, took: Duration::from_nanos(7) });
    }
}
