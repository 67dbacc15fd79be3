//! R1: a head of 16 KiB that comes byte by byte is legal, is accepted, and costs as much as its bytes.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Field, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "dripped_head",
    rules: "R1",
    cpu: Some(Duration::from_millis(500)),
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let padding = format!("X-Padding: {}", "x".repeat(field.up_to(15_800)));
    let (head, mut peer) = (upgrade(&[&padding]), field.connect());
    let began = Instant::now();
    for byte in &head {
        assert!(peer.send(&[*byte]), "cut in the middle of a legal head");
    }
    assert_eq!(peer.status(), Some(101));
    peer.expect_echo("all there");
    field.note(format!("{} ms for {} single bytes", began.elapsed().as_millis(), head.len()));
}
