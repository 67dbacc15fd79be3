//! R4: whoever connects and says nothing is cut at the deadline of the opening handshake.

use crate::kit::{Attack, Crowd, Field};

pub(crate) const ATTACK: Attack = Attack {
    name: "silent_connect",
    rules: "R4",
    growth: 704 * 1024,
    kept: 704 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let mut crowd = Crowd::new(field.up_to(2_000), |number| field.connect_as(number));
    let after = crowd.expect_end(field.terms.opening + field.second());
    field.note(format!("all cut {:.2} s after the last connected", after.as_secs_f32()));
}
