//! DEFLATE streams for messages (RFC 7692 §7.2, RFC 1951) over `flate2`. Knows nothing of frames, limits and budgets.

use std::fmt;
use std::panic::catch_unwind;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::compression::{BadDeflate, Step, TAIL, WindowBits};

/// One inflating stream.
pub(super) struct Inflater {
    stream: Decompress,
    /// No bytes were fed since the last boundary: the beginning, the end of a message, a final block.
    at_boundary: bool,
}

impl Inflater {
    /// A stream with a window of that size; never `None`, unlike that of the stand-in.
    #[expect(clippy::unnecessary_wraps, reason = "the stand-in without the feature has none to give")]
    pub(super) fn boxed(bits: WindowBits) -> Option<Box<Inflater>> {
        let stream = Decompress::new_with_window_bits(false, bits.for_zlib());
        Some(Box::new(Inflater { stream, at_boundary: true }))
    }

    /// Inflates as much of `input` as fits into `output`.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
        let outcome = self.stream.decompress(input, output, FlushDecompress::None);
        let taken = difference(total_in, self.stream.total_in(), input.len());
        let made = difference(total_out, self.stream.total_out(), output.len());
        self.at_boundary &= taken == 0;
        let ended = matches!(outcome, Ok(Status::StreamEnd));
        if ended {
            // RFC 7692 §7.2.3.4: a final block ends the stream but not the message. The next block starts afresh.
            self.reset();
        }
        Step {
            taken,
            made,
            room_left: made < output.len(),
            ended,
            verdict: outcome.map(drop).map_err(|_| BadDeflate),
        }
    }

    /// Whether nothing was fed since the last boundary.
    pub(super) fn at_boundary(&self) -> bool {
        self.at_boundary
    }

    /// Says that a message ended here; the window stays.
    pub(super) fn end_message(&mut self) {
        self.at_boundary = true;
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        self.stream.reset(false);
        self.at_boundary = true;
    }
}

/// One compressing stream.
pub(super) struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A stream with a window of that size, unless there is no memory for one.
    pub(super) fn boxed(bits: WindowBits, level: u8) -> Option<Box<Deflater>> {
        let level = Compression::new(u32::from(level.min(9)));
        // The library panics without memory. So as much is asked for first, and given back; what still goes wrong
        // then, because somebody else was quicker, costs no more than the compression of a message.
        Vec::<u8>::new().try_reserve_exact(STREAM).ok()?;
        let stream = catch_unwind(|| Compress::new_with_window_bits(level, false, bits.for_zlib())).ok()?;
        Some(Box::new(Deflater { stream }))
    }

    /// Compresses a message into `out`, which is emptied first, as RFC 7692 §7.2.1 says: flushed to a byte boundary, less
    /// the four bytes that every flush ends with.
    pub(super) fn message(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadDeflate> {
        out.clear();
        let mut rest = payload;
        loop {
            // Without memory for it the message goes out as it is.
            out.try_reserve(rest.len().saturating_div(2).max(LEAST_OUTPUT)).map_err(|_| BadDeflate)?;
            let before = self.stream.total_in();
            self.stream.compress_vec(rest, out, FlushCompress::Sync).map_err(|_| BadDeflate)?;
            let taken = difference(before, self.stream.total_in(), rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            // The flush is whole when everything was taken and there was room to spare.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        let body = out.strip_suffix(&TAIL).ok_or(BadDeflate)?.len();
        out.truncate(body);
        Ok(())
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        self.stream.reset();
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

/// How far a counter of the library went, never more than it was given.
fn difference(before: u64, after: u64, most: usize) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(most).min(most)
}

/// What a compressing stream takes at most: its window twice, its tables, its output that is pending.
const STREAM: usize = 384 * 1024;
/// What a step of compression may write at least.
const LEAST_OUTPUT: usize = 256;
