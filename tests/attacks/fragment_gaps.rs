//! R12, R13, R22: control frames between the fragments of a message are answered at once and disturb nothing; a
//! thousand unfinished messages hold no more than they carry.

use crate::kit::{Attack, Crowd, Field, Frame, PONG};

pub(crate) const ATTACK: Attack = Attack {
    name: "fragment_gaps",
    rules: "R12 R22",
    growth: 2200 * 1024,
    kept: 2200 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let mut peer = field.open();
    peer.frame(&Frame::text("0").unfinished());
    let mut whole = "0".to_owned();
    for number in 1..60 {
        peer.frame(&Frame::ping(format!("ping {number}")));
        peer.expect(&Frame::new(PONG, format!("ping {number}")));
        let piece = format!(" {number}");
        peer.frame(&Frame::more(&piece).unfinished());
        whole.push_str(&piece);
    }
    peer.frame(&Frame::more(""));
    peer.expect(&Frame::text(&whole));
    let mut crowd = Crowd::new(field.up_to(1_000), |number| {
        let mut peer = field.connect_as(number).opened();
        peer.frame(&Frame::binary([7; 100]).unfinished());
        peer
    });
    for (number, peer) in crowd.0.iter_mut().enumerate() {
        peer.frame(&Frame::more(number.to_be_bytes()));
        peer.expect(&Frame::binary([&[7; 100], &number.to_be_bytes()[..]].concat()));
    }
}
