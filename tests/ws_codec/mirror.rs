//! Turns what one end sends into what the other would: masked frames into plain ones and back, read by the book and not with
//! the crate's own decoder.

use gnezdo::ws::DeflateParams;

/// A key for frames that have none.
const KEY: [u8; 4] = [0xA5, 0x00, 0xFF, 0x3C];

/// What came of it.
pub(crate) struct Mirrored {
    /// Each masked frame unmasked and each unmasked one masked, up to the end of the wire, wherever that is.
    pub(crate) wire: Vec<u8>,
    /// What the frames were masked with, if they were.
    pub(crate) keys: Vec<Option<[u8; 4]>>,
    /// Whether the wire ended inside a frame's head, where it cannot be mirrored faithfully.
    pub(crate) cut: bool,
}

/// Mirrors what was sent.
pub(crate) fn mirror(wire: &[u8]) -> Mirrored {
    let (mut out, mut keys, mut rest) = (Vec::new(), Vec::new(), wire);
    while !rest.is_empty() {
        let Some((head, length)) = head_of(rest) else {
            out.push(rest[0]);
            out.extend(rest.get(1).map(|second| second ^ 0x80));
            out.extend_from_slice(rest.get(2..).unwrap_or_default());
            return Mirrored { wire: out, keys, cut: true };
        };
        let masked = head[1] & 0x80 != 0;
        out.extend([head[0], head[1] ^ 0x80]);
        out.extend_from_slice(&head[2..]);
        rest = &rest[head.len()..];
        let key = if masked {
            let Some((key, payload)) = rest.split_first_chunk::<4>() else {
                return Mirrored { wire: out, keys, cut: true };
            };
            rest = payload;
            *key
        } else {
            out.extend_from_slice(&KEY);
            KEY
        };
        let payload = &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        rest = &rest[payload.len()..];
        keys.push(masked.then_some(key));
    }
    Mirrored { wire: out, keys, cut: false }
}

/// The bytes before the key, when all are there, and how long the payload is to be.
fn head_of(wire: &[u8]) -> Option<(&[u8], u64)> {
    let short = wire.get(1)? & 0x7F;
    let size = match short {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let head = wire.get(..size)?;
    let long = head[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some((head, if size == 2 { u64::from(short) } else { long }))
}

/// What the client and the server agreed on, with the two exchanged.
pub(crate) fn mirrored_params(params: DeflateParams) -> DeflateParams {
    DeflateParams {
        server_max_window_bits: params.client_max_window_bits,
        client_max_window_bits: params.server_max_window_bits,
        server_no_context_takeover: params.client_no_context_takeover,
        client_no_context_takeover: params.server_no_context_takeover,
        ..params
    }
}
