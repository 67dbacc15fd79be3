//! R14: text that is no UTF-8 is refused with 1007 at its first impossible byte, wherever frames and segments cut it.

use crate::kit::{Attack, CONTINUATION, Field, Frame, TEXT};

pub(crate) const ATTACK: Attack = Attack { name: "utf8_mutations", rules: "R14", run, ..Attack::DEFAULT };

/// Each ends with the byte that can't be.
const BAD: [&[u8]; 18] = [
    b"\x80",
    b"\xBF",
    b"\xC0",
    b"\xC1",
    b"\xC3\x28",
    b"\xE0\x80",
    b"\xE0\x9F",
    b"\xE1\x80\xC0",
    b"\xED\xA0",
    b"\xED\xBF",
    b"\xF0\x80",
    b"\xF0\x8F",
    b"\xF4\x90",
    b"\xF5",
    b"\xF8",
    b"\xFE",
    b"\xFF",
    b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0",
];
const GOOD: [&str; 5] = ["é", "€", "𐍈", "\u{10FFFF}", "κόσμε"];

fn run(field: &Field) {
    for bad in BAD {
        for at in 0..=bad.len() {
            let mut peer = field.open();
            peer.frame(&Frame::new(TEXT, &bad[..at]).unfinished());
            // Fails fast: the message isn't finished.
            peer.frame(&Frame::new(CONTINUATION, &bad[at..]).unfinished());
            peer.expect_close(1007);
        }
        let mut peer = field.open();
        for byte in Frame::new(TEXT, bad).masked() {
            peer.send(&[byte]);
        }
        peer.expect_close(1007);
    }
    let mut peer = field.open();
    for good in GOOD {
        for at in 0..=good.len() {
            peer.frame(&Frame::new(TEXT, &good.as_bytes()[..at]).unfinished());
            peer.frame(&Frame::new(CONTINUATION, &good.as_bytes()[at..]));
            peer.expect(&Frame::text(good));
        }
    }
    unfinished(field);
}

/// A character that isn't finished when its message is.
fn unfinished(field: &Field) {
    for good in &GOOD[..4] {
        for at in 1..good.len() {
            let mut peer = field.open();
            peer.frame(&Frame::new(TEXT, &good.as_bytes()[..at]));
            peer.expect_close(1007);
        }
    }
}
