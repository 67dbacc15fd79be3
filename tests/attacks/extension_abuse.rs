//! R3: hostile extension offers are declined one by one, never an error, and no answer agrees to what was not offered.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Field, SOON, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "extension_abuse",
    rules: "R3",
    cpu: Some(Duration::from_millis(50)),
    run,
    ..Attack::DEFAULT
};

/// Of each, whether the whole is malformed, so that the request may be refused.
fn run(field: &Field) {
    let backslashes = format!("permessage-deflate; client_max_window_bits=\"{}", "\\".repeat(14_000));
    let repeated = format!("permessage-deflate{}", "; server_no_context_takeover".repeat(400));
    let mut slowest = Duration::ZERO;
    for offer in [
        backslashes.as_str(),
        repeated.as_str(),
        "permessage-deflate; constructor",
        "permessage-deflate; __proto__=1",
        "permessage-deflate; toString; valueOf; hasOwnProperty",
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=99999999999999999999",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=-1",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=11",
        "permessage-deflate; client_no_context_takeover=1",
        "constructor, __proto__, x-webkit-deflate-frame",
        "permessage-deflate permessage-deflate",
        ",,,,;;;;====\"\"\"",
    ] {
        let (mut peer, began) = (field.connect(), Instant::now());
        peer.send(&upgrade(&[&format!("Sec-WebSocket-Extensions: {offer}")]));
        let head = peer.head().unwrap_or_default().to_ascii_lowercase();
        slowest = slowest.max(began.elapsed());
        assert!(head.starts_with("http/1.1 101 ") || head.starts_with("http/1.1 4"), "{offer:.60}: {head:?}");
        assert!(!head.contains("sec-websocket-extensions"), "{offer:.60} was agreed to: {head:?}");
        if head.starts_with("http/1.1 4") {
            peer.expect_end(SOON);
        } else {
            peer.expect_echo("not compressed");
        }
    }
    field.note(format!("slowest answer {} ms", slowest.as_millis()));
    assert!(slowest < SOON, "{slowest:?}");
}
