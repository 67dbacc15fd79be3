//! R4, R50: connections that never open their WebSocket can't take more than their share; the oldest make way.

use crate::kit::{Attack, Crowd, Field, Ground};

pub(crate) const ATTACK: Attack = Attack {
    name: "opening_crowd",
    rules: "R4 R50",
    options: &["--max-connections", "400", "--opening-timeout", "10"],
    ground: Ground::Own(&[]),
    growth: 192 * 1024,
    run,
    ..Attack::DEFAULT
};

/// A quarter of 400 may be in their handshake.
fn run(field: &Field) {
    let mut crowd = Crowd::new(1_000, |_| field.connect());
    // Whoever comes after them is served at once.
    field.open().expect_echo("at once");
    let cut = crowd.take_ended();
    field.note(format!("{cut} of 1000 cut at once"));
    assert!((880..=1_000).contains(&cut), "{cut} of 1000 made way");
}
