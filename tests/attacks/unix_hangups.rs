//! R27, R45: a Unix-domain peer that hangs up is over in both directions at once: that is noticed, and nothing spins.

use std::time::Duration;

use crate::kit::{Attack, Crowd, Field, Frame, Peer};

pub(crate) const ATTACK: Attack = Attack {
    name: "unix_hangups",
    rules: "R27 R45",
    growth: 40 << 20,
    // Of what was half received and half sent the pools keep some.
    kept: 8 << 20,
    run,
    ..Attack::DEFAULT
};

/// On a server that is reached over TCP alone, its TCP peers do the same.
fn run(field: &Field) {
    let target = field.targets().pop().unwrap();
    for round in 0..5 {
        let crowd = Crowd::new(field.up_to(300), |number| {
            let mut peer = Peer::new(target.connect().unwrap()).opened();
            match (number + round) % 3 {
                0 => {}
                1 => drop(peer.text("unread")),
                _ => drop(
                    peer.push(&Frame::binary(vec![0; 50_000]).masked().repeat(20), Duration::from_millis(2)),
                ),
            }
            peer
        });
        drop(crowd);
    }
    field.note(target.kind());
}
