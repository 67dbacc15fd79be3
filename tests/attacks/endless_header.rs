//! R1: a header line without an end is refused at the limit of the head, for the price of one look at each byte.

use std::time::Duration;

use crate::kit::{Attack, Field, GOOD, SOON};

pub(crate) const ATTACK: Attack = Attack {
    name: "endless_header",
    rules: "R1",
    growth: 192 * 1024,
    cpu: Some(Duration::from_millis(500)),
    run,
    ..Attack::DEFAULT
};

/// 8 MiB are offered, in segments as a slow network makes them.
fn run(field: &Field) {
    let mut peer = field.connect();
    peer.send(format!("{}\r\nX-Endless: ", GOOD.join("\r\n")).as_bytes());
    let mut taken = 0;
    while taken < 8 << 20 && peer.send(&[b'x'; 4096]) {
        taken += 4096;
    }
    field.note(format!("{} KiB taken of 8192", taken / 1024));
    // A reset may have overtaken the answer.
    let status = peer.status();
    assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    peer.expect_end(SOON);
    assert!(taken < 8 << 20, "nobody stopped it");
}
