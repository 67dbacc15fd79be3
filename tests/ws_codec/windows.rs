//! How far back compressed messages look (RFC 7692 §7.1.2): never farther than the window that was agreed on. The reader of
//! RFC 1951 here keeps no window and wants nothing but the distances; it stands in for peers with a strict inflater.

use gnezdo::ws::{Compress, DeflateParams, Message, Protocol, Workspace, WorkspaceConfig};

use crate::rig::fill;

/// Reads bits, the lowest first (RFC 1951 §3.1.1).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |value, index| {
            let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(bit) << index
        })
    }

    /// RFC 1951 §3.2.2: codes of one length are consecutive, and begin where the shorter ones end.
    fn symbol(&mut self, codes: &Codes) -> usize {
        let (mut code, mut first, mut before) = (0, 0, 0);
        let mut counts = codes.counts[1..].iter();
        loop {
            code = code << 1 | self.take(1);
            let count = *counts.next().unwrap();
            if code < first + count {
                return codes.symbols[before + code - first];
            }
            (before, first) = (before + count, (first + count) << 1);
        }
    }
}

/// A set of Huffman codes: how many there are of each length, and their symbols in order.
struct Codes {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[usize]) -> Codes {
        let mut counts = [0; 16];
        for length in lengths {
            counts[*length] += 1;
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Codes { counts, symbols }
    }
}

/// The largest distance in a compressed message, less its last four bytes as RFC 7692 wants it.
fn farthest(payload: &[u8]) -> usize {
    let bytes = [payload, b"\x00\x00\xff\xff"].concat();
    let (mut bits, mut farthest) = (Bits { bytes: &bytes, at: 0 }, 0);
    while bits.at < bytes.len() * 8 {
        let _last = bits.take(1);
        match bits.take(2) {
            0 => {
                bits.at = bits.at.div_ceil(8) * 8;
                let length = bits.take(16);
                bits.at += 16 + 8 * length;
            }
            1 => {
                let literals = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
                farthest = farthest.max(farthest_of_block(&mut bits, &literals, &[5; 30]));
            }
            _ => {
                let (literals, distances) = dynamic(&mut bits);
                farthest = farthest.max(farthest_of_block(&mut bits, &literals, &distances));
            }
        }
    }
    farthest
}

/// RFC 1951 §3.2.7.
fn dynamic(bits: &mut Bits<'_>) -> (Vec<usize>, Vec<usize>) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut of_codes = [0; 19];
    for index in &ORDER[..codes] {
        of_codes[*index] = bits.take(3);
    }
    let of_codes = Codes::new(&of_codes);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match bits.symbol(&of_codes) {
            16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(vec![length; times]);
    }
    let distances = lengths.split_off(literals);
    (lengths, distances)
}

/// RFC 1951 §3.2.5.
fn farthest_of_block(bits: &mut Bits<'_>, literals: &[usize], distances: &[usize]) -> usize {
    let (literals, distances) = (Codes::new(literals), Codes::new(distances));
    let mut farthest = 0;
    loop {
        match bits.symbol(&literals) {
            256 => return farthest,
            0..256 => continue,
            257..=264 | 285 => {}
            length => _ = bits.take((length as u32 - 261) / 4),
        }
        let symbol = bits.symbol(&distances);
        let extra = (symbol as u32 / 2).saturating_sub(1);
        let base = if symbol < 2 { symbol } else { (2 + symbol % 2) << extra };
        farthest = farthest.max(base + bits.take(extra) + 1);
    }
}

/// Text that repeats itself at many distances up to those of the largest window.
fn repetitive(length: usize) -> Vec<u8> {
    let (mut text, mut seed) = (Vec::new(), 1_u32);
    while text.len() < length {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (distance, count) = ((seed >> 8) as usize % 40_000 + 1, (seed >> 24) as usize % 30 + 5);
        match text.len().checked_sub(distance) {
            Some(from) => text.extend_from_within(from..(from + count).min(text.len())),
            None => text.extend_from_slice(&seed.to_be_bytes()),
        }
    }
    text
}

#[test]
fn no_message_looks_farther_back_than_the_window() {
    let text = repetitive(100_000);
    for (bits, level) in (8..=15).flat_map(|bits| [1, 2, 6, 9].map(move |level| (bits, level))) {
        let params = DeflateParams {
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            ..DeflateParams::default()
        };
        for mut protocol in [Protocol::server(Some(params)), Protocol::client(Some(params))] {
            let mut space = Workspace::new(WorkspaceConfig { level, ..WorkspaceConfig::default() });
            for message in text.chunks(30_000) {
                fill(&mut space);
                let sent = protocol.encode(Message::Binary(message), Compress::Auto, &mut space).unwrap();
                let mut frame = Vec::new();
                sent.write_to(&mut frame);
                assert_eq!(frame[0], 0xC2);
                let masked = frame[1] & 0x80 != 0;
                if masked {
                    frame = crate::mirror::mirror(&frame).wire;
                }
                let farthest = farthest(&frame[4..]);
                assert!(farthest <= 1 << bits, "{farthest} with {bits} bits at level {level}");
                assert!(farthest > 1 << (bits - 2), "{farthest} with {bits} bits at level {level}");
            }
        }
    }
}
