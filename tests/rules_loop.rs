//! The loop, from the outside: fairness, backpressure, the ends of connections, time, and handlers that do their worst.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod rules;

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gnezdo::http::{Response, Status};
use gnezdo::time::Time;
use gnezdo::ws::CloseCode;
use gnezdo::{Accept, Addr, Config, ConnId, Context, Handler, Listen, Reactor, SendError, Sent, Serve};
use rules::{
    BINARY, CLOSE, Client, Cx, Dice, Directory, End, Frame, PATIENCE, PING, SOON, Scripted, Server,
    eventually, request, upgrade_request,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn loopback() -> Addr {
    "127.0.0.1:0".parse().unwrap()
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A listener whose streams take little, so that a peer that does not read is felt soon.
fn narrow_listen(serve: Serve) -> Listen {
    let mut listen = Listen { serve, ..Listen::default() };
    listen.options.stream.send_buffer = Some(8 * KIB);
    listen
}

fn narrow_server(handler: Scripted, config: Config) -> Server {
    Server::start_on(handler, config, vec![(loopback(), narrow_listen(Serve::WebSocket))])
}

// R9, R23: handlers that do their worst.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Request,
    Open,
    Message,
    Drain,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    CloseSelf,
    AbortSelf,
    FinishSelf,
    CloseOthers,
    AbortOthers,
    CloseListener,
    Stop,
}

/// A handler that acts once, in one of its calls.
struct Saboteur {
    call: Call,
    act: Act,
    armed: Arc<AtomicBool>,
    open: Mutex<Vec<ConnId>>,
}

impl Saboteur {
    fn strike(&self, call: Call, cx: &mut Cx<'_>, id: ConnId, watch: &rules::Watch) {
        if call != self.call || !self.armed.swap(false, Ordering::SeqCst) {
            return;
        }
        let others: Vec<ConnId> =
            self.open.lock().unwrap().iter().copied().filter(|other| *other != id).collect();
        match self.act {
            Act::CloseSelf => drop(cx.close(id, CloseCode::NORMAL, "")),
            Act::AbortSelf => cx.abort(id),
            Act::FinishSelf => cx.finish(id),
            Act::CloseOthers => others.iter().for_each(|id| cx.close(*id, CloseCode::NORMAL, "").unwrap()),
            Act::AbortOthers => others.iter().for_each(|id| cx.abort(*id)),
            Act::CloseListener => assert!(cx.close_listener(watch.listeners.lock().unwrap()[0])),
            Act::Stop => cx.stop(),
        }
    }
}

/// The server of a saboteur, which fills the queue of whoever says "fill".
fn sabotaged(call: Call, act: Act) -> (Server, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let saboteur = Arc::new(Saboteur { call, act, armed: Arc::clone(&armed), open: Mutex::new(Vec::new()) });
    let handler = Scripted::default();
    let watch = Arc::clone(&handler.watch);
    let each = || (Arc::clone(&saboteur), Arc::clone(&watch));
    let ((s1, w1), (s2, w2), (s3, w3), (s4, w4), (s5, w5)) = (each(), each(), each(), each(), each());
    let handler = handler
        .on_request(move |cx, id, _| {
            s1.strike(Call::Request, cx, id, &w1);
            Accept::new().into()
        })
        .on_open(move |cx, id| {
            s2.open.lock().unwrap().push(id);
            s2.strike(Call::Open, cx, id, &w2);
        })
        .on_message(move |cx, id, message| {
            if message.as_bytes() == b"fill" {
                while cx.send(id, &[0; 4096]).is_ok() {}
                return;
            }
            s3.strike(Call::Message, cx, id, &w3);
            let _ = cx.send(id, message);
        })
        .on_drain(move |cx, id| s4.strike(Call::Drain, cx, id, &w4))
        .on_close(move |cx, id, _| {
            s5.open.lock().unwrap().retain(|other| *other != id);
            s5.strike(Call::Close, cx, id, &w5);
        });
    let mut config = Config::default();
    config.settings.max_queue = 256 * KIB;
    (narrow_server(handler, config), armed)
}

fn sabotage(call: Call, act: Act) {
    let (server, armed) = sabotaged(call, act);
    let mut others: Vec<Client> = (0..5).map(|_| Client::open(&server)).collect();
    others.iter_mut().for_each(Client::expect_alive);
    let mut actor = Client::silent(&server);
    if matches!(call, Call::Request | Call::Open) {
        armed.store(true, Ordering::SeqCst);
        actor.send(&upgrade_request(&[]));
    } else {
        actor.upgrade(&[]);
        armed.store(true, Ordering::SeqCst);
        match call {
            Call::Message => actor.text("now"),
            Call::Drain => actor.text("fill"),
            _ => actor.close(1000),
        }
    }
    let began = Instant::now();
    while call == Call::Drain && armed.load(Ordering::SeqCst) && began.elapsed() < PATIENCE {
        actor.rest(milliseconds(20));
    }
    eventually("the handler struck", || !armed.load(Ordering::SeqCst));
    match act {
        Act::Stop => return server.expect_end(SOON),
        Act::CloseOthers => {
            for other in &mut others {
                assert_eq!(other.next().close_code(), Some(1000));
                other.close(1000);
                other.expect_fin();
            }
        }
        Act::AbortOthers => others.iter_mut().for_each(|other| other.expect_end(SOON)),
        _ => others.iter_mut().for_each(Client::expect_alive),
    }
    if act == Act::CloseListener {
        let refused = TcpStream::connect(server.addrs[0].as_tcp().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    } else {
        Client::open(&server).expect_alive();
    }
    drop((others, actor));
    server.expect_empty();
    server.expect_idle();
}

/// R9, R23: whatever a handler does in whichever call, the others go on, and each is told of its end once.
#[test]
fn a_handler_may_do_anything_in_any_call() {
    let acts = [
        Act::CloseSelf,
        Act::AbortSelf,
        Act::FinishSelf,
        Act::CloseOthers,
        Act::AbortOthers,
        Act::CloseListener,
        Act::Stop,
    ];
    std::thread::scope(|scope| {
        for call in [Call::Request, Call::Open, Call::Message, Call::Drain, Call::Close] {
            scope.spawn(move || {
                for act in acts {
                    sabotage(call, act);
                    println!("{act:?} in on_{call:?}: as it should be");
                }
            });
        }
    });
}

/// R23: no client ever gets what was meant for another, however fast slots are used again.
#[test]
fn ids_never_reach_another_connection() {
    let names: Arc<Mutex<HashMap<ConnId, String>>> = Arc::default();
    let gone: Arc<Mutex<Vec<ConnId>>> = Arc::default();
    let (forgetting, burying) = (Arc::clone(&names), Arc::clone(&gone));
    let mut dice = Dice::new(99);
    let handler = Scripted::default()
        .on_message(move |cx, id, message| {
            let text = String::from_utf8(message.as_bytes().to_vec()).unwrap();
            let mut names = names.lock().unwrap();
            let name = names.entry(id).or_insert_with(|| text.clone()).clone();
            assert_eq!(name, text, "a message of another connection");
            let _ = cx.send(id, &name);
            for stale in gone.lock().unwrap().iter().rev().take(50) {
                assert!(cx.send(*stale, "to the dead").is_err());
                assert!(cx.close(*stale, CloseCode::NORMAL, "").is_err());
                assert!(cx.get(*stale).is_none());
                cx.abort(*stale);
            }
            // Everybody hears from everybody, and some end others who have input waiting.
            let all: Vec<(ConnId, String)> = names.iter().map(|(id, name)| (*id, name.clone())).collect();
            let (other, name) = &all[dice.below(all.len() as u64)];
            match dice.below(6) {
                0 => cx.abort(*other),
                1 => cx.finish(*other),
                2 => drop(cx.close(*other, CloseCode::NORMAL, name)),
                _ => drop(cx.send(*other, name)),
            }
        })
        .on_close(move |_, id, _| {
            forgetting.lock().unwrap().remove(&id);
            burying.lock().unwrap().push(id);
        });
    let server = Server::start(handler, Config::default());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..250 {
                    let name = format!("{thread}/{round}");
                    let mut client = Client::open(server);
                    for _ in 0..3 {
                        if client.try_send(&Frame::text(&name).masked()).is_err() {
                            break;
                        }
                    }
                    if round % 3 == 0 {
                        client.reset();
                        continue;
                    }
                    client.shut();
                    let (bytes, end) = client.rest(PATIENCE);
                    assert_ne!(end, End::Open);
                    let text = String::from_utf8_lossy(&bytes);
                    let count = text.matches('/').count();
                    assert_eq!(text.matches(&name).count(), count, "{name} got {text:?}");
                }
            });
        }
    });
    server.expect_empty();
    assert_eq!((server.opened(), server.closed()), (1_500, 1_500));
    server.expect_idle();
}

