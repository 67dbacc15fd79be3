//! R14, R24: a whole conversation in segments of one byte is the same conversation.

use std::time::Instant;

use crate::kit::{Attack, Dice, Field, Frame, upgrade};

pub(crate) const ATTACK: Attack =
    Attack { name: "one_byte_segments", rules: "R14 R24", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let (mut dice, began) = (Dice::new(3), Instant::now());
    let large = Frame::binary(dice.bytes(10_000));
    let said = [
        upgrade(&[]),
        Frame::text("κόσμε").masked(),
        Frame::text("frag").unfinished().masked(),
        Frame::ping("within").masked(),
        Frame::more("ments").masked(),
        large.masked(),
        Frame::close(4000, "done").masked(),
    ];
    let mut peer = field.connect();
    for byte in said.concat() {
        assert!(peer.send(&[byte]));
    }
    assert_eq!(peer.status(), Some(101));
    for answer in [Frame::text("κόσμε"), Frame::new(10, "within"), Frame::text("fragments"), large] {
        peer.expect(&answer);
    }
    peer.expect_close(4000);
    field.note(format!("{} ms", began.elapsed().as_millis()));
}
