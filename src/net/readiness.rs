//! What a poll answers: readiness bits under the key that was registered; knows not what the key means.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// The word a socket was registered under, handed back with each of its events. Its meaning is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl Key {
    /// The one key that cannot be registered: the waker has it.
    pub const RESERVED: Key = Key(u64::MAX);
}

/// One socket's readiness, as one poll saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What the socket was registered under.
    pub key: Key,
    /// What it may be ready for; a hint.
    pub readiness: Readiness,
}

/// A set of readiness bits.
///
/// Whatever says "over" — a hang-up, an error, the peer's last byte — comes with [`READABLE`](Readiness::READABLE), and
/// a hang-up or an error with [`WRITABLE`](Readiness::WRITABLE) too, so that the next receive or send meets the end of
/// stream or the error. A loop may therefore act on those two alone.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Readiness = Readiness(0);
    /// A receive (or an accept) may get something.
    pub const READABLE: Readiness = Readiness(1);
    /// A send may get something out.
    pub const WRITABLE: Readiness = Readiness(1 << 1);
    /// Both directions are over, or the connection failed.
    pub const HANGUP: Readiness = Readiness(1 << 2);
    /// The peer has sent its last byte; there may be bytes before it.
    pub const READ_CLOSED: Readiness = Readiness(1 << 3);

    /// The bits with their names, in the order they are shown.
    const NAMES: [(Readiness, &str); 4] = [
        (Readiness::READABLE, "READABLE"),
        (Readiness::WRITABLE, "WRITABLE"),
        (Readiness::HANGUP, "HANGUP"),
        (Readiness::READ_CLOSED, "READ_CLOSED"),
    ];

    /// Whether all bits of `other` are in this set.
    #[must_use]
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }

    /// Whether a receive may get something, be it the end of the stream or an error.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.contains(Readiness::READABLE)
    }

    /// Whether a send may get something out, be it an error.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.contains(Readiness::WRITABLE)
    }

    /// The bits that follow from the others: what is over must be met by a read or a write.
    #[must_use]
    pub const fn with_consequences(self) -> Readiness {
        let mut bits = self.0;
        if bits & Readiness::HANGUP.0 != 0 {
            bits |= Readiness::READABLE.0 | Readiness::WRITABLE.0;
        }
        if bits & Readiness::READ_CLOSED.0 != 0 {
            bits |= Readiness::READABLE.0;
        }
        Readiness(bits)
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    fn bitor(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Readiness) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Readiness::NAMES.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name);
        formatter.write_str(names.next().unwrap_or(&"NONE"))?;
        names.try_for_each(|name| write!(formatter, " | {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_two_words() {
        assert_eq!(size_of::<Event>(), 16);
    }

    #[test]
    fn what_is_over_is_met_by_a_read() {
        let hangup = Readiness::HANGUP.with_consequences();
        assert!(hangup.is_readable() && hangup.is_writable());
        let half_closed = Readiness::READ_CLOSED.with_consequences();
        assert!(half_closed.is_readable() && !half_closed.is_writable());
        assert!(Readiness::NONE.with_consequences().is_empty());
    }

    #[test]
    fn bits_are_shown_by_name() {
        assert_eq!(format!("{:?}", Readiness::NONE), "NONE");
        assert_eq!(format!("{:?}", Readiness::READABLE | Readiness::HANGUP), "READABLE | HANGUP");
    }

    #[test]
    fn bits_come_and_go() {
        let mut both = Readiness::READABLE;
        both |= Readiness::WRITABLE;
        assert!(both.contains(Readiness::READABLE | Readiness::WRITABLE));
        assert_eq!(both.without(Readiness::READABLE), Readiness::WRITABLE);
        assert!(!Readiness::READABLE.contains(both));
    }
}
