//! The opening handshake and HTTP, from the outside: every byte is written by hand and every answer is read by hand.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod rules;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gnezdo::http::{Response, Status};
use gnezdo::ws::{AbsentOrigin, CloseCode, DeflateConfig, OriginPolicy};
use gnezdo::{Accept, Answer, Config, ConnId, DecideError, Listen, Serve, WebSocketConfig};
use rules::{
    Client, Directory, End, Frame, GOOD, SOON, Scripted, Server, eventually, request, upgrade_request,
};

const KIB: usize = 1024;

/// A good request whose head is exactly so long.
fn head_of(length: usize) -> Vec<u8> {
    let bare = upgrade_request(&["X-Padding: "]).len();
    upgrade_request(&[&format!("X-Padding: {}", "x".repeat(length - bare))])
}

/// Sends without waiting for the end of it: the server may stop reading in between.
fn offer(client: &mut Client, bytes: &[u8]) {
    let _ = client.try_send(bytes);
}

fn status_of(server: &Server, bytes: &[u8]) -> u16 {
    let mut client = Client::silent(server);
    offer(&mut client, bytes);
    client.response().status
}

/// One answer with this status, and a FIN after it.
fn expect_refusal(server: &Server, bytes: &[u8], status: u16, what: &str) {
    let mut client = Client::silent(server);
    client.send(bytes);
    let response = client.response();
    assert_eq!(response.status, status, "{what}: {response:?}");
    assert!(response.header("connection").unwrap().contains("close"), "{what}: {response:?}");
    client.expect_fin();
}

/// R1.
#[test]
fn a_head_of_16_kib_passes_and_a_byte_more_does_not() {
    let server = Server::echo();
    for (length, status) in [(16 * KIB - 1, 101), (16 * KIB, 101), (16 * KIB + 1, 431)] {
        assert_eq!(status_of(&server, &head_of(length)), status, "{length}");
    }
}

/// R1: an honest client that sends its head a byte at a time is served, and cheaply.
#[test]
fn a_head_may_come_byte_by_byte() {
    let server = Server::echo();
    let mut client = Client::silent(&server);
    for byte in head_of(16 * KIB) {
        client.send(&[byte]);
    }
    client.expect_101();
    client.expect_alive();
    assert!(server.cpu() < Duration::from_secs(3), "{:?} of CPU for 16,384 bytes", server.cpu());
}

/// R1: a header value without end is refused, not kept.
#[test]
fn an_endless_header_is_refused() {
    let server = Server::echo();
    let mut client = Client::silent(&server);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let block = vec![b'x'; 64 * KIB];
    let sent = (0..128).take_while(|_| client.try_send(&block).is_ok()).count();
    assert!(sent < 128, "8 MiB of a header were taken");
    let (answer, end) = client.rest(SOON);
    assert_ne!(end, End::Open);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
    assert!(server.cpu() < Duration::from_secs(1));
}

/// R1, R2: too many lines are an ordinary 431, wherever the line stands that matters.
#[test]
fn a_hundred_header_lines_pass_and_one_more_does_not() {
    let server = Server::echo();
    for (count, status) in [(99, 101), (100, 101), (101, 431), (128, 431), (129, 431)] {
        let padding = vec!["a: b"; count - (GOOD.len() - 1)];
        let upgrade_last = [&[GOOD[0]], &padding[..], &GOOD[1..]].concat();
        assert_eq!(status_of(&server, &upgrade_request(&padding)), status, "{count}, Upgrade first");
        assert_eq!(status_of(&server, &request(&upgrade_last)), status, "{count}, Upgrade last");
    }
}

/// R1, R2.
#[test]
fn twenty_thousand_headers_are_refused() {
    let server = Server::echo();
    for lines in [
        upgrade_request(&vec!["a: b"; 20_000]),
        request(&[&[GOOD[0]], &vec!["a: b"; 20_000][..], &GOOD[1..]].concat()),
    ] {
        let mut client = Client::silent(&server);
        offer(&mut client, &lines);
        assert_eq!(client.response().status, 431);
        client.expect_end(SOON);
    }
    Client::open(&server).expect_alive();
}

/// R1: the bounds are the owner's to set, for each listener.
#[test]
fn the_bounds_of_a_head_can_be_set() {
    let mut own = WebSocketConfig::default();
    (own.head.max_bytes, own.head.max_headers) = (32 * KIB, 8);
    let listen = Listen { serve: Serve::WebSocketWith(Box::new(own)), ..Listen::default() };
    let addr = || "127.0.0.1:0".parse().unwrap();
    let server = Server::start_on(
        Scripted::echo(),
        Config::default(),
        vec![(addr(), Listen::default()), (addr(), listen)],
    );
    let status = |at: usize, bytes: &[u8]| {
        let mut client = Client::to(&server.addrs[at]);
        client.send(bytes);
        client.response().status
    };
    assert_eq!((status(0, &head_of(20 * KIB)), status(1, &head_of(20 * KIB))), (431, 101));
    assert_eq!((status(1, &head_of(32 * KIB)), status(1, &head_of(32 * KIB + 1))), (101, 431));
    let nine = upgrade_request(&["a: b"; 4]);
    assert_eq!((status(0, &nine), status(1, &nine)), (101, 431));
}

