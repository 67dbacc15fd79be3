//! Where a loop receives to. Knows nothing of what the bytes mean.

/// A run of bytes that begins in the middle of a page.
///
/// A kernel's own buffers begin where pages do. Where a copy goes from the beginning of one page to the beginning of
/// another, processors that compare no more than the lower twelve bits of addresses take its loads for ones of what was
/// just stored, and wait: 16 KiB from a Unix-domain socket cost half as much again.
#[derive(Debug)]
pub struct Intake {
    memory: Box<[u8]>,
    start: usize,
    length: usize,
}

impl Intake {
    /// So many bytes.
    pub fn new(length: usize) -> Self {
        let memory = vec![0; length.saturating_add(2 * PAGE)].into_boxed_slice();
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE).saturating_add(PAGE / 2);
        Self { memory, start, length }
    }

    /// How many bytes there are.
    #[inline]
    pub fn size(&self) -> usize {
        self.length
    }

    /// All of them.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.first_mut(self.length)
    }

    /// The first `count` of them, or all there are.
    #[inline]
    pub fn first_mut(&mut self, count: usize) -> &mut [u8] {
        let end = self.start.saturating_add(count.min(self.length));
        self.memory.get_mut(self.start..end).unwrap_or_default()
    }
}

/// The smallest page of the processors that this is for.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_asked_for_and_begins_in_the_middle_of_a_page() {
        for length in [1, 4096, 128 * 1024, 16 * 1024 * 1024] {
            let mut intake = Intake::new(length);
            assert_eq!((intake.as_mut_slice().len(), intake.size()), (length, length));
            assert_eq!(intake.as_mut_slice().as_ptr().addr() % PAGE, PAGE / 2);
        }
    }

    #[test]
    fn its_first_bytes_are_those_that_were_received() {
        let mut intake = Intake::new(4096);
        intake.as_mut_slice()[..3].copy_from_slice(b"abc");
        assert_eq!(intake.first_mut(3), b"abc");
        let lengths = [0, 4095, 4096, 4097].map(|count| intake.first_mut(count).len());
        assert_eq!(lengths, [0, 4095, 4096, 4096]);
    }
}
