//! Servers that answer our request for a WebSocket in every wrong way, and in right ones that are hard to read (R7, R46).

use std::time::{Duration, Instant};

use gnezdo::ws::DeflateConfig;
use gnezdo::{Config, Connect};

use super::caller::{Caller, Ended, Told, giving_up_after};
use super::fake::{Fake, KINDS, Kind, good};
use super::ledger::Ledger;

/// What the client of these tests offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Nothing,
    /// The subprotocols `chat` and `news`, and compression.
    Everything,
}

impl Offer {
    fn config(self) -> Config {
        let mut config = giving_up_after(Duration::from_secs(10));
        config.websocket.deflate = (self == Offer::Everything).then(DeflateConfig::default);
        config
    }

    fn connect(self, target: &str) -> Connect {
        let mut connect = Connect::to(target).unwrap();
        if self == Offer::Everything {
            connect.subprotocols = vec!["chat".into(), "news".into()];
        }
        connect
    }
}

/// Lets a client meet a server, and gives the client's end; nothing may stay behind.
fn met(caller: &mut Caller, ledger: &Ledger, offer: Offer, fake: Fake) -> Ended {
    let target = fake.target.clone();
    let id = caller.connect(&offer.connect(&target));
    let ended = caller.ended(id);
    fake.join();
    ledger.balance(caller);
    assert_eq!(ended.target.as_deref(), Some(&target[..]), "it does not say what was called");
    assert!(ended.is_failure && ended.said.starts_with(&target), "{ended:?}");
    ended
}

