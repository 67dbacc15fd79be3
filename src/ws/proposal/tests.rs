//! Tests alone: what is proposed, answers that are and are not legal, and where the first frame begins.

use super::*;
use crate::http::HeaderError;
use crate::ws::{Event, Limits, Protocol, Workspace};
use proptest::prelude::*;

const KEY: [u8; 16] = *b"the sample nonce";
const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn proposal() -> Proposal {
    Proposal::new("localhost", "/chat", KEY).expect("valid")
}

fn encoded(proposal: &Proposal) -> String {
    let mut out = Vec::new();
    proposal.encode(&mut out);
    String::from_utf8(out).expect("text")
}

fn judge(proposal: &Proposal, answer: impl AsRef<[u8]>) -> Result<Option<(Agreed, usize)>, HandshakeFailure> {
    proposal.read_answer(answer.as_ref(), &mut HeadScanner::new(), &HeadLimits::default())
}

fn judge_with(proposal: &Proposal, lines: &str) -> Result<Agreed, HandshakeFailure> {
    let answer = GOOD.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n"));
    judge(proposal, answer).map(|answer| answer.expect("a whole head").0)
}

#[test]
fn r10_what_cannot_stand_in_a_request_is_refused() {
    for authority in ["", ":80", "a b", "a/b", "u@a", "a\r\nX: y", "a\n", "a, b", "a:99999", "é", "http://a"]
    {
        let made = Proposal::new(authority, "/", KEY);
        assert_eq!(made.err(), Some(ProposalError::InvalidAuthority), "{authority:?}");
    }
    for target in [
        "",
        "*",
        "chat",
        "?a",
        "ws://a/",
        "http://a/",
        "/a b",
        "/#f",
        "/a#",
        "/\r\nX: y",
        "/\n",
        "/\0",
        "/é",
        "/\x7f",
    ] {
        assert_eq!(Proposal::new("a", target, KEY).err(), Some(ProposalError::InvalidTarget), "{target:?}");
    }
    for (authority, target) in
        [("[::1]:9001", "/?"), ("a.example:1", "/%20/{x}?a=b&c=%C3%A9"), ("a", "//a/..;b")]
    {
        let text = encoded(&Proposal::new(authority, target, KEY).expect("valid"));
        assert!(
            text.starts_with(&format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: ")),
            "{text}"
        );
    }
}

#[test]
fn r10_subprotocols_are_different_tokens() {
    for wrong in ["", "a b", "a,b", "a\r\nX: y", "é", "\"a\"", "a/b"] {
        let made = proposal().subprotocols(["x", wrong]);
        assert_eq!(made.err(), Some(ProposalError::InvalidSubprotocol), "{wrong:?}");
    }
    assert_eq!(proposal().subprotocols(["a", "A", "a"]).err(), Some(ProposalError::RepeatedSubprotocol));
    let made = proposal().subprotocols(["a"]).and_then(|made| made.subprotocols(["b", "a"]));
    assert_eq!(made.err(), Some(ProposalError::RepeatedSubprotocol));
    let made =
        proposal().subprotocols(["b.v2"]).and_then(|made| made.subprotocols(["b", "B"])).expect("valid");
    assert!(encoded(&made).ends_with("\r\nSec-WebSocket-Protocol: b.v2, b, B\r\n\r\n"));
    assert!(!encoded(&proposal().subprotocols([]).expect("none")).contains("Protocol:"));
}

#[test]
fn lines_of_the_handshake_cannot_be_given() {
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Content-Length"] {
        assert_eq!(Headers::new().add(name, "x"), Err(HeaderError::Reserved), "{name}");
    }
    let host = Headers::new().with("hOST", "b").expect("a valid line");
    assert_eq!(proposal().headers(&host).err(), Some(ProposalError::HostGiven));
    let extra = Headers::new().with("Cookie", "a=b").expect("a valid line");
    let text = encoded(&proposal().headers(&extra).expect("valid"));
    assert_eq!(text.matches("\r\n\r\n").count(), 1);
    assert!(text.contains("\r\nCookie: a=b\r\n"), "{text}");
}

