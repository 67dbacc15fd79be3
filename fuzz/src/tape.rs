//! The bytes of an input as a list of decisions, read from the front; past the end every decision is zero.

/// What is left of an input.
pub(crate) struct Tape<'t>(&'t [u8]);

impl<'t> Tape<'t> {
    pub(crate) fn new(bytes: &'t [u8]) -> Tape<'t> {
        Tape(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of these, the first for a zero.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// At most `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> &'t [u8] {
        let (front, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        front
    }

    pub(crate) fn rest(self) -> &'t [u8] {
        self.0
    }
}

/// FNV-1a: a short stand-in for bytes that are only compared.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The next number of a sequence that the bytes themselves determine (splitmix64).
pub(crate) fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Where to cut `bytes`: in short pieces and a few long ones, the same for the same bytes.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<usize> {
    let mut state = hash(bytes);
    let mut cuts = Vec::new();
    let mut at = 0;
    loop {
        let number = mixed(&mut state);
        let most = if number.is_multiple_of(8) { 4096 } else { 16 };
        at += usize::try_from((number >> 8) % most).unwrap_or(0) + 1;
        if at >= bytes.len() {
            return cuts;
        }
        cuts.push(at);
    }
}

/// Every place where `bytes` can be cut.
pub(crate) fn everywhere(bytes: &[u8]) -> Vec<usize> {
    (1..bytes.len()).collect()
}
