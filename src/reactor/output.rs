//! L3, what was sent in this turn and not yet offered to the kernel: knows bytes and order, not sockets.
//!
//! All connections share one run of bytes, and messages that many of them are sent lie beside it once. What a connection
//! was sent is a chain of pieces of both, mostly a single one, so that each connection is offered all of its turn's
//! output by one system call. A chain is linked from its last piece back to its first: so connections that were sent the
//! same messages and nothing else have the same chain, and a message to twenty thousand of them is one piece.

use std::io::IoSlice;
use std::sync::Arc;

/// One connection's part of the [`Output`]: a chain of pieces, by its last, and its total length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staged {
    last: u32,
    bytes: u32,
}

impl Staged {
    #[inline]
    pub(super) fn len(self) -> usize {
        self.bytes as usize
    }

    /// Its last piece, where there is one.
    #[inline]
    fn tail(self) -> u32 {
        if self.bytes == 0 { NONE } else { self.last }
    }
}

/// Bytes that many connections are sent without a copy for each. Where two of them have the same key, the later one makes
/// the earlier one worthless.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) bytes: Arc<[u8]>,
    pub(super) key: Option<u64>,
}

/// One piece of a chain, as it is to be kept where the kernel refuses it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Bytes(&'a [u8]),
    Shared(&'a Shared),
}

impl<'a> Part<'a> {
    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Part::Bytes(bytes) => bytes,
            Part::Shared(shared) => &shared.bytes,
        }
    }
}

/// The bytes of a turn.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    messages: Vec<Message>,
    /// Bytes of all messages.
    held: usize,
    /// The chain that was lined up last, from its first piece on.
    order: Vec<u32>,
}

/// A shared message, and the piece that is the whole chain of a connection that was sent nothing else.
#[derive(Debug)]
struct Message {
    shared: Shared,
    alone: u32,
}

/// `start ≤ end`, in the run of bytes or in a message; `before`, `after` are indices into the pieces, or [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    end: u32,
    before: u32,
    /// The message that it is, or [`NONE`] for a piece of the run, which belongs to a single connection.
    message: u32,
    /// The piece of a message that was put behind this one last.
    after: u32,
    /// How many messages the chain has up to this piece.
    messages: u32,
}

const NONE: u32 = u32::MAX;

impl Output {
    /// Whether `more` bytes fit before everything has to be flushed, and there is memory for them.
    #[inline]
    pub(super) fn has_room(&mut self, more: usize) -> bool {
        self.bytes.len().saturating_add(more) <= ROOM && self.bytes.try_reserve(more).is_ok()
    }

    /// Adds bytes to a connection's part, which [`Output::has_room`] for them.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most ROOM bytes")]
    pub(super) fn stage(&mut self, staged: &mut Staged, head: &[u8], payload: &[u8]) {
        let start = self.bytes.len() as u32;
        match head {
            // That of a short message: two bytes are not worth a call.
            [first, second] => self.bytes.extend_from_slice(&[*first, *second]),
            _ => self.bytes.extend_from_slice(head),
        }
        self.bytes.extend_from_slice(payload);
        let end = self.bytes.len() as u32;
        let added = end.saturating_sub(start);
        if staged.bytes == 0 {
            let last = self.push(Piece { start, end, before: NONE, message: NONE, after: NONE, messages: 0 });
            *staged = Staged { last, bytes: added };
            return;
        }
        staged.bytes = staged.bytes.saturating_add(added);
        match self.pieces.get_mut(staged.last as usize) {
            Some(last) if last.end == start && last.message == NONE => last.end = end,
            _ => {
                let (before, messages) = (staged.last, self.count(staged.last));
                staged.last = self.push(Piece { start, end, before, message: NONE, after: NONE, messages });
            }
        }
    }

    /// Adds a message that other connections may be sent too; answers whether there was room for it.
    pub(super) fn stage_shared(&mut self, staged: &mut Staged, bytes: &Arc<[u8]>, key: Option<u64>) -> bool {
        let size = u32::try_from(bytes.len()).ok().filter(|size| staged.bytes.checked_add(*size).is_some());
        let Some(size) = size.filter(|_| self.pieces.len() < PIECES && self.held < HELD) else {
            return false;
        };
        let message = self.enter(bytes, key);
        let before = staged.tail();
        let known = self.behind(before, message);
        let is_it = |piece: &Piece| piece.message == message;
        staged.last = if self.pieces.get(known as usize).is_some_and(is_it) {
            known
        } else {
            let messages = self.count(before).saturating_add(1);
            let fresh = self.push(Piece { start: 0, end: size, before, message, after: NONE, messages });
            self.put_behind(before, message, fresh);
            fresh
        };
        staged.bytes = staged.bytes.saturating_add(size);
        true
    }

    /// How many messages a connection's part has.
    pub(super) fn messages_of(&self, staged: Staged) -> usize {
        self.count(staged.tail()) as usize
    }

    /// How many messages there are up to a piece.
    fn count(&self, last: u32) -> u32 {
        self.pieces.get(last as usize).map_or(0, |piece| piece.messages)
    }