/// R23: an id outlives its connection as an error.
#[test]
fn a_stale_id_is_gone() {
    let id: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let handler = Scripted::default().on_message(move |cx, this, message| {
        let mut first = id.lock().unwrap();
        if message.as_bytes() == b"remember" {
            *first = Some(this);
            let _ = cx.send(this, "yes").unwrap();
            return;
        }
        let stale = first.unwrap();
        let said =
            (cx.send(stale, "hello?"), cx.close(stale, CloseCode::NORMAL, ""), cx.get(stale).is_some());
        cx.pause(stale);
        cx.resume(stale);
        cx.finish(stale);
        cx.abort(stale);
        assert!(cx.peer(stale).is_err() && cx.pending(stale) == 0);
        let _ = cx.send(this, &format!("{said:?}")).unwrap();
    });
    let server = Server::start(handler, Config::default());
    let mut first = Client::open(&server);
    first.text("remember");
    first.expect_text("yes");
    first.close(1000);
    first.expect_close(1000);
    drop(first);
    server.expect_empty();
    for _ in 0..3 {
        let mut next = Client::open(&server);
        next.text("try");
        next.expect_text("(Err(Gone), Err(Gone), false)");
        next.text("try");
        next.expect_text("(Err(Gone), Err(Gone), false)");
    }
}

/// R23: and is one as soon as its end was told, although the peer has not hung up yet.
#[test]
fn an_id_is_stale_once_its_end_was_told() {
    let first: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let handler = Scripted::default().on_message(move |cx, this, message| {
        let stale = *first.lock().unwrap().get_or_insert(this);
        if message.as_bytes() == b"try" {
            let said = (cx.send(stale, "x"), cx.close(stale, CloseCode::NORMAL, ""), cx.get(stale).is_some());
            let _ = cx.send(this, &format!("{said:?}")).unwrap();
        }
    });
    let server = Server::start(handler, Config::default());
    let mut lingering = Client::open(&server);
    lingering.text("remember");
    lingering.close(1000);
    lingering.expect_close(1000);
    let mut next = Client::open(&server);
    next.text("try");
    next.expect_text("(Err(Gone), Err(Gone), false)");
    drop(lingering);
}

// R20, R36: what is sent arrives, in order, or is refused.

/// R20: a peer that takes a little at a time gets every byte in its place.
#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    let sizes = [1, 2, 125, 126, 127, 1000, 4096, 8181, 8182, 8183, 8192, 20_000, 65_535, 65_536, 300 * KIB];
    let messages = move || {
        let mut dice = Dice::new(5);
        (0..90).map(move |_| {
            let size = sizes[dice.below(sizes.len() as u64)];
            dice.bytes(size)
        })
    };
    let handler = Scripted::default().on_message(move |cx, id, _| {
        for message in messages() {
            let _ = cx.send(id, &message).unwrap();
        }
        let _ = cx.send(id, "end").unwrap();
    });
    let mut config = Config::default();
    config.settings.max_queue = 64 * MIB;
    let server = narrow_server(handler, config);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    client.text("go");
    for (at, message) in messages().enumerate() {
        if at % 10 == 0 {
            std::thread::sleep(milliseconds(5));
        }
        client.expect_binary(&message);
    }
    client.expect_text("end");
    client.close(1000);
    client.expect_close(1000);
    server.expect_empty();
}

/// R20: the same where every turn adds a few small messages to a queue that never empties.
#[test]
fn many_small_messages_over_many_turns_stay_in_order() {
    let server = narrow_server(Scripted::echo(), Config::default());
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    let message = |n: usize| format!("{n}:{}", "x".repeat(n * 7919 % 500));
    let total = 6_000;
    let mut sent = 0;
    for received in 0..total {
        while sent < total && sent < received + 400 {
            client.text(&message(sent));
            sent += 1;
        }
        client.expect_text(&message(received));
    }
}

/// What the handler of [`filling`] found out.
#[derive(Default)]
struct Filled {
    accepted: AtomicUsize,
    refusals: Mutex<Vec<SendError>>,
    queued: AtomicUsize,
}

/// "fill" sends numbered messages of 1,000 bytes until the queue refuses three of them.
fn filling(max_queue: usize) -> (Server, Arc<Filled>) {
    let filled = Arc::new(Filled::default());
    let noting = Arc::clone(&filled);
    let handler = Scripted::default()
        .on_message(move |cx, id, message| {
            let word = message.as_bytes();
            if word != b"fill" {
                let _ = cx.send(id, message).unwrap();
                return;
            }
            let mut refusals = noting.refusals.lock().unwrap();
            while refusals.len() < 3 {
                let number = noting.accepted.load(Ordering::SeqCst);
                match cx.send(id, &format!("{number:0>1000}")) {
                    Ok(_) => drop(noting.accepted.fetch_add(1, Ordering::SeqCst)),
                    Err(error) => refusals.push(error),
                }
            }
            noting.queued.store(cx.pending(id), Ordering::SeqCst);
        })
        .on_drain(|cx, id| {
            let _ = cx.send(id, "drained").unwrap();
        });
    let mut config = Config::default();
    config.settings.max_queue = max_queue;
    (narrow_server(handler, config), filled)
}

/// R36: at the cap sends are refused whole, and there is one word when there is room again.
#[test]
fn a_full_queue_refuses_and_says_once_when_it_drained() {
    let (server, filled) = filling(128 * KIB);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    for round in 1..=3 {
        let before = filled.accepted.load(Ordering::SeqCst);
        client.text("fill");
        eventually("it is full", || filled.refusals.lock().unwrap().len() == 3);
        std::thread::sleep(milliseconds(30));
        let accepted = filled.accepted.load(Ordering::SeqCst);
        let queued = filled.queued.load(Ordering::SeqCst);
        assert!(accepted > before && queued <= 128 * KIB && queued > 126 * KIB, "{queued} bytes wait");
        assert_eq!(server.count(|watch| &watch.drains), round - 1, "nothing has drained yet");
        for refusal in filled.refusals.lock().unwrap().drain(..) {
            assert!(matches!(refusal, SendError::Full { pending } if pending > 126 * KIB), "{refusal:?}");
        }
        for number in before..accepted {
            client.expect_text(&format!("{number:0>1000}"));
        }
        client.expect_text("drained");
        client.text("still there");
        client.expect_text("still there");
        assert_eq!(server.count(|watch| &watch.drains), round, "one word per crossing");
    }
}

/// R36: what could never be sent is told apart from what could be sent later, at the exact bound.
#[test]
fn what_no_queue_could_take_is_too_big() {
    let handler = Scripted::default().on_message(|cx, id, message| {
        let size: usize = std::str::from_utf8(message.as_bytes()).unwrap().parse().unwrap();
        let outcome = cx.send(id, &vec![7; size]);
        if let Err(error) = outcome {
            let _ = cx.send(id, &format!("{error:?}")).unwrap();
        }
    });
    let mut config = Config::default();
    config.settings.max_queue = 100_000;
    let server = Server::start(handler, config);
    let mut client = Client::open(&server);
    // The head of such a frame has ten bytes.
    for size in [1, 99_989, 99_990] {
        client.text(&size.to_string());
        client.expect_binary(&vec![7; size]);
    }
    for size in [99_991, 1_000_000] {
        client.text(&size.to_string());
        client.expect_text(&format!("TooBig {{ size: {}, limit: 100000 }}", size + 10));
    }
    assert_eq!(server.count(|watch| &watch.drains), 0, "no room will come for what is too big");
}

/// R36: what the kernel would take does not count as queued.
#[test]
fn a_queue_is_not_full_while_the_kernel_takes_more() {
    let handler = Scripted::default().on_message(|cx, id, _| {
        for number in 0..40 {
            let _ = cx.send(id, &vec![number; 4 * KIB]).unwrap();
        }
    });
    let mut config = Config::default();
    (config.settings.max_queue, config.settings.high_water) = (16 * KIB, 16 * KIB);
    let server = Server::start(handler, config);
    let mut client = Client::open(&server);
    client.text("go");
    for number in 0..40 {
        client.expect_binary(&[number; 4 * KIB]);
    }
}

