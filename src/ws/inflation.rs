//! Compressed messages, inflated as they arrive (RFC 7692 §6.2, §7.2.2). Knows no frame but the one it is in.
//!
//! Two bounds hold at every step: what came out is compared with the message limit before more comes out, and the work
//! done is taken off a budget, so that a few bytes which inflate to millions can hold neither memory nor the loop.

use super::compression::{Step, TAIL};
use super::decoder::{Terms, advance};
use super::deflate::Inflater;
use super::error::ProtocolError;
use super::mask::mask;
use super::partial::{Partial, check_text};
use super::workspace::Workspace;

/// Whether the work has to stay within the budget.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Budgeted,
    /// For so few bytes that their work has a bound of its own.
    Bounded,
}

impl Partial {
    /// Inflates what there is of the frame, as far as the budget goes.
    ///
    /// The last byte of the input is kept back until all before it are used up, and then inflated regardless of the
    /// budget: the stream reads at most eight bytes ahead of what it has put out, whose matches are a few KiB. So there
    /// never is output pending without input left, and "come back later" can be told by the input not being empty.
    pub(super) fn take_compressed(
        &mut self,
        input: &mut &mut [u8],
        terms: &mut Terms<'_>,
    ) -> Result<(), ProtocolError> {
        while self.left > 0 && !input.is_empty() && terms.space.inflate_budget > 0 {
            let there = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            match there.saturating_sub(1) {
                0 => self.inflate_masked(input, 1, Work::Bounded, terms)?,
                more => self.inflate_masked(input, more.min(INPUT_STEP), Work::Budgeted, terms)?,
            }
        }
        Ok(())
    }

    /// Unmasks and inflates the next `count` bytes; masks again what was not taken.
    fn inflate_masked(
        &mut self,
        input: &mut &mut [u8],
        count: usize,
        work: Work,
        terms: &mut Terms<'_>,
    ) -> Result<(), ProtocolError> {
        let Some(piece) = input.get_mut(..count) else { return Ok(()) };
        mask(piece, self.key);
        let taken = self.inflate(piece, work, terms)?;
        self.moved(taken);
        mask(piece.get_mut(taken..).unwrap_or_default(), self.key);
        advance(input, taken);
        Ok(())
    }

    /// Inflates `piece`, all of it unless the budget ends, and says how much of it.
    fn inflate(&mut self, piece: &[u8], work: Work, terms: &mut Terms<'_>) -> Result<usize, ProtocolError> {
        let mut taken = 0_usize;
        loop {
            let rest = piece.get(taken..).unwrap_or_default();
            let step = self.step(rest, terms)?;
            taken = taken.saturating_add(step.taken);
            let done = taken >= piece.len() && step.room_left;
            let spent = terms.space.inflate_budget == 0 && work == Work::Budgeted;
            if done || spent {
                return Ok(taken);
            }
            if step.taken == 0 && step.made == 0 && !step.ended {
                return Err(ProtocolError::BadDeflate);
            }
        }
    }

    /// One step of at most 16 KiB of output, checked before the next.
    fn step(&mut self, input: &[u8], terms: &mut Terms<'_>) -> Result<Step, ProtocolError> {
        let Some(inflater) = self.inflater.as_deref_mut() else { return Err(ProtocolError::BadDeflate) };
        let room = terms.limits.max_message.saturating_sub(self.buffer.len());
        if room == 0 {
            return probe(inflater, input, terms.space);
        }
        if self.buffer.spare_mut().is_empty() {
            let expected = guess(self.buffer.len(), input.len()).min(terms.limits.max_message);
            terms.space.buffers.grow(&mut self.buffer, expected)?;
        }
        let free = self.buffer.spare_mut();
        let count = free.len().min(room).min(OUTPUT_STEP);
        let output = free.get_mut(..count).unwrap_or_default();
        let step = inflater.step(input, output);
        terms.space.charge_inflate(&step);
        let made = output.get(..step.made).unwrap_or_default();
        check_text(self.text.as_mut(), made)?;
        step.verdict?;
        self.buffer.commit(step.made);
        Ok(step)
    }
}

/// How long a message may become of which `here` bytes came out and `input` bytes go in.
fn guess(here: usize, input: usize) -> usize {
    match here {
        ANY_LENGTH_FROM.. => usize::MAX,
        _ => here.saturating_add(input.saturating_mul(EXPECTED_RATIO)),
    }
}

/// RFC 7692 §7.2.2: puts back the four bytes that the sender removed, and gives back the stream.
pub(super) fn end_compressed(
    mut inflater: Box<Inflater>,
    terms: &mut Terms<'_>,
) -> Result<(), ProtocolError> {
    // A message of no bytes at all, or one that ended with a final block, has nothing to flush.
    if !inflater.at_boundary() {
        let step = inflater.step(&TAIL, &mut [0]);
        step.verdict?;
        // The tail of a whole message makes no output; here it was taken for the rest of something cut short.
        if step.made > 0 {
            return Err(ProtocolError::BadDeflate);
        }
    }
    inflater.end_message();
    terms.return_inflater(inflater);
    Ok(())
}

/// A step of a message that is as long as it may be: any byte more is one too many.
fn probe(inflater: &mut Inflater, input: &[u8], space: &mut Workspace) -> Result<Step, ProtocolError> {
    let step = inflater.step(input, &mut [0]);
    space.charge_inflate(&step);
    // RFC 6455 §10.4: the limit is on what comes out, and 1009 follows at the first byte over it.
    if step.made > 0 {
        return Err(ProtocolError::MessageTooBig);
    }
    step.verdict?;
    Ok(step)
}

/// How much input to unmask, and to inflate before the budget is looked at. Of the worst there is, a quarter of a
/// millisecond.
const INPUT_STEP: usize = 2 * 1024;
/// How much output to make before it is checked.
const OUTPUT_STEP: usize = 16 * 1024;
/// How much longer than its compressed form a message is taken to be when its first buffer is chosen.
const EXPECTED_RATIO: usize = 4;
/// A message that has become so long may go on to the limit: it is not to be moved again and again until then.
const ANY_LENGTH_FROM: usize = 64 * 1024;