#[test]
fn what_servers_write_differently_is_accepted() {
    for (from, to) in [
        ("Switching Protocols", ""),
        ("Switching Protocols", "Web Socket Protocol Handshake"),
        ("Upgrade: websocket", "upgrade: WebSocket \t"),
        ("Connection: Upgrade", "connection: keep-alive,upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE"),
        ("\r\nUpgrade", "\r\nServer: x\r\nContent-Length: 0\r\nUpgrade"),
        ("Sec-WebSocket-Accept", "sec-websocket-accept"),
    ] {
        let answer = GOOD.replace(from, to);
        assert_eq!(judge(&proposal(), &answer), Ok(Some((Agreed::default(), answer.len()))), "{to:?}");
    }
}

#[test]
fn r46_no_mutant_of_a_good_answer_is_accepted() {
    use HandshakeFailure as Failure;
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let twice = |line: &str| line.repeat(2);
    for (from, to, failure) in [
        ("101", "100", Failure::Status(100)),
        ("101", "102", Failure::Status(102)),
        ("101", "103", Failure::Status(103)),
        ("101", "200", Failure::Status(200)),
        ("101", "301", Failure::Status(301)),
        ("101", "307", Failure::Status(307)),
        ("101", "401", Failure::Status(401)),
        ("101", "426", Failure::Status(426)),
        ("101", "503", Failure::Status(503)),
        ("101", "1010", Failure::Http(HttpError::InvalidStatusLine)),
        ("101", "600", Failure::Http(HttpError::InvalidStatus)),
        ("HTTP/1.1", "HTTP/1.0", Failure::HttpTooOld),
        ("HTTP/1.1", "HTTP/2.0", Failure::Http(HttpError::UnsupportedVersion)),
        ("Upgrade: websocket\r\n", "", Failure::InvalidUpgrade),
        ("Upgrade: websocket\r\n", &twice("Upgrade: websocket\r\n"), Failure::InvalidUpgrade),
        ("Upgrade: websocket", "Upgrade: h2c", Failure::InvalidUpgrade),
        ("Upgrade: websocket", "Upgrade: websockets", Failure::InvalidUpgrade),
        ("Upgrade: websocket", "Upgrade: websocket/13", Failure::InvalidUpgrade),
        ("Upgrade: websocket", "Upgrade: websocket, h2c", Failure::InvalidUpgrade),
        ("Upgrade: websocket", "Upgrade:", Failure::InvalidUpgrade),
        ("Connection: Upgrade\r\n", "", Failure::NoConnectionUpgrade),
        ("Connection: Upgrade", "Connection: keep-alive", Failure::NoConnectionUpgrade),
        ("Connection: Upgrade", "Connection: Upgraded", Failure::NoConnectionUpgrade),
        (ACCEPT, "", Failure::InvalidAccept),
        (ACCEPT, &twice(ACCEPT), Failure::InvalidAccept),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", Failure::InvalidAccept),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Failure::InvalidAccept),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", Failure::InvalidAccept),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "dGhlIHNhbXBsZSBub25jZQ==", Failure::InvalidAccept),
        ("xOo=", "xOo=, s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Failure::InvalidAccept),
        ("\r\nConn", "\r\nContent-Length: 5\r\nConn", Failure::HasBody),
        ("\r\nConn", "\r\nTransfer-Encoding: chunked\r\nConn", Failure::HasBody),
        ("\r\nConn", "\nConn", Failure::Http(HttpError::BareLineFeed)),
        ("\r\nConn", "\rConn", Failure::Http(HttpError::BareCarriageReturn)),
        ("\r\nConn", "\r\n Conn", Failure::Http(HttpError::FoldedHeader)),
        ("Connection:", "Connection :", Failure::Http(HttpError::SpaceBeforeColon)),
        ("Connection", "Conne\0ction", Failure::Http(HttpError::InvalidHeaderName)),
        ("\r\nConn", "\r\nSec-WebSocket-Protocol: chat\r\nConn", Failure::SubprotocolNotOffered),
        ("\r\nConn", "\r\nSec-WebSocket-Extensions: x\r\nConn", Failure::ExtensionNotOffered),
        ("HTTP/1.1", "\r\nHTTP/1.1", Failure::Http(HttpError::NotHttp)),
        ("HTTP/1.1", "RTSP/1.0", Failure::Http(HttpError::InvalidVersion)),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(judge(&proposal(), GOOD.replace(from, to)).err(), Some(failure), "{from:?} -> {to:?}");
    }
}