/// What became of the bytes is told truly.
#[test]
fn a_send_tells_what_became_of_it() {
    let handler = Scripted::default().on_message(|cx, id, message| {
        if message.as_bytes() == b"small" {
            assert_eq!(cx.send(id, "x"), Ok(Sent::Staged));
            assert_eq!(cx.pending(id), 3);
            return;
        }
        assert_eq!(cx.send(id, &vec![0; 20_000]), Ok(Sent::Written));
        let mut queued = 0;
        while queued == 0 {
            match cx.send(id, &vec![0; 20_000]).unwrap() {
                Sent::Queued { pending } => queued = pending,
                sent => assert_eq!(sent, Sent::Written),
            }
        }
        assert_eq!(cx.pending(id), queued);
        assert_eq!(cx.send(id, "x"), Ok(Sent::Queued { pending: queued + 3 }));
    });
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    client.text("small");
    client.expect_text("x");
    client.text("large");
    while client.message() != b"x" {}
}

/// R36: a peer that never reads stops being read; its neighbours notice nothing.
#[test]
fn an_echo_flood_that_is_never_read_is_held_back() {
    let server = Server::echo();
    let mut healthy = Client::open(&server);
    let mut flooder = Client::open(&server);
    let frame = Frame::binary(vec![1; 64 * KIB]).masked();
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) && sent.load(Ordering::SeqCst) < 1000 {
                if flooder.try_send(&frame).is_err() {
                    break;
                }
                sent.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut before = usize::MAX;
        eventually("it is held back", || {
            std::thread::sleep(milliseconds(200));
            std::mem::replace(&mut before, sent.load(Ordering::SeqCst)) == sent.load(Ordering::SeqCst)
        });
        for _ in 0..20 {
            healthy.expect_alive();
        }
        server.expect_idle();
        stop.store(true, Ordering::SeqCst);
        // The sender is stuck in its write: the end of the server frees it.
        server.remote.stop().unwrap();
    });
    assert!(sent.load(Ordering::SeqCst) < 1000, "64 MiB were taken of a peer that does not read");
}

/// R36: a handler that sends again whenever there is room still hears its peer.
#[test]
fn a_stream_that_refills_its_queue_on_every_drain_still_hears_its_peer() {
    let stopped = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stopped);
    let refill = |cx: &mut Cx<'_>, id: ConnId| while cx.send(id, &[0; 16 * KIB]).is_ok() {};
    let handler = Scripted::default()
        .on_message(move |cx, id, message| match message.as_bytes() {
            b"go" => refill(cx, id),
            _ => stopped.store(true, Ordering::SeqCst),
        })
        .on_drain(move |cx, id| {
            if !stopping.load(Ordering::SeqCst) {
                refill(cx, id);
            }
        });
    let mut config = Config::default();
    config.timeouts.idle = Some(milliseconds(1_500));
    let server = Server::start(handler, config);
    let mut client = Client::open(&server);
    client.text("go");
    let (began, mut said, mut received) = (Instant::now(), false, 0);
    let ended = loop {
        match client.next_or_end() {
            Some(frame) if frame.opcode == PING => client.frame(&Frame::new(rules::PONG, &frame.payload)),
            Some(frame) => received += frame.payload.len(),
            None => break true,
        }
        if !said && began.elapsed() > milliseconds(100) {
            client.text("stop");
            said = true;
        }
        if server.count(|watch| &watch.messages) == 2 {
            break false;
        }
        assert!(began.elapsed() < PATIENCE, "the peer is not heard after {received} bytes");
    };
    assert!(!ended, "cut after {received} bytes in {:?}: {:?}", began.elapsed(), server.reasons());
}

/// R13: nor does a queue that is never empty keep a ping from its answer.
#[test]
fn a_ping_is_answered_while_the_queue_is_filled_again_and_again() {
    let refill = |cx: &mut Cx<'_>, id: ConnId| while cx.send(id, &[0; 16 * KIB]).is_ok() {};
    let handler = Scripted::default()
        .on_message(move |cx, id, _| refill(cx, id))
        .on_drain(move |cx, id| refill(cx, id));
    let mut config = Config::default();
    config.settings.max_queue = 256 * KIB;
    (config.settings.low_water, config.settings.high_water) = (128 * KIB, 128 * KIB);
    let server = narrow_server(handler, config);
    let mut client = Client::open(&server);
    client.text("go");
    client.bytes(2 * MIB);
    let began = Instant::now();
    client.frame(&Frame::ping("here?"));
    client.realign(16 * KIB + 4, 2 * MIB);
    let mut received = 0;
    while client.next().opcode == BINARY {
        received += 16 * KIB;
        let took = began.elapsed();
        assert!(took < SOON * 2, "no pong in {took:?} and {received} bytes");
    }
    println!("a pong after {:?} and {received} bytes", began.elapsed());
}

/// R36, R32: a handler that tries again on every drain does not spin while its peer reads nothing.
#[test]
fn a_refused_send_is_not_announced_again_and_again() {
    let handler = Scripted::default()
        .on_message(|cx, id, _| {
            while cx.pending(id) < 15 * KIB {
                let _ = cx.send(id, &[0; 10 * KIB]).unwrap();
            }
            assert!(matches!(cx.send(id, &vec![0; 60 * KIB]), Err(SendError::Full { .. })));
        })
        .on_drain(|cx, id| {
            let _ = cx.send(id, &vec![0; 60 * KIB]);
        });
    let mut config = Config::default();
    (config.settings.max_queue, config.settings.high_water) = (64 * KIB, 48 * KIB);
    config.settings.low_water = 48 * KIB;
    let server = narrow_server(handler, config);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    client.text("go");
    eventually("it is told", || server.count(|watch| &watch.messages) == 1);
    std::thread::sleep(milliseconds(300));
    let drains = server.count(|watch| &watch.drains);
    assert!(drains <= 10, "{drains} calls of on_drain in 300 ms in which nothing was read");
    server.expect_idle();
}

// R24: fairness.

/// R24, R48: where more knock than a turn accepts, the listeners take turns.
#[test]
fn a_crowded_listener_does_not_keep_another_waiting() {
    let handler = Scripted::default().on_open(|cx, id| assert!(cx.send(id, "in").is_ok()));
    let mut config = Config::default();
    config.settings.accept_budget = 2;
    let mut reactor = Reactor::new(handler, config).unwrap();
    let [crowded, quiet] = [(); 2].map(|()| reactor.listen_with(&loopback(), &Listen::raw()).unwrap().addr);
    let crowd: Vec<Client> = (0..40).map(|_| Client::to(&crowded)).collect();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    let mut alone = Client::to(&quiet);
    // A busy kernel may tell of the last one a little later than it tells the client, but not half of the crowd later.
    let mut turns = (0..10).map(|_| {
        reactor.turn(Some(Duration::ZERO)).unwrap();
        alone.rest(milliseconds(30)).0
    });
    assert!(turns.any(|bytes| bytes == b"in"));
    drop(crowd);
}

/// R24: a share of a turn is so many messages too, since short ones cost more than their bytes say; the rest waits for
/// the next turn, and is neither lost nor moved.
#[test]
fn a_turn_takes_no_more_messages_of_a_connection_than_its_budget() {
    const BUDGET: usize = 100;
    let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let hearing = Arc::clone(&heard);
    let handler = Scripted::default()
        .on_message(move |_, _, message| hearing.lock().unwrap().push(message.as_bytes().to_vec()));
    let config = Config { message_budget: BUDGET, ..Config::default() };
    let mut reactor = Reactor::new(handler, config).unwrap();
    let listening = reactor.listen(&loopback()).unwrap();
    let mut client = Client::to(&listening.addr);
    let said: Vec<Vec<u8>> = (0..1_050).map(|number: u32| number.to_be_bytes().to_vec()).collect();
    let frames: Vec<u8> = said.iter().flat_map(|bytes| Frame::binary(bytes).masked()).collect();
    client.send(&[upgrade_request(&[]), frames].concat());
    let (began, mut turns) = (Instant::now(), 0);
    while heard.lock().unwrap().len() < said.len() {
        let before = heard.lock().unwrap().len();
        reactor.turn(Some(milliseconds(10))).unwrap();
        let taken = heard.lock().unwrap().len() - before;
        assert!(taken <= BUDGET, "{taken} messages in a turn");
        turns += usize::from(taken > 0);
        assert!(began.elapsed() < PATIENCE, "{} of {} came", heard.lock().unwrap().len(), said.len());
    }
    assert_eq!(turns, said.len().div_ceil(BUDGET));
    assert!(*heard.lock().unwrap() == said);
}

