//! R14, R22: a close reason that is no UTF-8, or half a code, is a fault of its own.

use crate::kit::{Attack, CLOSE, Field, Frame};

pub(crate) const ATTACK: Attack = Attack { name: "close_reasons", rules: "R14 R22", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    for (payload, code) in [
        (&b"\x03\xE8\xFF"[..], 1007),
        (b"\x03\xE8ok\xED\xA0\x80", 1007),
        (b"\x03\xE8\xE2\x82", 1007),
        (b"\x03", 1002),
        (b"\x03\xE8a good reason", 1000),
    ] {
        let mut peer = field.open();
        peer.frame(&Frame::new(CLOSE, payload));
        peer.expect_close(code);
    }
    let mut peer = field.open();
    peer.frame(&Frame::new(CLOSE, [&[3, 0xE8][..], &[b'r'; 123]].concat()));
    peer.expect_close(1000);
    let mut peer = field.open();
    peer.frame(&Frame::new(CLOSE, ""));
    let (frames, _) = peer.farewell();
    assert_eq!(frames, [Frame::new(CLOSE, "")]);
}
