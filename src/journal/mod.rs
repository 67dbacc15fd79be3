//! L0, what happens at the edges of a loop, as lines for a log: how many of them, and which letters; knows neither
//! connections nor a clock.
//!
//! Strangers decide how often something happens, and what some of it says. So of each kind of line there are few per
//! second, with a word about those that were left out; and no line is long, or has other letters than those of printable
//! ASCII in it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

#[cfg_attr(not(feature = "log"), path = "sink_absent.rs")]
mod sink;

use std::fmt::{self, Write};
use std::time::Duration;

use crate::time::Time;

/// What a line is about. Each kind is bounded apart, so that none can hide another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A listener was opened or closed.
    Listener,
    /// A listener failed.
    ListenerFailed,
    /// A connection came, or is on its way.
    Arrival,
    /// A connection is over.
    End,
    /// A request was refused.
    Refused,
    /// A TLS handshake failed.
    Tls,
    /// A connection was not let in.
    TurnedAway,
    /// A listener waits for descriptors or for room.
    Waiting,
    /// A turn took long.
    SlowTurn,
    /// A step of a shutdown.
    Shutdown,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
    Information,
    Detail,
}

impl Kind {
    fn severity(self) -> Severity {
        match self {
            Self::ListenerFailed => Severity::Error,
            Self::Refused | Self::Tls | Self::TurnedAway | Self::Waiting | Self::SlowTurn => {
                Severity::Warning
            }
            Self::Listener | Self::Shutdown => Severity::Information,
            Self::Arrival | Self::End => Severity::Detail,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Listener => "listeners",
            Self::ListenerFailed => "failed listeners",
            Self::Arrival => "connections",
            Self::End => "ends of connections",
            Self::Refused => "refused requests",
            Self::Tls => "failed TLS handshakes",
            Self::TurnedAway => "connections that were not let in",
            Self::Waiting => "listeners that wait",
            Self::SlowTurn => "slow turns",
            Self::Shutdown => "steps of shutdowns",
        }
    }
}

/// All kinds, in the order of their numbers.
const KINDS: [Kind; 10] = [
    Kind::Listener,
    Kind::ListenerFailed,
    Kind::Arrival,
    Kind::End,
    Kind::Refused,
    Kind::Tls,
    Kind::TurnedAway,
    Kind::Waiting,
    Kind::SlowTurn,
    Kind::Shutdown,
];

/// The journal of one loop. Without the crate's feature `log` it takes no line, and costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    spans: [Span; KINDS.len()],
    /// Whether anything was left out that nobody was told of yet.
    owes: bool,
}

/// The lines of a kind within a second.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// When it began; a span that is over begins anew with the next line.
    began: Time,
    told: u32,
    left_out: u64,
}

impl Span {
    fn is_over(&self, now: Time) -> bool {
        now.since(self.began) >= SPAN
    }
}

impl Journal {
    /// Writes a line, where somebody reads lines that matter so much and there were not too many of its kind.
    #[inline]
    pub(crate) fn note(&mut self, now: Time, kind: Kind, what: fmt::Arguments<'_>) {
        if sink::takes(kind.severity()) {
            self.write(now, kind, what);
        }
    }

    #[cold]
    fn write(&mut self, now: Time, kind: Kind, what: fmt::Arguments<'_>) {
        let Some(span) = self.spans.get_mut(kind as usize) else { return };
        if span.is_over(now) {
            let before = std::mem::replace(span, Span { began: now, ..Span::default() });
            tell_left_out(kind, before.left_out);
        }
        if span.told < LINES {
            span.told = span.told.saturating_add(1);
            sink::write(kind.severity(), &Line::of(what).0);
        } else {
            span.left_out = span.left_out.saturating_add(1);
            self.owes = true;
        }
    }

    /// Tells how many lines were left out of spans that are over.
    #[inline]
    pub(crate) fn catch_up(&mut self, now: Time) {
        if self.owes {
            self.pay(|span| span.is_over(now));
        }
    }

    #[cold]
    fn pay(&mut self, is_due: impl Fn(&Span) -> bool) {
        for (kind, span) in KINDS.into_iter().zip(&mut self.spans) {
            if is_due(span) {
                tell_left_out(kind, std::mem::take(&mut span.left_out));
            }
        }
        self.owes = self.spans.iter().any(|span| span.left_out > 0);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.owes {
            self.pay(|_| true);
        }
    }
}

fn tell_left_out(kind: Kind, count: u64) {
    if count > 0 {
        sink::write(
            kind.severity(),
            &Line::of(format_args!("{}: {count} more were left out", kind.name())).0,
        );
    }
}

/// A line as it may stand in a log.
#[derive(Debug, Default)]
struct Line(String);

impl Line {
    fn of(what: fmt::Arguments<'_>) -> Self {
        let mut line = Self::default();
        if line.write_fmt(what).is_err() {
            line.0.push_str("...");
        }
        line
    }
}

impl Write for Line {
    /// Fails where the line is full.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let before = self.0.len();
            match letter {
                '\\' => self.0.push_str("\\\\"),
                ' '..='~' => self.0.push(letter),
                _ => self.0.extend(letter.escape_default()),
            }
            if self.0.len() > LETTERS {
                self.0.truncate(before);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Lines of a kind within [`SPAN`], and one more about those that were left out.
const LINES: u32 = 10;
const SPAN: Duration = Duration::from_secs(1);
/// The longest line.
const LETTERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: &str) -> String {
        Line::of(format_args!("{what}")).0
    }

    #[test]
    fn a_line_is_printable_ascii() {
        assert_eq!(line("closed by \"the peer\""), "closed by \"the peer\"");
        assert_eq!(line("a\nb\r\0\x1b[31m\u{7f}"), "a\\nb\\r\\u{0}\\u{1b}[31m\\u{7f}");
        assert_eq!(line("гн\u{202e}"), "\\u{433}\\u{43d}\\u{202e}");
        assert_eq!(line("a\\nb"), "a\\\\nb", "nobody can write what an escape looks like");
    }

    #[test]
    fn a_line_is_of_bounded_length_and_never_ends_inside_an_escape() {
        for (letter, escaped) in [("a", "a"), ("\n", "\\n"), ("\u{10ffff}", "\\u{10ffff}")] {
            let long = line(&letter.repeat(1_000));
            let all = long.strip_suffix("...").unwrap();
            assert!(all.len() <= LETTERS && all.len() + escaped.len() > LETTERS, "{long}");
            assert_eq!(all, escaped.repeat(all.len() / escaped.len()));
        }
        assert_eq!(line(&"a".repeat(LETTERS)), "a".repeat(LETTERS));
    }

    #[test]
    fn every_kind_has_the_number_of_its_place() {
        for (place, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
