//! R13: 24 MB of pongs that nobody asked for are legal (RFC 6455 §5.5.3), are answered by nothing, and cost little.

use std::time::Instant;

use crate::kit::{Attack, Field, Frame, PONG};

pub(crate) const ATTACK: Attack =
    Attack { name: "pong_flood", rules: "R13", growth: 128 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let mut peer = field.open();
    let (pongs, began) = (Frame::new(PONG, [b'p'; 125]).masked().repeat(1_000), Instant::now());
    for _ in 0..24_000_000 / pongs.len() {
        assert!(peer.send(&pongs), "pongs are legal");
    }
    peer.expect_echo("still here");
    field.note(format!("24 MB in {} ms", began.elapsed().as_millis()));
}
