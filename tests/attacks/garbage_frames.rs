//! R11, R22: random bytes after a good handshake end in a Close or an end, never in anything else.

use crate::kit::{Attack, Dice, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "garbage_frames", rules: "R11 R22", growth: 128 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let (mut dice, mut codes) = (Dice::new(22), std::collections::BTreeMap::new());
    for round in 0..field.up_to(1_500) {
        let mut peer = field.connect_as(round).opened();
        // Half of them mask what they say, and so get further.
        let mut bytes = dice.bytes(400);
        if round % 2 == 0 {
            bytes[1] |= 0x80;
            bytes[0] &= 0x8F;
        }
        peer.send(&bytes);
        peer.shut();
        let (frames, _) = peer.farewell();
        let code = frames.last().filter(|frame| frame.opcode == 8).and_then(Frame::close_code);
        *codes.entry(code.unwrap_or(0)).or_insert(0) += 1;
    }
    field.note(format!("{codes:?}"));
    assert!(
        codes
            .keys()
            .all(|code| matches!(code, 0 | 1000 | 1002 | 1007 | 1008 | 1009) || (3000..5000).contains(code)),
        "{codes:?}"
    );
}