/// R24: those who flood do not starve those who do not.
#[test]
fn eight_flooders_do_not_starve_a_healthy_client() {
    // Another process may disturb a run; what the flooders do would be there in each.
    let is_served = (0..3).map(|_| waits_beside_eight_flooders()).any(|waits| {
        let (p50, p99, most) =
            (waits[waits.len() / 2], waits[waits.len() * 99 / 100], waits[waits.len() - 1]);
        println!(
            "healthy among 8 flooders: {} messages, p50 {p50:?}, p99 {p99:?}, max {most:?}",
            waits.len()
        );
        waits.len() > 30 && p99 < milliseconds(500)
    });
    assert!(is_served, "it waits for long in each of three runs");
}

/// How long the answers took, in order of it.
fn waits_beside_eight_flooders() -> Vec<Duration> {
    let server = Server::start(Scripted::echo(), Config::default());
    let stop = AtomicBool::new(false);
    let mut waits = std::thread::scope(|scope| {
        for kind in 0..8 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut client = Client::open(server);
                let frame = match kind % 4 {
                    0 => Frame::binary(vec![1; 64 * KIB]).masked(),
                    1 => Frame::text("x").masked().repeat(1000),
                    2 => Frame::binary([1; 1000]).masked().repeat(60),
                    _ => Frame::new(rules::PONG, [1; 125]).masked().repeat(500),
                };
                let echoed = [64 * KIB + 10, 3 * 1000, 1004 * 60, 0][kind % 4];
                while !stop.load(Ordering::SeqCst) {
                    client.send(&frame);
                    client.bytes(echoed);
                }
            });
        }
        let mut healthy = Client::open(&server);
        let began = Instant::now();
        let mut waits = Vec::new();
        while began.elapsed() < Duration::from_secs(3) {
            let sent = Instant::now();
            healthy.expect_alive();
            waits.push(sent.elapsed());
            std::thread::sleep(milliseconds(10).saturating_sub(sent.elapsed()));
        }
        stop.store(true, Ordering::SeqCst);
        waits
    });
    waits.sort();
    waits
}

// R27, R43: however a peer goes, its slot comes back, and the loop sleeps again.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Close,
    HalfClose,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Idle,
    MidMessage,
    Paused,
    Choked,
    Closing,
}

/// Does what it is told: "pause", "choke", "close"; otherwise an echo.
fn obedient() -> Scripted {
    Scripted::default().on_message(|cx, id, message| match message.as_bytes() {
        b"pause" => cx.pause(id),
        b"choke" => while cx.send(id, &[0; 4 * KIB]).is_ok() {},
        b"close" => cx.close(id, CloseCode::NORMAL, "").unwrap(),
        _ => drop(cx.send(id, message).unwrap()),
    })
}

fn bring_into(state: State, client: &mut Client) {
    match state {
        State::Opening => return client.send(b"GET / HTTP/1.1\r\nHost"),
        State::Idle => {}
        State::MidMessage => {
            client.frame(&Frame::binary([1; 5000]).unfinished());
            client.send(&Frame::more(vec![1; 70_000]).masked()[..65_000]);
        }
        State::Paused => client.text("pause"),
        State::Choked => client.text("choke"),
        State::Closing => {
            client.text("close");
            assert_eq!(client.next().opcode, CLOSE);
            return;
        }
    }
    // What lies unread when they leave.
    if state == State::Paused || state == State::Choked {
        // On a slow machine its time may be over by now.
        let _ = client.try_send(&Frame::text("unread").masked().repeat(100));
    }
}

fn leave(state: State, leaving: Leaving, addr: &Addr, server: &Server) {
    let (before, closed) = (server.count(|watch| &watch.requests), server.closed());
    let mut clients: Vec<Client> = (0..100).map(|_| Client::to(addr)).collect();
    for client in &mut clients {
        if state != State::Opening {
            client.upgrade(&[]);
        }
        bring_into(state, client);
    }
    let upgraded = if state == State::Opening { 0 } else { 100 };
    // On a busy machine the time of the first is over before the last has come.
    eventually("all were seen", || {
        let cut = server.closed() - closed;
        server.count(|watch| &watch.requests) == before + upgraded
            && server.count(|watch| &watch.connections) + cut >= 100
    });
    std::thread::sleep(milliseconds(10));
    let began = Instant::now();
    let mut kept = Vec::new();
    for client in clients {
        match leaving {
            Leaving::Close => drop(client),
            Leaving::Reset => client.reset(),
            Leaving::HalfClose => {
                client.shut();
                kept.push(client);
            }
        }
    }
    eventually(&format!("the slots of {state:?} peers are back after {leaving:?}"), || {
        server.count(|watch| &watch.connections) == 0
    });
    let took = began.elapsed();
    println!("{state:?} {leaving:?}: {took:?}");
    let bounded = matches!(state, State::Paused | State::Choked);
    assert!(bounded || took < SOON, "{state:?} {leaving:?}: {took:?}");
    drop(kept);
}

/// R27, R43.
#[test]
fn slots_come_back_however_peers_leave() {
    let states =
        [State::Opening, State::Idle, State::MidMessage, State::Paused, State::Choked, State::Closing];
    let directory = Directory::new("leaving");
    std::thread::scope(|scope| {
        for (name, addr) in [("TCP", loopback()), ("Unix", directory.addr("socket"))] {
            scope.spawn(move || {
                let mut config = Config::default();
                // What cannot be noticed while paused or choked is bounded by these.
                config.timeouts.idle = Some(milliseconds(600));
                config.settings.stall_timeout = milliseconds(300);
                config.settings.max_queue = 256 * KIB;
                let listens = vec![(addr, narrow_listen(Serve::WebSocket))];
                let server = Server::start_on(obedient(), config, listens);
                for state in states {
                    for leaving in [Leaving::Close, Leaving::HalfClose, Leaving::Reset] {
                        leave(state, leaving, &server.addrs[0], &server);
                    }
                    server.expect_idle();
                }
                assert_eq!(server.opened(), server.closed(), "{name}");
            });
        }
    });
}

/// R27: an abort is a reset, and a peer that is aborted is gone at once.
#[test]
fn an_abort_is_seen_at_once() {
    let handler = Scripted::default().on_message(|cx, id, _| {
        let _ = cx.send(id, "lost, or not").unwrap();
        cx.abort(id);
        assert_eq!(cx.send(id, "x"), Err(SendError::Gone));
        assert!(cx.close(id, CloseCode::NORMAL, "").is_err());
    });
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    client.text("x");
    assert_eq!(client.rest(SOON).1, End::Reset);
    server.expect_empty();
    assert_eq!(server.reasons(), ["Aborted"]);
}

fn both_families(name: &str, listen: &Listen) -> (Directory, Vec<(Addr, Listen)>) {
    let directory = Directory::new(name);
    let listens = [loopback(), directory.addr("socket")].map(|addr| (addr, listen.clone()));
    (directory, listens.to_vec())
}

/// R27, R43: what a peer sent before it left is delivered first, over many turns, paused or not.
#[test]
fn what_was_sent_before_a_peer_left_is_delivered_first() {
    let (_directory, listens) = both_families("last-words", &Listen::default());
    let resumed: Arc<Mutex<HashMap<u64, ConnId>>> = Arc::default();
    let resuming = Arc::clone(&resumed);
    let handler = Scripted::default()
        .on_message(move |cx, id, message| {
            if message.as_bytes() == b"pause" {
                cx.pause(id);
                resumed.lock().unwrap().insert(id.to_bits(), id);
                assert!(cx.set_timer(milliseconds(300), id.to_bits()).is_some());
            }
        })
        .on_timer(move |cx, token| cx.resume(resuming.lock().unwrap()[&token]));
    let server = Server::start_on(handler, Config::default(), listens);
    let mut expected = 0;
    for addr in &server.addrs {
        for first in ["go on", "pause"] {
            let mut client = Client::open_at(addr);
            client.text(first);
            let messages = Frame::binary([1; 1000]).masked().repeat(100);
            let mut sender = client.twin();
            let rest = std::thread::spawn(move || (0..5).for_each(|_| sender.send(&messages)));
            rest.join().unwrap();
            drop(client);
            expected += 501;
            let what = format!("{expected} messages, {first:?} first");
            eventually(&what, || server.count(|watch| &watch.messages) == expected);
        }
    }
    server.expect_empty();
    assert_eq!(server.reasons(), ["EndOfStream"; 4]);
}

