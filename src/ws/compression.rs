//! What is agreed about compression in one direction, in words that need no DEFLATE library (RFC 7692 §7.1, §7.2).
//! Knows nothing of streams.

use super::extension::DeflateParams;

/// What one direction of a connection does about compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Nothing was agreed: no message is compressed.
    Plain,
    /// Each message starts with an empty window (RFC 7692 §7.1.1), so any stream of the loop can serve.
    PerMessage(WindowBits),
    /// The window lives on from message to message (RFC 7692 §7.2.3.2) and belongs to the connection.
    Takeover(WindowBits),
}

impl Agreement {
    /// What the server compresses with.
    pub(super) fn of_server(agreed: Option<DeflateParams>) -> Agreement {
        match agreed {
            None => Agreement::Plain,
            Some(agreed) if agreed.server_no_context_takeover => {
                Agreement::PerMessage(WindowBits::new(agreed.server_max_window_bits))
            }
            Some(agreed) => Agreement::Takeover(WindowBits::new(agreed.server_max_window_bits)),
        }
    }

    /// What the client compresses with.
    pub(super) fn of_client(agreed: Option<DeflateParams>) -> Agreement {
        match agreed {
            None => Agreement::Plain,
            Some(agreed) if agreed.client_no_context_takeover => {
                Agreement::PerMessage(WindowBits::new(agreed.client_max_window_bits))
            }
            Some(agreed) => Agreement::Takeover(WindowBits::new(agreed.client_max_window_bits)),
        }
    }
}

/// The base-2 logarithm of an LZ77 window, 8 to 15 (RFC 7692 §7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowBits(u8);

impl WindowBits {
    /// The largest window, which inflates what any smaller one compressed.
    pub(super) const MOST: WindowBits = WindowBits(15);

    pub(super) fn new(bits: u8) -> WindowBits {
        WindowBits(bits.clamp(8, 15))
    }

    /// The size to ask of the library, which has no raw window of 8 bits. One of 9 inflates its data; and
    /// compresses for it, too, since the library looks back at most the window's size less 262, here 250 bytes.
    #[cfg_attr(not(feature = "deflate"), expect(dead_code, reason = "there is no library to ask"))]
    pub(super) fn for_zlib(self) -> u8 {
        self.0.max(9)
    }
}

/// How far one step of inflating went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Bytes of input used up.
    pub(super) taken: usize,
    /// Bytes of output written, even when the verdict is bad.
    pub(super) made: usize,
    /// There was more room for output than it took: nothing more comes out without more input.
    pub(super) room_left: bool,
    /// A final block ended here, and a new stream begins (RFC 7692 §7.2.3.4).
    pub(super) ended: bool,
    /// Whether it was DEFLATE data.
    pub(super) verdict: Result<(), BadDeflate>,
}

/// The bytes are not DEFLATE data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadDeflate;

impl From<BadDeflate> for super::error::ProtocolError {
    fn from(_: BadDeflate) -> Self {
        super::error::ProtocolError::BadDeflate
    }
}

/// RFC 7692 §7.2.1: what a flush ends with, removed by the sender and put back by the receiver.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
