//! Answers of a hostile server to a client's opening handshake: one verdict however they are cut, and an agreement only on what
//! was proposed (RFC 6455 §4.1).

use gnezdo::http::{HeadLimits, HeadScanner, HeaderStorage, ResponseHead, Scan, Version};
use gnezdo::ws::{Agreed, DeflateConfig, HandshakeFailure, Proposal, accept_key};

use super::budget::{Budget, within};
use super::head::{limits, scan_in_every_way};
use super::tape::{Tape, cuts, everywhere};

/// Two bytes say what was proposed and how much may come, the rest is what the server sent.
pub fn check(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let limits = limits(&mut tape);
    let asked = tape.byte();
    let proposal = proposal(asked);
    let received = tape.rest();
    let whole = read(&proposal, received, &[], &limits);
    for cuts in [everywhere(received), cuts(received)] {
        assert_eq!(read(&proposal, received, &cuts, &limits), whole);
    }
    let scan = scan_in_every_way(received, &limits);
    let Ok(Scan::Complete { head_len }) = scan else {
        return assert!(!matches!(whole, Ok(Some(_))));
    };
    check_head(&received[..head_len], &limits);
    if let Ok(Some((agreed, length))) = whole {
        assert_eq!(length, head_len);
        check_agreed(&agreed, asked, &received[..head_len], &limits);
    }
}

fn read(
    proposal: &Proposal,
    bytes: &[u8],
    cuts: &[usize],
    limits: &HeadLimits,
) -> Result<Option<(Agreed, usize)>, HandshakeFailure> {
    let budget = Budget { live: bytes.len(), taken: bytes.len(), calls: 1 };
    within(&budget, || {
        let mut scanner = HeadScanner::new();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let mut verdicts = ends.map(|end| proposal.read_answer(&bytes[..end], &mut scanner, limits));
        verdicts.find(|verdict| *verdict != Ok(None)).unwrap_or(Ok(None))
    })
}

fn proposal(asked: u8) -> Proposal {
    let mut proposal = Proposal::new("server.example.com", "/chat", *b"the sample nonce").expect("valid");
    if asked & 1 != 0 {
        proposal = proposal.subprotocols(["chat", "superchat"]).expect("two tokens");
    }
    if asked & 2 != 0 {
        proposal = proposal.deflate(&config(asked)).expect("within its ranges");
    }
    proposal
}

fn config(asked: u8) -> DeflateConfig {
    DeflateConfig {
        server_max_window_bits: if asked & 4 == 0 { 15 } else { 10 },
        client_max_window_bits: if asked & 8 == 0 { 15 } else { 9 },
        server_no_context_takeover: asked & 16 != 0,
        client_no_context_takeover: asked & 32 != 0,
        ..DeflateConfig::default()
    }
}

fn check_head(head: &[u8], limits: &HeadLimits) {
    let mut storage = HeaderStorage::new();
    let parsed = within(&Budget::NOTHING, || ResponseHead::parse(head, &mut storage, limits));
    let Ok(parsed) = parsed else { return };
    assert!((100..=999).contains(&parsed.status().code()));
    for (name, value) in parsed.headers() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!value.iter().any(|byte| matches!(byte, 0 | 10 | 13)), "a line end in a value");
    }
}

fn check_agreed(agreed: &Agreed, asked: u8, head: &[u8], limits: &HeadLimits) {
    let mut storage = HeaderStorage::new();
    let head = ResponseHead::parse(head, &mut storage, limits).expect("agreed on");
    assert_eq!((head.status().code(), head.version(), head.announces_body()), (101, Version::Http11, false));
    assert_eq!(head.header_count("sec-websocket-accept"), 1);
    let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(head.header("sec-websocket-accept"), Some(&accept[..]));
    assert_eq!(head.header_count("upgrade"), 1);
    assert!(head.has_token("upgrade", "websocket") && head.has_token("connection", "upgrade"));
    if let Some(subprotocol) = &agreed.subprotocol {
        assert!(asked & 1 != 0 && ["chat", "superchat"].contains(&subprotocol.as_str()));
        assert_eq!(head.header("sec-websocket-protocol"), Some(subprotocol.as_bytes()));
    } else {
        assert_eq!(head.header_count("sec-websocket-protocol"), 0);
    }
    let named = head.header_count("sec-websocket-extensions") > 0;
    assert_eq!(agreed.deflate.is_some(), named);
    if let Some(params) = agreed.deflate {
        let config = config(asked);
        assert!(asked & 2 != 0);
        assert!((8..=config.server_max_window_bits).contains(&params.server_max_window_bits));
        assert!((8..=config.client_max_window_bits).contains(&params.client_max_window_bits));
        assert!(params.server_no_context_takeover || !config.server_no_context_takeover);
        assert!(params.client_no_context_takeover || !config.client_no_context_takeover);
    }
}