    /// The piece of a message that was last put behind a piece, or behind nothing.
    fn behind(&self, before: u32, message: u32) -> u32 {
        match self.pieces.get(before as usize) {
            Some(piece) => piece.after,
            None => self.messages.get(message as usize).map_or(NONE, |message| message.alone),
        }
    }

    fn put_behind(&mut self, before: u32, message: u32, fresh: u32) {
        match self.pieces.get_mut(before as usize) {
            Some(piece) => piece.after = fresh,
            None => {
                if let Some(message) = self.messages.get_mut(message as usize) {
                    message.alone = fresh;
                }
            }
        }
    }

    /// The index of a message, which is taken in where it is not one of the latest.
    #[expect(clippy::cast_possible_truncation, reason = "there are no more messages than PIECES")]
    fn enter(&mut self, bytes: &Arc<[u8]>, key: Option<u64>) -> u32 {
        let is_it =
            |message: &Message| Arc::ptr_eq(&message.shared.bytes, bytes) && message.shared.key == key;
        let oldest = self.messages.len().saturating_sub(LATEST);
        let latest = self.messages.get(oldest..).unwrap_or_default();
        let index =
            latest.iter().rposition(is_it).map_or(self.messages.len(), |at| oldest.saturating_add(at));
        if index == self.messages.len() {
            let shared = Shared { bytes: Arc::clone(bytes), key };
            self.messages.push(Message { shared, alone: NONE });
            self.held = self.held.saturating_add(bytes.len());
        }
        index as u32
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "each piece but empty ones has a byte of ROOM, or is one of PIECES"
    )]
    fn push(&mut self, piece: Piece) -> u32 {
        let index = self.pieces.len() as u32;
        self.pieces.push(piece);
        index
    }

    /// Lines a connection's pieces up for [`Output::parts`]; answers how many there are.
    pub(super) fn line_up(&mut self, staged: Staged) -> usize {
        self.order.clear();
        let mut next = staged.tail();
        while let Some(piece) = self.pieces.get(next as usize) {
            self.order.push(next);
            next = piece.before;
        }
        self.order.reverse();
        self.order.len()
    }

    /// The pieces of the connection that was lined up last, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.order.iter().filter_map(|index| self.part(self.pieces.get(*index as usize)?))
    }

    #[inline]
    fn part(&self, piece: &Piece) -> Option<Part<'_>> {
        if piece.message == NONE {
            return self.bytes.get(piece.start as usize..piece.end as usize).map(Part::Bytes);
        }
        self.messages.get(piece.message as usize).map(|message| Part::Shared(&message.shared))
    }

    /// A connection's bytes where they lie in one piece, as they mostly do.
    #[inline]
    pub(super) fn single(&self, staged: Staged) -> Option<&[u8]> {
        let only = self.pieces.get(staged.tail() as usize).filter(|only| only.before == NONE)?;
        self.part(only).map(Part::bytes)
    }

    /// Forgets everything; no [`Staged`] made before may be used after.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
        self.messages.clear();
        self.held = 0;
    }
}

/// At most so many pieces, lest a turn of messages to connections with chains of their own takes all memory.
const PIECES: usize = 256 * 1024;

/// With so many bytes of shared messages, each counted once, the next are offered at once: each of a client's has bytes
/// of its own.
const HELD: usize = 16 * 1024 * 1024;

/// A message is looked for among so many: it goes to one connection after the other, in a few forms.
const LATEST: usize = 8;

/// At most so many bytes wait in user space for the end of the turn.
const ROOM: usize = 256 * 1024;

/// A fixed array of slices for one gathered send, filled from an iterator.
#[derive(Debug)]
pub(super) struct Gather<'a, const N: usize> {
    slices: [IoSlice<'a>; N],
    used: usize,
    bytes: usize,
}

/// More than one turn often makes.
pub(super) const GATHER: usize = 16;

/// For those who were sent many: well below every system's limit (`IOV_MAX` is 1,024 on Linux).
pub(super) const GATHER_MANY: usize = 256;

impl<'a, const N: usize> Gather<'a, N> {
    /// The first parts that are not empty, as many as the array holds.
    #[inline]
    pub(super) fn of(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut gather = Self { slices: [IoSlice::new(&[]); N], used: 0, bytes: 0 };
        for (part, place) in parts.filter(|part| !part.is_empty()).zip(&mut gather.slices) {
            *place = IoSlice::new(part);
            gather.used = gather.used.saturating_add(1);
            gather.bytes = gather.bytes.saturating_add(part.len());
        }
        gather
    }

    #[inline]
    pub(super) fn slices(&self) -> &[IoSlice<'a>] {
        self.slices.get(..self.used).unwrap_or_default()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes
    }
}

