//! Frames by the letter of RFC 6455 §5.2, good ones and all the bad ones.

use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame as it is meant, before it is written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = String::from_utf8_lossy(&self.payload[..self.payload.len().min(40)]).into_owned();
        let (fin, rsv, opcode, length) = (self.fin, self.rsv, self.opcode, self.payload.len());
        write!(f, "Frame(fin {fin}, rsv {rsv}, opcode {opcode}, {length} bytes {start:?})")
    }
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, rsv: 0, opcode, payload: payload.as_ref().to_vec() }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, bytes)
    }

    pub(crate) fn more(payload: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, payload)
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PING, payload)
    }

    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// With FIN clear.
    pub(crate) fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    pub(crate) fn with_rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    pub(crate) fn first_byte(&self) -> u8 {
        u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode
    }

    /// The code of a Close; `None` where it is empty.
    pub(crate) fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "{self:?} is no Close");
        assert_ne!(self.payload.len(), 1, "half a code");
        self.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
    }

    /// As a client writes it.
    pub(crate) fn masked(&self) -> Vec<u8> {
        let key = next_key();
        let mut bytes = head(self.first_byte(), true, self.payload.len() as u64);
        bytes.extend_from_slice(&key);
        bytes.extend(self.payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
        bytes
    }

    /// As a server writes it, or a client that breaks RFC 6455 §5.1.
    pub(crate) fn bare(&self) -> Vec<u8> {
        let mut bytes = head(self.first_byte(), false, self.payload.len() as u64);
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// The first two to ten bytes: all but the masking key.
pub(crate) fn head(first: u8, masked: bool, length: u64) -> Vec<u8> {
    match length {
        0..=125 => vec![first, u8::from(masked) << 7 | length.to_be_bytes()[7]],
        126..=0xFFFF => long_head(first, masked, 2, length),
        _ => long_head(first, masked, 8, length),
    }
}

/// The same with the length in so many bytes, 2 or 8, whether it needs them or not.
pub(crate) fn long_head(first: u8, masked: bool, width: usize, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, u8::from(masked) << 7 | if width == 2 { 126 } else { 127 }];
    bytes.extend_from_slice(&length.to_be_bytes()[8 - width..]);
    bytes
}

fn next_key() -> [u8; 4] {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9).to_le_bytes()
}
