//! Makes a failing tape small: bytes are left out or made zero, which is calm, as long as it still fails. Knows not what a
//! byte decides.

use std::ops::Range;

/// The smallest tape that was found in so many tries and of which `fails` is true, as it is of `tape`.
pub(crate) fn shrink(tape: Vec<u8>, tries: usize, fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut search = Search { best: tape, tries, fails };
    while search.round() {}
    search.best
}

struct Search<F> {
    best: Vec<u8>,
    tries: usize,
    fails: F,
}

impl<F: FnMut(&[u8]) -> bool> Search<F> {
    /// Tries pieces of all sizes, large ones first; answers whether anything was won.
    fn round(&mut self) -> bool {
        let (mut size, mut won) = (self.best.len(), false);
        while size > 0 {
            won |= self.sweep(size, without) | self.sweep(size, calmed);
            size /= 2;
        }
        won
    }

    /// Tries one change on each piece of `size` bytes, from the end, which most often means the least.
    fn sweep(&mut self, size: usize, change: impl Fn(&[u8], Range<usize>) -> Vec<u8>) -> bool {
        let (mut end, mut won) = (self.best.len(), false);
        while end > 0 {
            let start = end.saturating_sub(size);
            won |= self.attempt(change(&self.best, start..end));
            end = start;
        }
        won
    }

    fn attempt(&mut self, mut tape: Vec<u8>) -> bool {
        // What is missing at the end is zero anyway.
        tape.truncate(tape.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        if tape == self.best || self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let still_fails = (self.fails)(&tape);
        if still_fails {
            self.best = tape;
        }
        still_fails
    }
}

fn without(tape: &[u8], piece: Range<usize>) -> Vec<u8> {
    [&tape[..piece.start], &tape[piece.end..]].concat()
}

fn calmed(tape: &[u8], piece: Range<usize>) -> Vec<u8> {
    let mut tape = tape.to_vec();
    tape[piece].fill(0);
    tape
}

#[test]
fn what_matters_stays_in_its_order_and_nothing_else() {
    let tape: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let fails = |tape: &[u8]| {
        let mut rest = tape.iter();
        [200, 7, 99].iter().all(|wanted| rest.any(|byte| byte == wanted))
    };
    assert_eq!(shrink(tape, usize::MAX, fails), [200, 7, 99]);
}

#[test]
fn what_matters_by_its_place_stays_there_among_zeroes() {
    let fails = |tape: &[u8]| tape.get(5) == Some(&6);
    assert_eq!(shrink((1..100).collect(), usize::MAX, fails), [0, 0, 0, 0, 0, 6]);
}

#[test]
fn no_more_is_tried_than_was_asked_for() {
    let mut tried = 0;
    let shrunk = shrink(vec![1; 100], 10, |_| {
        tried += 1;
        false
    });
    assert_eq!((shrunk.len(), tried), (100, 10));
}
