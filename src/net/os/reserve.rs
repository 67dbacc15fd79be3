//! One descriptor kept for bad times: knows nothing of what it is given up for.

use std::fs::File;
use std::io;

/// A descriptor that does nothing but hold its place. When no other is free, giving it up makes room for one accept, so
/// that those who wait in the backlog can be told to go instead of hanging there.
pub(super) struct Reserve(Option<File>);

impl Reserve {
    /// Takes the descriptor.
    pub(super) fn open() -> io::Result<Self> {
        place_holder().map(|file| Reserve(Some(file)))
    }

    /// Gives it up for a while.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    /// Takes it back, unless it is there or another thread was faster; then the next call tries again.
    pub(super) fn restore(&mut self) {
        if self.0.is_none() {
            self.0 = place_holder().ok();
        }
    }
}

/// std opens every file close-on-exec.
fn place_holder() -> io::Result<File> {
    File::open("/dev/null")
}
