//! The world of a tape, or of the bytes of one: what is drawn from it, and its run. A fuzzer, a seed and a replay meet here.

use gnezdo::sim::{Faults, Tape};

use super::draw;
use super::plan::Plan;
use super::run::{Disturbance, Report, run};

/// What a tape begins with: who is there, and how much goes wrong.
pub(crate) fn begin(tape: &mut Tape) -> (Plan, Faults) {
    let plan = draw::plan(tape);
    (plan, [Faults::HARSH, Faults::GENTLE, Faults::NONE][tape.choose(3)])
}

/// Plays the world that is drawn from the tape.
pub(crate) fn play(mut tape: Tape) -> Report {
    let (plan, faults) = begin(&mut tape);
    run(&plan, tape, Disturbance::Drawn(faults))
}

/// A tape out of a file or a fuzzer: eight bytes of which the world's random numbers are made, then the decisions. What is
/// missing is zero.
pub(crate) fn tape_of(bytes: &[u8]) -> Tape {
    let (entropy, decisions) = bytes.split_at(bytes.len().min(ENTROPY));
    let entropy = entropy.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Tape::bytes(decisions).with_entropy(entropy)
}

/// The bytes of which [`tape_of`] makes the first `count` decisions of a seed.
pub(crate) fn bytes_of(seed: u64, count: usize) -> Vec<u8> {
    let mut tape = Tape::seed(seed);
    let entropy = tape.entropy().to_le_bytes();
    entropy.into_iter().chain((0..count).map(|_| tape.byte())).collect()
}

const ENTROPY: usize = 8;
