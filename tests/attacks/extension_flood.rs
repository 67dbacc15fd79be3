//! R3: 2,000 offers in one line cost no more than a look at each byte, and the answer agrees to one of them or to none.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Field, SOON, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "extension_flood",
    rules: "R3",
    cpu: Some(Duration::from_millis(100)),
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let offers = vec!["x;a=1"; 2_000].join(",");
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let (mut peer, began) = (field.connect(), Instant::now());
        peer.send(&upgrade(&[&format!("Sec-WebSocket-Extensions: {offers}, permessage-deflate")]));
        let status = peer.status();
        slowest = slowest.max(began.elapsed());
        match status {
            Some(101) => peer.expect_echo("here"),
            Some(400 | 431) => drop(peer.expect_end(SOON)),
            other => panic!("{other:?}"),
        }
    }
    field.note(format!("slowest answer {} ms", slowest.as_millis()));
    assert!(slowest < 3 * field.second(), "{slowest:?}");
}
