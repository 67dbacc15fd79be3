//! Whole worlds: the reactor on a simulated kernel, with peers, faults and a plan drawn from the bytes, under all oracles of
//! the simulated worlds of the crate's tests.

#![expect(clippy::struct_excessive_bools, reason = "an actor and a book note plain facts")]
#![expect(dead_code, reason = "what only the named scenarios of the tests use")]

#[path = "../../tests/sim/actor.rs"]
mod actor;
#[path = "../../tests/sim/book.rs"]
mod book;
#[path = "../../tests/sim/draw.rs"]
mod draw;
#[path = "../../tests/sim/drawn.rs"]
mod drawn;
#[path = "../../tests/sim/plan.rs"]
mod plan;
#[path = "../../tests/sim/player.rs"]
mod player;
#[path = "../../tests/sim/run.rs"]
mod run;
#[path = "../../tests/sim/wire.rs"]
mod wire;

use super::budget::{Budget, within};

/// Plays the world that the bytes stand for.
pub fn check(bytes: &[u8]) {
    within(&BUDGET, || drop(drawn::play(drawn::tape_of(bytes))));
}

/// Of a world with everybody in it, and with all that the oracles note down. The turns of its loop have a bound of their own.
const BUDGET: Budget = Budget { live: 64 * 1024 * 1024, taken: 16 * 1024 * 1024 * 1024, calls: 4_000_000 };
