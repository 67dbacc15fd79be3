//! R22: a frame that a client did not mask is a protocol error (RFC 6455 §5.1), whatever it carries.

use crate::kit::{Attack, CLOSE, Field, Frame, PING};

pub(crate) const ATTACK: Attack = Attack { name: "unmasked", rules: "R22", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let frames = [
        Frame::text("bare"),
        Frame::text(""),
        Frame::binary(vec![0; 100_000]),
        Frame::new(PING, "bare"),
        Frame::new(CLOSE, [3, 0xE8]),
    ];
    for frame in frames {
        let mut peer = field.open();
        peer.send(&frame.bare());
        peer.expect_close(1002);
    }
}
