//! What goes out: a message's head and payload, and whole control frames, masked where a client sends them (RFC 6455 §5.1,
//! §5.5). Knows nothing of when what may be sent.

use super::close::CloseFrame;
use super::frame::{FrameHead, FrameHeader, OpCode};
use super::keys::NoKeys;
use super::mask::{MaskKey, mask};
use crate::buf::NoMemory;

/// Why nothing was made to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// A closing connection sends no more messages (RFC 6455 §5.5.1).
    #[error("the connection is closing or closed")]
    NotOpen,
    /// A client sends nothing without a masking key (RFC 6455 §5.3); see [`MaskKeys`](super::MaskKeys).
    #[error("no masking keys are left")]
    NoKeys,
    /// There is no memory for the masked form of the message.
    #[error("no memory for a message")]
    NoMemory,
}

impl From<NoMemory> for NotSent {
    fn from(_: NoMemory) -> NotSent {
        NotSent::NoMemory
    }
}

impl From<NoKeys> for NotSent {
    fn from(_: NoKeys) -> NotSent {
        NotSent::NoKeys
    }
}

/// Whether a message may be compressed, when compression was agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// If it is long enough to be worth it.
    #[default]
    Auto,
    /// Never: for messages with secrets beside text that others choose (the lengths leak, as in CRIME and BREACH), and for
    /// what is compressed already.
    Never,
}

/// A message as it goes onto the wire: the head, then the payload.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'m> {
    /// The frame's head.
    pub head: FrameHead,
    /// The bytes that follow it: the message's own, or their compressed or masked form in the workspace.
    pub payload: &'m [u8],
}

impl Outgoing<'_> {
    /// Appends the whole frame to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(self.payload);
    }
}

/// Appends a Close that says this.
pub(super) fn write_close(close: Option<CloseFrame>, key: Option<MaskKey>, out: &mut Vec<u8>) {
    let length = close.as_ref().map_or(0, CloseFrame::payload_len);
    let payload = write_head(OpCode::Close, length, key, out);
    if let Some(close) = close {
        close.payload_into(out);
    }
    mask_from(payload, key, out);
}

/// Appends a ping or a pong.
pub(super) fn write_control(opcode: OpCode, payload: &[u8], key: Option<MaskKey>, out: &mut Vec<u8>) {
    let start = write_head(opcode, payload.len(), key, out);
    out.extend_from_slice(payload);
    mask_from(start, key, out);
}

/// Appends the head of a control frame, and says where its payload begins.
fn write_head(opcode: OpCode, length: usize, key: Option<MaskKey>, out: &mut Vec<u8>) -> usize {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    let header = FrameHeader { opcode, last: true, compressed: false, mask: key, length };
    out.extend_from_slice(header.encode().as_bytes());
    out.len()
}

/// RFC 6455 §5.1: a client masks all frames that it sends, control frames too.
fn mask_from(start: usize, key: Option<MaskKey>, out: &mut [u8]) {
    if let (Some(key), Some(payload)) = (key, out.get_mut(start..)) {
        mask(payload, key);
    }
}
