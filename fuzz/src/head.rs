//! Request heads: the verdict does not depend on how the bytes were cut, no parse allocates, and what was accepted is what
//! every other strict reader would see (RFC 9112 §2–§6, RFC 6455 §4.2).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gnezdo::http::{
    BodyLength, HeadLimits, HeadScanner, HeaderStorage, Headers, HttpError, Request, Scan, Version,
};
use gnezdo::ws::{DeflateConfig, Proposal, Upgrade, encode_accept, examine};

use super::budget::{Budget, within};
use super::tape::{Tape, cuts, everywhere};

/// One byte says how much may come, the rest is the head and what follows it.
pub fn check(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let limits = limits(&mut tape);
    let received = tape.rest();
    let scan = scan_in_every_way(received, &limits);
    let Ok(Scan::Complete { head_len }) = scan else {
        return within(&Budget::NOTHING, || {
            let mut storage = HeaderStorage::new();
            let parsed = Request::parse(received, &mut storage, &limits);
            assert!(parsed.is_err(), "parsed, but has no end: {parsed:?}");
        });
    };
    check_parsed(&received[..head_len], received, &limits);
}

pub(crate) fn limits(tape: &mut Tape<'_>) -> HeadLimits {
    let byte = tape.byte();
    HeadLimits {
        max_bytes: [16 * 1024, 1, 40, 200, 1000][usize::from(byte & 15) % 5],
        max_headers: [100, 0, 1, 3, 1000][usize::from(byte >> 4) % 5],
    }
}

/// Whole, byte by byte, in pieces: one verdict, found by work in proportion to the bytes.
pub(crate) fn scan_in_every_way(bytes: &[u8], limits: &HeadLimits) -> Result<Scan, HttpError> {
    let ways = [Vec::new(), everywhere(bytes), cuts(bytes)];
    let [whole, every, some] = ways.map(|cuts| within(&Budget::NOTHING, || scan(bytes, &cuts, limits)));
    assert_eq!((&every, &some), (&whole, &whole));
    if let Ok(Scan::Complete { head_len }) = whole {
        assert!(head_len <= limits.max_bytes && bytes[..head_len].ends_with(b"\r\n\r\n"));
    }
    whole
}

/// The first verdict that is not partial; it must not change when more comes.
fn scan(bytes: &[u8], cuts: &[usize], limits: &HeadLimits) -> Result<Scan, HttpError> {
    let mut scanner = HeadScanner::new();
    for &cut in cuts.iter().chain([&bytes.len()]) {
        let verdict = scanner.scan(&bytes[..cut], limits);
        if verdict != Ok(Scan::Partial) {
            assert_eq!(scanner.scan(bytes, limits), verdict, "the verdict changed");
            return verdict;
        }
    }
    Ok(Scan::Partial)
}

fn check_parsed(head: &[u8], received: &[u8], limits: &HeadLimits) {
    let mut storage = HeaderStorage::new();
    let parsed = within(&Budget::NOTHING, || Request::parse(head, &mut storage, limits));
    let mut storage = HeaderStorage::new();
    let with_tail = Request::parse(received, &mut storage, limits);
    match (parsed, with_tail) {
        (Ok(request), Ok(other)) => {
            assert_eq!(written(&request), written(&other), "the tail was looked at");
            check_request(&request, limits);
        }
        (Err(error), Err(other)) => {
            assert_eq!(error, other);
            assert!((400..=505).contains(&error.status().code()));
        }
        (parsed, with_tail) => panic!("{parsed:?}, with its tail {with_tail:?}"),
    }
}

fn check_request(request: &Request<'_>, limits: &HeadLimits) {
    assert!(is_token(request.method().as_bytes()));
    assert!(request.target().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert!(request.path().starts_with('/') || (request.method(), request.path()) == ("OPTIONS", "*"));
    assert!(request.headers().count() <= limits.max_headers.min(HeadLimits::MOST_HEADERS));
    for (name, value) in request.headers() {
        assert!(is_token(name.as_bytes()));
        assert!(!value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)), "a control byte in a value");
        assert_eq!(value.trim_ascii(), value);
    }
    check_framing(request);
    check_again(request);
    assert!(request.cookies().count() <= MOST_COOKIES);
    if let Ok(Some(upgrade)) = examine(request) {
        check_upgrade(request, &upgrade);
    }
}

