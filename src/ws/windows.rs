//! The DEFLATE streams that belong to one connection, since their windows live on from message to message (RFC 7692
//! §7.1.1). Knows nothing of messages.

use super::deflate::{Deflater, Inflater};

/// One pointer, which is null for most connections: nothing was agreed, or windows are not kept.
#[derive(Debug, Default)]
pub(super) struct Windows(Option<Box<Pair>>);

/// One stream for each direction, made when a message first needs it.
#[derive(Debug, Default)]
struct Pair {
    inflater: Option<Box<Inflater>>,
    deflater: Option<Box<Deflater>>,
}

impl Windows {
    /// The peer's stream, unless a message is in the middle of it or none came yet.
    pub(super) fn take_inflater(&mut self) -> Option<Box<Inflater>> {
        self.0.as_mut()?.inflater.take()
    }

    /// The peer's stream, between two messages.
    pub(super) fn keep_inflater(&mut self, inflater: Box<Inflater>) {
        self.0.get_or_insert_default().inflater = Some(inflater);
    }

    /// The place of our own stream.
    pub(super) fn deflater(&mut self) -> &mut Option<Box<Deflater>> {
        &mut self.0.get_or_insert_default().deflater
    }

    /// Has our own stream begin anew with an empty window, if there is one: the peer's has moved without it.
    pub(super) fn restart_deflater(&mut self) {
        if let Some(deflater) = self.0.as_mut().and_then(|pair| pair.deflater.as_mut()) {
            deflater.reset();
        }
    }

    /// Drops both.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