#[test]
fn an_answer_to_another_key_is_refused() {
    let other = Proposal::new("localhost", "/chat", *b"another nonce...").expect("valid");
    assert_eq!(judge(&other, GOOD), Err(HandshakeFailure::InvalidAccept));
}

#[test]
fn a_subprotocol_is_one_of_the_proposed_ones_or_none() {
    use HandshakeFailure::{RepeatedSubprotocol, SubprotocolNotOffered};
    let proposal = proposal().subprotocols(["chat.v2", "chat.v1"]).expect("valid");
    let chosen = |lines: &str| judge_with(&proposal, lines).map(|agreed| agreed.subprotocol);
    assert_eq!(chosen("X: y"), Ok(None));
    assert_eq!(chosen("Sec-WebSocket-Protocol: chat.v1"), Ok(Some("chat.v1".to_owned())));
    for wrong in ["", "chat", "CHAT.V1", "chat.v2, chat.v1", "chat.v2,", "\"chat.v1\"", ", ", "chat.v1;a"] {
        assert_eq!(
            chosen(&format!("Sec-WebSocket-Protocol: {wrong}")),
            Err(SubprotocolNotOffered),
            "{wrong:?}"
        );
    }
    let line = "Sec-WebSocket-Protocol: chat.v1";
    assert_eq!(chosen(&format!("{line}\r\n{line}")), Err(RepeatedSubprotocol));
    // Where none was proposed, not even an empty one.
    assert_eq!(judge_with(&self::proposal(), "Sec-WebSocket-Protocol:"), Err(SubprotocolNotOffered));
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;

    /// With nothing asked for.
    const PLAIN: DeflateConfig = DeflateConfig {
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        level: 6,
        threshold: 0,
    };

    fn answered(config: &DeflateConfig, value: &str) -> Result<Option<DeflateParams>, HandshakeFailure> {
        let proposal = proposal().deflate(config).expect("valid");
        judge_with(&proposal, &format!("Sec-WebSocket-Extensions: {value}")).map(|agreed| agreed.deflate)
    }

    fn offered(config: &DeflateConfig) -> String {
        let text = encoded(&proposal().deflate(config).expect("valid"));
        let (_, line) =
            text.split_once("\r\nSec-WebSocket-Extensions: permessage-deflate").expect("an offer");
        line.trim_end().to_owned()
    }

    #[test]
    fn what_is_wanted_is_offered() {
        assert_eq!(offered(&PLAIN), "; client_max_window_bits");
        let config = DeflateConfig { server_max_window_bits: 11, client_max_window_bits: 9, ..PLAIN };
        assert_eq!(offered(&config), "; server_max_window_bits=11; client_max_window_bits=9");
        let forgetful = "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits";
        assert_eq!(offered(&DeflateConfig::default()), forgetful);
        let config = DeflateConfig { client_max_window_bits: 7, ..PLAIN };
        let error = ProposalError::Deflate(DeflateConfigError::ClientMaxWindowBits(7));
        assert_eq!(proposal().deflate(&config).err(), Some(error));
    }

    #[test]
    fn a_server_may_decline_compression() {
        let proposal = proposal().deflate(&PLAIN).expect("valid");
        assert_eq!(judge_with(&proposal, "X: y").map(|agreed| agreed.deflate), Ok(None));
    }

    #[test]
    fn a_legal_answer_says_what_both_do() {
        let params = |server, client, server_forgets, client_forgets| DeflateParams {
            server_max_window_bits: server,
            client_max_window_bits: client,
            server_no_context_takeover: server_forgets,
            client_no_context_takeover: client_forgets,
            names_server_window: false,
        };
        let small = DeflateConfig { server_max_window_bits: 11, client_max_window_bits: 10, ..PLAIN };
        for (config, answer, expected) in [
            (&PLAIN, "", params(15, 15, false, false)),
            (&PLAIN, "; server_no_context_takeover", params(15, 15, true, false)),
            (&PLAIN, "; client_no_context_takeover", params(15, 15, false, true)),
            (&PLAIN, "; server_max_window_bits=8", params(8, 15, false, false)),
            (&PLAIN, "; client_max_window_bits=8", params(15, 8, false, false)),
            (&PLAIN, "; client_max_window_bits=\"1\\5\"", params(15, 15, false, false)),
            (&small, "; server_max_window_bits=11", params(11, 10, false, false)),
            (&small, "; server_max_window_bits=9; client_max_window_bits=10", params(9, 10, false, false)),
            (&DeflateConfig::default(), "; server_no_context_takeover", params(15, 15, true, true)),
        ] {
            let agreed = answered(config, &format!("permessage-deflate{answer}")).expect("legal");
            let agreed = agreed.map(|agreed| DeflateParams { names_server_window: false, ..agreed });
            assert_eq!(agreed, Some(expected), "{answer}");
        }
    }

    #[test]
    fn an_illegal_answer_is_refused() {
        use HandshakeFailure::{ExtensionNotOffered, IllegalDeflate, InvalidExtensions, RepeatedExtension};
        let small = DeflateConfig { server_max_window_bits: 11, client_max_window_bits: 10, ..PLAIN };
        for (config, value, failure) in [
            (&PLAIN, "permessage-deflate; client_max_window_bits", IllegalDeflate),
            (&PLAIN, "permessage-deflate; server_max_window_bits", IllegalDeflate),
            (&PLAIN, "permessage-deflate; server_max_window_bits=7", IllegalDeflate),
            (&PLAIN, "permessage-deflate; server_max_window_bits=16", IllegalDeflate),
            (&PLAIN, "permessage-deflate; server_max_window_bits=015", IllegalDeflate),
            (&PLAIN, "permessage-deflate; client_max_window_bits=16", IllegalDeflate),
            (
                &PLAIN,
                "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
                IllegalDeflate,
            ),
            (
                &PLAIN,
                "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
                IllegalDeflate,
            ),
            (&PLAIN, "permessage-deflate; server_no_context_takeover=1", IllegalDeflate),
            (
                &PLAIN,
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                IllegalDeflate,
            ),
            (&PLAIN, "permessage-deflate; x", IllegalDeflate),
            (&small, "permessage-deflate", IllegalDeflate),
            (&small, "permessage-deflate; server_max_window_bits=12", IllegalDeflate),
            (
                &small,
                "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11",
                IllegalDeflate,
            ),
            (&DeflateConfig::default(), "permessage-deflate", IllegalDeflate),
            (&PLAIN, "permessage-deflate, permessage-deflate", RepeatedExtension),
            (&PLAIN, "permessage-deflate, x", ExtensionNotOffered),
            (&PLAIN, "Permessage-Deflate", ExtensionNotOffered),
            (&PLAIN, "x-webkit-deflate-frame", ExtensionNotOffered),
            (&PLAIN, "", InvalidExtensions),
            (&PLAIN, ",", InvalidExtensions),
            (&PLAIN, "permessage-deflate;", InvalidExtensions),
            (&PLAIN, "permessage-deflate x", InvalidExtensions),
            (&PLAIN, "permessage-deflate; client_max_window_bits=\"9", InvalidExtensions),
            (&PLAIN, "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate", RepeatedExtension),
            (&PLAIN, "permessage-deflate\r\nSec-WebSocket-Extensions:", InvalidExtensions),
        ] {
            assert_eq!(answered(config, value), Err(failure), "{value:?}");
        }
        let line = "Sec-WebSocket-Extensions: permessage-deflate";
        assert_eq!(judge_with(&proposal(), line), Err(ExtensionNotOffered));
    }
}

