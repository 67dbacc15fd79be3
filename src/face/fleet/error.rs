//! L4, what may go wrong with a fleet beside what may go wrong with each of its reactors.

use std::io;

use crate::face::Error;

/// Why a fleet could not be had, or which of its threads ended it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// There are no threads, or too many.
    #[error("a fleet of {0} threads: give it 1 to 1,024")]
    Threads(usize),
    /// A successor would get the listeners of one thread alone.
    #[error(
        "several threads cannot be taken over: use `Listen::takeover` with a fleet of one, or with a `Reactor`"
    )]
    Takeover,
    /// The system gave no thread.
    #[error("thread {thread} of the fleet could not be started ({source}): take fewer, or raise `ulimit -u`")]
    NotStarted {
        /// Its number.
        thread: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A handler panicked, or the function that makes them.
    #[error("thread {thread} of the fleet panicked: {message}")]
    Panicked {
        /// The number of the thread.
        thread: usize,
        /// What the panic said.
        message: String,
    },
    /// The loop of a thread could not begin, or not go on.
    #[error("thread {thread} of the fleet failed: {source}")]
    Failed {
        /// Its number.
        thread: usize,
        /// Why.
        source: Box<Error>,
    },
}
