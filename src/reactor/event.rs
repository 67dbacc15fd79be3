//! L3, what the system's events are about, and what they say of it: knows tokens and readiness.

use crate::net::{Key as Token, Readiness};
use crate::reactor::ListenerId;
use crate::reactor::connection::{Connection, Flags};
use crate::slab::Key;

/// What an event says about a connection. What is over is met by a read, and by a write (R27).
pub(super) fn flags_of(readiness: Readiness) -> Flags {
    let mut flags = Flags::none();
    if readiness.is_readable() {
        flags.set(Flags::READABLE);
    }
    if readiness.is_writable() {
        flags.set(Flags::WRITABLE);
    }
    if readiness.contains(Readiness::HANGUP) {
        flags.set(Flags::HUNG_UP);
    }
    if readiness.contains(Readiness::HANGUP) || readiness.contains(Readiness::READ_CLOSED) {
        flags.set(Flags::HALF_CLOSED);
        flags.set(Flags::READABLE);
    }
    flags
}

impl<P> Connection<P> {
    /// The token a connection is registered under.
    pub(super) fn token(key: Key) -> Token {
        Token(key.to_bits())
    }
}

/// The token a listener is registered under: its key with a bit that no index of a connection reaches.
pub(super) fn listener_token(id: ListenerId) -> Token {
    Token(id.0.to_bits() | LISTENER)
}

pub(super) fn listener_of(token: Token) -> Option<ListenerId> {
    (token.0 & LISTENER != 0).then(|| Key::from_bits(token.0 & !LISTENER)).flatten().map(ListenerId)
}

/// The highest bit of an index: there are fewer than 2^31 descriptors.
const LISTENER: u64 = 1 << 31;
