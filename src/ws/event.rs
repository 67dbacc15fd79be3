//! What comes out of the codec: messages, control frames, the end. Knows nothing of how they came in.

use std::fmt;

use super::close::CloseFrame;
use super::error::ProtocolError;
use super::frame::MAX_CONTROL;
use super::message::{Kind, Message, Text};
use crate::buf::Buffer;

/// One thing that the peer did.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole message. Give the payload back with [`Workspace::recycle`](super::Workspace::recycle) afterwards.
    Message(Payload<'a>),
    /// A ping, to be answered with [`Protocol::pong`](super::Protocol::pong). Of several pings that wait for
    /// an answer only the latest need get one (RFC 6455 §5.5.3).
    Ping(Control),
    /// A pong, asked for or not.
    Pong(Control),
    /// The peer's Close, and what it said. It has been answered if it was not itself the answer.
    Close(Option<CloseFrame>),
    /// The peer broke a rule. The Close that says so has been written; nothing else will be read.
    Failed(ProtocolError),
}

/// The bytes of a message that has arrived: lent out of the receive buffer, or put together in one of their own.
#[derive(Debug)]
pub enum Payload<'a> {
    /// It arrived whole and lies unmasked where it was received.
    Lent(Message<'a>),
    /// It arrived in pieces, or compressed.
    Assembled(Assembly),
}

impl Payload<'_> {
    /// The message.
    #[inline]
    pub fn message(&self) -> Message<'_> {
        match self {
            Payload::Lent(message) => *message,
            Payload::Assembled(assembly) => assembly.message(),
        }
    }
}

/// A message in a buffer of its own, which belongs to a pool.
#[derive(Debug)]
pub struct Assembly {
    kind: Kind,
    buffer: Buffer,
}

impl Assembly {
    /// The message in this buffer; if it is text, every piece of it has passed the validator.
    pub(super) fn from_checked(kind: Kind, buffer: Buffer) -> Assembly {
        Assembly { kind, buffer }
    }

    /// The message.
    #[inline]
    pub fn message(&self) -> Message<'_> {
        match self.kind {
            Kind::Text => Message::Text(Text::from_pieces(self.buffer.filled())),
            Kind::Binary => Message::Binary(self.buffer.filled()),
        }
    }

    /// The buffer, for the pool.
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

/// The payload of a ping or a pong: at most 125 bytes (RFC 6455 §5.5), kept inline.
#[derive(Clone, Copy)]
pub struct Control {
    bytes: [u8; Control::MAX],
    length: u8,
}

impl Control {
    /// The longest payload of a control frame.
    pub const MAX: usize = MAX_CONTROL as usize;

    /// A payload, unless it is longer than 125 bytes.
    pub fn new(payload: &[u8]) -> Option<Control> {
        let mut control = Control::EMPTY;
        control.append(payload).then_some(control)
    }

    /// No payload.
    pub(super) const EMPTY: Control = Control { bytes: [0; Control::MAX], length: 0 };

    /// The payload.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Appends a piece if there is room for it, and says whether there was.
    pub(super) fn append(&mut self, piece: &[u8]) -> bool {
        let free = self.bytes.get_mut(usize::from(self.length)..).unwrap_or_default();
        let (Some(target), Ok(count)) = (free.get_mut(..piece.len()), u8::try_from(piece.len())) else {
            return false;
        };
        target.copy_from_slice(piece);
        self.length = self.length.saturating_add(count);
        true
    }
}

impl Default for Control {
    fn default() -> Self {
        Control::EMPTY
    }
}

impl AsRef<[u8]> for Control {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Control {}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control(b\"{}\")", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_payload_is_at_most_125_bytes() {
        assert_eq!(Control::new(&[7; 124]).unwrap().as_bytes(), [7; 124]);
        assert_eq!(Control::new(&[7; 125]).unwrap().as_bytes(), [7; 125]);
        assert!(Control::new(&[7; 126]).is_none());
    }

    #[test]
    fn a_control_payload_is_its_bytes() {
        let control = Control::new(b"\xFF?").unwrap();
        assert!(control != Control::new(b"\xFF").unwrap());
        assert_eq!(format!("{control:?}"), "Control(b\"\\xff?\")");
        assert_eq!(AsRef::<[u8]>::as_ref(&control), b"\xFF?");
    }
}
