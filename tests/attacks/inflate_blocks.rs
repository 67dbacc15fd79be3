//! R15, R16: blocks that hold nothing, or begin anew without end, cost time for every byte: it is shared out.

use crate::kit::{Attack, Field, Frame, bomb};

pub(crate) const ATTACK: Attack = Attack {
    name: "inflate_blocks",
    rules: "R15 R16 R24",
    growth: 3 << 20,
    kept: 3 << 20,
    run,
    ..Attack::DEFAULT
};

/// A fixed block of nothing, ten bits long, eight of them in ten bytes.
const FIXED: [u8; 10] = [0x02, 0x08, 0x20, 0x80, 0x00, 0x02, 0x08, 0x20, 0x80, 0x00];
/// A stored block of nothing.
const STORED: [u8; 5] = [0x00, 0x00, 0x00, 0xFF, 0xFF];
/// A last block of nothing; RFC 7692 §7.2.3.4 allows it, and more to follow.
const LAST: [u8; 6] = [0x01, 0x00, 0x00, 0xFF, 0xFF, 0x00];

fn run(field: &Field) {
    let dynamic =
        bomb::deflated(b"dynamic blocks have tables that are built anew every time, however short they are");
    for unit in [&FIXED[..], &STORED, &LAST, &dynamic] {
        let payload = unit.repeat(1_000_000 / unit.len());
        let mut peer = bomb::open(field);
        peer.frame(&Frame::binary(&payload).with_rsv(4));
        peer.frame(&Frame::ping("still there?"));
        // An empty message, a refusal: both are answers. Silence is none.
        let answer = peer.next();
        let code = answer.as_ref().filter(|frame| frame.opcode == 8).and_then(Frame::close_code);
        assert!(matches!(code, None | Some(1002 | 1007 | 1008 | 1009)), "{code:?}");
    }
}
