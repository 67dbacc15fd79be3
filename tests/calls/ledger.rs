//! What a call may not leave behind: descriptors, slots, deadlines and memory, counted before and after.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gnezdo::net::System;

use super::caller::Caller;

/// The count of descriptors before; while it is open no other test of this program runs, for those have descriptors too.
pub(crate) struct Ledger {
    descriptors: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Ledger {
    /// To be opened when the reactor is there and the servers are not.
    pub(crate) fn open() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { descriptors: descriptors(), _alone: alone }
    }

    /// Counts anew, after something was made that stays.
    pub(crate) fn count(&mut self) {
        self.descriptors = descriptors();
    }

    /// Every slot is free, no deadline armed, and there are as many descriptors as before; servers have ended.
    pub(crate) fn balance<S: System>(&self, caller: &mut Caller<S>) {
        caller.settle();
        assert_eq!(descriptors(), self.descriptors, "descriptors");
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
