//! Requests, right and wrong, by the letter.

/// The lines of a request that nothing is wrong with.
pub(crate) const GOOD: [&str; 6] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// A head of these lines.
pub(crate) fn request(lines: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// The good request with more lines.
pub(crate) fn upgrade(more: &[&str]) -> Vec<u8> {
    request(&[&GOOD[..], more].concat())
}

/// The good request with this request target.
pub(crate) fn upgrade_to(target: &str) -> Vec<u8> {
    let line = format!("GET {target} HTTP/1.1");
    request(&[&[line.as_str()], &GOOD[1..]].concat())
}
