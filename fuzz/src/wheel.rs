//! The timing wheel against a sorted map: nothing fires early, late, twice or never.

use std::collections::BTreeSet;

use gnezdo::time::wheel::{Tick, TimerKey, Wheel};

use super::budget::{Budget, within};
use super::tape::Tape;

/// Checks the operations that `bytes` ask for.
pub fn check(bytes: &[u8]) {
    let budget = Budget {
        live: FIXED + 400 * bytes.len(),
        taken: FIXED + 2000 * bytes.len(),
        calls: 100 + 10 * bytes.len(),
    };
    within(&budget, || {
        let mut tape = Tape::new(bytes);
        let mut pair = Pair::new(tape.pick(&[0, 63, 12_345, u64::MAX - 5000, 1 << 32, u64::MAX]));
        while !tape.is_at_end() {
            pair.operate(&mut tape);
            pair.compare();
        }
        pair.drain();
    });
}

/// The wheel, and what it should be.
struct Pair {
    wheel: Wheel<usize>,
    now: u64,
    /// By their deadlines; the number is an index of `timers`.
    armed: BTreeSet<(u64, usize)>,
    /// Every timer that there ever was, with its deadline while it is armed.
    timers: Vec<(TimerKey, Option<u64>)>,
    /// No coarse slot lost its earliest deadline: then the wheel knows exactly when it is needed.
    exact: bool,
}

impl Pair {
    fn new(now: u64) -> Pair {
        Pair { wheel: Wheel::new(Tick(now)), now, armed: BTreeSet::new(), timers: Vec::new(), exact: true }
    }

    fn operate(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 8 {
            0..=2 => self.set(deadline(self.now, tape)),
            3 => self.reset(tape),
            4 => self.cancel(tape),
            5 => self.pop_at(deadline(self.now, tape), usize::from(tape.byte())),
            6 => self.pop_at(self.now.saturating_add(u64::from(tape.byte())), usize::MAX),
            // As a loop sleeps: until the wheel wants to be looked at.
            _ => self.pop_at(self.wheel.next_deadline().map_or(self.now, |next| next.0), usize::MAX),
        }
    }

    fn set(&mut self, deadline: u64) {
        let index = self.timers.len();
        let key = self.wheel.set(Tick(deadline), index).expect("there are few timers");
        let deadline = deadline.max(self.now);
        self.timers.push((key, Some(deadline)));
        self.armed.insert((deadline, index));
    }

    fn reset(&mut self, tape: &mut Tape<'_>) {
        let (Some(index), deadline) = (self.choose(tape), deadline(self.now, tape)) else { return };
        let was = self.timers[index].1;
        assert_eq!(self.wheel.reset(self.timers[index].0, Tick(deadline)), was.is_some());
        if let Some(was) = was {
            self.armed.remove(&(was, index));
            self.armed.insert((deadline.max(self.now), index));
            self.timers[index].1 = Some(deadline.max(self.now));
            self.exact = false;
        }
    }

    fn cancel(&mut self, tape: &mut Tape<'_>) {
        let Some(index) = self.choose(tape) else { return };
        let was = self.timers[index].1.take();
        assert_eq!(self.wheel.cancel(self.timers[index].0), was.map(|_| index));
        if let Some(was) = was {
            self.armed.remove(&(was, index));
            self.exact = false;
        }
    }

    fn choose(&self, tape: &mut Tape<'_>) -> Option<usize> {
        usize::from(tape.u16()).checked_rem(self.timers.len())
    }

    /// Takes out at most `most` of what is due; the wheel's time goes on to `now` only when all of it was.
    fn pop_at(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some((key, index)) = self.wheel.pop(Tick(now)) else {
                assert!(self.armed.first().is_none_or(|(next, _)| *next > now), "one was forgotten");
                self.now = self.now.max(now);
                return;
            };
            let (known, deadline) = self.timers[index];
            let deadline = deadline.expect("fires once");
            assert_eq!(key, known);
            assert_eq!(self.armed.first().map(|(first, _)| *first), Some(deadline), "earlier ones first");
            assert!(deadline <= now, "fires early");
            self.armed.remove(&(deadline, index));
            self.timers[index].1 = None;
            self.now = self.now.max(deadline);
        }
    }

    fn compare(&self) {
        assert_eq!((self.wheel.len(), self.wheel.is_empty()), (self.armed.len(), self.armed.is_empty()));
        let (next, least) = (self.wheel.next_deadline(), self.armed.first().map(|(least, _)| Tick(*least)));
        assert!(next <= least && next.is_some() == least.is_some(), "{next:?} would miss {least:?}");
        assert!(!self.exact || next == least, "{next:?} is earlier than {least:?}");
    }

    fn drain(&mut self) {
        self.pop_at(u64::MAX, usize::MAX);
        assert!(self.wheel.is_empty() && self.armed.is_empty());
    }
}

/// A point near or far, before or after `now`.
fn deadline(now: u64, tape: &mut Tape<'_>) -> u64 {
    let (exponent, span) = (tape.byte(), u64::from(tape.u16()));
    let span = span.checked_shl(u32::from(exponent & 63)).unwrap_or(u64::MAX);
    match exponent >> 6 {
        0 => now.saturating_sub(span),
        _ => now.saturating_add(span),
    }
}

/// The slots, and the room for timers that a wheel begins with.
const FIXED: usize = 512 * 1024;