/// What two readers could understand differently has been refused (R6).
fn check_framing(request: &Request<'_>) {
    assert!(request.version() == Version::Http10 || request.header_count("host") == 1);
    let lengths: Vec<_> = request.header_all("content-length").collect();
    let coded = request.header_count("transfer-encoding") > 0;
    assert!(lengths.is_empty() || !coded, "both Content-Length and Transfer-Encoding");
    match request.body_length() {
        BodyLength::Exactly(length) => {
            assert!(!coded);
            let digits = lengths.first().map_or("0", |value| std::str::from_utf8(value).expect("digits"));
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(digits.parse(), Ok(length));
        }
        BodyLength::Chunked => assert!(coded && lengths.is_empty()),
    }
}

/// A head written anew from what was read is read the same.
fn check_again(request: &Request<'_>) {
    let again = written(request);
    let limits = HeadLimits { max_bytes: again.len(), max_headers: HeadLimits::MOST_HEADERS };
    let mut storage = HeaderStorage::new();
    let other = Request::parse(&again, &mut storage, &limits).expect("what was read can be written");
    assert_eq!(written(&other), again);
    assert_eq!(other.body_length(), request.body_length());
    assert_eq!(
        (other.path(), other.query(), other.host()),
        (request.path(), request.query(), request.host())
    );
}

fn written(request: &Request<'_>) -> Vec<u8> {
    let minor = u8::from(request.version() == Version::Http11);
    let mut head = String::new();
    write!(head, "{} {} HTTP/1.{minor}\r\n", request.method(), request.target()).expect("a string");
    let mut head = head.into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// RFC 6455 §4.2.1, point by point; and a client that had sent this key takes the answer.
fn check_upgrade(request: &Request<'_>, upgrade: &Upgrade) {
    assert_eq!((request.method(), request.version()), ("GET", Version::Http11));
    assert_eq!(request.body_length(), BodyLength::Exactly(0));
    assert!(request.has_token("upgrade", "websocket") && request.has_token("connection", "upgrade"));
    assert_eq!(request.header_all("sec-websocket-version").collect::<Vec<_>>(), [b"13"]);
    assert_eq!(request.header_count("sec-websocket-key"), 1);
    let key = STANDARD.decode(request.header("sec-websocket-key").unwrap_or_default()).expect("Base64");
    let key = <[u8; 16]>::try_from(key).expect("16 bytes");
    let subprotocols: Vec<&str> = upgrade.subprotocols().collect();
    let config = DeflateConfig { client_max_window_bits: 15, ..DeflateConfig::default() };
    let agreed = upgrade.deflate(&config);
    let mut answer = Vec::new();
    let chosen = subprotocols.last().copied();
    encode_accept(&mut answer, upgrade, chosen, &Headers::new(), agreed.as_ref()).expect("a legal answer");
    let client = Proposal::new("host", "/", key)
        .and_then(|proposal| proposal.subprotocols(subprotocols.iter().copied()));
    let client = client.expect("tokens without repetition");
    // The client here offers no compression, so that an answer with compression is not for it.
    let read = client.read_answer(&answer, &mut HeadScanner::new(), &HeadLimits::default());
    match read {
        Ok(Some((read, length))) => {
            assert_eq!((read.subprotocol.as_deref(), length), (chosen, answer.len()));
            assert!(agreed.is_none());
        }
        other => assert!(agreed.is_some() || answer.len() > 16 * 1024, "{other:?}"),
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let special = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}

/// A pair takes three bytes at least.
const MOST_COOKIES: usize = 16 * 1024 / 3;