/// R21: a peer that closes well and leaves at once has closed well.
#[test]
fn a_close_is_a_close_even_if_the_peer_does_not_wait_for_the_answer() {
    let (_directory, listens) = both_families("hasty", &Listen::default());
    let server = Server::start_on(Scripted::echo(), Config::default(), listens);
    for addr in server.addrs.iter().cycle().take(100) {
        let mut client = Client::open_at(addr);
        client.close(1000);
    }
    eventually("all are told", || server.closed() == 100);
    server.expect_empty();
    let reasons = server.reasons();
    assert!(reasons.iter().all(|reason| reason.starts_with("Handshake { by: Peer")), "{reasons:?}");
}

/// What was accepted and never sent is counted at the end.
#[test]
fn the_end_tells_what_was_not_sent() {
    let unsent: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let noting = Arc::clone(&unsent);
    let handler = Scripted::default()
        .on_message(|cx, id, _| {
            while cx.send(id, &vec![0; 10 * KIB]).is_ok() {}
            cx.abort(id);
        })
        .on_close(move |cx, id, closed| {
            assert_eq!(cx.send(id, "x"), Err(SendError::Closing));
            noting.lock().unwrap().push((closed.unsent, cx.pending(id)));
        });
    let server = narrow_server(handler, Config::default());
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    client.text("go");
    eventually("it is told", || server.closed() == 1);
    let (unsent, _) = unsent.lock().unwrap()[0];
    let limit = Config::default().settings.max_queue;
    assert!(unsent <= limit && unsent > limit - 11 * KIB, "{unsent} of {limit}");
}

// R41: the last word arrives.

/// R41: the last response and the Close arrive whole although more was sent than was read.
#[test]
fn the_last_bytes_survive_unread_input() {
    let body = Dice::new(3).bytes(60_000);
    let (page, message) = (body.clone(), body.clone());
    let handler = Scripted::default()
        .on_request(move |_, _, request| {
            if request.is_websocket() {
                Accept::new().into()
            } else {
                Response::new(Status::OK).body(page.clone()).into()
            }
        })
        .on_message(move |cx, id, _| {
            let _ = cx.send(id, &message).unwrap();
            cx.close(id, CloseCode::GOING_AWAY, "").unwrap();
        });
    let server = Server::start(handler, Config::default());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let (server, body) = (&server, &body);
            scope.spawn(move || {
                for round in 0..10 {
                    let mut client = Client::narrow(server, 8 * KIB);
                    client.send(&[request(&["GET / HTTP/1.1", "Host: a"]), vec![b'x'; 5_000]].concat());
                    let mut received = client.response_head();
                    while received.body.len() < body.len() {
                        received.body.extend(client.bytes(2_000));
                        std::thread::sleep(Duration::from_micros(200));
                    }
                    assert!(received.body == *body, "round {round}");
                    client.expect_fin();

                    let mut client = Client::narrow(server, 8 * KIB);
                    client.upgrade(&[]);
                    let extra = Frame::binary([1; 5_000]).masked();
                    client.send(&[Frame::text("x").masked(), extra.clone()].concat());
                    std::thread::sleep(milliseconds(1));
                    client.expect_binary(body);
                    assert_eq!(client.next().close_code(), Some(1001), "round {round}");
                    client.send(&[Frame::close(1001, "").masked(), extra].concat());
                    client.expect_fin();
                }
            });
        }
    });
    server.expect_empty();
}

// Reading, or not.

/// A paused connection is not read; resumed, it goes on where it was.
#[test]
fn a_paused_connection_goes_on_where_it_was() {
    let mut paused = None;
    let handler = Scripted::default().on_message(move |cx, id, message| match message.as_bytes() {
        b"pause" => {
            paused = Some(id);
            cx.pause(id);
        }
        b"resume" => cx.resume(paused.take().unwrap()),
        _ => {
            assert!(paused.is_none(), "read while paused");
            let _ = cx.send(id, message).unwrap();
        }
    });
    let server = Server::start(handler, Config::default());
    let (mut client, mut control) = (Client::open(&server), Client::open(&server));
    for round in 0..3 {
        // The rest of the same segment, the next segment, and the end of the stream.
        let frames =
            [Frame::text("a"), Frame::text("pause"), Frame::text("b"), Frame::text("c").unfinished()];
        client.send(&frames.map(|frame| frame.masked()).concat());
        client.expect_text("a");
        client.frame(&Frame::more("d"));
        client.text(&"e".repeat(100_000));
        if round == 2 {
            client.shut();
        }
        client.expect_silence(milliseconds(60));
        control.text("resume");
        client.expect_text("b");
        client.expect_text("cd");
        client.expect_text(&"e".repeat(100_000));
    }
    client.expect_fin();
    eventually("it is told", || server.closed() == 1);
    assert_eq!(server.reasons(), ["EndOfStream"]);
}

/// A close ends a pause: the peer's answer has to be read.
#[test]
fn a_paused_connection_can_be_closed() {
    let handler = Scripted::default().on_message(|cx, id, _| {
        cx.pause(id);
        cx.close(id, CloseCode::NORMAL, "").unwrap();
    });
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    client.text("x");
    assert_eq!(client.next().close_code(), Some(1000));
    client.close(1000);
    client.expect_fin();
    drop(client);
    server.expect_empty();
    assert!(server.reasons()[0].starts_with("Handshake { by: Local"), "{:?}", server.reasons());
}

// Listeners.

/// All families and protocols live in one loop.
#[test]
fn one_loop_serves_every_family_and_protocol() {
    let directory = Directory::new("families");
    let web = |addr: Addr| (addr, Listen::default());
    let raw = |addr: Addr| (addr, Listen::raw());
    let listens = vec![
        web(loopback()),
        web("[::1]:0".parse().unwrap()),
        web(directory.addr("web")),
        raw(loopback()),
        raw("[::1]:0".parse().unwrap()),
        raw(directory.addr("raw")),
    ];
    let server = Server::start_on(Scripted::echo(), Config::default(), listens);
    let mut web: Vec<Client> = server.addrs[..3].iter().map(Client::open_at).collect();
    let mut raw: Vec<Client> = server.addrs[3..].iter().map(Client::to).collect();
    for round in 0..20 {
        let bytes = Dice::new(round).bytes(1 << round.min(16));
        for client in &mut web {
            client.binary(&bytes);
            client.expect_binary(&bytes);
        }
        for client in &mut raw {
            client.send(&bytes);
            assert!(client.bytes(bytes.len()) == bytes);
        }
    }
    for client in &mut web {
        client.close(1000);
        client.expect_close(1000);
    }
    for client in &mut raw {
        client.shut();
        client.expect_fin();
    }
    drop((web, raw));
    server.expect_empty();
    assert_eq!((server.opened(), server.closed()), (6, 6));
}

/// A raw peer that has said all it had to still gets all that is sent to it.
#[test]
fn a_raw_peer_may_half_close_and_go_on_reading() {
    let size = 5 * MIB;
    let handler = Scripted::default()
        .on_end(move |cx, id| {
            assert!(cx.send(id, &vec![5; size]).is_ok());
        })
        .on_drain(|cx, id| {
            cx.finish(id);
        });
    let mut config = Config::default();
    config.settings.max_queue = 8 * MIB;
    let listens = vec![(loopback(), narrow_listen(Serve::Raw))];
    let server = Server::start_on(handler, config, listens);
    let mut client = Client::narrow(&server, 16 * KIB);
    client.send(b"all I have to say");
    client.shut();
    assert!(client.bytes(size).iter().all(|byte| *byte == 5));
    client.expect_fin();
    server.expect_empty();
    assert_eq!(server.reasons(), ["Finished"]);
}

/// The end of a raw peer's stream is told once, whatever events follow it.
#[test]
fn the_end_of_a_raw_stream_is_told_once() {
    let handler = Scripted::default().on_end(|cx, id| {
        let _ = cx.send(id, &vec![5; 60 * KIB]).unwrap();
        assert!(cx.set_timer(milliseconds(300), id.to_bits()).is_some());
    });
    let finishing: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let noting = Arc::clone(&finishing);
    let handler = handler
        .on_open(move |_, id| *noting.lock().unwrap() = Some(id))
        .on_timer(move |cx, _| cx.finish(finishing.lock().unwrap().unwrap()));
    let listens = vec![(loopback(), narrow_listen(Serve::Raw))];
    let server = Server::start_on(handler, Config::default(), listens);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.send(b"x");
    client.shut();
    for _ in 0..60 {
        std::thread::sleep(milliseconds(1));
        assert_eq!(client.bytes(KIB), [5; KIB]);
    }
    client.expect_fin();
}

