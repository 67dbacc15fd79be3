//! The one source of every decision: a seed, given bytes, or calm; knows not what is decided.

use std::fmt;

/// Every decision of a simulated world, one after another, and what was decided so far.
///
/// A decision of zero is the calm one: the call does all it can, nothing is late. So bytes that have run out leave a calm
/// world behind, and shorter bytes make a simpler world: good for a fuzzer and for shrinking by hand.
#[derive(Clone)]
pub struct Tape {
    source: Source,
    taken: Vec<u8>,
    entropy: u64,
}

#[derive(Clone)]
enum Source {
    Seed(SplitMix),
    Bytes(Vec<u8>),
    Calm,
}

impl Tape {
    /// Endless decisions out of a number.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Tape { source: Source::Seed(SplitMix(seed)), taken: Vec::new(), entropy: seed }
    }

    /// The given decisions, and calm ones after the last.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let entropy = bytes.iter().fold(FNV_START, |hash, byte| fnv(hash, u64::from(*byte)));
        Tape { source: Source::Bytes(bytes), taken: Vec::new(), entropy }
    }

    /// Calm decisions alone. They are not recorded.
    #[must_use]
    pub fn calm() -> Self {
        Tape { source: Source::Calm, taken: Vec::new(), entropy: 0 }
    }

    /// The next decision.
    pub fn byte(&mut self) -> u8 {
        let byte = match &mut self.source {
            Source::Seed(random) => random.next().to_be_bytes()[0],
            Source::Bytes(bytes) => bytes.get(self.taken.len()).copied().unwrap_or(0),
            Source::Calm => return 0,
        };
        self.taken.push(byte);
        byte
    }

    /// A number below `count`; zero for a `count` of zero. Takes one byte, or as many as `count` needs.
    pub fn choose(&mut self, count: usize) -> usize {
        let mut number = usize::from(self.byte());
        let mut span = BYTE;
        while span < count {
            number = number.wrapping_shl(u8::BITS) | usize::from(self.byte());
            span = span.saturating_mul(BYTE);
        }
        number.checked_rem(count).unwrap_or(0)
    }

    /// True in one of `one_in` cases, every second at most; never on a calm decision, and never for zero, which takes
    /// no byte either.
    pub fn chance(&mut self, one_in: usize) -> bool {
        one_in > 0 && self.choose(one_in.max(2)) == 1
    }

    /// How many decisions were taken.
    #[must_use]
    pub fn position(&self) -> usize {
        self.taken.len()
    }

    /// The decisions taken so far: [`Tape::bytes`] of them makes the same world again, but for its random numbers,
    /// see [`Tape::with_entropy`].
    #[must_use]
    pub fn taken(&self) -> &[u8] {
        &self.taken
    }

    /// What the random numbers of the world are made of: the seed, or a hash of the bytes.
    #[must_use]
    pub const fn entropy(&self) -> u64 {
        self.entropy
    }

    /// The same decisions with random numbers made of `entropy`, to replay what another tape began.
    #[must_use]
    pub const fn with_entropy(mut self, entropy: u64) -> Self {
        self.entropy = entropy;
        self
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tape")
            .field("position", &self.position())
            .field("entropy", &self.entropy)
            .finish_non_exhaustive()
    }
}

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// One step of the FNV-1a hash over words.
pub(super) const fn fnv(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The values of one byte.
const BYTE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_decides_alike_and_can_be_replayed_from_what_was_taken() {
        let (mut first, mut second) = (Tape::seed(7), Tape::seed(7));
        let decided: Vec<usize> = (0..100).map(|_| first.choose(1000)).collect();
        assert_eq!(decided, (0..100).map(|_| second.choose(1000)).collect::<Vec<_>>());
        assert!(decided.iter().all(|number| *number < 1000));
        let mut replayed = Tape::bytes(first.taken()).with_entropy(first.entropy());
        assert_eq!(decided, (0..100).map(|_| replayed.choose(1000)).collect::<Vec<_>>());
        assert_eq!((replayed.position(), replayed.entropy()), (first.position(), 7));
    }

    #[test]
    fn what_has_run_out_is_calm() {
        let mut tape = Tape::bytes([255]);
        assert_ne!(tape.choose(200), 0);
        for mut calm in [tape, Tape::calm()] {
            assert_eq!(calm.choose(200), 0);
            assert!((0..10).all(|one_in| !calm.chance(one_in)));
        }
    }

    #[test]
    fn a_chance_comes_as_often_as_it_says() {
        let mut tape = Tape::seed(1);
        let hits = (0..10_000).filter(|_| tape.chance(10)).count();
        assert!((700..1300).contains(&hits), "{hits}");
        assert!(!(0..100).any(|_| tape.chance(0)));
    }
}
