//! R12: two million fragments of one byte: memory holds bytes, not fragments, and their number has an end.

use crate::kit::{Attack, CONTINUATION, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "one_byte_fragments", rules: "R12", growth: 512 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let mut peer = field.open();
    peer.frame(&Frame::binary([0]).unfinished());
    let run = Frame::new(CONTINUATION, [1]).unfinished().masked().repeat(10_000);
    let mut sent = 0;
    while sent < 2_000_000 && peer.send(&run) {
        sent += 10_000;
    }
    field.note(format!("{sent} taken of 2000000"));
    let code = peer.close_code();
    assert!(matches!(code, None | Some(1008 | 1009)), "{code:?}");
    assert!(sent < 2_000_000, "all of them were taken");
}