#[test]
fn a_closed_listener_keeps_its_connections() {
    let handler = Scripted::default();
    let watch = Arc::clone(&handler.watch);
    let handler = handler.on_message(move |cx, id, message| {
        if message.as_bytes() == b"close" {
            let listener = watch.listeners.lock().unwrap()[0];
            assert!(cx.close_listener(listener) && !cx.close_listener(listener));
        }
        let _ = cx.send(id, message).unwrap();
    });
    let listens = vec![(loopback(), Listen::default()), (loopback(), Listen::default())];
    let server = Server::start_on(handler, Config::default(), listens);
    let mut client = Client::open(&server);
    client.text("close");
    client.expect_text("close");
    assert!(TcpStream::connect(server.addrs[0].as_tcp().unwrap()).is_err());
    client.expect_alive();
    Client::open_at(&server.addrs[1]).expect_alive();
}

/// A connection belongs to the listener it came by, even if a handler opens another on the same descriptor.
#[test]
fn a_listener_that_takes_the_place_of_another_keeps_its_own_protocol() {
    let opened: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let raw = Arc::clone(&opened);
    let handler = Scripted::default();
    let watch = Arc::clone(&handler.watch);
    let handler = handler
        .on_open(move |cx, id| {
            let mut opened = opened.lock().unwrap();
            if opened.is_empty() {
                assert!(cx.close_listener(watch.listeners.lock().unwrap()[0]));
                let listening = cx.listen(&loopback(), &Listen::raw()).unwrap();
                opened.push(TcpStream::connect(listening.addr.as_tcp().unwrap()).unwrap());
            } else {
                let _ = cx.send(id, "raw").unwrap();
            }
        })
        .on_bytes(|_, _, _| {});
    let server = Server::start_on(handler, Config::default(), vec![(loopback(), Listen::raw())]);
    let _first = Client::silent(&server);
    eventually("the second connection is open", || server.opened() == 2);
    let mut stream = raw.lock().unwrap().pop().unwrap();
    let mut bytes = [0; 3];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Read::read_exact(&mut stream, &mut bytes).unwrap();
    assert_eq!(&bytes, b"raw");
}

/// At the bound on connections the clients wait, and are served when there is room.
#[test]
fn beyond_max_connections_clients_wait() {
    let mut config = Config::default();
    config.settings.max_connections = 3;
    config.max_opening = Some(3);
    let server = Server::start(Scripted::echo(), config);
    let mut first: Vec<Client> = (0..3).map(|_| Client::open(&server)).collect();
    let mut waiting: Vec<Client> = (0..5).map(|_| Client::silent(&server)).collect();
    for client in &mut waiting {
        client.send(&upgrade_request(&[]));
        client.expect_silence(milliseconds(20));
    }
    first.iter_mut().for_each(Client::expect_alive);
    drop(first);
    for client in waiting {
        let mut client = client;
        client.expect_101();
        client.expect_alive();
    }
    server.expect_empty();
}

// R33: from other threads.

/// R33: a sleeping loop is woken at once, however often.
#[test]
fn another_thread_stops_a_sleeping_loop_at_once() {
    for round in 0..30 {
        let server = Server::start(Scripted::echo(), Config::default());
        let remote = server.remote.clone();
        if round % 2 == 0 {
            std::thread::sleep(milliseconds(5));
        }
        std::thread::spawn(move || if round % 3 == 0 { remote.shutdown(PATIENCE) } else { remote.stop() });
        server.expect_end(SOON);
    }
}

/// R49: a shutdown says 1001 to everybody, waits for those who answer, and cuts the rest at the end of the grace.
#[test]
fn a_shutdown_says_goodbye() {
    let listens = vec![(loopback(), Listen::default()), (loopback(), Listen::raw())];
    let server = Server::start_on(Scripted::echo(), Config::default(), listens);
    let mut polite: Vec<Client> = (0..10).map(|_| Client::open(&server)).collect();
    let mut silent = Client::silent(&server);
    silent.send(b"GET / HT");
    let mut raw = Client::to(&server.addrs[1]);
    raw.send(b"raw");
    assert_eq!(raw.bytes(3), b"raw");
    server.remote.shutdown(PATIENCE).unwrap();
    for client in &mut polite {
        assert_eq!(client.next().close_code(), Some(1001));
        client.close(1001);
        client.expect_fin();
    }
    raw.expect_fin();
    silent.expect_end(SOON);
    drop((polite, silent, raw));
    server.expect_end(SOON);
}

#[test]
fn a_shutdown_ends_with_its_grace() {
    let handler = Scripted::echo();
    let watch = Arc::clone(&handler.watch);
    let server = Server::start(handler, Config::default());
    let mut mute = Client::open(&server);
    let began = Instant::now();
    server.remote.shutdown(milliseconds(400)).unwrap();
    assert_eq!(mute.next().close_code(), Some(1001));
    server.expect_end(SOON);
    let took = began.elapsed();
    assert!(took >= milliseconds(400), "cut after {took:?}");
    assert_eq!(*watch.reasons.lock().unwrap(), ["Aborted"]);
    mute.expect_end(SOON);
}

// Time.

/// A timer never fires early, all of them fire, and one that is cancelled does not.
#[test]
fn timers_are_never_early_and_all_fire() {
    let mut handler = Scripted::default();
    let fired: Arc<Mutex<Vec<(u64, Time)>>> = Arc::default();
    let noting = Arc::clone(&fired);
    handler = handler.on_timer(move |cx, token| noting.lock().unwrap().push((token, cx.now())));
    let mut reactor = Reactor::new(handler, Config::default()).unwrap();
    let mut due = HashMap::new();
    let mut dice = Dice::new(11);
    let mut cancelled = HashSet::new();
    reactor.with(|_, cx| {
        for token in 0..5_000 {
            let after = Duration::from_micros(dice.roll() % 300_000);
            let timer = cx.set_timer(after, token).unwrap();
            if token % 7 == 0 {
                assert!(cx.cancel_timer(timer) && !cx.cancel_timer(timer));
                cancelled.insert(token);
            } else {
                due.insert(token, cx.now().saturating_add(after));
            }
        }
    });
    let began = Instant::now();
    while fired.lock().unwrap().len() < due.len() {
        reactor.turn(Some(milliseconds(50))).unwrap();
        assert!(began.elapsed() < PATIENCE, "{} of {} fired", fired.lock().unwrap().len(), due.len());
    }
    for (token, at) in fired.lock().unwrap().drain(..) {
        let due = due.remove(&token).unwrap_or_else(|| panic!("{token} fired twice or was cancelled"));
        assert!(at >= due, "{token} is {:?} early", due.since(at));
    }
    assert_eq!(reactor.next_deadline(), None);
}

/// A timer that is set again in its own call lets others live.
#[test]
fn a_timer_of_no_time_does_not_starve_the_loop() {
    let handler = Scripted::echo()
        .on_open(|cx, _| assert!(cx.set_timer(Duration::ZERO, 1).is_some()))
        .on_timer(|cx, token| assert!(cx.set_timer(Duration::ZERO, token).is_some()));
    let server = Server::start(handler, Config::default());
    let mut client = Client::open(&server);
    for _ in 0..20 {
        client.expect_alive();
    }
    server.remote.stop().unwrap();
    server.expect_end(SOON);
}

/// A timer counts from when it is set, not from the last turn.
#[test]
fn a_timer_set_between_turns_is_not_early() {
    let fired = Arc::new(AtomicBool::new(false));
    let firing = Arc::clone(&fired);
    let handler = Scripted::default().on_timer(move |_, _| firing.store(true, Ordering::SeqCst));
    let mut reactor = Reactor::new(handler, Config::default()).unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    std::thread::sleep(milliseconds(400));
    let set = Instant::now();
    reactor.with(|_, cx| assert!(cx.set_timer(milliseconds(300), 0).is_some()));
    while !fired.load(Ordering::SeqCst) {
        reactor.turn(Some(milliseconds(10))).unwrap();
    }
    let took = set.elapsed();
    assert!(took >= milliseconds(300), "300 ms were over after {took:?}");
}

