//! What the tests of the rules share: a client that speaks raw bytes and a server in a thread of its own.
//!
//! The client is written from the RFCs alone and uses nothing of the crate's codec, so that it can judge it.

#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod client;
mod frame;
mod server;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, End, GOOD, KEY, Response, request, upgrade_request};
pub(crate) use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, head, long_head};
pub(crate) use server::{Cx, Scripted, Server, Watch};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the rules call a second, on a machine that others use as well.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.roll() % bound).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll().to_le_bytes()[3]).collect()
    }
}

/// A directory of its own for socket files, removed in the end.
pub(crate) struct Directory(std::path::PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gnezdo-rules-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn addr(&self, name: &str) -> gnezdo::Addr {
        format!("unix:{}", self.0.join(name).display()).parse().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
