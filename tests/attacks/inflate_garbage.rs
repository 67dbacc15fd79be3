//! R16: compressed data that is broken ends its connection with 1007 or an answer, and never anything else.

use crate::kit::{Attack, Dice, Field, Frame, PING, bomb};

pub(crate) const ATTACK: Attack = Attack {
    name: "inflate_garbage",
    rules: "R16",
    growth: 384 * 1024,
    kept: 384 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let mut dice = Dice::new(16);
    let good = bomb::deflated(b"good data, good data, good data, good data, and then something else");
    let (mut refused, rounds) = (0, field.up_to(600));
    for round in 0..rounds {
        let mut payload = if round % 2 == 0 { good.clone() } else { dice.bytes(300) };
        let at = dice.below(payload.len());
        payload[at] ^= 1 << dice.below(8);
        let mut peer = bomb::open(field);
        peer.frame(&Frame::binary(&payload).with_rsv(4));
        peer.frame(&Frame::close(1000, ""));
        let code = peer.close_code();
        assert!(matches!(code, Some(1000 | 1007 | 1009)), "{code:?}");
        refused += usize::from(code == Some(1007));
    }
    field.note(format!("{refused} of {rounds} refused"));
    for (place, opcode) in [("a control frame", PING), ("a continuation", 0)] {
        let mut peer = bomb::open(field);
        if opcode == 0 {
            peer.frame(&Frame::text("a").unfinished());
        }
        peer.frame(&Frame::new(opcode, "").with_rsv(4));
        let code = peer.close_code();
        assert_eq!(code, Some(1002), "RSV1 on {place}");
    }
}
