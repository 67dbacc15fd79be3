//! L3, what a send answers: values only.

/// What became of bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a queue that grows tells that the peer does not keep up"]
pub enum Sent {
    /// The kernel has all of them.
    Written,
    /// They go out, with everything else sent to this connection in this turn, when the turn ends.
    Staged,
    /// The kernel takes no more for now; so many bytes wait for it, these among them.
    Queued {
        /// Bytes waiting in user space.
        pending: usize,
    },
}

/// Why nothing was sent. The bytes were not taken, not even in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is no more.
    #[error("the connection is gone")]
    Gone,
    /// The connection is closing, or not open yet.
    #[error("the connection takes no more: it is closing, or not open yet")]
    Closing,
    /// The queue is full: wait until it has drained.
    #[error("the connection's queue is full: {pending} bytes wait already")]
    Full {
        /// Bytes waiting in user space.
        pending: usize,
    },
    /// The system has no randomness, without which a client may not send (RFC 6455 §5.3).
    #[error("nothing can be sent: the system has no randomness for the masking key")]
    NoKeys,
    /// There is no memory for what the message becomes on its way out.
    #[error("nothing can be sent: there is no memory for it")]
    NoMemory,
    /// It would not even fit into an empty queue.
    #[error("{size} bytes can never be sent: the queue takes {limit} at most")]
    TooBig {
        /// What was to be sent, with its framing.
        size: usize,
        /// The queue's bound.
        limit: usize,
    },
}

/// Whether a send keeps to the queue's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It does, and is refused beyond.
    Kept,
    /// It does not: for control frames and last answers, which their protocol bounds.
    Exempt,
}
