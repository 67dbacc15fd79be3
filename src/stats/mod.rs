//! L0, what is counted: plain numbers that are added up over time and over several loops; knows nothing of what they count.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod turns;

pub use turns::Turns;

/// Declares counts that are added up, and listed by their names, field by field.
macro_rules! counts {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $field:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$what])* pub $field: u64,)+
        }

        impl $name {
            /// Adds those of another loop.
            pub fn merge(&mut self, other: &Self) {
                $(add(&mut self.$field, other.$field);)+
            }

            /// Each with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }
        }
    };
}

counts! {
    /// Connections by the ways they came.
    Arrivals {
        /// Accepted by a listener.
        accepted,
        /// Asked for by [`Context::connect`](crate::Context::connect).
        dialled,
        /// Those of them that an address answered.
        connected,
    }
}

counts! {
    /// Bytes that the kernel took and gave: with TLS the encrypted ones.
    Bytes {
        /// Received.
        received,
        /// Sent.
        sent,
    }
}

counts! {
    /// What goes over WebSocket connections.
    Messages {
        /// Messages of text.
        texts,
        /// Messages of anything else.
        binaries,
        /// Pings (RFC 6455 §5.5.2).
        pings,
        /// Pongs (RFC 6455 §5.5.3).
        pongs,
    }
}

counts! {
    /// Requests to our WebSocket listeners, by what became of them. The others are held still, or their connections ended
    /// before they were decided.
    Requests {
        /// Became a WebSocket connection.
        accepted,
        /// Answered by the handler, by HTTP.
        answered,
        /// Answered without the handler, because they broke a rule, or asked for no WebSocket and were accepted.
        refused,
        /// Cut off without an answer as the oldest of too many ([`Config::max_opening`](field@crate::Config::max_opening)).
        crowded_out,
    }
}

counts! {
    /// What was not let in, or not let out.
    Refusals {
        /// How often a listener began to wait at [`Settings::max_connections`](crate::Settings::max_connections).
        no_room,
        /// How often a listener began to wait because descriptors or memory had run out.
        no_descriptors,
        /// Connections that broke before they were accepted.
        broken,
        /// Connections that were accepted and closed at once, because the loop could not take them in.
        turned_away,
        /// Connections that were asked for and not even tried.
        connects,
        /// Messages for which a queue had no room ([`SendError::Full`](crate::SendError::Full),
        /// [`SendError::TooBig`](crate::SendError::TooBig)).
        sends,
    }
}

counts! {
    /// TLS handshakes that are over.
    Handshakes {
        /// Completed.
        done,
        /// Not completed when their connection ended, for whatever reason.
        failed,
    }
}

counts! {
    /// Connections that are over, by what [`Closed::reason`](crate::Closed::reason) says: each that was accepted or asked for
    /// is counted once, whether its handler met it or not.
    Ends {
        /// By a closing handshake that began here.
        closed_here,
        /// By a closing handshake that the peer began.
        closed_by_peer,
        /// The peer broke the protocol.
        protocol,
        /// The peer ended its stream.
        end_of_stream,
        /// Finished here, with everything flushed: after an answer by HTTP, too.
        finished,
        /// [`Timeout::Connect`](crate::Timeout::Connect).
        connect_timeout,
        /// [`Timeout::Opening`](crate::Timeout::Opening).
        opening_timeout,
        /// [`Timeout::Idle`](crate::Timeout::Idle).
        idle_timeout,
        /// [`Timeout::Close`](crate::Timeout::Close).
        close_timeout,
        /// [`Timeout::Write`](crate::Timeout::Write).
        write_timeout,
        /// Cut off here.
        aborted,
        /// Cut off because most of what waited for all was this one's.
        crowded,
        /// Cut off because the peer did not keep up with what was published.
        overflowed,
        /// Never stood.
        not_connected,
        /// The server refused our request for a WebSocket.
        refused,
        /// The stream failed.
        lost,
        /// They did not come by a trusted proxy, or not as one has them come.
        proxy,
        /// TLS failed.
        tls,
    }
}

impl Ends {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each().map(|(_, count)| count).sum()
    }
}

/// Counts so many more. No count ever comes to the end of 64 bits, so this needs no more than an addition.
#[inline]
pub(crate) fn add(count: &mut u64, more: u64) {
    *count = count.wrapping_add(more);
}

/// Counts one more.
#[inline]
pub(crate) fn add_one(count: &mut u64) {
    add(count, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_up_field_by_field() {
        let mut sum = Bytes { received: 1, sent: 2 };
        sum.merge(&Bytes { received: 30, sent: 40 });
        assert_eq!(sum, Bytes { received: 31, sent: 42 });
    }

    #[test]
    fn counts_are_listed_by_their_names() {
        let listed: Vec<_> = Handshakes { done: 7, failed: 8 }.each().collect();
        assert_eq!(listed, [("done", 7), ("failed", 8)]);
    }

    #[test]
    fn the_total_has_every_end() {
        let ends = Ends { closed_here: 1, write_timeout: 10, tls: 100, ..Ends::default() };
        assert_eq!(ends.total(), 111);
    }
}
