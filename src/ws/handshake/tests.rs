//! Tests alone: requests that are, and are not, a WebSocket handshake, and what is answered.

use super::*;
use crate::http::vectors::{feed, load};
use crate::http::{BodyMode, Connection, HeadLimits, HeaderStorage, HttpError};
use std::time::{Duration, Instant};

const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// How a request fails to become a WebSocket.
#[derive(Debug, PartialEq)]
enum Failure {
    Parse(HttpError),
    Refused(Refusal),
    Ordinary,
}

fn judge(head: &str) -> Result<Upgrade, Failure> {
    let mut storage = HeaderStorage::new();
    let request = Request::parse(head.as_bytes(), &mut storage, &HeadLimits::default());
    examine(&request.map_err(Failure::Parse)?).map_err(Failure::Refused)?.ok_or(Failure::Ordinary)
}

fn judge_with(lines: &str) -> Result<Upgrade, Failure> {
    judge(&GOOD.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n")))
}

fn judge_replaced(from: &str, to: &str) -> Result<Upgrade, Failure> {
    assert!(GOOD.contains(from), "{from}");
    judge(&GOOD.replace(from, to))
}

fn encoded(upgrade: &Upgrade, subprotocol: Option<&str>, deflate: Option<&DeflateParams>) -> String {
    let mut out = Vec::new();
    encode_accept(&mut out, upgrade, subprotocol, &Headers::new(), deflate).expect("a legal answer");
    String::from_utf8(out).expect("text")
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let upgrade = judge(GOOD).expect("a valid handshake");
    assert!(
        encoded(&upgrade, None, None).contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
    );
    assert_eq!(upgrade.subprotocols().count(), 0);
    assert!(!upgrade.offers("") && !upgrade.offers("chat"));
}

#[test]
fn what_browsers_and_proxies_write_differently_is_accepted() {
    for (from, to) in [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: Upgrade", "connection: keep-alive,upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE"),
        ("\r\nHost", "\r\nContent-Length: 0\r\nHost"),
        ("GET /chat", "GET http://localhost/chat"),
        ("Sec-WebSocket-Version", "SEC-WEBSOCKET-VERSION"),
        ("Version: 13", "Version:13 \t"),
    ] {
        assert!(judge_replaced(from, to).is_ok(), "{to}");
    }
}

#[test]
fn r5_no_mutant_of_a_good_request_is_accepted() {
    use Failure::{Parse, Refused};
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    let twice = |line: &str| line.repeat(2);
    for (from, to, failure) in [
        ("GET", "POST", Refused(Refusal::MethodNotGet)),
        ("GET", "HEAD", Refused(Refusal::MethodNotGet)),
        ("GET", "get", Refused(Refusal::MethodNotGet)),
        ("HTTP/1.1", "HTTP/1.0", Refused(Refusal::HttpTooOld)),
        ("HTTP/1.1", "HTTP/2.0", Parse(HttpError::UnsupportedVersion)),
        ("Host: localhost\r\n", "", Parse(HttpError::MissingHost)),
        ("Host: localhost\r\n", "Host: a\r\nHost: b\r\n", Parse(HttpError::RepeatedHost)),
        ("Upgrade: websocket\r\n", "", Refused(Refusal::NoUpgrade)),
        ("Upgrade: websocket", "Upgrade: h2c", Refused(Refusal::NoUpgrade)),
        ("Upgrade: websocket", "Upgrade: websockets", Refused(Refusal::NoUpgrade)),
        ("Upgrade: websocket", "Upgrade: websocket/13", Refused(Refusal::NoUpgrade)),
        ("Connection: Upgrade\r\n", "", Refused(Refusal::NoConnectionUpgrade)),
        ("Connection: Upgrade", "Connection: keep-alive", Refused(Refusal::NoConnectionUpgrade)),
        ("Connection: Upgrade", "Connection: Upgraded", Refused(Refusal::NoConnectionUpgrade)),
        (KEY, "", Refused(Refusal::InvalidKey)),
        (KEY, &twice(KEY), Refused(Refusal::InvalidKey)),
        (VERSION, "", Refused(Refusal::UnsupportedVersion)),
        (VERSION, &twice(VERSION), Refused(Refusal::UnsupportedVersion)),
        ("Version: 13", "Version: 12", Refused(Refusal::UnsupportedVersion)),
        ("Version: 13", "Version: 013", Refused(Refusal::UnsupportedVersion)),
        ("Version: 13", "Version: 13, 13", Refused(Refusal::UnsupportedVersion)),
        ("Version: 13", "Version: 130", Refused(Refusal::UnsupportedVersion)),
        ("\r\nHost", "\r\nContent-Length: 5\r\nHost", Refused(Refusal::HasBody)),
        ("\r\nHost", "\r\nContent-Length: 00\r\nHost", Parse(HttpError::InvalidContentLength)),
        (
            "\r\nHost",
            "\r\nContent-Length: 0\r\nContent-Length: 0\r\nHost",
            Parse(HttpError::RepeatedContentLength),
        ),
        ("\r\nHost", "\r\nTransfer-Encoding: chunked\r\nHost", Refused(Refusal::HasBody)),
        ("\r\nConn", "\nConn", Parse(HttpError::BareLineFeed)),
        ("\r\nConn", "\r\n Conn", Parse(HttpError::FoldedHeader)),
        ("Connection:", "Connection :", Parse(HttpError::SpaceBeforeColon)),
    ] {
        assert_eq!(judge_replaced(from, to).err(), Some(failure), "{from:?} -> {to:?}");
    }
}

#[test]
fn r5_a_key_is_the_canonical_base64_of_16_bytes() {
    for key in [
        "",
        "AAAA",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBsZSBub25jZTEx",
        "dGhlIHNhbXBsZSBub25-ZQ==",
        "dGhlIHNhbXBs ZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ==, x",
        "not base64 at all!!!!!!!",
    ] {
        let judged = judge_replaced("dGhlIHNhbXBsZSBub25jZQ==", key);
        assert_eq!(judged.err(), Some(Failure::Refused(Refusal::InvalidKey)), "{key:?}");
    }
}

#[test]
fn any_line_of_the_handshake_makes_an_attempt() {
    let judge_lines = |lines: &str| judge(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    for lines in [
        "Upgrade: WEBSOCKET\r\n",
        "Upgrade: websocket/8\r\n",
        "Sec-WebSocket-Key: x\r\n",
        "Sec-WebSocket-Version: 8\r\n",
    ] {
        assert!(matches!(judge_lines(lines), Err(Failure::Refused(_))), "{lines}");
    }
    for lines in [
        "",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade:\r\n",
        "Origin: x\r\n",
    ] {
        assert_eq!(judge_lines(lines), Err(Failure::Ordinary), "{lines}");
    }
}

#[test]
fn a_refusal_says_why_and_closes() {
    for (refusal, status, lines) in [
        (Refusal::MethodNotGet, "405 Method Not Allowed", "\r\nAllow: GET\r\n"),
        (Refusal::UnsupportedVersion, "426 Upgrade Required", "\r\nSec-WebSocket-Version: 13\r\n"),
        (Refusal::UnsupportedVersion, "426 Upgrade Required", "\r\nUpgrade: websocket\r\n"),
        (Refusal::InvalidKey, "400 Bad Request", "\r\n\r\nSec-WebSocket-Key must be"),
        (Refusal::OriginNotAllowed, "403 Forbidden", "\r\nContent-Length: "),
    ] {
        let mut out = Vec::new();
        refusal.response().encode(&mut out, Connection::Close, BodyMode::Send);
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
        assert!(text.contains(lines) && text.contains("\r\nConnection: close"), "{text}");
    }
}

#[test]
fn a_subprotocol_is_chosen_among_the_offered_ones() {
    let upgrade =
        judge_with("Sec-WebSocket-Protocol: chat.v2, chat.v1\r\nSec-WebSocket-Protocol: ,x").expect("valid");
    assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat.v2", "chat.v1", "x"]);
    assert!(encoded(&upgrade, Some("chat.v1"), None).contains("\r\nSec-WebSocket-Protocol: chat.v1\r\n"));
    assert!(!encoded(&upgrade, None, None).contains("Protocol:"));
    for wrong in ["chat", "CHAT.V1", "", "chat.v2,chat.v1", "x\r\nSet-Cookie: a"] {
        let mut out = Vec::new();
        let written = encode_accept(&mut out, &upgrade, Some(wrong), &Headers::new(), None);
        assert_eq!((written, out.len()), (Err(HandshakeError::SubprotocolNotOffered), 0), "{wrong}");
    }
}

#[test]
fn r3_subprotocols_are_different_tokens_within_a_bound() {
    let judge_list = |list: &str| judge_with(&format!("Sec-WebSocket-Protocol: {list}")).err();
    let numbered = |count: usize| (0..count).map(|number| format!("p{number}")).collect::<Vec<_>>().join(",");
    let refused = Some(Failure::Refused(Refusal::InvalidSubprotocols));
    for list in ["", ",", "a b", "a/b", "a, a", "\"a\"", "é", "a;b"] {
        assert_eq!(judge_list(list), refused, "{list:?}");
    }
    let start = Instant::now();
    for (count, failure) in [(63, None), (64, None), (65, refused.as_ref()), (2500, refused.as_ref())] {
        assert_eq!(judge_list(&numbered(count)).as_ref(), failure, "{count}");
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn compression_is_answered_only_if_offered() {
    let config = DeflateConfig::default();
    let upgrade =
        judge_with("Sec-WebSocket-Extensions: x, permessage-deflate; client_max_window_bits").expect("valid");
    let params = upgrade.deflate(&config).expect("an acceptable offer");
    let text = encoded(&upgrade, None, Some(&params));
    assert_eq!(text.matches("Sec-WebSocket-Extensions: permessage-deflate; server_no").count(), 1);
    assert!(!encoded(&upgrade, None, None).contains("Extensions"));

    for lines in ["X: y", "Sec-WebSocket-Extensions: permessage-deflate; a", "Sec-WebSocket-Extensions: ;;"] {
        let upgrade = judge_with(lines).expect("a wrong offer is declined, not refused");
        assert_eq!(upgrade.deflate(&config), None, "{lines}");
        let mut out = Vec::new();
        let written = encode_accept(&mut out, &upgrade, None, &Headers::new(), Some(&params));
        assert_eq!((written, out.len()), (Err(HandshakeError::DeflateNotOffered), 0), "{lines}");
    }
}

#[test]
fn extra_lines_stand_before_the_end_of_the_head() {
    let extra = Headers::new().with("Set-Cookie", "a=b").expect("valid");
    let mut out = Vec::new();
    encode_accept(&mut out, &judge(GOOD).expect("valid"), None, &extra, None).expect("valid");
    assert!(out.ends_with(b"xOo=\r\nSet-Cookie: a=b\r\n\r\n"));
}

#[test]
fn r2_an_upgrade_is_found_among_100_lines_wherever_it_stands() {
    let filler = |count| "a: b\r\n".repeat(count);
    let (first, last) = GOOD.split_once("\r\n").expect("a request line");
    for (lines, accepted) in [(99, true), (100, true), (101, false), (20_000, false)] {
        let others = filler(lines - 5);
        let leading = judge(&format!("{first}\r\n{others}{last}"));
        let trailing = judge(&GOOD.replace("\r\n\r\n", &format!("\r\n{others}\r\n")));
        for judged in [leading, trailing] {
            assert_eq!(judged.is_ok(), accepted, "{lines}");
            if let Err(Failure::Parse(error)) = judged {
                assert_eq!(error.status(), Status::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
        }
    }
}

#[test]
fn an_upgrade_kept_for_later_is_small() {
    assert!(size_of::<Upgrade>() <= 64, "{}", size_of::<Upgrade>());
}

#[test]
fn no_request_of_the_collection_becomes_a_websocket() {
    for vector in load() {
        let accepted = feed(&vector.request, usize::MAX, |request| matches!(examine(request), Ok(Some(_))));
        assert!(!matches!(accepted, Some(Ok(true))), "{}", vector.id);
        let attempt = vector.id.starts_with("COMP-UPGRADE-") && vector.id != "COMP-UPGRADE-UNKNOWN";
        let refused = feed(&vector.request, usize::MAX, |request| examine(request).is_err());
        assert!(!attempt || matches!(refused, Some(Ok(true))), "{}", vector.id);
    }
}