#[test]
fn an_answer_that_ends_early_is_none() {
    for end in 0..GOOD.len() {
        assert_eq!(judge(&proposal(), &GOOD[..end]), Ok(None), "{end}");
        let mut storage = HeaderStorage::new();
        let head = ResponseHead::parse(&GOOD.as_bytes()[..end], &mut storage, &HeadLimits::default());
        assert_eq!(head.err(), Some(HttpError::Incomplete), "{end}");
    }
}

#[test]
fn r46_an_answer_without_end_is_refused_at_the_limit() {
    let limits = HeadLimits::default();
    let mut endless = GOOD.as_bytes()[..GOOD.len() - 2].to_vec();
    endless.extend_from_slice(b"X: ");
    endless.resize(limits.max_bytes, b'x');
    assert_eq!(judge(&proposal(), &endless), Err(HandshakeFailure::Http(HttpError::HeadTooLarge)));
    endless.truncate(limits.max_bytes - 4);
    endless.extend_from_slice(b"\r\n\r\n");
    assert_eq!(judge(&proposal(), &endless), Ok(Some((Agreed::default(), limits.max_bytes))));
    let many = GOOD.replace("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(98)));
    assert_eq!(judge(&proposal(), many), Err(HandshakeFailure::Http(HttpError::TooManyHeaders)));
}

/// Feeds an answer and what follows it as a connection would, cut at these places.
fn first_messages(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (proposal, limits) = (proposal(), HeadLimits::default());
    let (mut space, mut scanner) = (Workspace::default(), HeadScanner::new());
    let (mut protocol, mut messages, mut received) = (None, Vec::new(), Vec::new());
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.len()]) {
        received.extend_from_slice(&stream[from..to]);
        from = to;
        if protocol.is_none() {
            let answer = proposal.read_answer(&received, &mut scanner, &limits).expect("a legal answer");
            let Some((agreed, head_len)) = answer else { continue };
            received.drain(..head_len);
            protocol = Some(Protocol::client(agreed.deflate));
        }
        let Some(protocol) = &mut protocol else { continue };
        let mut input = received.as_mut_slice();
        while let Some(event) = protocol.receive(&mut input, &mut space, &Limits::default(), 0) {
            let Event::Message(payload) = event else { panic!("{event:?}") };
            messages.push(payload.message().as_bytes().to_vec());
        }
        received.clear();
    }
    messages
}

