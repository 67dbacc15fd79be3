//! R53: a reset in the middle of a message, of an echo, or of a head ends that connection and nothing else.

use std::time::Duration;

use crate::kit::{Attack, Field, Frame, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "reset_mid_message",
    rules: "R53 R54",
    growth: 1200 * 1024,
    kept: 1200 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let message = Frame::binary(vec![1; 500_000]).masked();
    for number in 0..field.up_to(400) {
        let mut peer = field.connect_as(number);
        if number % 4 == 0 {
            peer.send(&upgrade(&[])[..50]);
            peer.reset();
            continue;
        }
        let mut peer = peer.opened();
        match number % 4 {
            1 => drop(peer.send(&message[..number * 1_000])),
            // Echoes are on their way, or wait for a reader.
            2 => drop(peer.push(&message, Duration::from_millis(5))),
            _ => drop(peer.send(&Frame::text("part").unfinished().masked())),
        }
        peer.reset();
    }
}