/// Offers that an attacker would make; none may do more than be declined.
fn hostile_offers() -> Vec<String> {
    let mut offers: Vec<String> = [
        "permessage-deflate; constructor",
        "permessage-deflate; __proto__=1",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=-9",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=11",
        "permessage-deflate;;",
        "permessage-deflate; =",
        "; permessage-deflate",
        "permessage-deflate permessage-deflate",
        ",,,,",
        "\"permessage-deflate\"",
        "Permessage-Deflate",
        "x-webkit-deflate-frame",
        "permessage-deflate; client_max_window_bits=\"1\\5\\",
    ]
    .map(str::to_owned)
    .to_vec();
    offers.push(format!("permessage-deflate; client_max_window_bits=\"{}", "\\".repeat(14 * KIB)));
    offers.push(format!("permessage-deflate{}", "; constructor".repeat(1_000)));
    offers.push(format!("permessage-deflate{}", "; a".repeat(4_000)));
    offers.push("permessage-deflate,".repeat(700));
    offers.push(vec!["x"; 2_000].join(","));
    offers.push(format!("permessage-deflate; {}", "a".repeat(14 * KIB)));
    offers.push(format!("{}permessage-deflate", ",".repeat(14 * KIB)));
    offers.push(format!("permessage-deflate{};", " ".repeat(14 * KIB)));
    offers
}

/// Whether a server may answer this (RFC 7692 §7.1), whatever was offered.
fn is_legal_answer(value: &str) -> bool {
    let mut parts = value.split("; ");
    parts.next() == Some("permessage-deflate")
        && parts.all(|part| match part.split_once('=') {
            None => matches!(part, "server_no_context_takeover" | "client_no_context_takeover"),
            Some((name, bits)) => {
                matches!(name, "server_max_window_bits" | "client_max_window_bits")
                    && (8..=15).any(|legal| legal.to_string() == bits)
            }
        })
}

/// R3: whatever is offered, the answer is a 101 with no or a legal extension, and it comes at once.
#[test]
fn hostile_extension_offers_are_declined() {
    let mut config = Config::default();
    config.websocket.deflate = Some(DeflateConfig::default());
    let server = Server::start(Scripted::echo(), config);
    let began = Instant::now();
    let offers = hostile_offers();
    for offer in &offers {
        let mut client = Client::silent(&server);
        let response = client.upgrade(&[&format!("Sec-WebSocket-Extensions: {offer}")]);
        let answer = response.header("sec-websocket-extensions");
        let start = &offer[..offer.len().min(60)];
        assert!(answer.is_none_or(is_legal_answer), "{answer:?} to {start:?}");
        let declined = !matches!(start, "permessage-deflate,");
        assert!(declined || answer.is_none(), "{answer:?} to {start:?}");
        client.expect_alive();
    }
    let spread: Vec<String> =
        (0..90).map(|_| "Sec-WebSocket-Extensions: permessage-deflate; x".to_owned()).collect();
    let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
    let response = Client::silent(&server).upgrade(&spread);
    assert_eq!(response.header("sec-websocket-extensions"), None);
    assert!(server.cpu() < Duration::from_secs(1), "{:?} of CPU", server.cpu());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for {} offers", began.elapsed(), offers.len());
}

/// R3: the same for subprotocols.
#[test]
fn hostile_subprotocol_offers_are_refused_or_ignored() {
    let server = Server::echo();
    for (offer, status) in [
        ("a, a".to_owned(), 400),
        (",,,".to_owned(), 400),
        ("a b".to_owned(), 400),
        (" ".repeat(14 * KIB) + "b", 101),
        (vec!["x"; 5_000].join(","), 400),
        (format!("a{}", " ,".repeat(7_000)), 101),
    ] {
        let bytes = upgrade_request(&[&format!("Sec-WebSocket-Protocol: {offer}")]);
        let began = Instant::now();
        assert_eq!(status_of(&server, &bytes), status, "{:?}", &offer[..offer.len().min(40)]);
        assert!(began.elapsed() < SOON);
    }
}

fn with_opening(span: Duration) -> Config {
    let mut config = Config::default();
    config.timeouts.opening = span;
    config
}

