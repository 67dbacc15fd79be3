//! R1, R4, R5: bytes that are no HTTP at all, a TLS hello among them, are answered by 4xx or an end.

use std::time::Duration;

use crate::kit::{Attack, Dice, Field, upgrade};

pub(crate) const ATTACK: Attack = Attack { name: "garbage_heads", rules: "R1 R5", run, ..Attack::DEFAULT };

const HELLO: &[u8] = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n";

fn run(field: &Field) {
    let (mut dice, good) = (Dice::new(1), upgrade(&[]));
    let mut accepted = 0;
    for round in 0..field.up_to(2_000) {
        let mut bytes = match round % 4 {
            0 => HELLO.to_vec(),
            1 => vec![0; 20_000],
            2 => dice.bytes(200),
            _ => good.clone(),
        };
        if round % 4 == 3 {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut peer = field.connect();
        peer.send(&bytes);
        peer.shut();
        let (answer, _) = peer.rest(Duration::from_secs(5));
        let text = String::from_utf8_lossy(&answer).into_owned();
        // A changed path or host name leaves a request good.
        accepted += usize::from(text.starts_with("HTTP/1.1 101 "));
        assert!(
            text.is_empty()
                || text.starts_with("HTTP/1.1 101 ")
                || text.starts_with("HTTP/1.1 4")
                || text.starts_with("HTTP/1.1 5"),
            "{:?}: {text:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    field.note(format!("{accepted} of them were good by chance"));
}
