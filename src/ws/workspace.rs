//! What all the connections of one loop share: buffers, streams, the bytes of automatic answers, the budget for
//! inflating. Knows nothing of any connection.

use super::compression::{Agreement, Step, WindowBits};
use super::deflate::{Deflater, Inflater};
use super::event::{Assembly, Payload};
use super::keys::MaskKeys;
use super::mask::{MaskKey, mask, mask_into};
use super::partial::Partial;
use super::windows::Windows;
use crate::buf::{BufferPool, NoMemory};

/// How the shared part of the codec behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceConfig {
    /// The most bytes of message buffers to keep for later; default 8 MiB. Raise it when many connections
    /// receive messages of megabytes at the same time, else each pays for fresh memory.
    pub pool_bytes: usize,
    /// How much inflating may be done between two calls of [`Workspace::renew_inflate_budget`], in units of about
    /// a nanosecond or two; default 256 Ki. It keeps a bomb from holding the loop.
    pub inflate_budget: usize,
    /// The shortest message that is worth compressing; default 512 bytes.
    pub compress_from: usize,
    /// How hard to compress, 0 to 9; default 1, the fastest.
    pub level: u8,
}

impl Default for WorkspaceConfig {
    fn default() -> Self {
        WorkspaceConfig { pool_bytes: 8 << 20, inflate_budget: 256 << 10, compress_from: 512, level: 1 }
    }
}

/// What all the connections of one loop share. It belongs to the loop and is lent to each call.
#[derive(Debug)]
pub struct Workspace {
    /// Where the closing frames are written that go out by themselves: after [`Event::Close`](super::Event::Close) and
    /// [`Event::Failed`](super::Event::Failed) the caller sends what is here, behind all that it sent before, and
    /// clears it.
    pub replies: Vec<u8>,
    pub(super) buffers: BufferPool,
    pub(super) inflate_budget: usize,
    pub(super) keys: MaskKeys,
    /// Bytes of all messages that are not whole yet.
    held: usize,
    partials: Vec<PooledPartial>,
    inflaters: Vec<PooledInflater>,
    /// At most one for each window and level.
    deflaters: Vec<SharedDeflater>,
    /// The payload on its way out, compressed, masked, or both.
    outgoing: Vec<u8>,
    config: WorkspaceConfig,
}

/// Boxed, because the boxes go back and forth between the pool and the connections.
type PooledPartial = Box<Partial>;
type PooledInflater = Box<Inflater>;

/// A stream that any connection may use for a message that starts with an empty window.
#[derive(Debug)]
struct SharedDeflater {
    bits: WindowBits,
    level: u8,
    stream: Option<Box<Deflater>>,
}

impl Default for Workspace {
    fn default() -> Self {
        Workspace::new(WorkspaceConfig::default())
    }
}

impl Workspace {
    /// A workspace with nothing in its pools yet.
    pub fn new(config: WorkspaceConfig) -> Workspace {
        Workspace {
            replies: Vec::new(),
            buffers: BufferPool::new(config.pool_bytes),
            inflate_budget: config.inflate_budget,
            keys: MaskKeys::default(),
            held: 0,
            partials: Vec::new(),
            inflaters: Vec::new(),
            deflaters: Vec::new(),
            outgoing: Vec::new(),
            config,
        }
    }

    /// Takes the buffer of a message back once its bytes are no longer needed; does nothing for a lent one.
    #[inline]
    pub fn recycle(&mut self, payload: Payload<'_>) {
        if let Payload::Assembled(assembly) = payload {
            self.recycle_assembly(assembly);
        }
    }

    /// Takes the buffer of an assembled message back.
    #[inline(never)]
    pub fn recycle_assembly(&mut self, assembly: Assembly) {
        self.buffers.give(assembly.into_buffer());
    }

    /// Allows another portion of inflating: to be called once per connection served, or once per turn.
    #[inline]
    pub fn renew_inflate_budget(&mut self) {
        self.inflate_budget = self.config.inflate_budget;
    }

    /// The masking keys for what clients send; to be kept filled by whoever lends the workspace to clients.
    #[inline]
    pub fn keys(&mut self) -> &mut MaskKeys {
        &mut self.keys
    }

