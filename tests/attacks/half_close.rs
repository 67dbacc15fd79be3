//! R27, R43: peers that shut their side at any stage are answered what is due, and are gone soon; nothing spins.

use std::time::Duration;

use crate::kit::{Attack, Crowd, Field, Frame, Peer, head, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "half_close",
    rules: "R27 R43",
    growth: 256 * 1024,
    kept: 256 * 1024,
    cpu: Some(Duration::from_millis(500)),
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    for target in field.targets() {
        let enter = || Peer::new(target.connect().unwrap());
        let mut crowd = Crowd::new(field.up_to(560), |number| {
            let peer = at_stage(enter(), number % 7);
            peer.shut();
            peer
        });
        let after = crowd.expect_end(Duration::from_secs(4));
        field.note(format!("{}: all gone after {} ms", target.kind(), after.as_millis()));
    }
    let mut peer = field.connect();
    peer.send(&[upgrade(&[]), Frame::text("last words").masked()].concat());
    peer.shut();
    assert_eq!(peer.status(), Some(101));
    peer.expect(&Frame::text("last words"));
}

fn at_stage(mut peer: Peer, stage: usize) -> Peer {
    match stage {
        0 => {}
        1 => drop(peer.send(&upgrade(&[])[..60])),
        2 => drop(peer.send(&upgrade(&[]))),
        3 => {
            peer = peer.opened();
            peer.send(&head(0x82, true, 70_000));
        }
        4 => {
            peer = peer.opened();
            peer.frame(&Frame::text("begun").unfinished());
        }
        5 => {
            peer = peer.opened();
            peer.frame(&Frame::close(1000, ""));
        }
        _ => {
            peer = peer.opened();
            // Unread echoes lie in front of the end.
            peer.push(&Frame::binary(vec![0; 20_000]).masked().repeat(10), Duration::from_millis(5));
        }
    }
    peer
}
