//! What the benches of the codec share: frames as clients send them, and a loop that reads and echoes without any I/O.
//! The bytes of a read are copied in, which stands for the kernel.

use std::hint::black_box;
use std::ops::Range;

use gnezdo::ws::{Compress, Event, FrameHeader, Kind, Limits, MaskKey, Protocol, Workspace, mask};

/// The most that one read gives.
pub(crate) const READ: usize = 512 * 1024;

/// A masked frame that is a whole message.
pub(crate) fn client_frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let key = MaskKey([0x37, 0xFA, 0x21, 0x3D]);
    let header = FrameHeader { mask: Some(key), ..FrameHeader::message(kind, payload.len() as u64) };
    let mut wire = header.encode().as_bytes().to_vec();
    let start = wire.len();
    wire.extend_from_slice(payload);
    mask(&mut wire[start..], key);
    wire
}

/// So many bytes, or a few less, of `text` over and over: whole characters.
pub(crate) fn filled(text: &str, size: usize) -> Vec<u8> {
    text.bytes().cycle().take(size / text.len() * text.len()).collect()
}

/// A server's end of one connection.
pub(crate) struct Loop {
    pub(crate) protocol: Protocol,
    pub(crate) space: Workspace,
    pub(crate) limits: Limits,
    buffer: Vec<u8>,
}

impl Loop {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let limits = Limits { max_message: 1 << 24, max_frame: 1 << 24, ..Limits::default() };
        Self { protocol, space: Workspace::default(), limits, buffer: vec![0; READ] }
    }

    /// One read; every message in it is answered.
    pub(crate) fn read(&mut self, wire: &[u8]) {
        self.fill(wire);
        self.answer(0..wire.len());
    }

    /// What the kernel does in a read.
    pub(crate) fn fill(&mut self, wire: &[u8]) {
        self.buffer[..wire.len()].copy_from_slice(wire);
    }

    /// Answers every message in these bytes of what was filled in, as one read gives them.
    pub(crate) fn answer(&mut self, bytes: Range<usize>) {
        let mut input = &mut self.buffer[bytes];
        while let Some(event) = self.protocol.receive(&mut input, &mut self.space, &self.limits, 0) {
            if let Event::Message(payload) = event {
                let sent = self.protocol.encode(payload.message(), Compress::Auto, &mut self.space);
                black_box(sent.as_ref().map(|sent| (sent.head.as_bytes(), sent.payload)).ok());
                self.space.recycle(payload);
            }
        }
    }
}
