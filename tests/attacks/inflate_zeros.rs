//! R15: a gigabyte of zeros in a megabyte is refused at the limit of a message, and holds nobody else up.

use std::time::Duration;

use crate::kit::{Attack, Field, bomb, long_head};

pub(crate) const ATTACK: Attack = Attack {
    name: "inflate_zeros",
    rules: "R15",
    growth: 3 << 20,
    kept: 3 << 20,
    cpu: Some(Duration::from_millis(500)),
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let zeros = bomb::deflated(&vec![0; 1 << 20]);
    let payload = zeros.repeat(900);
    field.note(format!("{} KiB of 900 MiB", payload.len() / 1024));
    for fragmented in [false, true] {
        let mut peer = bomb::open(field);
        let mut bytes = Vec::new();
        if fragmented {
            for (at, piece) in payload.chunks(1_000).enumerate() {
                bytes.extend(long_head(if at == 0 { 0x42 } else { 0x00 }, true, 2, piece.len() as u64));
                bytes.extend([0; 4]);
                bytes.extend_from_slice(piece);
            }
        } else {
            bytes.extend(long_head(0xC2, true, 8, payload.len() as u64));
            bytes.extend([0; 4]);
            bytes.extend_from_slice(&payload);
        }
        peer.send(&bytes);
        let code = peer.close_code();
        assert!(matches!(code, None | Some(1009)), "{code:?}");
    }
}
