//! R22: a broken frame behind good ones in one segment doesn't cost them their answers.

use crate::kit::{Attack, CLOSE, Field, Frame};

pub(crate) const ATTACK: Attack = Attack { name: "bad_behind_good", rules: "R22", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    for (broken, code) in [
        (Frame::new(3, "").masked(), 1002),
        (Frame::text("bare").bare(), 1002),
        (Frame::new(1, b"\xFF").masked(), 1007),
        (Frame::new(CLOSE, [3, 0xED]).masked(), 1002),
    ] {
        for good in [1, 10, 1_000] {
            let mut peer = field.open();
            let mut bytes: Vec<u8> =
                (0..good).flat_map(|number| Frame::text(&number.to_string()).masked()).collect();
            bytes.extend_from_slice(&broken);
            peer.send(&bytes);
            for number in 0..good {
                peer.expect(&Frame::text(&number.to_string()));
            }
            peer.expect_close(code);
        }
    }
}
