//! What the attacks share: the field they are fought on, a client that breaks every rule, a healthy client beside
//! them, and a judge that looks at the wire and at `/proc` alone. Knows nothing of the crate's own code.

#[path = "../../rules/frame.rs"]
mod frame;

mod attack;
pub(crate) mod bomb;
mod boxed;
mod bystander;
mod control;
mod crowd;
mod field;
mod judge;
mod peer;
mod priority;
mod regiment;
mod request;
mod select;
pub(crate) mod soak;
mod table;
mod watch;
pub(crate) mod zoo;

use std::time::Duration;

pub(crate) use attack::{Attack, Ground};
pub(crate) use boxed::MemoryBox;
pub(crate) use bystander::{Bystander, Schedule};
pub(crate) use control::Control;
pub(crate) use crowd::Crowd;
pub(crate) use field::{Field, say};
pub(crate) use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, head, long_head};
pub(crate) use judge::fight;
pub(crate) use peer::{End, Peer};
pub(crate) use priority::give_way;
pub(crate) use regiment::{Duty, Regiment, serve as serve_in_regiment};
pub(crate) use request::{GOOD, request, upgrade, upgrade_to};
pub(crate) use select::{Selection, Target, select};
pub(crate) use table::Table;
pub(crate) use watch::{Watch, open_descriptors, time_in_line};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the rules call a second, on a machine that others use as well.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll().to_le_bytes()[3]).collect()
    }
}
