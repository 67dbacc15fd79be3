//! R8: no page of another site opens a connection, however its origin is written.

use crate::kit::{Attack, Field, GOOD, SOON, request};

pub(crate) const ATTACK: Attack = Attack { name: "origin_abuse", rules: "R8", run, ..Attack::DEFAULT };

const STRANGERS: [&str; 16] = [
    "Origin: null",
    "Origin:",
    "Origin: http://good.example.com:81",
    "Origin: https://good.example.com.evil.com",
    "Origin: https://evilgood.example.com",
    "Origin: https://evil.com/good.example.com",
    "Origin: https://good.example.com@evil.com",
    "Origin: https://evil.com#good.example.com",
    "Origin: https://evil.com?good.example.com",
    "Origin: https://evil.com:80:good.example.com",
    "Origin: https://www.good.example.com",
    "Origin: https://example.com",
    "Origin: HTTPS://GOOD.EXAMPLE.COM",
    "Origin: file://good.example.com",
    "Origin: good.example.com",
    "Origin: http://good.example.com\r\nOrigin: http://good.example.com",
];

fn run(field: &Field) {
    for stranger in STRANGERS {
        let status = asked(field, stranger);
        assert!(matches!(status, Some(400 | 403)), "{stranger:?}: {status:?}");
    }
    assert_eq!(asked(field, "Origin: http://good.example.com"), Some(101));
}

fn asked(field: &Field, origin: &str) -> Option<u16> {
    let mut lines = GOOD.to_vec();
    lines[1] = "Host: good.example.com";
    lines.push(origin);
    let mut peer = field.connect();
    peer.send(&request(&lines));
    let status = peer.status();
    if status != Some(101) {
        peer.expect_end(SOON);
    }
    status
}