/// Bytes in pieces, given out in pieces of any size.
#[derive(Debug)]
pub(super) struct Parts<'a, I> {
    /// What is left of the last piece that was taken.
    rest: &'a [u8],
    more: I,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Parts<'a, I> {
    pub(super) fn of(more: I) -> Self {
        Self { rest: &[], more }
    }

    /// The next bytes, at most so many; none behind the last.
    pub(super) fn give(&mut self, most: usize) -> Option<&'a [u8]> {
        while self.rest.is_empty() {
            self.rest = self.more.next()?;
        }
        let (now, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "a test draws small numbers")]

    use super::*;

    fn joined(output: &mut Output, staged: Staged) -> Vec<u8> {
        output.line_up(staged);
        output.parts().flat_map(Part::bytes).copied().collect()
    }

    fn message(text: &str) -> Arc<[u8]> {
        Arc::from(text.as_bytes())
    }

    #[test]
    fn sends_to_one_connection_in_a_row_are_one_piece() {
        let (mut output, mut staged) = (Output::default(), Staged::default());
        output.stage(&mut staged, b"a", b"bc");
        output.stage(&mut staged, b"", b"de");
        assert_eq!(output.line_up(staged), 1);
        assert_eq!(joined(&mut output, staged), b"abcde");
        assert_eq!((staged.len(), output.single(staged)), (5, Some(&b"abcde"[..])));
    }

    #[test]
    fn interleaved_sends_stay_in_order_for_each_connection() {
        let mut output = Output::default();
        let mut parts = [Staged::default(); 3];
        for round in 0u8..30 {
            output.stage(&mut parts[usize::from(round) % 3], &[round], &[round, round]);
        }
        for (remainder, staged) in parts.into_iter().enumerate() {
            let expected: Vec<u8> =
                (0u8..30).filter(|n| usize::from(*n) % 3 == remainder).flat_map(|n| [n; 3]).collect();
            assert_eq!(joined(&mut output, staged), expected);
        }
    }

    #[test]
    fn those_who_are_sent_the_same_messages_share_their_pieces() {
        let (mut output, mut all) = (Output::default(), [Staged::default(); 1000]);
        for text in ["one", "two", "three"] {
            let message = message(text);
            for staged in &mut all {
                assert!(output.stage_shared(staged, &message, None));
            }
        }
        assert_eq!((output.pieces.len(), output.messages.len()), (3, 3));
        assert!(all.iter().all(|staged| joined(&mut output, *staged) == b"onetwothree"));
    }

    #[test]
    fn shared_messages_stay_in_order_with_those_of_one_connection() {
        let (mut output, mut all) = (Output::default(), [Staged::default(); 7]);
        let messages = [message("<x>"), message("<yy>")];
        let mut expected = vec![Vec::new(); all.len()];
        for round in 0..200_usize {
            let (to, what) = (round * 5 % all.len(), round * round % 11);
            if let Some(message) = messages.get(what / 3) {
                assert!(output.stage_shared(&mut all[to], message, None));
                expected[to].extend_from_slice(message);
            } else {
                output.stage(&mut all[to], b"h", &[b'a' + what as u8]);
                expected[to].extend_from_slice(&[b'h', b'a' + what as u8]);
            }
        }
        for (staged, expected) in all.into_iter().zip(expected) {
            assert_eq!((staged.len(), joined(&mut output, staged)), (expected.len(), expected));
        }
    }

    #[test]
    fn what_would_not_be_counted_in_32_bits_or_be_one_piece_too_many_is_not_staged() {
        let (mut output, message) = (Output::default(), message("m"));
        let mut full = Staged { last: 0, bytes: u32::MAX };
        assert!(!output.stage_shared(&mut full, &message, None));
        let mut staged = Staged::default();
        for _ in 0..PIECES {
            assert!(output.stage_shared(&mut staged, &message, None));
        }
        assert!(!output.stage_shared(&mut staged, &message, None));
        output.clear();
        assert!(output.stage_shared(&mut Staged::default(), &message, None));
    }

    #[test]
    fn with_so_many_bytes_of_messages_no_more_are_staged() {
        let (mut output, mut staged) = (Output::default(), Staged::default());
        let mebibyte = || Arc::from(vec![0; 1 << 20]);
        for _ in 0..HELD >> 20 {
            assert!(output.stage_shared(&mut staged, &mebibyte(), None));
        }
        assert!(!output.stage_shared(&mut staged, &mebibyte(), None));
        output.clear();
        assert!(output.stage_shared(&mut Staged::default(), &mebibyte(), None));
    }

    #[test]
    fn parts_are_given_out_in_pieces_of_any_size_and_none_is_empty() {
        let mut parts = Parts::of([&b""[..], b"abcde", b"", b"fg"].into_iter());
        let given: Vec<_> = std::iter::from_fn(|| parts.give(3)).collect();
        assert_eq!(given, [&b"abc"[..], b"de", b"fg"]);
    }

    #[test]
    fn a_gather_leaves_out_what_does_not_fit_and_skips_empty_slices() {
        let parts = std::iter::once(&b""[..]).chain([&b"xy"[..]; GATHER]).chain([&b"z"[..]]);
        let gather = Gather::<GATHER>::of(parts);
        assert_eq!((gather.slices().len(), gather.len()), (GATHER, 2 * GATHER));
    }
}
