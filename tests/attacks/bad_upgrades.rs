//! R5: a request that is not a valid upgrade in every point never becomes a WebSocket.

use crate::kit::{Attack, Field, GOOD, SOON, request};

pub(crate) const ATTACK: Attack = Attack { name: "bad_upgrades", rules: "R5", run, ..Attack::DEFAULT };

/// Which line of the good request is replaced, and by what; nothing where it is left out.
const MUTANTS: [(usize, &str); 24] = [
    (0, "POST /chat HTTP/1.1"),
    (0, "HEAD /chat HTTP/1.1"),
    (0, "get /chat HTTP/1.1"),
    (0, "GET /chat HTTP/1.0"),
    (0, "GET /chat HTTP/2.0"),
    (0, "GET /chat HTTP/0.9"),
    (0, "GET chat HTTP/1.1"),
    (1, ""),
    (1, "Host: a\r\nHost: b"),
    (1, "Host: a b"),
    (2, ""),
    (2, "Upgrade: h2c"),
    (2, "Upgrade: websockets"),
    (3, ""),
    (3, "Connection: keep-alive"),
    (3, "Connection: notUpgrade"),
    (4, ""),
    (4, "Sec-WebSocket-Key: abc"),
    (4, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
    (4, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    (5, ""),
    (5, "Sec-WebSocket-Version: 12"),
    (5, "Sec-WebSocket-Version: 013"),
    (5, "Sec-WebSocket-Version: 13, 13"),
];

fn run(field: &Field) {
    for (line, mutant) in MUTANTS {
        let mut lines = GOOD.to_vec();
        if mutant.is_empty() {
            lines.remove(line);
        } else {
            lines[line] = mutant;
        }
        let mut peer = field.connect();
        peer.send(&request(&lines));
        let status = peer.status();
        assert!(matches!(status, None | Some(400..=599)), "{mutant:?} for line {line}: {status:?}");
        peer.expect_end(SOON);
    }
    field.note(format!("{} of {0} refused", MUTANTS.len()));
}