/// R4: there is one deadline from the accept on, and bytes do not move it.
#[test]
fn silent_and_dripping_clients_are_gone_at_the_deadline() {
    let server = Server::start(Scripted::echo(), with_opening(Duration::from_secs(1)));
    let mut healthy = Client::open(&server);
    let began = Instant::now();
    let mut silent: Vec<Client> = (0..20).map(|_| Client::silent(&server)).collect();
    let mut dripping: Vec<Client> = (0..20).map(|_| Client::silent(&server)).collect();
    // A machine that is busy elsewhere may sleep over the deadline.
    let too_late = || began.elapsed() >= Duration::from_millis(900);
    eventually("all came", || server.count(|watch| &watch.connections) == 41 || too_late());
    for client in &mut dripping {
        offer(client, b"GET / HTTP/1.1\r\nHost: a\r\n");
    }
    while began.elapsed() < Duration::from_millis(400) {
        for client in &mut dripping {
            offer(client, b"X: y\r\n");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let there = server.count(|watch| &watch.connections);
    assert!(too_late() || there == 41, "{} were cut before the deadline", 41 - there);
    while server.count(|watch| &watch.connections) > 1 && began.elapsed() < SOON {
        for client in &mut dripping {
            offer(client, b"X: y\r\n");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() < SOON, "still there after {:?}", began.elapsed());
    for client in silent.iter_mut().chain(&mut dripping) {
        client.expect_end(SOON);
    }
    healthy.expect_alive();
}

/// R4: beyond the cap on connections that have not upgraded, the oldest of them goes, and no other.
#[test]
fn too_many_openings_evict_the_oldest() {
    let server = Server::start(Scripted::echo(), Config { max_opening: Some(5), ..Config::default() });
    let mut healthy: Vec<Client> = (0..10).map(|_| Client::open(&server)).collect();
    let mut silent: Vec<Client> = Vec::new();
    for count in 1..=8 {
        silent.push(Client::silent(&server));
        eventually("it is accepted", || server.count(|watch| &watch.connections) == 10 + count.min(5));
    }
    for client in &mut silent[..3] {
        client.expect_end(SOON);
    }
    for client in &mut silent[3..] {
        client.upgrade(&[]);
        client.expect_alive();
    }
    healthy.iter_mut().for_each(Client::expect_alive);
}

/// R5 (RFC 6455 §4.2.1): a request is right in every point, or refused.
#[test]
fn each_mutant_of_a_good_request_is_refused() {
    let server = Server::echo();
    let [get, host, upgrade, connection, key, version] = GOOD;
    for (lines, status) in [
        // The request line.
        (vec!["POST /chat HTTP/1.1", host, upgrade, connection, key, version], 405),
        (vec!["HEAD /chat HTTP/1.1", host, upgrade, connection, key, version], 405),
        (vec!["get /chat HTTP/1.1", host, upgrade, connection, key, version], 405),
        (vec!["GET /chat HTTP/1.0", host, upgrade, connection, key, version], 400),
        (vec!["GET  /chat HTTP/1.1", host, upgrade, connection, key, version], 400),
        (vec!["GET /chat#f HTTP/1.1", host, upgrade, connection, key, version], 400),
        (vec!["GET chat HTTP/1.1", host, upgrade, connection, key, version], 400),
        // Host.
        (vec![get, upgrade, connection, key, version], 400),
        (vec![get, host, host, upgrade, connection, key, version], 400),
        (vec![get, "Host:", upgrade, connection, key, version], 400),
        (vec![get, "Host: a b", upgrade, connection, key, version], 400),
        // Upgrade and Connection.
        (vec![get, host, connection, key, version], 400),
        (vec![get, host, "Upgrade: websocket/13", connection, key, version], 400),
        (vec![get, host, "Upgrade: xwebsocket", connection, key, version], 400),
        (vec![get, host, "Upgrade: h2c", connection, key, version], 400),
        (vec![get, host, upgrade, key, version], 400),
        (vec![get, host, upgrade, "Connection: keep-alive", key, version], 400),
        (vec![get, host, upgrade, "Connection: upgraded", key, version], 400),
        // The key.
        (vec![get, host, upgrade, connection, version], 400),
        (vec![get, host, upgrade, connection, key, key, version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key:", version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key: abc=", version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==", version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=", version], 400),
        (vec![get, host, upgrade, connection, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==", version], 400),
        // The version.
        (vec![get, host, upgrade, connection, key], 426),
        (vec![get, host, upgrade, connection, key, "Sec-WebSocket-Version: 12"], 426),
        (vec![get, host, upgrade, connection, key, "Sec-WebSocket-Version: 14"], 426),
        (vec![get, host, upgrade, connection, key, "Sec-WebSocket-Version: 013"], 426),
        (vec![get, host, upgrade, connection, key, "Sec-WebSocket-Version: 13, 8"], 426),
        (vec![get, host, upgrade, connection, key, version, version], 426),
        // A body.
        (vec![get, host, upgrade, connection, key, version, "Content-Length: 5"], 400),
        (vec![get, host, upgrade, connection, key, version, "Content-Length: +0"], 400),
        (vec![get, host, upgrade, connection, key, version, "Transfer-Encoding: chunked"], 400),
        (
            vec![
                get,
                host,
                upgrade,
                connection,
                key,
                version,
                "Content-Length: 0",
                "Transfer-Encoding: chunked",
            ],
            400,
        ),
        // The lines as such.
        (vec![get, host, upgrade, connection, key, version, " folded"], 400),
        (vec![get, host, upgrade, connection, key, version, "X : y"], 400),
        (vec![get, host, upgrade, connection, key, version, "X: a\0b"], 400),
        (vec![get, host, upgrade, connection, key, version, "X: a\rb"], 400),
        (vec![get, host, upgrade, connection, key, version, "X: a\nY: b"], 400),
        (vec![get, host, upgrade, connection, key, version, "no colon"], 400),
    ] {
        let mut client = Client::silent(&server);
        client.send(&request(&lines));
        let head = lines[0].starts_with("HEAD");
        let response = if head { client.response_head() } else { client.response() };
        assert_eq!(response.status, status, "{lines:?}");
        assert!(status != 405 || response.header("allow") == Some("GET"), "{response:?}");
        let names_version = response.header("sec-websocket-version") == Some("13");
        assert!(status != 426 || names_version, "{response:?}");
        assert!(response.header("connection").unwrap().contains("close"), "{response:?}");
        if !head {
            client.expect_fin();
        }
    }
    assert_eq!(server.count(|watch| &watch.requests), 0, "no invalid attempt reaches the handler");
}

/// R5: what is not an error is not refused.
#[test]
fn unusual_but_valid_requests_are_accepted() {
    let server = Server::echo();
    let [get, host, upgrade, connection, key, version] = GOOD;
    for lines in [
        vec![get, host, "upgrade: WebSocket", "connection: keep-alive, UPGRADE", key, version],
        vec![get, host, "Upgrade: h2c, websocket", "Connection: x", connection, key, version],
        vec![get, host, upgrade, connection, key, version, "Content-Length: 0"],
        vec!["GET / HTTP/1.1", "hOsT:server:80", upgrade, connection, key, "Sec-WebSocket-Version:13  "],
        vec!["GET http://server.example.com/chat HTTP/1.1", host, upgrade, connection, key, version],
        vec!["GET /?a=b HTTP/1.1", host, upgrade, connection, key, version],
    ] {
        let mut client = Client::silent(&server);
        client.send(&request(&lines));
        client.expect_101();
        client.expect_alive();
    }
}

/// R6: nothing behind a refused upgrade is read as a request.
#[test]
fn a_request_behind_a_refused_upgrade_is_not_answered() {
    let server = Server::start(
        Scripted::echo().on_request(|_, _, request| {
            assert_ne!(request.path(), "/second", "a smuggled request");
            if request.is_websocket() { Accept::new().into() } else { Response::new(Status::OK).into() }
        }),
        Config::default(),
    );
    let second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let [get, host, upgrade, connection, key, _] = GOOD;
    let old = request(&[get, host, upgrade, connection, key, "Sec-WebSocket-Version: 12"]);
    let with_body = upgrade_request(&[&format!("Content-Length: {}", second.len())]);
    let chunked = upgrade_request(&["Transfer-Encoding: chunked"]);
    for (first, status) in [(old, 426), (with_body, 400), (chunked, 400), (request(&[get, host]), 200)] {
        expect_refusal(&server, &[&first, second.as_bytes()].concat(), status, "pipelined");
        let mut client = Client::silent(&server);
        client.send_cut(&[&first, second.as_bytes()].concat(), first.len(), Duration::from_millis(20));
        assert_eq!(client.response().status, status);
        client.expect_fin();
    }
}

/// R6: the ways to disagree about where a request ends.
#[test]
fn ambiguous_framing_is_refused() {
    let server = Server::echo();
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer_Encoding: chunked",
        " Transfer-Encoding: chunked",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n");
        expect_refusal(&server, bytes.as_bytes(), 400, lines);
    }
    for bytes in [
        &b"GET / HTTP/1.1\nHost: a\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x81\x85\x00\x00\x00\x00hello",
    ] {
        expect_refusal(&server, bytes, 400, "line ends");
    }
}

/// R7: what comes in one segment with the head is not lost.
#[test]
fn frames_in_the_segment_of_the_head_are_answered() {
    let server = Server::echo();
    let mut client = Client::silent(&server);
    let frames =
        [Frame::text("one"), Frame::ping("two"), Frame::binary([3; 300])].map(|f| f.masked()).concat();
    client.send(&[upgrade_request(&[]), frames].concat());
    client.expect_101();
    client.expect_text("one");
    client.expect_pong(b"two");
    client.expect_binary(&[3; 300]);
    client.expect_alive();
}

/// R7: the answer does not depend on where the network cuts.
#[test]
fn head_and_frames_may_be_cut_at_every_byte() {
    let server = Server::echo();
    let head = upgrade_request(&[]);
    let frames = [
        Frame::text("straße").unfinished().masked(),
        Frame::ping("in between").masked(),
        Frame::more("nbahn").masked(),
        Frame::binary([7; 200]).masked(),
        Frame::close(1000, "bye").masked(),
    ];
    let whole = [head, frames.concat()].concat();
    for at in 1..whole.len() {
        let mut client = Client::silent(&server);
        client.send_cut(&whole, at, Duration::from_millis(1));
        client.expect_101();
        client.expect_pong(b"in between");
        client.expect_text("straßenbahn");
        client.expect_binary(&[7; 200]);
        client.expect_close(1000);
    }
    server.expect_empty();
}

/// The same with the peer's stream ending in the middle: no part of anything is taken for the whole.
#[test]
fn a_stream_that_ends_anywhere_leaves_nothing_behind() {
    let server = Server::echo();
    let whole = [upgrade_request(&[]), Frame::text("not to be seen").masked()].concat();
    for at in 0..whole.len() {
        let mut client = Client::silent(&server);
        client.send(&whole[..at]);
        client.shut();
        let (answer, end) = client.rest(SOON);
        assert_eq!(end, End::Fin, "cut at {at}");
        assert!(answer.is_empty() || answer.ends_with(b"\r\n\r\n"), "cut at {at}");
    }
    server.expect_empty();
    assert_eq!(server.count(|watch| &watch.messages), 0);
}

/// R8: with the default policy, pages of other hosts open nothing.
#[test]
fn only_pages_of_the_same_host_may_connect() {
    let server = Server::echo();
    let host = "server.example.com";
    for (origin, status) in [
        (format!("Origin: https://{host}"), 101),
        (format!("Origin: http://{host}"), 101),
        (format!("Origin: HTTPS://{}", host.to_uppercase()), 403),
        (format!("Origin: http://{host}:80"), 101),
        (format!("Origin: http://{host}:8080"), 403),
        (format!("Origin: https://good.{host}"), 403),
        (format!("Origin: https://{host}.evil.com"), 403),
        (format!("Origin: https://evil{host}"), 403),
        (format!("Origin: https://{host}@evil.com"), 403),
        (format!("Origin: https://evil.com/{host}"), 403),
        (format!("Origin: https://{host}/"), 403),
        (format!("Origin: ftp://{host}"), 403),
        (format!("Origin: file://{host}"), 403),
        (format!("Origin: {host}"), 403),
        ("Origin: null".to_owned(), 403),
        ("Origin:".to_owned(), 403),
        (format!("Origin: https://{host}\r\nOrigin: https://{host}"), 400),
        (format!("Origin: https://{host} https://evil.com"), 403),
        ("X-Nothing: none".to_owned(), 101),
    ] {
        assert_eq!(status_of(&server, &upgrade_request(&[&origin])), status, "{origin}");
    }
}

/// R8: the port counts, on both sides.
#[test]
fn an_origin_on_another_port_is_another_origin() {
    let server = Server::echo();
    let [get, _, upgrade, connection, key, version] = GOOD;
    for (host, origin, status) in [
        ("localhost:9001", "http://localhost:9001", 101),
        ("localhost:9001", "http://localhost:9002", 403),
        ("localhost:9001", "http://localhost", 403),
        ("[::1]:9001", "http://[::1]:9001", 101),
        ("[::1]:9001", "http://[::2]:9001", 403),
    ] {
        let (host, origin) = (format!("Host: {host}"), format!("Origin: {origin}"));
        let bytes = request(&[get, &host, upgrade, connection, key, version, &origin]);
        assert_eq!(status_of(&server, &bytes), status, "{host}, {origin}");
    }
}

/// R8: the policy belongs to the listener.
#[test]
fn the_origin_policy_can_be_set() {
    let with = |origin| {
        let own = WebSocketConfig { origin, ..WebSocketConfig::default() };
        let listen = Listen { serve: Serve::WebSocketWith(Box::new(own)), ..Listen::default() };
        ("127.0.0.1:0".parse().unwrap(), listen)
    };
    let list = OriginPolicy::List(vec!["https://app.example.com".parse().unwrap()]);
    let listens = vec![with(OriginPolicy::Any), with(list)];
    let server = Server::start_on(Scripted::echo(), Config::default(), listens);
    let status = |at: usize, origin: &str| {
        let mut client = Client::to(&server.addrs[at]);
        client.send(&upgrade_request(&[&format!("Origin: {origin}")]));
        client.response().status
    };
    for (origin, any, listed) in [
        ("https://evil.com", 101, 403),
        ("null", 101, 403),
        ("https://app.example.com", 101, 101),
        ("http://app.example.com", 101, 403),
        ("https://server.example.com", 101, 403),
    ] {
        assert_eq!((status(0, origin), status(1, origin)), (any, listed), "{origin}");
    }
}

/// R8: programs that send no Origin can be kept out.
#[test]
fn an_absent_origin_can_be_refused() {
    let mut config = Config::default();
    config.websocket.absent_origin = AbsentOrigin::Refused;
    let server = Server::start(Scripted::echo(), config);
    assert_eq!(status_of(&server, &upgrade_request(&[])), 403);
    assert_eq!(status_of(&server, &upgrade_request(&["Origin: https://server.example.com"])), 101);
    assert_eq!(status_of(&server, &upgrade_request(&["Origin: https://evil.com"])), 403);
    assert_eq!(status_of(&server, &request(&["GET / HTTP/1.1", "Host: a"])), 426, "a plain page needs none");
}

/// R10: what could break out of its line is refused where it is given.
#[test]
fn headers_of_ones_own_cannot_inject_a_line() {
    for value in ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b", "\r\n\r\n"] {
        assert!(Accept::new().header("X-Own", value).is_err(), "{value:?}");
        assert!(Response::new(Status::OK).header("X-Own", value).is_err(), "{value:?}");
    }
    for name in
        ["X Own", "X:Own", "", "X\r\nY", "X\u{e9}", "Content-Length", "Transfer-Encoding", "Connection"]
    {
        assert!(Accept::new().header(name, "a").is_err(), "{name:?}");
        assert!(Response::new(Status::OK).header(name, "a").is_err(), "{name:?}");
    }
    for name in ["Sec-WebSocket-Accept", "sec-websocket-extensions", "Upgrade"] {
        assert!(Accept::new().header(name, "a").is_err(), "{name:?}");
    }
}

/// R10: nor can a subprotocol, and nothing of the request comes back unasked.
#[test]
fn nothing_is_injected_on_the_wire() {
    let server = Server::start(
        Scripted::echo().on_request(|_, _, request| {
            let path = request.path().to_owned();
            let accept = Accept::new().header("X-Path", &path).unwrap();
            match path.as_str() {
                "/crlf" => accept.subprotocol("chat\r\nX-Injected: 1").into(),
                "/other" => accept.subprotocol("never.offered").into(),
                _ => accept.subprotocol("chat").into(),
            }
        }),
        Config::default(),
    );
    for (target, status) in [("/crlf", 500), ("/other", 500), ("/%0d%0aX-Injected:%201", 101)] {
        let mut client = Client::silent(&server);
        let line = format!("GET {target} HTTP/1.1");
        client.send(&request(&[&[&line[..]], &GOOD[1..], &["Sec-WebSocket-Protocol: chat"]].concat()));
        let response = client.response();
        assert_eq!(response.status, status, "{target}");
        assert!(response.header("x-injected").is_none(), "{response:?}");
    }
    server.expect_empty();
    assert_eq!((server.opened(), server.closed()), (1, 1));
}

/// An ordinary page beside the WebSocket, with HEAD (RFC 9110 §9.3.2).
#[test]
fn a_handler_can_answer_by_http() {
    let server = Server::start(
        Scripted::echo().on_request(|_, _, request| match (request.is_websocket(), request.path()) {
            (true, _) => Accept::new().into(),
            (false, "/") => Response::new(Status::OK).header("X-Own", "1").unwrap().text("hello\n").into(),
            (false, "/empty") => Response::new(Status::NO_CONTENT).into(),
            (false, "/large") => Response::new(Status::OK).body(vec![b'x'; 3 << 20]).into(),
            _ => Response::new(Status::NOT_FOUND).into(),
        }),
        Config::default(),
    );
    let ask = |line: &str| {
        let mut client = Client::silent(&server);
        client.send(&request(&[line, "Host: a"]));
        client
    };
    let mut client = ask("GET / HTTP/1.1");
    let response = client.response();
    assert_eq!((response.status, &response.body[..]), (200, &b"hello\n"[..]));
    assert_eq!((response.header("x-own"), response.header("connection")), (Some("1"), Some("close")));
    client.expect_fin();

    let mut client = ask("HEAD / HTTP/1.1");
    let response = client.response_head();
    assert_eq!((response.status, response.header("content-length")), (200, Some("6")));
    client.expect_fin();

    let mut client = ask("GET /empty HTTP/1.1");
    let response = client.response_head();
    assert_eq!((response.status, response.header("content-length")), (204, None));
    client.expect_fin();

    let mut client = ask("GET /large HTTP/1.1");
    assert_eq!(client.response().body.len(), 3 << 20, "more than the queue of a connection takes");
    client.expect_fin();

    let mut client = ask("GET /nothing HTTP/1.0");
    assert_eq!(client.response().status, 404);
    client.expect_fin();
    Client::open(&server).expect_alive();
}

/// RFC 9110 §9.3.2: the answer to HEAD has no body, whoever gives it.
#[test]
fn a_refused_head_request_gets_no_body() {
    let server = Server::echo();
    let mut client = Client::silent(&server);
    client.send(&request(&[&["HEAD /chat HTTP/1.1"], &GOOD[1..]].concat()));
    assert_eq!(client.response_head().status, 405);
    client.expect_fin();
}

/// RFC 9110 §15.5.22: a 426 names the protocol to upgrade to, whichever way it is given.
#[test]
fn a_426_says_what_to_upgrade_to() {
    let server =
        Server::start(Scripted::echo().on_request(|_, _, _| Accept::new().into()), Config::default());
    let [get, host, upgrade, connection, key, _] = GOOD;
    for lines in [vec![get, host], vec![get, host, upgrade, connection, key, "Sec-WebSocket-Version: 8"]] {
        let mut client = Client::silent(&server);
        client.send(&request(&lines));
        let response = client.response();
        assert_eq!((response.status, response.header("upgrade")), (426, Some("websocket")), "{response:?}");
        assert!(response.header("connection").unwrap().to_lowercase().contains("upgrade"), "{response:?}");
        client.expect_fin();
    }
}

/// RFC 9110 §15.2: what is only an interim answer is none.
#[test]
fn an_interim_response_is_no_answer() {
    let server = Server::start(
        Scripted::echo().on_request(|_, _, request| {
            let code = request.path().trim_start_matches('/').parse().unwrap();
            Response::new(Status::new(code).unwrap()).into()
        }),
        Config::default(),
    );
    for code in [100, 101, 103] {
        let line = format!("GET /{code} HTTP/1.1");
        expect_refusal(&server, &request(&[&line, "Host: a"]), 500, &line);
    }
}

/// A body that nobody reads does not cost the answer (R41).
#[test]
fn a_post_is_answered_before_its_body_is_read() {
    let refuse = |_: &mut rules::Cx<'_>, _, _: &gnezdo::Request<'_>| -> Answer {
        Response::new(Status::NOT_FOUND).text("no\n").into()
    };
    let server = Server::start(Scripted::echo().on_request(refuse), Config::default());
    let mut client = Client::silent(&server);
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    client.send(&vec![b'x'; 50_000]);
    let response = client.response();
    assert_eq!((response.status, &response.body[..]), (404, &b"no\n"[..]));
    client.expect_fin();
}

/// A server that holds every request, and decides when another connection says so.
struct Holding {
    server: Server,
    control: Client,
}

/// The control connection sends what is to become of the oldest held request.
fn holding(config: Config) -> Holding {
    let held: Arc<Mutex<Vec<ConnId>>> = Arc::default();
    let deciding = Arc::clone(&held);
    let handler = Scripted::default()
        .on_request(move |_, id, request| {
            if request.path() == "/control" {
                return Accept::new().into();
            }
            held.lock().unwrap().push(id);
            Answer::Hold
        })
        .on_message(move |cx, id, message| {
            let of_control = |word: &str| {
                matches!(word, "accept" | "chat" | "respond" | "twice" | "count" | "abort" | "shutdown")
            };
            let word = String::from_utf8(message.as_bytes().to_vec()).unwrap();
            if !of_control(&word) {
                let _ = cx.send(id, message).unwrap();
                return;
            }
            if word == "count" {
                let _ = cx.send(id, &deciding.lock().unwrap().len().to_string()).unwrap();
                return;
            }
            if word == "shutdown" {
                return cx.shutdown(SOON);
            }
            let first = deciding.lock().unwrap().remove(0);
            let teapot = Response::new(Status::FORBIDDEN).text("not you\n");
            let outcome = match word.as_str() {
                "accept" => cx.accept(first, &Accept::new()),
                "chat" => cx.accept(first, &Accept::new().subprotocol("chat").header("X-Late", "1").unwrap()),
                "abort" => {
                    cx.abort(first);
                    cx.accept(first, &Accept::new())
                }
                "twice" => cx.accept(first, &Accept::new()).and_then(|()| cx.accept(first, &Accept::new())),
                _ => cx.respond(first, &teapot),
            };
            let _ = cx.send(id, &format!("{outcome:?}")).unwrap();
        });
    let server = Server::start(handler, config);
    let mut control = Client::silent(&server);
    control.send(&request(&[&["GET /control HTTP/1.1"], &GOOD[1..]].concat()));
    control.expect_101();
    Holding { server, control }
}

impl Holding {
    /// A client whose request is held.
    fn client(&mut self, more: &[&str]) -> Client {
        let mut client = Client::silent(&self.server);
        client.send(&upgrade_request(more));
        self.wait_for_held(1);
        client
    }

    fn wait_for_held(&mut self, count: usize) {
        let control = &mut self.control;
        eventually("the request is held", || {
            control.text("count");
            control.message() == count.to_string().as_bytes()
        });
    }

    fn decide(&mut self, word: &str) -> String {
        self.control.text(word);
        String::from_utf8(self.control.message()).unwrap()
    }
}

/// R7: frames behind a held request wait for the decision.
#[test]
fn a_held_request_can_be_accepted_later() {
    let mut held = holding(Config::default());
    let mut client = held.client(&["Sec-WebSocket-Protocol: x, chat"]);
    client.text("early");
    client.frame(&Frame::ping("too"));
    client.expect_silence(Duration::from_millis(50));
    assert_eq!(held.decide("chat"), "Ok(())");
    let response = client.expect_101();
    assert_eq!(response.header("sec-websocket-protocol"), Some("chat"));
    assert_eq!(response.header("x-late"), Some("1"));
    client.expect_text("early");
    client.expect_pong(b"too");
    client.expect_alive();
}

/// R7: the same for frames in the segment of the head: no event will come for them.
#[test]
fn frames_in_the_segment_of_a_held_head_are_answered() {
    let mut held = holding(Config::default());
    let mut client = Client::silent(&held.server);
    client
        .send(&[upgrade_request(&[]), Frame::text("early").masked(), Frame::text("bird").masked()].concat());
    held.wait_for_held(1);
    assert_eq!(held.decide("accept"), "Ok(())");
    client.expect_101();
    client.expect_text("early");
    client.expect_text("bird");
    client.expect_alive();
}

/// R7: and for much more than a receive takes, all of which waits in the kernel or is kept in order.
#[test]
fn a_megabyte_behind_a_held_request_is_kept_in_order() {
    let mut held = holding(Config::default());
    let mut client = Client::silent(&held.server);
    let frames: Vec<u8> = (0..1000).flat_map(|n| Frame::text(&format!("{n:0>1000}")).masked()).collect();
    let sender = std::thread::scope(|scope| {
        scope.spawn(|| {
            held.wait_for_held(1);
            assert_eq!(held.decide("accept"), "Ok(())");
        });
        client.send(&upgrade_request(&[]));
        client.send(&frames[..200_000]);
        client.expect_101();
        client.send(&frames[200_000..]);
        client
    });
    let mut client = sender;
    for n in 0..1000 {
        client.expect_text(&format!("{n:0>1000}"));
    }
}

#[test]
fn a_held_request_can_be_refused_later() {
    let mut held = holding(Config::default());
    let mut client = held.client(&[]);
    client.text("early");
    assert_eq!(held.decide("respond"), "Ok(())");
    let response = client.response();
    assert_eq!((response.status, &response.body[..]), (403, &b"not you\n"[..]));
    client.expect_fin();
    eventually("its slot is back", || held.server.count(|watch| &watch.connections) == 1);
    assert_eq!(held.server.closed(), 0, "a request that was answered needs no on_close");
}

#[test]
fn a_request_is_decided_once() {
    let mut held = holding(Config::default());
    let mut client = held.client(&[]);
    assert_eq!(held.decide("twice"), format!("{:?}", Err::<(), _>(DecideError::NotHeld)));
    client.expect_101();
    client.expect_alive();
    let mut client = held.client(&[]);
    assert!(held.decide("chat").contains("SubprotocolNotOffered"));
    assert_eq!(client.response().status, 500);
    client.expect_fin();
}

/// A request that ended, whoever ended it, cannot be accepted, and never opens.
#[test]
fn a_request_that_was_aborted_cannot_be_accepted() {
    let mut held = holding(Config::default());
    let mut client = held.client(&[]);
    assert_eq!(held.decide("abort"), format!("{:?}", Err::<(), _>(DecideError::Gone)));
    assert_eq!(client.rest(SOON), (Vec::new(), End::Reset));
    eventually("on_close", || held.server.closed() == 1);
    assert_eq!(held.server.opened(), 1, "only the control connection opened");
}

/// A held request that does not ask for a WebSocket is answered 426 where it is accepted.
#[test]
fn a_held_plain_request_cannot_be_accepted() {
    let mut held = holding(Config::default());
    let mut client = Client::silent(&held.server);
    client.send(&request(&["GET / HTTP/1.1", "Host: a"]));
    held.wait_for_held(1);
    assert_eq!(held.decide("accept"), format!("{:?}", Err::<(), _>(DecideError::NotWebSocket)));
    assert_eq!(client.response().status, 426);
    client.expect_fin();
}

/// R49: a shutdown does not wait for held requests, and tells that they ended.
#[test]
fn a_shutdown_ends_held_requests() {
    let mut held = holding(Config::default());
    let mut client = held.client(&[]);
    held.control.text("shutdown");
    client.expect_end(SOON);
    assert_eq!(held.control.next().close_code(), Some(1001));
    held.control.close(1001);
    held.control.expect_fin();
    eventually("both on_close", || held.server.closed() == 2);
}

/// R4: the decision falls under the same deadline, and `on_close` tells that it did not come.
#[test]
fn a_held_request_ends_at_the_deadline() {
    let mut held = holding(with_opening(Duration::from_millis(500)));
    let mut client = held.client(&[]);
    client.expect_end(SOON);
    eventually("on_close", || held.server.closed() == 1);
    assert_eq!(held.server.reasons(), ["TimedOut(Opening)"]);
    assert_eq!(held.decide("accept"), format!("{:?}", Err::<(), _>(DecideError::Gone)));
}

/// A peer that leaves while its request is held is told of once, whenever it is noticed.
#[test]
fn a_peer_may_leave_while_its_request_is_held() {
    for word in ["accept", "respond"] {
        for how in ["close", "reset"] {
            let mut held = holding(Config::default());
            let client = held.client(&[]);
            if how == "reset" {
                client.reset();
            } else {
                drop(client);
            }
            std::thread::sleep(Duration::from_millis(20));
            let outcome = held.decide(word);
            assert!(outcome.contains("Ok") || outcome.contains("Gone"), "{word} after {how}: {outcome}");
            eventually("its slot is back", || held.server.count(|watch| &watch.connections) == 1);
            held.control.text("count");
            assert_eq!(held.control.message(), b"0");
            assert!(held.server.opened() <= 2);
        }
    }
}

/// Whoever asked for a WebSocket and ends its stream is of no more use to anybody: the handler hears of it at once, not
/// when the time for the decision is over, wherever the end lies.
#[test]
fn a_held_client_that_leaves_is_told_of_at_once() {
    for how in ["shut", "shut at once", "shut behind frames", "close", "reset"] {
        let mut held = holding(Config::default());
        let mut client = Client::silent(&held.server);
        client.send(&upgrade_request(&[]));
        if how != "shut at once" {
            held.wait_for_held(1);
        }
        match how {
            "close" => drop(client),
            "reset" => client.reset(),
            "shut behind frames" => {
                client.text("early");
                client.shut();
                client.expect_end(SOON);
            }
            _ => {
                client.shut();
                client.expect_end(SOON);
            }
        }
        eventually("on_close", || held.server.closed() == 1);
        assert_eq!(held.server.reasons(), ["EndOfStream"], "{how}");
        held.wait_for_held(1);
        assert_eq!(held.decide("accept"), format!("{:?}", Err::<(), _>(DecideError::Gone)));
        eventually("its slot is back", || held.server.count(|watch| &watch.connections) == 1);
        assert_eq!(held.server.opened(), 1, "only the control connection opened");
    }
}

/// A client of plain HTTP may end its stream behind the request and still read the answer; one that is gone altogether is
/// told of at once.
#[test]
fn a_held_plain_request_outlives_the_clients_stream() {
    let mut held = holding(Config::default());
    let mut client = Client::silent(&held.server);
    client.send(&request(&["GET / HTTP/1.1", "Host: a"]));
    client.shut();
    held.wait_for_held(1);
    client.expect_silence(Duration::from_millis(50));
    assert_eq!(held.decide("respond"), "Ok(())");
    assert_eq!(client.response().status, 403);
    client.expect_fin();
    let mut client = Client::silent(&held.server);
    client.send(&request(&["GET / HTTP/1.1", "Host: a"]));
    held.wait_for_held(1);
    client.reset();
    eventually("on_close", || held.server.closed() == 1);
    assert_eq!(held.server.reasons(), ["EndOfStream"]);
}

#[test]
fn an_offered_subprotocol_can_be_chosen() {
    let choose = |_: &mut rules::Cx<'_>, _, request: &gnezdo::Request<'_>| -> Answer {
        let known = request.subprotocols().find(|name| name.starts_with("chat."));
        known.map_or(Accept::new(), |name| Accept::new().subprotocol(name)).into()
    };
    let server = Server::start(Scripted::echo().on_request(choose), Config::default());
    for (lines, chosen) in [
        (&[][..], None),
        (&["Sec-WebSocket-Protocol: x, chat.v2, chat.v1"][..], Some("chat.v2")),
        (&["Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: chat.v1"][..], Some("chat.v1")),
        (&["Sec-WebSocket-Protocol: other"][..], None),
    ] {
        let mut client = Client::silent(&server);
        assert_eq!(client.upgrade(lines).header("sec-websocket-protocol"), chosen);
        client.expect_alive();
    }
}

/// The handler sees the request as it was sent: path, query, headers, cookies, subprotocols, and who sent it.
#[test]
fn a_handler_sees_the_whole_request() {
    let show = |_: &mut rules::Cx<'_>, _, request: &gnezdo::Request<'_>| -> Answer {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned();
        let shown = [
            request.method().to_owned(),
            request.path().to_owned(),
            request.query().unwrap_or("-").to_owned(),
            request.host().unwrap_or("-").to_owned(),
            text(request.header("user-agent")),
            request.cookie("session").unwrap_or("-").to_owned(),
            request.cookies().count().to_string(),
            request.subprotocols().collect::<Vec<_>>().join("+"),
            request.is_websocket().to_string(),
            request.peer().to_string(),
        ];
        Accept::new().header("X-Seen", shown.join(" ")).unwrap().into()
    };
    let directory = Directory::new("request");
    let listens = vec![
        ("127.0.0.1:0".parse().unwrap(), Listen::default()),
        ("[::1]:0".parse().unwrap(), Listen::default()),
        (directory.addr("socket"), Listen::default()),
    ];
    let server = Server::start_on(Scripted::echo().on_request(show), Config::default(), listens);
    for (at, addr) in server.addrs.iter().enumerate() {
        let mut client = Client::to(addr);
        client.send(&request(
            &[
                &["GET /a/b%20c?d=e&f=?g HTTP/1.1"],
                &GOOD[1..],
                &["USER-AGENT:  test/1  ", "Cookie: a=b; session=xyz", "Sec-WebSocket-Protocol: p, q"],
            ]
            .concat(),
        ));
        let response = client.expect_101();
        let seen = response.header("x-seen").unwrap();
        let expected = "GET /a/b%20c d=e&f=?g server.example.com test/1 xyz 2 p+q true ";
        let peer = seen.strip_prefix(expected).unwrap_or_else(|| unreachable!("{seen}"));
        assert!(at == 2 || peer == client.local_addr().to_string(), "{peer}");
        client.expect_alive();
    }
}

/// What a handler does to its own connection inside `on_request` holds, and needs no answer.
#[test]
fn a_handler_can_end_a_connection_instead_of_answering() {
    let server = Server::start(
        Scripted::echo().on_request(|cx, id, request| {
            assert!(cx.send(id, "too early").is_err());
            assert!(cx.close(id, CloseCode::NORMAL, "").is_err());
            assert!(cx.accept(id, &Accept::new()).is_err(), "it is not held yet");
            match request.path() {
                "/abort" => cx.abort(id),
                "/finish" => cx.finish(id),
                _ => {}
            }
            Accept::new().into()
        }),
        Config::default(),
    );
    for path in ["/abort", "/finish"] {
        let mut client = Client::silent(&server);
        let line = format!("GET {path} HTTP/1.1");
        client.send(&request(&[&[&line[..]], &GOOD[1..]].concat()));
        client.expect_end(SOON);
    }
    Client::open(&server).expect_alive();
    server.expect_empty();
    assert_eq!((server.opened(), server.closed()), (1, 1));
}