    /// How many bytes there are of messages that are not whole yet, in all connections together.
    #[inline]
    pub fn held(&self) -> usize {
        self.held
    }

    /// A message in progress had `before` bytes and has `after`.
    pub(super) fn count_held(&mut self, before: usize, after: usize) {
        self.held = self.held.saturating_sub(before).saturating_add(after);
    }

    /// Takes the work of a step off the budget.
    pub(super) fn charge_inflate(&mut self, step: &Step) {
        let reset = if step.ended { RESET_WORK } else { 0 };
        let work = step.made.saturating_add(step.taken.saturating_mul(INPUT_WORK)).saturating_add(reset);
        self.inflate_budget = self.inflate_budget.saturating_sub(work.saturating_add(STEP_WORK));
    }

    pub(super) fn take_partial(&mut self) -> Box<Partial> {
        self.partials.pop().unwrap_or_default()
    }

    pub(super) fn give_partial(&mut self, partial: Box<Partial>) {
        if self.partials.len() < POOLED_PARTIALS {
            self.partials.push(partial);
        }
    }

    /// A stream with an empty window of the largest size.
    pub(super) fn take_inflater(&mut self) -> Option<Box<Inflater>> {
        self.inflaters.pop().or_else(|| Inflater::boxed(WindowBits::MOST))
    }

    pub(super) fn give_inflater(&mut self, mut inflater: Box<Inflater>) {
        if self.inflaters.len() < POOLED_INFLATERS {
            inflater.reset();
            self.inflaters.push(inflater);
        }
    }

    /// From which length on, and how hard (1 to 9), the next messages are compressed: for a loop whose listeners differ
    /// in that.
    #[inline]
    pub fn set_compression(&mut self, from: usize, level: u8) {
        (self.config.compress_from, self.config.level) = (from, level);
    }

    /// What [`set_compression`](Workspace::set_compression) said last.
    pub(super) fn compression(&self) -> (usize, u8) {
        (self.config.compress_from, self.config.level)
    }

    /// Compresses `payload` into [`outgoing`](Workspace::outgoing) with the connection's own stream, which is made when
    /// first needed, or with the one that is shared; says no if it is not worth sending so.
    pub(super) fn compress(&mut self, payload: &[u8], agreement: Agreement, windows: &mut Windows) -> bool {
        if agreement == Agreement::Plain || payload.len() < self.config.compress_from.max(1) {
            return false;
        }
        self.trim_outgoing(payload.len());
        self.try_compress(payload, agreement, windows).unwrap_or(false)
    }

    fn try_compress(&mut self, payload: &[u8], agreement: Agreement, windows: &mut Windows) -> Option<bool> {
        let level = self.config.level;
        match agreement {
            Agreement::Plain => Some(false),
            Agreement::Takeover(bits) => {
                let deflater = made(windows.deflater(), bits, level)?;
                let outcome = deflater.message(payload, &mut self.outgoing);
                if outcome.is_err() {
                    // The peer's window has not moved; ours goes back to empty, which RFC 7692 always allows.
                    deflater.reset();
                }
                Some(outcome.is_ok())
            }
            Agreement::PerMessage(bits) => {
                let deflater = made(shared(&mut self.deflaters, bits, level)?, bits, level)?;
                let outcome = deflater.message(payload, &mut self.outgoing);
                deflater.reset();
                Some(outcome.is_ok() && self.outgoing.len() < payload.len())
            }
        }
    }

    /// What [`compress`](Workspace::compress) made.
    pub(super) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// What [`compress`](Workspace::compress) made, masked.
    pub(super) fn masked(&mut self, key: MaskKey) -> &[u8] {
        mask(&mut self.outgoing, key);
        &self.outgoing
    }

    /// A masked copy of `payload`, which belongs to the caller.
    pub(super) fn masked_copy(&mut self, payload: &[u8], key: MaskKey) -> Result<&[u8], NoMemory> {
        self.trim_outgoing(payload.len());
        self.outgoing.clear();
        self.outgoing.try_reserve(payload.len())?;
        mask_into(&mut self.outgoing, payload, key);
        Ok(&self.outgoing)
    }