fn with_idle(idle: u64) -> Config {
    let mut config = Config::default();
    config.timeouts.idle = Some(milliseconds(idle));
    config.timeouts.ping = Some(milliseconds(idle / 2));
    config
}

/// R42: a silent peer is asked in time, and cut at the end of the idle timeout.
#[test]
fn a_silent_peer_is_pinged_and_then_cut() {
    let server = Server::start(Scripted::echo(), with_idle(800));
    let began = Instant::now();
    let mut client = Client::open(&server);
    assert_eq!(client.next(), Frame::ping(""));
    let pinged = began.elapsed();
    assert!(pinged >= milliseconds(395), "pinged after {pinged:?}");
    client.expect_end(SOON);
    let cut = began.elapsed();
    assert!(cut >= milliseconds(790), "cut after {cut:?}");
    eventually("it is told", || server.closed() == 1);
    assert_eq!(server.reasons(), ["TimedOut(Idle)"]);
}

/// R42: one that answers stays, and so does one that talks by itself.
#[test]
fn a_peer_that_answers_pings_stays() {
    let server = Server::start(Scripted::echo(), with_idle(800));
    let (mut answering, mut talking) = (Client::open(&server), Client::open(&server));
    let began = Instant::now();
    let mut pings = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while began.elapsed() < milliseconds(2_400) {
                talking.expect_alive();
                std::thread::sleep(milliseconds(100));
            }
        });
        while began.elapsed() < milliseconds(2_400) {
            assert_eq!(answering.next(), Frame::ping(""));
            answering.frame(&Frame::new(rules::PONG, ""));
            pings += 1;
        }
    });
    assert!((4..=8).contains(&pings), "{pings} pings");
    answering.expect_alive();
}

/// R42: one that takes what it is sent, slowly, is not idle, although it says nothing.
#[test]
fn a_peer_that_takes_bytes_is_not_idle() {
    let handler = Scripted::default().on_message(|cx, id, _| while cx.send(id, &[0; 8 * KIB]).is_ok() {});
    let server = narrow_server(handler, with_idle(800));
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    client.text("go");
    let began = Instant::now();
    while began.elapsed() < milliseconds(2_000) {
        client.bytes(8 * KIB);
        std::thread::sleep(milliseconds(20));
    }
    assert_eq!(server.closed(), 0, "{:?}", server.reasons());
}

/// R42: nor is one that is not read because the handler paused it.
#[test]
fn a_paused_peer_is_not_idle() {
    let paused: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let resuming = Arc::clone(&paused);
    let handler = Scripted::default()
        .on_message(move |cx, id, message| {
            if message.as_bytes() == b"pause" {
                cx.pause(id);
                *paused.lock().unwrap() = Some(id);
                assert!(cx.set_timer(milliseconds(1_200), 0).is_some());
            } else {
                let _ = cx.send(id, message).unwrap();
            }
        })
        .on_timer(move |cx, _| cx.resume(resuming.lock().unwrap().unwrap()));
    let server = Server::start(handler, with_idle(600));
    let mut client = Client::open(&server);
    client.text("pause");
    client.text("patient");
    let answer = std::iter::from_fn(|| client.next_or_end()).find(|frame| frame.opcode != PING);
    assert_eq!(answer, Some(Frame::text("patient")), "{:?}", server.reasons());
}

/// R42: pings go on for as long as the silence does, also where nobody is cut for it.
#[test]
fn pings_go_on_where_silence_is_not_limited() {
    let mut config = Config::default();
    (config.timeouts.ping, config.timeouts.idle) = (Some(milliseconds(150)), None);
    let server = Server::start(Scripted::echo(), config);
    let began = Instant::now();
    let mut client = Client::open(&server);
    for ping in 1..=4 {
        assert_eq!(client.next(), Frame::ping(""));
        assert!(began.elapsed() >= milliseconds(145 * ping));
        client.frame(&Frame::new(rules::PONG, ""));
    }
    client.expect_alive();
}

/// A connection that has lived long enough is closed in good order, however much it says.
#[test]
fn a_lifetime_ends_with_a_close() {
    let mut config = Config::default();
    config.timeouts.lifetime = Some(milliseconds(400));
    config.timeouts.close = milliseconds(800);
    let listens = vec![(loopback(), Listen::default()), (loopback(), Listen::raw())];
    let server = Server::start_on(Scripted::echo(), config, listens);
    let began = Instant::now();
    let (mut polite, mut mute) = (Client::open(&server), Client::open(&server));
    let mut raw = Client::to(&server.addrs[1]);
    let close = loop {
        let _ = polite.try_send(&Frame::text("busy").masked());
        let frame = polite.next();
        if frame.opcode == CLOSE {
            break frame;
        }
        std::thread::sleep(milliseconds(10));
    };
    assert_eq!(close.close_code(), Some(1001));
    assert!(began.elapsed() >= milliseconds(390), "{:?}", began.elapsed());
    polite.close(1001);
    let (rest, end) = polite.rest(SOON);
    assert_eq!((rest.len(), end), (0, End::Fin));
    raw.expect_fin();
    assert_eq!(mute.next().close_code(), Some(1001));
    mute.expect_end(SOON);
    drop((polite, mute, raw));
    server.expect_empty();
    let mut reasons = server.reasons();
    reasons.sort();
    assert!(reasons[0] == "Finished" && reasons[1].starts_with("Handshake { by: Local"), "{reasons:?}");
    assert_eq!(reasons[2], "TimedOut(Close)");
}

/// R42: a raw connection that is silent is cut as well; `None` lets it live.
#[test]
fn silence_on_a_raw_connection() {
    let raw = || vec![(loopback(), Listen::raw())];
    let mut unlimited = Config::default();
    unlimited.timeouts.idle = None;
    let (strict, lenient) = (
        Server::start_on(Scripted::echo(), with_idle(300), raw()),
        Server::start_on(Scripted::echo(), unlimited, raw()),
    );
    let (mut cut, mut kept) = (Client::silent(&strict), Client::silent(&lenient));
    cut.expect_end(SOON);
    eventually("it is told", || strict.closed() == 1);
    assert_eq!(strict.reasons(), ["TimedOut(Idle)"]);
    kept.send(b"still here");
    assert_eq!(kept.bytes(10), b"still here");
    lenient.expect_idle();
}

/// R42: a peer that takes nothing is cut; one that takes a little is not.
#[test]
fn a_peer_that_takes_nothing_is_cut() {
    let handler = Scripted::default().on_message(|cx, id, _| while cx.send(id, &[0; 8 * KIB]).is_ok() {});
    let mut config = Config::default();
    config.settings.stall_timeout = milliseconds(500);
    let server = narrow_server(handler, config);
    let mut slow = Client::narrow(&server, 4 * KIB);
    let mut stuck = Client::narrow(&server, 4 * KIB);
    slow.upgrade(&[]);
    stuck.upgrade(&[]);
    let began = Instant::now();
    stuck.text("go");
    slow.text("go");
    while server.closed() == 0 {
        slow.bytes(20 * KIB);
        std::thread::sleep(milliseconds(30));
        assert!(began.elapsed() < PATIENCE);
    }
    let took = began.elapsed();
    assert!(took >= milliseconds(480), "cut after {took:?}");
    assert_eq!(server.reasons(), ["TimedOut(Write)"]);
    assert_eq!(stuck.rest(SOON).1, End::Reset);
    slow.bytes(20 * KIB);
    assert_eq!(server.closed(), 1);
}

// Turns by hand.

fn quiet_reactor() -> Reactor<Scripted> {
    Reactor::new(Scripted::echo(), Config::default()).unwrap()
}

#[test]
fn a_turn_of_no_time_returns_at_once() {
    let mut reactor = quiet_reactor();
    reactor.listen(&loopback()).unwrap();
    reactor.with(|_, cx| assert!(cx.set_timer(PATIENCE, 0).is_some()));
    let began = Instant::now();
    for _ in 0..100 {
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?} for a hundred", began.elapsed());
}

#[test]
fn a_turn_waits_no_longer_than_it_may() {
    let mut reactor = quiet_reactor();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    let began = Instant::now();
    for _ in 0..10 {
        reactor.turn(Some(milliseconds(20))).unwrap();
    }
    let took = began.elapsed();
    assert!((milliseconds(190)..SOON).contains(&took), "{took:?} for ten times 20 ms");
}

