//! L3, what was sent in this turn and not yet offered to the kernel: knows bytes and order, not sockets.
//!
//! All connections share one run of bytes. What a connection was sent lies in it as a chain of segments, mostly
//! a single one, so that each connection is offered all of its turn's output by one system call.

use std::io::IoSlice;

/// One connection's part of the [`Output`]: a chain of segments, by its first, and its total length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staged {
    first: u32,
    bytes: u32,
}

impl Staged {
    #[inline]
    pub(super) fn len(self) -> usize {
        self.bytes as usize
    }
}

/// The bytes of a turn.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
}

/// `start ≤ end ≤ bytes.len()`; `next` is an index into the segments, or [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u32,
    end: u32,
    next: u32,
    /// Of the first segment of a chain: the index of the last.
    last: u32,
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
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(payload);
        let end = self.bytes.len() as u32;
        let added = end.saturating_sub(start);
        if staged.bytes == 0 {
            *staged = Staged { first: self.push(start, end), bytes: added };
            return;
        }
        staged.bytes = staged.bytes.saturating_add(added);
        let last = self.segments.get(staged.first as usize).map_or(NONE, |first| first.last);
        let fresh = self.segments.len() as u32;
        if let Some(last) = self.segments.get_mut(last as usize) {
            if last.end == start {
                last.end = end;
                return;
            }
            last.next = fresh;
        }
        let last = self.push(start, end);
        if let Some(first) = self.segments.get_mut(staged.first as usize) {
            first.last = last;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "each segment but empty ones has a byte of ROOM")]
    fn push(&mut self, start: u32, end: u32) -> u32 {
        let index = self.segments.len() as u32;
        self.segments.push(Segment { start, end, next: NONE, last: index });
        index
    }

    /// A connection's bytes, in order.
    #[inline]
    pub(super) fn slices(&self, staged: Staged) -> impl Iterator<Item = &[u8]> {
        let mut next = if staged.bytes == 0 { NONE } else { staged.first };
        std::iter::from_fn(move || {
            let segment = self.segments.get(next as usize)?;
            next = segment.next;
            self.bytes.get(segment.start as usize..segment.end as usize)
        })
    }

    /// A connection's bytes where they lie in one piece, as they mostly do.
    #[inline]
    pub(super) fn single(&self, staged: Staged) -> Option<&[u8]> {
        let first = self.segments.get(staged.first as usize).filter(|first| first.next == NONE)?;
        self.bytes.get(first.start as usize..first.end as usize).filter(|_| staged.bytes > 0)
    }

    /// Forgets everything; no [`Staged`] made before may be used after.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.segments.clear();
    }
}

/// At most so many bytes wait in user space for the end of the turn.
const ROOM: usize = 256 * 1024;

/// A fixed array of slices for one gathered send, filled from an iterator.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    slices: [IoSlice<'a>; GATHER],
    used: usize,
    bytes: usize,
}

/// Well below every system's limit (`IOV_MAX` is 1,024 on Linux), and more than one turn often makes.
const GATHER: usize = 16;

impl<'a> Gather<'a> {
    /// The first parts that are not empty, as many as the array holds.
    #[inline]
    pub(super) fn of(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut gather = Self { slices: [IoSlice::new(&[]); GATHER], used: 0, bytes: 0 };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(output: &Output, staged: Staged) -> Vec<u8> {
        output.slices(staged).flatten().copied().collect()
    }

    #[test]
    fn sends_to_one_connection_in_a_row_are_one_segment() {
        let (mut output, mut staged) = (Output::default(), Staged::default());
        output.stage(&mut staged, b"a", b"bc");
        output.stage(&mut staged, b"", b"de");
        assert_eq!(output.slices(staged).count(), 1);
        assert_eq!(joined(&output, staged), b"abcde");
        assert_eq!(staged.len(), 5);
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
            assert_eq!(joined(&output, staged), expected);
        }
    }

    #[test]
    fn a_gather_leaves_out_what_does_not_fit_and_skips_empty_slices() {
        let parts = std::iter::once(&b""[..]).chain([&b"xy"[..]; GATHER]).chain([&b"z"[..]]);
        let gather = Gather::of(parts);
        assert_eq!((gather.slices().len(), gather.len()), (GATHER, 2 * GATHER));
    }
}