    /// Lets go of what an unusually large message made the buffer grow to.
    fn trim_outgoing(&mut self, needed: usize) {
        if self.outgoing.capacity() > OUTGOING_KEPT && needed <= OUTGOING_KEPT {
            self.outgoing = Vec::new();
        }
    }
}

/// The place of the shared stream for this window and level.
fn shared(
    deflaters: &mut Vec<SharedDeflater>,
    bits: WindowBits,
    level: u8,
) -> Option<&mut Option<Box<Deflater>>> {
    let is_it = |shared: &SharedDeflater| shared.bits == bits && shared.level == level;
    let index = deflaters.iter().position(is_it).unwrap_or_else(|| {
        deflaters.push(SharedDeflater { bits, level, stream: None });
        deflaters.len().saturating_sub(1)
    });
    deflaters.get_mut(index).map(|shared| &mut shared.stream)
}

fn made(slot: &mut Option<Box<Deflater>>, bits: WindowBits, level: u8) -> Option<&mut Deflater> {
    if slot.is_none() {
        *slot = Deflater::boxed(bits, level);
    }
    slot.as_deref_mut()
}

/// Boxes for messages in progress to keep: a few hundred bytes each.
const POOLED_PARTIALS: usize = 1024;
/// Inflating streams to keep: some 40 KiB each.
const POOLED_INFLATERS: usize = 8;
/// How large a buffer for outgoing payloads may stay. A megabyte is the longest message unless limits are raised.
const OUTGOING_KEPT: usize = 2 << 20;
/// What a byte of input costs over its output. A byte of plain data costs about one; a byte of the headers of blocks with
/// nothing in them, the worst there is, about a hundred, so that a whole budget of those takes half a millisecond.
const INPUT_WORK: usize = 64;
/// What a step costs over its bytes.
const STEP_WORK: usize = 64;
/// What it costs to begin a new stream: memory for it, if its window is not the largest.
const RESET_WORK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Buffer;
    use crate::ws::Kind;

    #[test]
    fn what_a_large_message_took_is_given_back_by_the_next_small_one() {
        let (mut space, key) = (Workspace::default(), MaskKey([1, 2, 3, 4]));
        space.masked_copy(&vec![0; OUTGOING_KEPT], key).unwrap();
        assert_eq!(space.masked_copy(&[0; 5], key).unwrap(), [1, 2, 3, 4, 1]);
        assert!(space.outgoing.capacity() >= OUTGOING_KEPT, "no more than may stay");
        space.masked_copy(&vec![0; OUTGOING_KEPT * 2], key).unwrap();
        space.masked_copy(&[0; 5], key).unwrap();
        assert!(space.outgoing.capacity() < OUTGOING_KEPT);
    }

    #[test]
    fn a_pool_keeps_what_comes_back_up_to_its_bound() {
        let mut space = Workspace::default();
        for given in 1..=POOLED_PARTIALS + 1 {
            space.give_partial(Box::default());
            assert_eq!(space.partials.len(), given.min(POOLED_PARTIALS));
        }
        drop(space.take_partial());
        assert_eq!(space.partials.len(), POOLED_PARTIALS - 1);

        let mut buffer = Buffer::default();
        space.buffers.grow(&mut buffer, 512).unwrap();
        space.recycle(Payload::Assembled(Assembly::from_checked(Kind::Binary, buffer)));
        assert_eq!(space.buffers.held(), 512);
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn streams_are_kept_up_to_a_bound_and_shared_by_window_and_level() {
        let (mut space, mut windows) = (Workspace::default(), Windows::default());
        for given in 1..=POOLED_INFLATERS + 1 {
            space.give_inflater(Inflater::boxed(WindowBits::MOST).unwrap());
            assert_eq!(space.inflaters.len(), given.min(POOLED_INFLATERS));
        }
        for (bits, level, count) in [(15, 1, 1), (15, 9, 2), (9, 9, 3), (9, 1, 4), (15, 1, 4), (9, 9, 4)] {
            space.set_compression(0, level);
            let agreement = Agreement::PerMessage(WindowBits::new(bits));
            assert!(space.compress(&[b'a'; 100], agreement, &mut windows));
            assert_eq!(space.deflaters.iter().filter(|shared| shared.stream.is_some()).count(), count);
        }
    }
}
