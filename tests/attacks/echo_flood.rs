//! R36: 48 MB of messages whose echoes nobody reads: the server stops to read, holds little, and loses nothing of
//! what it took when the peer reads at last.

use std::time::Duration;

use crate::kit::{Attack, BINARY, Field, Frame};

pub(crate) const ATTACK: Attack = Attack {
    name: "echo_flood",
    rules: "R36",
    growth: 1200 * 1024,
    kept: 1200 * 1024,
    run,
    ..Attack::DEFAULT
};

const MESSAGE: usize = 4_096;

fn run(field: &Field) {
    let messages: Vec<u8> = (0..48_000_000 / MESSAGE).flat_map(|number| message(number).masked()).collect();
    let mut peer = field.open();
    let taken = peer.push(&messages, Duration::from_millis(500));
    field.note(format!("{} KiB taken of {}", taken / 1024, messages.len() / 1024));
    assert!(taken < messages.len(), "all of it was taken");
    let whole = taken / (MESSAGE + 8);
    assert!(whole > 0);
    for number in 0..whole {
        peer.expect(&message(number));
    }
}

fn message(number: usize) -> Frame {
    Frame::new(BINARY, [number.to_be_bytes().as_slice(), &[7; MESSAGE - 8]].concat())
}
