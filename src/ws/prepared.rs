//! A message made ready once for any number of connections: framed, and compressed once for each way of it. Knows nothing
//! of connections but what they agreed on.

use std::sync::Arc;

use super::compression::{Agreement, WindowBits};
use super::frame::{FrameHead, FrameHeader};
use super::mask::MaskKey;
use super::message::{Kind, Message, Text};
use super::outgoing::Compress;
use super::windows::Windows;
use super::workspace::Workspace;

/// A message for many: its bytes are shared by all connections that it is sent to, whatever their number.
///
/// It is compressed when it first meets a connection with which compression was agreed, once for each size of window and
/// level, and always with an empty window: so it inflates wherever it stands among other messages, and may be dropped on
/// the way. A connection whose own window lives on from message to message (RFC 7692 §7.1.1) goes on with an empty one
/// after it.
///
/// ```
/// use gnezdo::ws::Prepared;
///
/// let price = Prepared::new("GNZ 101.5").keyed(7);
/// assert_eq!((price.message().as_bytes(), price.key()), (&b"GNZ 101.5"[..], Some(7)));
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    kind: Kind,
    compress: Compress,
    key: Option<u64>,
    /// The message as a server sends it: a head and the payload.
    frame: Frame,
    /// The payload alone, for raw connections.
    payload: Option<Arc<[u8]>>,
    /// As it was compressed, or `None` where that made it no shorter.
    compressed: Vec<(Manner, Option<Frame>)>,
}

/// A whole frame of a server; its payload begins after so many bytes.
#[derive(Clone, Debug)]
struct Frame {
    bytes: Arc<[u8]>,
    head: usize,
    compressed: bool,
}

/// One way of compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    bits: WindowBits,
    level: u8,
    /// The shortest message that is compressed.
    from: usize,
}

impl Prepared {
    /// Copies the message once.
    #[must_use]
    pub fn new<'m>(message: impl Into<Message<'m>>) -> Prepared {
        let message = message.into();
        let frame = Frame::new(message.kind(), message.as_bytes(), None, false);
        let (payload, compressed) = (None, Vec::new());
        Prepared { kind: message.kind(), compress: Compress::Auto, key: None, frame, payload, compressed }
    }

    /// Says what the message is about: of those that wait with the same key only the latest is sent, to whoever asked for
    /// that.
    #[must_use]
    pub fn keyed(mut self, key: u64) -> Prepared {
        self.key = Some(key);
        self
    }

    /// Says whether it may be compressed; the default is [`Compress::Auto`].
    #[must_use]
    pub fn compress(mut self, compress: Compress) -> Prepared {
        self.compress = compress;
        self
    }

    /// What it is about.
    #[inline]
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        match self.kind {
            Kind::Text => Message::Text(Text::from_pieces(self.frame.payload())),
            Kind::Binary => Message::Binary(self.frame.payload()),
        }
    }

    /// As a server sends it that compresses nothing.
    #[inline]
    pub fn plain(&self) -> &Arc<[u8]> {
        &self.frame.bytes
    }

    /// Its bytes without a frame, for a stream that is no WebSocket; copied when first asked for.
    pub fn bytes(&mut self) -> &Arc<[u8]> {
        self.payload.get_or_insert_with(|| self.frame.payload().into())
    }

    /// As it is sent where this was agreed; `key` masks it, for a client's end. Says as well whether it is compressed.
    pub(super) fn agreed(
        &mut self,
        agreement: Agreement,
        key: Option<MaskKey>,
        space: &mut Workspace,
    ) -> (Arc<[u8]>, bool) {
        let compressed = self.compressed(agreement, space).unwrap_or(usize::MAX);
        let compressed = self.compressed.get(compressed).and_then(|(_, frame)| frame.as_ref());
        let frame = compressed.unwrap_or(&self.frame);
        let bytes = match key {
            None => Arc::clone(&frame.bytes),
            // RFC 6455 §5.3: no two frames of a client share a key, so no two share their bytes.
            Some(_) => Frame::new(self.kind, frame.payload(), key, frame.compressed).bytes,
        };
        (bytes, frame.compressed)
    }

    /// Where it stands compressed in this manner, after compressing it if need be.
    fn compressed(&mut self, agreement: Agreement, space: &mut Workspace) -> Option<usize> {
        let (Agreement::PerMessage(bits) | Agreement::Takeover(bits), Compress::Auto) =
            (agreement, self.compress)
        else {
            return None;
        };
        let (from, level) = space.compression();
        let manner = Manner { bits, level, from };
        let known = self.compressed.iter().position(|(other, _)| *other == manner);
        Some(known.unwrap_or_else(|| {
            let agreement = Agreement::PerMessage(bits);
            let shorter = space.compress(self.frame.payload(), agreement, &mut Windows::default());
            let frame = shorter.then(|| Frame::new(self.kind, space.outgoing(), None, true));
            self.compressed.push((manner, frame));
            self.compressed.len().saturating_sub(1)
        }))
    }
}

impl Frame {
    fn new(kind: Kind, payload: &[u8], mask: Option<MaskKey>, compressed: bool) -> Frame {
        let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let head: FrameHead = FrameHeader { compressed, mask, ..FrameHeader::message(kind, length) }.encode();
        let head = head.as_bytes();
        let mut bytes: Arc<[u8]> = head.iter().chain(payload).copied().collect();
        if let (Some(key), Some(bytes)) = (mask, Arc::get_mut(&mut bytes)) {
            super::mask::mask(bytes.get_mut(head.len()..).unwrap_or_default(), key);
        }
        Frame { bytes, head: head.len(), compressed }
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(self.head..).unwrap_or_default()
    }
}