#[test]
fn r7_frames_right_behind_the_answer_are_received_however_cut() {
    let stream = [GOOD.as_bytes(), b"\x81\x05hello\x82\x01\x00"].concat();
    let expected = [b"hello".to_vec(), vec![0]];
    assert_eq!(first_messages(&stream, &[]), expected);
    for first in 0..=stream.len() {
        assert_eq!(first_messages(&stream, &[first]), expected, "{first}");
        let second = (first + 3).min(stream.len());
        assert_eq!(first_messages(&stream, &[first, second]), expected, "{first}");
    }
    assert_eq!(first_messages(&stream, &(0..stream.len()).collect::<Vec<_>>()), expected);
}

#[test]
fn a_proposal_that_waits_for_its_answer_is_small() {
    assert!(size_of::<Proposal>() <= 80, "{}", size_of::<Proposal>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_accepted_after_damage_is_still_an_answer_to_the_key(
        damage in proptest::collection::vec((0..GOOD.len(), any::<u8>()), 1..4),
        insert in any::<bool>(),
    ) {
        let mut answer = GOOD.as_bytes().to_vec();
        for (at, byte) in damage {
            if insert { answer.insert(at, byte) } else { answer[at] = byte }
        }
        if let Ok(Some((_, head_len))) = judge(&proposal(), &answer) {
            let text = String::from_utf8_lossy(&answer[..head_len]).to_ascii_lowercase();
            for part in ["http/1.1 101", "upgrade", "websocket", "connection", "s3ppl"] {
                prop_assert!(text.contains(part), "{text}");
            }
        }
    }
}
