//! One attack: what it is called, which rules it tries, what it may cost, and what it does on the wire.

use std::time::Duration;

use super::Field;
use crate::support::KIB;

/// An attack and its pass condition. `run` judges the wire, by panicking; the rest is judged from outside.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) rules: &'static str,
    /// Options of the server, beyond the common ones.
    pub(crate) options: &'static [&'static str],
    pub(crate) ground: Ground,
    /// Whether it is part of the short run of a debug build.
    pub(crate) quick: bool,
    /// By how many bytes the server's anonymous memory may grow meanwhile, and may have grown afterwards.
    pub(crate) growth: u64,
    pub(crate) kept: u64,
    /// How much processor time it may cost the server.
    pub(crate) cpu: Option<Duration>,
    /// How long the slowest hundredth of the healthy client's messages may take, beyond what they take where nobody
    /// attacks; `None`: there can't be one.
    pub(crate) healthy: Option<Duration>,
    pub(crate) run: fn(&Field),
}

/// Where an attack can be fought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Against any server, beside any other attack.
    Any,
    /// Against any server, but alone: what it does would be felt by the others.
    Alone,
    /// Against a server process of its own, started as the last words of this command.
    Own(&'static [&'static str]),
}

impl Attack {
    pub(crate) const DEFAULT: Self = Self {
        name: "",
        rules: "",
        options: &[],
        ground: Ground::Any,
        quick: true,
        growth: 512 * KIB,
        kept: 384 * KIB,
        cpu: None,
        healthy: Some(Duration::from_millis(100)),
        run: |_| {},
    };
}
