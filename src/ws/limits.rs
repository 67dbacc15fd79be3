//! What a peer may do before it is sent away (RFC 6455 §10.4). Knows nothing of how we ourselves behave.

/// How much a peer may ask of us. The defaults are strict; raise what your service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame, in payload bytes as announced on the wire; default 1 MiB. Over it: 1009.
    ///
    /// Raise it together with `max_message` when peers send large messages in one frame.
    pub max_frame: u64,
    /// The longest message, in bytes after reassembly and inflation; default 1 MiB. Over it: 1009.
    ///
    /// This bounds what one connection can make the process hold.
    pub max_message: usize,
    /// The most frames one message may come in; default 65,536. Over it: 1008.
    pub max_fragments: u32,
    /// The most empty non-final fragments in a row; default 64. Over it: 1008.
    pub max_empty_fragments: u32,
    /// How many pings a peer may send per second, and at once after a silence; default 100. Over it: 1008.
    pub pings_per_second: u32,
    /// Whether lengths must stand in the fewest bytes; default strict. Otherwise: 1002.
    pub lengths: Lengths,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_frame: 1 << 20,
            max_message: 1 << 20,
            max_fragments: 65_536,
            max_empty_fragments: 64,
            pings_per_second: 100,
            lengths: Lengths::Strict,
        }
    }
}

/// What to do with a length that stands in more bytes than it needs.
///
/// RFC 6455 §5.2 forbids a peer to send one; several servers let it pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lengths {
    /// Refuse it with 1002.
    #[default]
    Strict,
    /// Let it pass, for peers that cannot be mended.
    Lenient,
}
