//! Tests alone: responses that are, and are not, HTTP/1.1 to the letter.

use super::*;
use crate::http::{HeadScanner, Scan};
use proptest::prelude::*;

fn status_of(head: impl AsRef<[u8]>) -> Result<u16, HttpError> {
    let mut storage = HeaderStorage::new();
    let head = ResponseHead::parse(head.as_ref(), &mut storage, &HeadLimits::default())?;
    Ok(head.status().code())
}

fn error_of(head: impl AsRef<[u8]>) -> Option<HttpError> {
    status_of(head).err()
}

fn error_of_line(line: &str) -> Option<HttpError> {
    error_of(format!("HTTP/1.1 200 OK\r\nA: b\r\n{line}\r\nC: d\r\n\r\n"))
}

#[test]
fn the_status_line_has_a_version_a_status_and_a_reason() {
    for (line, status) in [
        ("HTTP/1.1 101 Switching Protocols", 101),
        ("HTTP/1.0 200 OK", 200),
        ("HTTP/1.1 404 Not\tFound, sorry", 404),
        ("HTTP/1.1 599 ", 599),
        ("HTTP/1.1 100", 100),
        ("HTTP/1.1 200 \u{e9}", 200),
    ] {
        assert_eq!(status_of(format!("{line}\r\n\r\n")), Ok(status), "{line}");
    }
}

#[test]
fn what_is_no_status_line_is_refused() {
    for (line, error) in [
        ("HTTP/2.0 200 OK", HttpError::UnsupportedVersion),
        ("HTTP/1.2 200 OK", HttpError::UnsupportedVersion),
        ("HTTP/1 200 OK", HttpError::InvalidVersion),
        ("http/1.1 200 OK", HttpError::InvalidVersion),
        ("ICY 200 OK", HttpError::InvalidVersion),
        ("SSH-2.0-OpenSSH", HttpError::InvalidVersion),
        ("HTTP/1.1  200 OK", HttpError::InvalidStatusLine),
        ("HTTP/1.1\t200 OK", HttpError::InvalidVersion),
        ("HTTP/1.1 20 OK", HttpError::InvalidStatusLine),
        ("HTTP/1.1 2000 OK", HttpError::InvalidStatusLine),
        ("HTTP/1.1 2x0 OK", HttpError::InvalidStatusLine),
        ("HTTP/1.1 +20 OK", HttpError::InvalidStatusLine),
        ("HTTP/1.1 099 OK", HttpError::InvalidStatus),
        ("HTTP/1.1 600 OK", HttpError::InvalidStatus),
        ("HTTP/1.1 200 O\0K", HttpError::InvalidStatusLine),
        ("HTTP/1.1 200 O\u{7f}K", HttpError::InvalidStatusLine),
    ] {
        assert_eq!(error_of(format!("{line}\r\n\r\n")), Some(error), "{line:?}");
    }
    assert_eq!(error_of("\r\nHTTP/1.1 200 OK\r\n\r\n"), Some(HttpError::NotHttp));
}

#[test]
fn the_lines_of_a_response_end_with_cr_and_lf() {
    for head in [
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\n\n",
    ] {
        assert_eq!(error_of(head), Some(HttpError::BareLineFeed), "{head:?}");
    }
    for head in [
        "HTTP/1.1 200 OK\rA: b\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
    ] {
        assert_eq!(error_of(head), Some(HttpError::BareCarriageReturn), "{head:?}");
    }
}

#[test]
fn header_lines_are_as_strict_as_those_of_a_request() {
    for (line, error) in [
        (" folded", HttpError::FoldedHeader),
        ("X : y", HttpError::SpaceBeforeColon),
        (": y", HttpError::InvalidHeaderName),
        ("X", HttpError::InvalidHeaderName),
        ("X: a\0b", HttpError::InvalidHeaderValue),
        ("X: a\u{7f}", HttpError::InvalidHeaderValue),
        ("Content-Length: +5", HttpError::InvalidContentLength),
        ("Content-Length: 5\r\nContent-Length: 5", HttpError::RepeatedContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", HttpError::ContentLengthWithTransferEncoding),
        ("Content_Length: 5", HttpError::FramingLookalike),
    ] {
        assert_eq!(error_of_line(line), Some(error), "{line:?}");
    }
    assert_eq!(error_of_line("X: \u{e9}"), None);
}

#[test]
fn content_is_announced_by_its_length_or_its_coding() {
    for (line, announces) in [
        ("A: b", false),
        ("Content-Length: 0", false),
        ("Content-Length: 1", true),
        ("Transfer-Encoding: chunked", true),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        let mut storage = HeaderStorage::new();
        let head = ResponseHead::parse(head.as_bytes(), &mut storage, &HeadLimits::default()).expect("valid");
        assert_eq!((head.announces_body(), head.version()), (announces, Version::Http11), "{line}");
        assert_eq!(head.headers().count(), 1);
    }
}

#[test]
fn the_limits_hold_for_responses_too() {
    let head = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    for (max_bytes, max_headers, error) in [
        (head.len(), 2, None),
        (head.len() - 1, 2, Some(HttpError::HeadTooLarge)),
        (head.len(), 1, Some(HttpError::TooManyHeaders)),
    ] {
        let limits = HeadLimits { max_bytes, max_headers };
        assert_eq!(ResponseHead::parse(head, &mut HeaderStorage::new(), &limits).err(), error);
    }
    for end in 0..head.len() {
        assert_eq!(error_of(&head[..end]), Some(HttpError::Incomplete), "{end}");
        assert_eq!(HeadScanner::new().scan(&head[..end], &HeadLimits::default()), Ok(Scan::Partial));
    }
}

const GOOD: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nContent-Length: 5\r\nX: \xe9 y\r\n\r\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_accepted_after_damage_has_no_bare_line_ends_and_no_controls(
        damage in proptest::collection::vec((0..GOOD.len(), prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b' ')]), 1..4),
        insert in any::<bool>(),
    ) {
        let mut head = GOOD.to_vec();
        for (at, byte) in damage {
            if insert { head.insert(at, byte) } else { head[at] = byte }
        }
        let Ok(status) = status_of(&head) else { return Ok(()) };
        let end = head.windows(4).position(|window| window == b"\r\n\r\n").expect("an end");
        let text = String::from_utf8_lossy(&head[..end]).replace("\r\n", "").replace('\t', "");
        prop_assert!(!text.contains(|char: char| char.is_ascii_control()), "{text:?}");
        prop_assert!((100..600).contains(&status));
    }
}