/// The good answer with one thing changed.
struct Mutant {
    offer: Offer,
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

const fn mutant(from: &'static str, to: &'static str, reason: &'static str) -> Mutant {
    Mutant { offer: Offer::Nothing, from, to, reason }
}

/// An answer with these lines more, to a client that offers everything.
const fn offered(to: &'static str, reason: &'static str) -> Mutant {
    Mutant { offer: Offer::Everything, from: "\r\n\r\n", to, reason }
}

const LINE: &str = "HTTP/1.1 101 Switching Protocols\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const END: &str = "\r\n\r\n";

const MUTANTS: &[Mutant] = &[
    // The status line.
    mutant("101 Switching Protocols", "100 Continue", "Refused(Status(100))"),
    mutant("101 Switching Protocols", "103 Early Hints", "Refused(Status(103))"),
    mutant("101 Switching Protocols", "200 OK", "Refused(Status(200))"),
    mutant("101 Switching Protocols", "301 Moved\r\nLocation: ws://127.0.0.1:1/", "Refused(Status(301))"),
    mutant("101 Switching Protocols", "401 Unauthorized", "Refused(Status(401))"),
    mutant("101 Switching Protocols", "426 Upgrade Required", "Refused(Status(426))"),
    mutant("101 Switching Protocols", "503 Unavailable", "Refused(Status(503))"),
    mutant("HTTP/1.1", "HTTP/1.0", "Refused(HttpTooOld)"),
    mutant("HTTP/1.1", "HTTP/1.2", "Refused("),
    mutant("HTTP/1.1", "HTTP/2", "Refused(Http("),
    mutant("HTTP/1.1", "http/1.1", "Refused(Http("),
    mutant("HTTP/1.1", "ICY", "Refused(Http("),
    mutant("HTTP/1.1 101", "HTTP/1.1 1o1", "Refused(Http("),
    mutant("HTTP/1.1 101", "HTTP/1.1 99", "Refused(Http("),
    mutant("HTTP/1.1 101", "HTTP/1.1 1010", "Refused(Http("),
    mutant("HTTP/1.1 101", "HTTP/1.1  101", "Refused(Http("),
    mutant("HTTP/1.1 101", " HTTP/1.1 101", "Refused(Http("),
    mutant("HTTP/1.1 101", "HTTP/1.1\t101", "Refused(Http("),
    // Upgrade (RFC 6455 §4.1, item 2).
    mutant(UPGRADE, "", "Refused(InvalidUpgrade)"),
    mutant(UPGRADE, "Upgrade: h2c\r\n", "Refused(InvalidUpgrade)"),
    mutant(UPGRADE, "Upgrade: websockets\r\n", "Refused(InvalidUpgrade)"),
    mutant(UPGRADE, "Upgrade: websocket, h2c\r\n", "Refused(InvalidUpgrade)"),
    mutant(UPGRADE, "Upgrade: websocket\r\nUpgrade: websocket\r\n", "Refused(InvalidUpgrade)"),
    // Connection (item 3).
    mutant(CONNECTION, "", "Refused(NoConnectionUpgrade)"),
    mutant(CONNECTION, "Connection: close\r\n", "Refused(NoConnectionUpgrade)"),
    mutant(CONNECTION, "Connection: Upgraded\r\n", "Refused(NoConnectionUpgrade)"),
    // Sec-WebSocket-Accept (item 4).
    mutant("Sec-WebSocket-Accept", "X-Accept", "Refused(InvalidAccept)"),
    mutant("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x", "Refused(InvalidAccept)"),
    mutant("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: \"", "Refused(InvalidAccept)"),
    mutant(
        "Sec-WebSocket-Accept: ",
        "Sec-WebSocket-Accept: AA=\r\nSec-WebSocket-Accept: ",
        "Refused(InvalidAccept)",
    ),
    mutant("=\r\n", "=x\r\n", "Refused(InvalidAccept)"),
    mutant("=\r\n", "\r\n", "Refused(InvalidAccept)"),
    // Extensions (item 5) and subprotocols (item 6) that were not offered.
    mutant(END, "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "Refused(ExtensionNotOffered)"),
    mutant(END, "\r\nSec-WebSocket-Extensions: x-made-up\r\n\r\n", "Refused(ExtensionNotOffered)"),
    mutant(END, "\r\nSec-WebSocket-Extensions: \r\n\r\n", "Refused(InvalidExtensions)"),
    mutant(END, "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "Refused(SubprotocolNotOffered)"),
    mutant(END, "\r\nSec-WebSocket-Protocol: \r\n\r\n", "Refused(SubprotocolNotOffered)"),
    // And that were.
    offered("\r\nSec-WebSocket-Protocol: Chat\r\n\r\n", "Refused(SubprotocolNotOffered)"),
    offered("\r\nSec-WebSocket-Protocol: chat, news\r\n\r\n", "Refused(SubprotocolNotOffered)"),
    offered(
        "\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: news\r\n\r\n",
        "Refused(RepeatedSubprotocol)",
    ),
    offered("\r\nSec-WebSocket-Extensions: x-made-up\r\n\r\n", "Refused(ExtensionNotOffered)"),
    offered("\r\nSec-WebSocket-Extensions: permessage-deflate;\r\n\r\n", "Refused(InvalidExtensions)"),
    offered("\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\n\r\n", "Refused(IllegalDeflate)"),
    offered(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n\r\n",
        "Refused(IllegalDeflate)",
    ),
    // Content, which would hide the first frames.
    mutant(END, "\r\nContent-Length: 5\r\n\r\nhello", "Refused(HasBody)"),
    mutant(END, "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Refused("),
    // Lines that are none.
    mutant(UPGRADE, "Upgrade : websocket\r\n", "Refused(Http("),
    mutant(UPGRADE, "Upgrade: websocket\r\n folded\r\n", "Refused(Http("),
    mutant(UPGRADE, "Upgrade: websocket\r\nno colon\r\n", "Refused(Http("),
    mutant(UPGRADE, "Upgrade: websocket\r\nX: \0\r\n", "Refused(Http("),
    mutant(UPGRADE, "Upgrade: websocket\r\nX: \r\r\n", "Refused(Http("),
    mutant(UPGRADE, "Upgrade: websocket\n", "Refused(Http("),
    mutant(LINE, "HTTP/1.1 101 Switching\0Protocols\r\n", "Refused(Http("),
];

#[test]
fn r46_an_answer_with_one_thing_wrong_is_refused_for_that() {
    let mut ledger = Ledger::open();
    for offer in [Offer::Nothing, Offer::Everything] {
        let mut caller = Caller::new(offer.config());
        ledger.count();
        for mutant in MUTANTS.iter().filter(|mutant| mutant.offer == offer) {
            let Mutant { from, to, reason, .. } = *mutant;
            let fake = Fake::answering(Kind::Tcp, move |accept| {
                let right = good(accept);
                assert!(right.contains(from), "{from:?} is not there to be changed");
                right.replacen(from, to, 1).into_bytes()
            });
            let ended = met(&mut caller, &ledger, offer, fake);
            assert!(ended.reason.starts_with(reason), "{to:?}: {ended:?}");
        }
    }
}

#[test]
fn r46_what_is_no_answer_at_all_is_refused() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    let line = "HTTP/1.1 101 Switching Protocols\r\n";
    let junk: [Vec<u8>; 8] = [
        b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x81\x05hello\r\n\r\n".to_vec(),
        vec![0; 100_000],
        b"\r\n".repeat(50_000),
        format!("{line}X: {}", "x".repeat(100_000)).into_bytes(),
        format!("{line}{}\r\n", "X: y\r\n".repeat(101)).into_bytes(),
    ];
    for kind in KINDS {
        for answer in &junk {
            let answer = answer.clone();
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
            let fake = Fake::answering(kind, move |_| answer);
            let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
            assert!(ended.reason.starts_with("Refused(Http("), "{shown:?}: {ended:?}");
        }
    }
}

/// RFC 6455 §4.1: what may be answered in more than one way is.
#[test]
fn an_answer_that_is_right_in_another_way_is_accepted() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Everything.config());
    ledger.count();
    for (from, to) in [
        ("", ""),
        (" Switching Protocols", " "),
        (" Switching Protocols", " \u{e9}trange"),
        (UPGRADE, "UPGRADE:\tWebSocket  \r\n"),
        (CONNECTION, "connection: keep-alive, UPGRADE\r\n"),
        (CONNECTION, "Connection: keep-alive\r\nConnection: upgrade\r\n"),
        ("Sec-WebSocket-Accept", "sec-websocket-accept"),
        (UPGRADE, "Upgrade: websocket\r\nServer: one\r\nX-Empty:\r\n"),
        (END, "\r\nSec-WebSocket-Protocol: news\r\n\r\n"),
        (END, "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"),
    ] {
        let fake = Fake::answering(Kind::Tcp, move |accept| good(accept).replacen(from, to, 1).into_bytes());
        let id = caller.connect(&Offer::Everything.connect(&fake.target));
        let agreed = caller.opened(id);
        assert_eq!(agreed.subprotocol.is_some(), to.contains("news"), "{to:?}");
        assert_eq!(agreed.deflate.is_some(), to.contains("deflate"), "{to:?}");
        caller.reactor.with(|_, cx| cx.abort(id));
        assert_eq!(caller.ended(id).reason, "Aborted");
        fake.join();
        ledger.balance(&mut caller);
    }
}

