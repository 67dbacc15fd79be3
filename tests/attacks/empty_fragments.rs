//! R12: two million empty fragments carry nothing, and are refused as soon as that is plain.

use crate::kit::{Attack, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "empty_fragments", rules: "R12", growth: 128 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    for start in [Frame::binary([]), Frame::text("a")] {
        let mut peer = field.open();
        peer.frame(&start.unfinished());
        let run = Frame::more([]).unfinished().masked().repeat(10_000);
        let mut sent = 0;
        while sent < 2_000_000 && peer.send(&run) {
            sent += 10_000;
        }
        field.note(format!("{sent} taken of 2000000"));
        let code = peer.close_code();
        assert!(matches!(code, None | Some(1008 | 1009)), "{code:?}");
        assert!(sent < 2_000_000, "all of them were taken");
    }
}
