//! R22: control frames that are cut in pieces or too long, reserved opcodes and bits: 1002 each, after what was good.

use crate::kit::{Attack, CONTINUATION, Field, Frame, PING, PONG, TEXT};

pub(crate) const ATTACK: Attack = Attack { name: "control_abuse", rules: "R22", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let mut wrong = Vec::new();
    for opcode in [8, PING, PONG] {
        wrong.push(Frame::new(opcode, "").unfinished());
        wrong.push(Frame::new(opcode, vec![3; 126]));
        wrong.push(Frame::new(opcode, vec![3; 70_000]));
    }
    for opcode in (3..=7).chain(11..=15) {
        wrong.push(Frame::new(opcode, "x"));
    }
    for rsv in 1..=7 {
        wrong.extend([TEXT, PING, 8].map(|opcode| Frame::new(opcode, "x").with_rsv(rsv)));
    }
    wrong.push(Frame::new(CONTINUATION, "of nothing"));
    for frame in &wrong {
        let mut peer = field.open();
        peer.send(&[Frame::text("good").masked(), frame.masked()].concat());
        peer.expect(&Frame::text("good"));
        peer.expect_close(1002);
    }
    let mut peer = field.open();
    peer.send(&[Frame::text("a").unfinished().masked(), Frame::text("b").masked()].concat());
    peer.expect_close(1002);
    field.note(format!("{} frames", wrong.len() + 1));
}