/// R7: what follows the head is the first frame, wherever the network cuts.
#[test]
fn r7_a_frame_behind_the_answer_is_delivered_at_every_split() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    let length = good(&"x".repeat(28)).len() + FRAME.len();
    for kind in KINDS {
        for cut in 0..=length {
            let fake = Fake::start(kind, move |mut line| {
                line.request();
                let answer = [good(&line.accept).as_bytes(), FRAME].concat();
                line.write(&answer[..cut]);
                std::thread::sleep(Duration::from_micros(500));
                line.write(&answer[cut..]);
                line.wait();
            });
            hears_the_frame(&mut caller, &ledger, fake);
        }
    }
}

#[test]
fn r7_an_answer_byte_by_byte_is_an_answer() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    for kind in KINDS {
        let fake = Fake::start(kind, |mut line| {
            line.request();
            let answer = [good(&line.accept).as_bytes(), FRAME].concat();
            line.drip(&answer, Duration::from_micros(200));
            line.wait();
        });
        hears_the_frame(&mut caller, &ledger, fake);
    }
}

/// The text `hi`.
const FRAME: &[u8] = b"\x81\x02hi";

fn hears_the_frame(caller: &mut Caller, ledger: &Ledger, fake: Fake) {
    let id = caller.call(&fake.target);
    caller.opened(id);
    assert_eq!(caller.next(id), Told::Text("hi".to_owned()));
    caller.reactor.with(|_, cx| cx.abort(id));
    assert_eq!(caller.ended(id).reason, "Aborted");
    fake.join();
    ledger.balance(caller);
}

