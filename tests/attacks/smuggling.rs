//! R6: whatever another server might read as two requests is refused, and its connection ends.

use crate::kit::{Attack, Field, GOOD, SOON};

pub(crate) const ATTACK: Attack = Attack { name: "smuggling", rules: "R6", run, ..Attack::DEFAULT };

/// What stands after the good lines, up to the end of what is sent.
const TAILS: [&str; 22] = [
    "\r\nContent-Length: 5\r\n\r\nhello",
    "\r\nContent-Length: +3\r\n\r\nabc",
    "\r\nContent-Length: 0x3\r\n\r\nabc",
    "\r\nContent-Length: 3, 3\r\n\r\nabc",
    "\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "\r\nContent-Length: -1\r\n\r\n",
    "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "\r\nX: a\r\n folded\r\n\r\n",
    "\r\nX: a\r\n\tfolded\r\n\r\n",
    "\r\nX: a\nY: b\r\n\r\n",
    "\r\nX: a\rY: b\r\n\r\n",
    "\r\nX: a\0b\r\n\r\n",
    "\r\nX : a\r\n\r\n",
    "\r\n: a\r\n\r\n",
    "\r\nX\r\n\r\n",
    "\r\nX: a\n\n",
];

fn run(field: &Field) {
    for tail in TAILS {
        refused(field, &format!("{}{tail}", GOOD.join("\r\n")), tail);
    }
    for line in [
        "GET  /chat HTTP/1.1",
        " GET /chat HTTP/1.1",
        "GET /chat HTTP/1.1 ",
        "GET /ch\tat HTTP/1.1",
        "GET /chat",
    ] {
        refused(field, &format!("{line}\r\n{}\r\n\r\n", GOOD[1..].join("\r\n")), line);
    }
}

/// No 101, no 2xx, one answer at most, and the end.
fn refused(field: &Field, request: &str, what: &str) {
    let mut peer = field.connect();
    peer.send(request.as_bytes());
    peer.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    let status = peer.status();
    assert!(matches!(status, None | Some(400..=599)), "{what:?}: {status:?}");
    let (rest, _) = peer.rest(SOON);
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(!rest.contains("HTTP/1."), "{what:?}: a second answer: {rest:?}");
    peer.expect_end(SOON);
}
