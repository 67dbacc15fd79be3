//! R11: a length that can't be meant is refused by its header, before any payload, and nothing is set aside for it.

use std::time::Instant;

use crate::kit::{Attack, Field, SOON, long_head};

pub(crate) const ATTACK: Attack =
    Attack { name: "huge_lengths", rules: "R11", growth: 128 * 1024, run, ..Attack::DEFAULT };

/// RFC 6455 §5.2: the most significant bit of a length is 0. Anything else is too much for the limit of a message.
fn run(field: &Field) {
    let too_much = [u64::MAX >> 1, 1 << 62, 1 << 40, (1 << 32) + 1, 64 << 20, (1 << 20) + 1];
    let broken = [u64::MAX, 1 << 63, (1 << 63) + 10];
    let cases = too_much.map(|length| (length, 1009)).into_iter().chain(broken.map(|length| (length, 1002)));
    for (length, code) in cases {
        for first in [0x82, 0x81, 0x02] {
            let mut peer = field.open();
            let mut bytes = long_head(first, true, 8, length);
            bytes.extend([0; 4 + 10]);
            peer.send(&bytes);
            let began = Instant::now();
            peer.expect_close(code);
            assert!(began.elapsed() < SOON, "{length} was waited for");
        }
    }
}
