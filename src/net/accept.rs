//! Why an accept gave no connection, sorted by what must be done next: knows no listener.

use std::io;

/// Why [`System::accept`](super::System::accept) gave no connection.
///
/// Most errors of accept(2) concern the one connection that was to be taken, or the state of the whole process; few
/// concern the listener. What to do differs, and so do the variants.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nobody waits. Stop until the next event.
    #[error("no connection is waiting")]
    WouldBlock,
    /// The connection broke before it was taken. Call again at once.
    #[error("the connection broke before it was accepted")]
    Retry,
    /// Descriptors or memory have run out. No event will come for those who wait: call again when one was
    /// freed or after a moment; they wait in the kernel's backlog meanwhile. More descriptors: `ulimit -n`, or fewer connections. It is said also
    /// when nobody waits, for the kernel takes the descriptor before it looks at the queue.
    #[error("out of descriptors or memory (raise `ulimit -n` or lower the limit of connections)")]
    Exhausted,
    /// The listener itself is broken. Close it.
    #[error("the listener is broken: {0}")]
    Broken(#[source] io::Error),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        let Some(code) = error.raw_os_error() else { return AcceptError::from_kind(error) };
        if code == libc::EAGAIN || code == libc::EWOULDBLOCK {
            AcceptError::WouldBlock
        } else if EXHAUSTED.contains(&code) {
            AcceptError::Exhausted
        } else if TRANSIENT.contains(&code) {
            AcceptError::Retry
        } else {
            AcceptError::Broken(error)
        }
    }
}

impl AcceptError {
    /// Sorts an error that carries no number, as a simulated system may make it.
    fn from_kind(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => AcceptError::WouldBlock,
            io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut => AcceptError::Retry,
            io::ErrorKind::OutOfMemory => AcceptError::Exhausted,
            _ => AcceptError::Broken(error),
        }
    }
}

/// The process or the system has run out of something.
const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// Errors that belong to the connection, not to the listener. accept(2) says "Linux `accept()` passes already-pending network
/// errors on the new socket as an error code from `accept()`"; EPERM comes from a firewall.
const TRANSIENT: [i32; 14] = [
    libc::EINTR,
    libc::ECONNABORTED,
    libc::ECONNRESET,
    libc::ETIMEDOUT,
    libc::EPERM,
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    libc::EOPNOTSUPP,
    ENONET,
    libc::ENETRESET,
];

/// "Machine is not on the network", which only Linux knows; elsewhere a neighbour that does no harm twice.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ENONET: i32 = libc::ENONET;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ENONET: i32 = libc::ENETDOWN;

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(code: i32) -> AcceptError {
        AcceptError::from(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn would_block_ends_the_accept_loop() {
        assert!(matches!(sort(libc::EAGAIN), AcceptError::WouldBlock));
        assert!(matches!(
            AcceptError::from(io::Error::from(io::ErrorKind::WouldBlock)),
            AcceptError::WouldBlock
        ));
    }

    #[test]
    fn pending_network_errors_of_the_connection_are_retried() {
        for code in TRANSIENT {
            assert!(matches!(sort(code), AcceptError::Retry), "{code}");
        }
    }

    #[test]
    fn exhaustion_pauses_the_listener() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(matches!(sort(code), AcceptError::Exhausted), "{code}");
        }
    }

    #[test]
    fn what_concerns_the_listener_stops_it() {
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EFAULT] {
            assert!(matches!(sort(code), AcceptError::Broken(_)), "{code}");
        }
        assert!(matches!(AcceptError::from(io::Error::other("odd")), AcceptError::Broken(_)));
    }
}
