//! What is counted in a world, and the hash by which two runs are told to be the same: knows no socket.

use super::faults::Calls;
use super::tape::{FNV_START, fnv};
use crate::net::{Event, Readiness};

/// What has happened in a world so far, and what is left there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often each call was made, by all systems.
    pub calls: Calls,
    /// Calls that had another outcome than all they could.
    pub injected: u64,
    /// Connections that all systems have accepted.
    pub accepted: u64,
    /// Bytes that all systems have received.
    pub received: u64,
    /// Bytes that all systems have sent.
    pub sent: u64,
    /// Events that polls have answered.
    pub edges: u64,
    /// Polls that ended without any event.
    pub empty_polls: u64,
    /// Segments, connections, resolver's answers and wake-ups that came at a time of their own.
    pub happenings: u64,
    /// Calls that named a number which was not open: a use after close.
    pub bad_descriptors: u64,
    /// Waits that would never have ended.
    pub deadlocks: u64,
    /// The descriptors that each system has open, in the order in which the systems were made.
    pub open: Vec<usize>,
    /// All sockets: those of the systems, of scripted peers, and those that wait to be accepted.
    pub sockets: usize,
    /// Bytes unread or on their way, in all queues together.
    pub held: usize,
    /// Happenings that are still to come.
    pub planned: usize,
}

/// Counts what is not a call.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) accepted: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) edges: u64,
    pub(super) empty_polls: u64,
    pub(super) happenings: u64,
    pub(super) bad_descriptors: u64,
    pub(super) deadlocks: u64,
    pub(super) hash: u64,
}

impl Default for Record {
    fn default() -> Self {
        Record {
            accepted: 0,
            received: 0,
            sent: 0,
            edges: 0,
            empty_polls: 0,
            happenings: 0,
            bad_descriptors: 0,
            deadlocks: 0,
            hash: FNV_START,
        }
    }
}

impl Record {
    pub(super) fn polled(&mut self, events: &[Event]) {
        self.edges = self.edges.saturating_add(events.len() as u64);
        self.empty_polls = self.empty_polls.saturating_add(u64::from(events.is_empty()));
        for event in events {
            let bits = [Readiness::READABLE, Readiness::WRITABLE, Readiness::HANGUP, Readiness::READ_CLOSED];
            self.trace(&[event.key.0]);
            self.trace(&bits.map(|bit| u64::from(event.readiness.contains(bit))));
        }
    }

    pub(super) fn accepted(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.trace_bytes(bytes);
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.sent = self.sent.saturating_add(bytes.len() as u64);
        self.trace_bytes(bytes);
    }

    pub(super) fn happened(&mut self) {
        self.happenings = self.happenings.saturating_add(1);
    }

    pub(super) fn bad_descriptor(&mut self) {
        self.bad_descriptors = self.bad_descriptors.saturating_add(1);
    }

    pub(super) fn deadlock(&mut self) {
        self.deadlocks = self.deadlocks.saturating_add(1);
    }

    /// Mixes words into the trace.
    pub(super) fn trace(&mut self, words: &[u64]) {
        self.hash = words.iter().fold(self.hash, |hash, word| fnv(hash, *word));
    }

    /// Mixes bytes into the trace.
    fn trace_bytes(&mut self, bytes: &[u8]) {
        self.hash = bytes.iter().fold(self.hash, |hash, byte| fnv(hash, u64::from(*byte)));
    }
}
