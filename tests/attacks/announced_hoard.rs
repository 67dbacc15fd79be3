//! R11, R12: connections that announce messages as large as allowed and send a little of them hold that little.

use crate::kit::{Attack, Crowd, Field, long_head};

pub(crate) const ATTACK: Attack = Attack {
    name: "announced_hoard",
    rules: "R11 R12",
    growth: 9 << 20,
    kept: 3 << 20,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let count = field.up_to(1_000);
    let mut part = long_head(0x82, true, 8, field.terms.message as u64);
    part.extend([0; 4 + 1_000]);
    let mut crowd = Crowd::new(count, |number| {
        let mut peer = field.connect_as(number).opened();
        peer.send(&part);
        peer
    });
    field.open().expect_echo("there is room");
    assert_eq!(crowd.take_ended(), 0, "a message may take its time");
    field.note(format!(
        "{} MiB announced, {} KiB sent",
        (count * field.terms.message) >> 20,
        count * part.len() / 1024
    ));
}
