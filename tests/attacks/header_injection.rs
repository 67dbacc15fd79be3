//! R10: nothing that a request says comes back as a line of the answer.

use crate::kit::{Attack, Field, GOOD, request, upgrade, upgrade_to};

pub(crate) const ATTACK: Attack = Attack { name: "header_injection", rules: "R10", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let targets = [
        "/%0d%0aInjected:%20yes",
        "/?a=%0aInjected:%20yes",
        "/\u{010d}\u{010a}Injected:",
        "http://Injected:1/",
    ];
    let mut requests: Vec<Vec<u8>> = targets.iter().map(|target| upgrade_to(target)).collect();
    for line in [
        "Sec-WebSocket-Protocol: a\rInjected: yes",
        "Sec-WebSocket-Protocol: a\nInjected: yes",
        "Sec-WebSocket-Protocol: Injected:, yes",
        "Sec-WebSocket-Protocol: chat\0Injected: yes",
        "Sec-WebSocket-Extensions: permessage-deflate; Injected: yes",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\\\r\nInjected: yes\"",
        "Cookie: a=b\r\n Injected: yes",
        "Origin: http://Injected: yes",
    ] {
        requests.push(upgrade(&[line]));
    }
    requests.push(request(&[&["GET /\x0bInjected: HTTP/1.1"], &GOOD[1..]].concat()));
    for bytes in requests {
        let mut peer = field.connect();
        peer.send(&bytes);
        let head = peer.head().unwrap_or_default().to_ascii_lowercase();
        assert!(!head.contains("injected"), "{:?}: {head:?}", String::from_utf8_lossy(&bytes));
    }
}
