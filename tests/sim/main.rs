//! The whole reactor in simulated worlds: drawn ones by the thousand, and named ones with each call disturbed in turn.

#![expect(clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]
#![expect(clippy::struct_excessive_bools, reason = "an actor and a book note plain facts")]

mod actor;
mod book;
mod draw;
mod drawn;
mod faults;
mod plan;
mod player;
mod run;
mod scenarios;
mod shrink;
mod violation;
mod wire;
mod worlds;

/// A number that the environment gives.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
