//! R30, R43, R54: connections that are reset at once, some before they can be accepted, leave nothing behind.

use std::time::Instant;

use crate::kit::{Attack, Crowd, Field, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "reset_churn",
    rules: "R30 R43 R54",
    growth: 512 * 1024,
    kept: 512 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let (count, began) = (field.up_to(6_000), Instant::now());
    for number in 0..count {
        let mut peer = field.connect_as(number);
        if number % 3 > 0 {
            peer.send(&upgrade(&[]));
        }
        if number % 3 == 2 {
            assert_eq!(peer.status(), Some(101));
        }
        peer.reset();
    }
    // Many at once, so that some are reset while they wait in the backlog.
    for _ in 0..5 {
        let crowd = Crowd::new(field.up_to(500), |number| field.connect_as(number));
        crowd.0.into_iter().for_each(crate::kit::Peer::reset);
    }
    field.note(format!("{count} in {} ms", began.elapsed().as_millis()));
}