/// R46: one deadline over it all, which bytes do not move.
#[test]
fn r46_a_server_that_drips_is_given_up_at_the_deadline() {
    let mut ledger = Ledger::open();
    let span = Duration::from_millis(400);
    let mut caller = Caller::giving_up_after(span);
    ledger.count();
    for kind in KINDS {
        let fake = Fake::start(kind, |mut line| {
            line.request();
            let answer = good(&line.accept);
            line.drip(answer.as_bytes(), Duration::from_millis(20));
            line.wait();
        });
        let began = Instant::now();
        let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
        assert_eq!(ended.reason, "TimedOut(Connect)");
        assert!(began.elapsed() >= span, "never early");
    }
}

#[test]
fn r46_a_server_that_reads_and_never_answers_is_given_up_at_the_deadline() {
    let mut ledger = Ledger::open();
    let span = Duration::from_millis(200);
    let mut caller = Caller::giving_up_after(span);
    ledger.count();
    for kind in KINDS {
        for part in ["", "HTTP/1.1 101 Switching Protocols\r\n"] {
            let began = Instant::now();
            let fake = Fake::answering(kind, move |_| part.into());
            assert_eq!(met(&mut caller, &ledger, Offer::Nothing, fake).reason, "TimedOut(Connect)");
            assert!(began.elapsed() >= span, "never early");
        }
    }
}

/// R46: by FIN and by RST, behind every byte.
#[test]
fn r46_a_server_that_closes_inside_its_answer_is_a_failure_at_every_byte() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    for length in 0..good(&"x".repeat(28)).len() {
        for kind in KINDS {
            let fake = Fake::start(kind, move |mut line| {
                line.request();
                let answer = good(&line.accept);
                line.write(&answer.as_bytes()[..length]);
                line.shut();
            });
            let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
            assert_eq!(ended.reason, "Refused(Http(Incomplete))", "{kind:?}, {length} bytes");
        }
        let fake = Fake::start(Kind::Tcp, move |mut line| {
            line.request();
            let answer = good(&line.accept);
            line.write(&answer.as_bytes()[..length]);
            line.reset();
        });
        let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
        assert!(ended.reason.starts_with("Lost("), "{length} bytes: {ended:?}");
    }
}

#[test]
fn r46_a_server_that_closes_without_reading_is_a_failure() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    for kind in KINDS {
        let fake = Fake::start(kind, drop);
        let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
        let known = ["Lost(", "Refused(Http(Incomplete))"];
        assert!(known.iter().any(|known| ended.reason.starts_with(known)), "{ended:?}");
        let fake = Fake::start(kind, |line| line.wait_for_input());
        let ended = met(&mut caller, &ledger, Offer::Nothing, fake);
        assert!(ended.reason.starts_with("Lost("), "{ended:?}");
    }
}

/// Once it is open, an end without a close frame is another thing: nothing was refused.
#[test]
fn a_server_that_closes_right_behind_its_answer_has_opened() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Offer::Nothing.config());
    ledger.count();
    for kind in KINDS {
        let fake = Fake::start(kind, |mut line| {
            line.request();
            let answer = good(&line.accept);
            line.write(answer.as_bytes());
            line.shut();
        });
        let id = caller.call(&fake.target);
        caller.opened(id);
        let ended = caller.ended(id);
        assert_eq!((ended.reason.as_str(), ended.target), ("EndOfStream", None));
        fake.join();
        ledger.balance(&mut caller);
    }
}

/// The memory of a call goes with it: the second of two calls of a kind takes none that stays.
#[test]
fn a_call_that_failed_leaves_no_memory() {
    let _ledger = Ledger::open();
    let mut caller = Caller::giving_up_after(Duration::from_millis(150));
    let answers: [fn(&str) -> Vec<u8>; 4] = [
        |_| b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(),
        |_| vec![b'x'; 100_000],
        |_| b"HTTP/1.1 101 Switching".to_vec(),
        |accept| [good(accept).as_bytes(), b"\x83\0"].concat(),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let mut call = || {
            let fake = Fake::answering(Kind::Unix, answer);
            let memory = allocation_counter::measure(|| {
                let id = caller.call(&fake.target);
                while !matches!(caller.next(id), Told::Ended(_)) {}
                caller.settle();
            });
            fake.join();
            memory.bytes_current
        };
        call();
        assert_eq!(call(), 0, "bytes that stay after a second call of kind {number}");
    }
}