#[test]
fn the_next_deadline_is_told() {
    let mut reactor = quiet_reactor();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.next_deadline(), None);
    let (now, timer) = reactor.with(|_, cx| (cx.now(), cx.set_timer(milliseconds(50), 0).unwrap()));
    let at = reactor.next_deadline().unwrap();
    assert!(
        at >= now.saturating_add(milliseconds(50)) && at <= now.saturating_add(milliseconds(60)),
        "{at:?}"
    );
    reactor.with(|_, cx| assert!(cx.cancel_timer(timer)));
    assert_eq!(reactor.next_deadline(), None);
    let listening = reactor.listen(&loopback()).unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.next_deadline(), None);
    let _client = TcpStream::connect(listening.addr.as_tcp().unwrap()).unwrap();
    reactor.turn(Some(SOON)).unwrap();
    assert!(reactor.next_deadline().is_some(), "the opening deadline");
    assert_eq!(reactor.with(|_, cx| cx.connections()), 1);
}

/// A message of which all is there needs one turn, although its beginning fills the loop's buffer.
#[test]
fn the_rest_of_something_large_comes_in_the_turn_of_its_beginning() {
    let directory = Directory::new("rest");
    let mut config = Config::default();
    config.settings.receive_budget = 4 * KIB;
    let mut reactor = Reactor::new(Scripted::echo(), config).unwrap();
    // What is written to a Unix-domain socket is there at once.
    let addr = reactor.listen(&directory.addr("socket")).unwrap().addr;
    let mut client = Client::to(&addr);
    client.send(&upgrade_request(&[]));
    while reactor.handler().watch.opened.load(Ordering::SeqCst) == 0 {
        reactor.turn(Some(PATIENCE)).unwrap();
    }
    client.expect_101();
    let message = Dice::new(3).bytes(40 * KIB);
    client.binary(&message);
    reactor.turn(Some(PATIENCE)).unwrap();
    client.expect_binary(&message);
}

/// The smallest budgets are slow, not wrong.
#[test]
fn the_smallest_budgets_work() {
    let mut config = Config::default();
    let settings = &mut config.settings;
    (settings.accept_budget, settings.timer_budget, settings.receive_budget) = (1, 1, 4 * KIB);
    (settings.low_water, settings.high_water, settings.linger_bytes) = (0, 0, 0);
    let handler = Scripted::echo().on_open(|cx, _| {
        for token in 0..20 {
            assert!(cx.set_timer(milliseconds(5), token).is_some());
        }
    });
    let server = narrow_server(handler, config);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::silent(&server)).collect();
    for client in &mut clients {
        client.upgrade(&[]);
    }
    let message = Dice::new(2).bytes(300 * KIB);
    for client in &mut clients {
        client.binary(&message);
        client.text("small");
        client.frame(&Frame::ping("p"));
    }
    for client in &mut clients {
        client.expect_binary(&message);
        client.expect_text("small");
        client.expect_pong(b"p");
        client.close(1000);
        client.expect_close(1000);
    }
    drop(clients);
    server.expect_empty();
    server.expect_idle();
}

/// Spans without an end are as good as none.
#[test]
fn the_longest_spans_work() {
    let mut config = Config::default();
    config.timeouts.opening = Duration::MAX;
    config.timeouts.idle = Some(Duration::MAX);
    config.timeouts.close = Duration::MAX;
    config.settings.stall_timeout = Duration::MAX;
    config.settings.linger_timeout = Duration::MAX;
    let handler = Scripted::echo().on_open(|cx, _| assert!(cx.set_timer(Duration::MAX, 0).is_some()));
    let server = narrow_server(handler, config);
    let mut client = Client::narrow(&server, 4 * KIB);
    client.upgrade(&[]);
    client.expect_alive();
    let message = vec![1; MIB];
    client.binary(&message);
    client.expect_binary(&message);
    server.expect_idle();
    client.close(1000);
    client.expect_close(1000);
    drop(client);
    server.expect_empty();
    assert_eq!(server.count(|watch| &watch.closed), 1);
}

/// Messages of many megabytes come back whole, in one frame or in several, and let others live meanwhile.
#[test]
fn messages_of_many_megabytes_come_back() {
    let mut config = Config::default();
    config.websocket.limits.max_message = 64 * MIB;
    config.websocket.limits.max_frame = 64 << 20;
    config.settings.max_queue = 80 * MIB;
    let server = Server::start(Scripted::echo(), config);
    let mut healthy = Client::open(&server);
    let message = Dice::new(6).bytes(20 * MIB);
    let most = std::thread::scope(|scope| {
        let large = scope.spawn(|| {
            let mut client = Client::open(&server);
            client.binary(&message);
            client.expect_binary(&message);
            let (one, two) = message.split_at(7 * MIB + 3);
            client.frame(&Frame::binary(one).unfinished());
            client.frame(&Frame::more(two));
            client.expect_binary(&message);
        });
        let mut most = Duration::ZERO;
        while !large.is_finished() {
            let sent = Instant::now();
            healthy.expect_alive();
            most = most.max(sent.elapsed());
            std::thread::sleep(milliseconds(2));
        }
        most
    });
    println!("the longest wait beside messages of 20 MiB: {most:?}");
    assert!(most < SOON, "{most:?}");
}

/// What is sent between two turns goes out in the next, without an event.
#[test]
fn with_acts_as_a_callback() {
    let id: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let noting = Arc::clone(&id);
    let handler = Scripted::echo().on_open(move |_, id| *noting.lock().unwrap() = Some(id));
    let mut reactor = Reactor::new(handler, Config::default()).unwrap();
    let addr = reactor.listen(&loopback()).unwrap().addr;
    let mut client = Client::to(&addr);
    client.send(&upgrade_request(&[]));
    let began = Instant::now();
    while id.lock().unwrap().is_none() {
        reactor.turn(Some(milliseconds(10))).unwrap();
        assert!(began.elapsed() < PATIENCE);
    }
    client.expect_101();
    let id = id.lock().unwrap().unwrap();
    reactor.with(|_, cx| {
        let _ = cx.send(id, "between turns").unwrap();
        let _ = cx.ping(id, b"p").unwrap();
    });
    assert_eq!(reactor.next_deadline(), Some(Time::ZERO), "there is something to do");
    reactor.turn(None).unwrap();
    client.expect_text("between turns");
    assert_eq!(client.next(), Frame::ping("p"));
    reactor.with(|_, cx| cx.stop());
    assert!(reactor.is_stopped());
    reactor.run().unwrap();
}

/// Hands everything to whoever came first.
#[derive(Default)]
struct Relay {
    first: Option<ConnId>,
}

impl Handler for Relay {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, _: &mut Context<'_, Self>, id: ConnId) {
        self.first.get_or_insert(id);
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, _: ConnId, bytes: &[u8]) {
        let _ = cx.send(self.first.unwrap(), bytes).unwrap();
    }
}

/// The event that says so and the message that adds to the queue come in one poll, the message first.
#[test]
fn a_queue_that_grows_just_when_there_is_room_again_is_still_drained() {
    let mut reactor = Reactor::new(Relay::default(), Config::default()).unwrap();
    let addr = reactor.listen_with(&loopback(), &narrow_listen(Serve::Raw)).unwrap().addr;
    let Addr::Tcp(addr) = addr else { unreachable!() };
    let (mut slow, mut fast) = (TcpStream::connect(addr).unwrap(), TcpStream::connect(addr).unwrap());
    slow.set_nonblocking(true).unwrap();
    let (mut written, mut read) = (0, 0);
    let mut feed = |count: usize| {
        fast.write_all(&vec![b'x'; count]).unwrap();
        written += count;
        written
    };
    let mut read_all = || {
        let mut bytes = vec![0; MIB];
        while let Ok(count) = slow.read(&mut bytes) {
            read += count;
        }
        read
    };
    let is_queued = |relay: &mut Relay, cx: &mut Context<'_, Relay>| {
        relay.first.is_some_and(|first| cx.pending(first) > 0)
    };
    let began = Instant::now();
    while !reactor.with(is_queued) {
        feed(64 * KIB);
        reactor.turn(Some(milliseconds(1))).unwrap();
        assert!(began.elapsed() < PATIENCE);
    }
    let wanted = feed(1);
    read_all();
    while read_all() < wanted {
        reactor.turn(Some(milliseconds(1))).unwrap();
        assert!(began.elapsed() < PATIENCE, "{} of {wanted} bytes", read_all());
    }
}
