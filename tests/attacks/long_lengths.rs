//! R22: a length in more bytes than it needs is refused.

use crate::kit::{Attack, Field, long_head};

pub(crate) const ATTACK: Attack = Attack { name: "long_lengths", rules: "R11 R22", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    for (width, length) in [(2, 0_u8), (2, 1), (2, 125), (8, 0), (8, 125), (8, 126), (8, 255)] {
        for first in [0x81, 0x82, 0x01] {
            let mut peer = field.open();
            let mut bytes = long_head(first, true, width, u64::from(length));
            bytes.extend(vec![b'a'; 4 + usize::from(length)]);
            peer.send(&bytes);
            peer.expect_close(1002);
        }
    }
}
