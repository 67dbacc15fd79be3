//! What the attacks on permessage-deflate (RFC 7692) share: an agreement, and raw deflate data.

use flate2::{Compress, Compression, FlushCompress};

use super::{Field, Peer, upgrade};

/// Upgraded, and agreed on compression. Where the server does not agree, there is nothing to attack.
pub(crate) fn open(field: &Field) -> Peer {
    let mut peer = field.connect();
    peer.send(&upgrade(&["Sec-WebSocket-Extensions: permessage-deflate"]));
    let head = peer.head().unwrap().to_ascii_lowercase();
    assert!(head.contains("permessage-deflate"), "the server agrees to no compression: {head:?}");
    peer
}

/// Raw deflate data up to an empty stored block, which can be repeated and cut off at will.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() + 1_000);
    compress.compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
    out
}
