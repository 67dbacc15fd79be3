//! Every limit that can be counted, from the outside: at one less it lets pass, at the limit it lets pass, and at one
//! more it does what `LIMITS.md` says. Every span is measured: never early, and not late.
#![cfg(all(unix, feature = "net"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod rules;

use std::collections::VecDeque;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gnezdo::net::NetError;
use gnezdo::ws::{CloseCode, DeflateConfig};
use gnezdo::{
    Closed, Config, ConnId, Connect, ConnectError, Context, Handler, Listen, Message, PostError, Reactor,
    SendError, Sent,
};
use rules::{
    BINARY, CLOSE, Client, End, Frame, GOOD, PATIENCE, PING, PONG, SOON, Scripted, Server, eventually,
    request, upgrade_request,
};

// What can be counted.

/// A limit, a value for it, and a way to come up against it with so much.
struct Limit {
    name: &'static str,
    bound: usize,
    set: fn(&mut Config, usize),
    /// Whether so much was let pass; a probe fails the test where neither that nor the refusal happened.
    passes: fn(Config, usize) -> bool,
}

/// Those of a configuration, and of the protocols those that cannot be set.
const LIMITS: &[Limit] = &[
    Limit {
        name: "websocket.head.max_bytes",
        bound: 500,
        set: |config, bound| config.websocket.head.max_bytes = bound,
        passes: |config, length| {
            let without = upgrade_request(&["X: "]).len();
            upgrades(config, &[&format!("X: {}", "a".repeat(length - without))], 431)
        },
    },
    Limit {
        name: "websocket.head.max_headers",
        bound: 20,
        set: |config, bound| config.websocket.head.max_headers = bound,
        passes: with_header_lines,
    },
    Limit {
        name: "HeadLimits::MOST_HEADERS",
        bound: 128,
        set: |config, _| config.websocket.head.max_headers = usize::MAX,
        passes: with_header_lines,
    },
    Limit { name: "MOST_SUBPROTOCOLS", bound: 64, set: |_, _| {}, passes: with_subprotocols },
    Limit { name: "MOST_OFFERS", bound: 16, set: deflating, passes: with_offers },
    Limit {
        name: "websocket.limits.max_frame",
        bound: 5_000,
        set: |config, bound| config.websocket.limits.max_frame = bound as u64,
        passes: |config, length| echoes(config, &[Frame::binary(vec![1; length])], length, 1009),
    },
    Limit {
        name: "websocket.limits.max_message",
        bound: 5_000,
        set: |config, bound| config.websocket.limits.max_message = bound,
        passes: |config, length| {
            let frames = [Frame::binary([1; 2_000]).unfinished(), Frame::more(vec![1; length - 2_000])];
            echoes(config, &frames, length, 1009)
        },
    },
    Limit {
        name: "websocket.limits.max_message, inflated",
        bound: 50_000,
        set: |config, bound| {
            deflating(config, bound);
            config.websocket.limits.max_message = bound;
        },
        passes: with_inflated,
    },
    Limit {
        name: "websocket.limits.max_fragments",
        bound: 10,
        set: |config, bound| config.websocket.limits.max_fragments = u32::try_from(bound).unwrap(),
        passes: |config, count| {
            let mut frames = vec![Frame::more("x").unfinished(); count];
            frames[0] = Frame::binary("x").unfinished();
            frames[count - 1].fin = true;
            echoes(config, &frames, count, 1008)
        },
    },
    Limit {
        name: "websocket.limits.max_empty_fragments",
        bound: 4,
        set: |config, bound| config.websocket.limits.max_empty_fragments = u32::try_from(bound).unwrap(),
        passes: |config, count| {
            let mut frames = vec![Frame::binary("x").unfinished()];
            frames.extend(vec![Frame::more("").unfinished(); count]);
            frames.push(Frame::more("y"));
            echoes(config, &frames, 2, 1008)
        },
    },
    Limit {
        name: "websocket.limits.pings_per_second",
        bound: 5,
        set: |config, bound| config.websocket.limits.pings_per_second = u32::try_from(bound).unwrap(),
        passes: with_pings,
    },
    Limit { name: "MAX_CONTROL", bound: 125, set: |_, _| {}, passes: with_control_frame },
    Limit {
        name: "settings.max_queue",
        bound: 3_000,
        set: |config, bound| {
            config.settings.max_queue = bound;
            (config.settings.high_water, config.settings.low_water) = (bound, bound);
        },
        passes: with_sent,
    },
    Limit {
        name: "settings.high_water",
        bound: 100_000,
        set: |config, bound| config.settings.high_water = bound,
        passes: with_queued,
    },
    Limit {
        name: "settings.max_queued",
        bound: 100_000,
        set: |config, bound| config.settings.max_queued = bound,
        passes: |config, wanted| {
            let (server, _clients, _told) = queues_of(config, &[wanted]);
            server.closed() == 0
        },
    },
    Limit {
        name: "max_partial",
        bound: 30_000,
        set: |config, bound| config.max_partial = bound,
        passes: |config, held| {
            let (server, _clients) = half_messages(config, &[10_000, held - 10_000]);
            server.closed() == 0
        },
    },
    Limit {
        name: "settings.max_connections",
        bound: 3,
        set: |config, bound| config.settings.max_connections = bound,
        passes: with_connections,
    },
    Limit {
        name: "settings.max_connections, our own",
        bound: 3,
        set: |config, bound| config.settings.max_connections = bound,
        passes: with_calls,
    },
    Limit {
        name: "max_opening",
        bound: 3,
        set: |config, bound| {
            config.max_opening = Some(bound);
            config.timeouts.opening = 2 * PATIENCE;
        },
        passes: with_silent,
    },
    Limit {
        name: "settings.linger_bytes",
        bound: 3_000,
        set: |config, bound| {
            config.settings.linger_bytes = bound;
            config.settings.linger_timeout = PATIENCE;
        },
        passes: with_lingering,
    },
    Limit {
        name: "max_posts",
        bound: 3,
        set: |config, bound| config.max_posts = bound,
        passes: |config, count| {
            let reactor = Reactor::new(Counting::default(), config).unwrap();
            let remote = reactor.remote();
            let outcomes: Vec<_> = (0..count).map(|_| remote.try_post(())).collect();
            assert!(outcomes[..count - 1].iter().all(Result::is_ok));
            outcomes[count - 1] != Err(PostError::Full(()))
        },
    },
    Limit {
        name: "post_budget",
        bound: 3,
        set: |config, bound| config.post_budget = bound,
        passes: |config, count| {
            let mut reactor = Reactor::new(Counting::default(), config).unwrap();
            let remote = reactor.remote();
            (0..count).for_each(|_| remote.try_post(()).unwrap());
            in_one_turn(&mut reactor, count, |handler| handler.posts)
        },
    },
    Limit {
        name: "settings.timer_budget",
        bound: 3,
        set: |config, bound| config.settings.timer_budget = bound,
        passes: |config, count| {
            let mut reactor = Reactor::new(Counting::default(), config).unwrap();
            for token in 0..count {
                reactor.with(|_, cx| cx.set_timer(Duration::ZERO, token as u64)).unwrap();
            }
            in_one_turn(&mut reactor, count, |handler| handler.timers)
        },
    },
    Limit {
        name: "settings.accept_budget",
        bound: 3,
        set: |config, bound| config.settings.accept_budget = bound,
        passes: |config, count| {
            let (mut reactor, addr) = listening(config, &Listen::raw());
            let _clients: Vec<_> = (0..count).map(|_| TcpStream::connect(addr).unwrap()).collect();
            in_one_turn(&mut reactor, count, |handler| handler.opened)
        },
    },
    Limit {
        name: "settings.receive_budget",
        bound: 5_000,
        set: |config, bound| config.settings.receive_budget = bound,
        passes: |config, length| {
            let (mut reactor, addr) = listening(config, &Listen::raw());
            let mut client = TcpStream::connect(addr).unwrap();
            turn_until(&mut reactor, |handler| handler.opened == 1);
            client.write_all(&vec![1; length]).unwrap();
            in_one_turn(&mut reactor, length, |handler| handler.bytes)
        },
    },
    Limit {
        name: "settings.landing_budget",
        bound: 8_000,
        set: |config, bound| {
            config.settings.landing_budget = bound;
            config.settings.receive_budget = 4_096;
        },
        passes: with_landing,
    },
];

#[test]
fn every_count_holds_to_the_unit() {
    let mut wrong = Vec::new();
    for limit in LIMITS {
        for amount in [limit.bound - 1, limit.bound, limit.bound + 1] {
            let mut config = Config::default();
            (limit.set)(&mut config, limit.bound);
            let passed = (limit.passes)(config, amount);
            if passed != (amount <= limit.bound) {
                wrong.push(format!("{}: {amount} of {} let pass: {passed}", limit.name, limit.bound));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Asks for an upgrade with more lines: a 101, or this refusal.
fn upgrades(config: Config, more: &[&str], refusal: u16) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut client = Client::silent(&server);
    client.send(&upgrade_request(more));
    let response = client.response();
    assert!([101, refusal].contains(&response.status), "{response:?}");
    response.status == 101
}

/// Sends a message in these frames: comes back with so many bytes, or is refused with this code.
fn echoes(config: Config, frames: &[Frame], length: usize, refusal: u16) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut client = Client::open(&server);
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::masked).collect();
    client.send(&bytes);
    is_echoed(&mut client, length, refusal)
}

fn is_echoed(client: &mut Client, length: usize, refusal: u16) -> bool {
    let frame = client.next();
    if frame.opcode == CLOSE {
        assert_eq!(frame.close_code(), Some(refusal));
        return false;
    }
    assert_eq!((frame.opcode, frame.payload.len()), (BINARY, length));
    true
}

fn with_header_lines(mut config: Config, count: usize) -> bool {
    config.websocket.head.max_bytes = 1 << 20;
    let more = vec!["X: y"; count - (GOOD.len() - 1)];
    upgrades(config, &more, 431)
}

fn with_subprotocols(config: Config, count: usize) -> bool {
    let names: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
    upgrades(config, &[&format!("Sec-WebSocket-Protocol: {}", names.join(", "))], 400)
}

fn deflating(config: &mut Config, _: usize) {
    config.websocket.deflate = Some(DeflateConfig::default());
}

/// Without the feature nothing is ever agreed on: then the limit is not there to be met.
const CAN_DEFLATE: bool = cfg!(feature = "deflate");

fn with_offers(config: Config, count: usize) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut client = Client::silent(&server);
    let offers = vec!["permessage-deflate"; count].join(", ");
    let response = client.upgrade(&[&format!("Sec-WebSocket-Extensions: {offers}")]);
    let agreed = response.header("sec-websocket-extensions").is_some();
    if CAN_DEFLATE { agreed } else { count <= 16 }
}

#[cfg(feature = "deflate")]
fn with_inflated(config: Config, length: usize) -> bool {
    let server = Server::start(Scripted::sink().on_message(length_back), config);
    let mut client = Client::silent(&server);
    client.upgrade(&["Sec-WebSocket-Extensions: permessage-deflate"]);
    let mut zip = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&vec![1; length]).unwrap();
    client.frame(&Frame::binary(zip.finish().unwrap()).with_rsv(4));
    let frame = client.next();
    if frame.opcode == CLOSE {
        assert_eq!(frame.close_code(), Some(1009));
        return false;
    }
    assert_eq!(frame, Frame::text(&length.to_string()));
    true
}

#[cfg(feature = "deflate")]
fn length_back(cx: &mut rules::Cx<'_>, id: ConnId, message: Message<'_>) {
    let _ = cx.send(id, &message.len().to_string()).unwrap();
}

#[cfg(not(feature = "deflate"))]
fn with_inflated(config: Config, length: usize) -> bool {
    length <= config.websocket.limits.max_message
}

/// So many pings in one write, which come in one receive.
fn with_pings(config: Config, count: usize) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut client = Client::open(&server);
    client.send(&Frame::ping("?").masked().repeat(count));
    let answers: Vec<Frame> = (0..count).map(|_| client.next()).collect();
    let (last, others) = answers.split_last().unwrap();
    assert!(others.iter().all(|answer| answer.opcode == PONG));
    if last.opcode == CLOSE {
        assert_eq!(last.close_code(), Some(1008));
    }
    last.opcode == PONG
}

fn with_control_frame(config: Config, length: usize) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut client = Client::open(&server);
    client.frame(&Frame::new(PING, vec![1; length]));
    let frame = client.next();
    if frame.opcode == CLOSE {
        assert_eq!(frame.close_code(), Some(1002));
        return false;
    }
    assert_eq!((frame.opcode, frame.payload.len()), (PONG, length));
    true
}

/// For raw bytes, of which the kernel takes few.
fn raw_server(handler: Scripted, config: Config) -> Server {
    let mut listen = Listen::raw();
    listen.options.stream.send_buffer = Some(16 * 1024);
    Server::start_on(handler, config, vec![("127.0.0.1:0".parse().unwrap(), listen)])
}

/// One send of so many bytes to a peer that has nothing waiting.
fn with_sent(config: Config, length: usize) -> bool {
    let handler = Scripted::default().on_bytes(move |cx, id, _| match cx.send(id, &vec![b'x'; length]) {
        Ok(_) => {}
        Err(SendError::TooBig { size, limit }) => {
            assert_eq!((size, limit), (length, length - 1));
            let _ = cx.send(id, b"-").unwrap();
        }
        Err(error) => panic!("{error}"),
    });
    let server = raw_server(handler, config);
    let mut client = Client::silent(&server);
    client.send(b"?");
    if client.bytes(1) == b"-" {
        return false;
    }
    client.bytes(length - 1);
    true
}

/// What fills a queue when its peer asks for it: "stuff" and "fill", with some time between them. Says when it was done.
struct Filling {
    wanted: VecDeque<usize>,
    done: mpsc::Sender<()>,
}

impl Filling {
    /// Each peer that says "fill" gets the next of these.
    fn of(wanted: &[usize]) -> (Self, mpsc::Receiver<()>) {
        let (done, told) = mpsc::channel();
        (Self { wanted: wanted.iter().copied().collect(), done }, told)
    }

    fn hear(&mut self, cx: &mut rules::Cx<'_>, id: ConnId, bytes: &[u8]) {
        match bytes {
            // An answer is the work of a later turn.
            b"!" => {
                let _ = cx.send(id, b"!").unwrap();
                return;
            }
            // The kernel takes what it takes, and moves it on a moment later.
            b"stuff" => while !matches!(cx.send(id, &[0; 10_000]).unwrap(), Sent::Queued { .. }) {},
            b"fill" => fill(cx, id, self.wanted.pop_front().unwrap()),
            _ => {}
        }
        self.done.send(()).unwrap();
    }
}

/// Peers of which each has sent so much of a message that is not whole; the server has made its turn after the last. Behind
/// them comes one that has sent a whole one.
fn half_messages(config: Config, sizes: &[usize]) -> (Server, Vec<Client>) {
    let server = Server::start(Scripted::echo(), config);
    let mut clients: Vec<Client> = sizes.iter().map(|_| Client::open(&server)).collect();
    for (client, size) in clients.iter_mut().zip(sizes) {
        let half = Frame::binary(vec![1; *size]).unfinished().masked();
        client.send(&[half, Frame::ping("").masked()].concat());
        assert!(client.next_or_end().is_none_or(|answer| answer.opcode == PONG));
    }
    let mut witness = Client::open(&server);
    witness.expect_alive();
    clients.push(witness);
    (server, clients)
}

/// Sends until so many bytes wait.
fn fill(cx: &mut rules::Cx<'_>, id: ConnId, wanted: usize) {
    while cx.pending(id) < wanted {
        let rest = wanted - cx.pending(id);
        let _ = cx.send(id, &vec![0; rest]).unwrap();
    }
}

/// Peers that do not read, each with so many bytes waiting for it, and what tells of the next word of one of them; behind
/// them comes one for which nothing waits, whose words are heard after theirs.
fn queues_of(config: Config, wanted: &[usize]) -> (Server, Vec<Client>, mpsc::Receiver<()>) {
    let (mut filling, told) = Filling::of(wanted);
    let handler = Scripted::default().on_bytes(move |cx, id, bytes| filling.hear(cx, id, bytes));
    let server = raw_server(handler, config);
    let mut clients: Vec<Client> = wanted.iter().map(|_| Client::narrow(&server, 4_096)).collect();
    for word in [&b"stuff"[..], b"fill"] {
        for client in &mut clients {
            client.send(word);
            told.recv_timeout(PATIENCE).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    clients.push(Client::silent(&server));
    answered(clients.last_mut().unwrap());
    (server, clients, told)
}

/// The server has made its turn after all that was said before.
fn answered(witness: &mut Client) {
    witness.send(b"!");
    witness.bytes(1);
}

/// So many bytes in the queue of a peer that does not read: whether it is still heard.
fn with_queued(config: Config, wanted: usize) -> bool {
    let (_server, mut clients, told) = queues_of(config, &[wanted]);
    clients[0].send(b"more");
    std::thread::sleep(Duration::from_millis(50));
    answered(&mut clients[1]);
    told.try_recv().is_ok()
}

/// So many clients at once: whether the last of them is served.
fn with_connections(config: Config, count: usize) -> bool {
    let server = Server::start(Scripted::echo(), config);
    let mut others: Vec<Client> = (1..count).map(|_| Client::open(&server)).collect();
    let mut last = Client::silent(&server);
    last.send(&upgrade_request(&[]));
    if others.len() < 3 {
        last.expect_101();
        return true;
    }
    last.expect_silence(Duration::from_millis(300));
    // It waits, and is served as soon as there is room.
    others.pop().unwrap().reset();
    last.expect_101();
    false
}

/// So many connections of ours: whether the last of them is tried.
fn with_calls(config: Config, count: usize) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let mut reactor = Reactor::new(Counting::default(), config).unwrap();
    let connect = Connect::to(&target).unwrap();
    let mut outcomes: Vec<_> = (0..count).map(|_| reactor.with(|_, cx| cx.connect(&connect))).collect();
    let last = outcomes.pop().unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    match last {
        Ok(_) => true,
        Err(ConnectError::Net { source, .. }) => {
            assert!(matches!(*source, NetError::TooMany { limit: 3 }), "{source}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// So many clients that say nothing: whether the first of them may stay.
fn with_silent(config: Config, count: usize) -> bool {
    let most = config.max_opening.unwrap();
    let server = Server::start(Scripted::echo(), config);
    let mut clients: Vec<Client> = Vec::new();
    for number in 1..=count {
        clients.push(Client::silent(&server));
        let there = number.min(most);
        eventually("it was accepted", || server.count(|watch| &watch.connections) == there);
    }
    let (_, end) = clients[0].rest(if count > most { PATIENCE } else { Duration::from_millis(200) });
    assert!(clients[1..].iter_mut().all(|other| other.rest(Duration::from_millis(50)).1 == End::Open));
    end == End::Open
}

/// Ends the conversation with the first word.
fn finishing() -> Scripted {
    Scripted::default().on_bytes(|cx, id, _| cx.finish(id))
}

/// So many bytes behind the end of a conversation: whether they were read and thrown away.
fn with_lingering(config: Config, length: usize) -> bool {
    let server = raw_server(finishing(), config);
    let mut client = Client::silent(&server);
    eventually("it is there", || server.count(|watch| &watch.connections) == 1);
    client.send(b"enough");
    client.expect_fin();
    client.send(&vec![1; length]);
    let began = Instant::now();
    // Its end by the other bound would come with the patience.
    let span = if length > 3_000 { PATIENCE / 2 } else { Duration::from_millis(200) };
    while began.elapsed() < span {
        if server.count(|watch| &watch.connections) == 0 {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The rest of a message, so long, received straight into its place: whether that took one turn.
fn with_landing(config: Config, length: usize) -> bool {
    const FIRST: usize = 4_096;
    let (mut reactor, addr) = listening(config, &Listen::default());
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(&upgrade_request(&[])).unwrap();
    turn_until(&mut reactor, |handler| handler.opened == 1);
    let mut frame = rules::head(0x82, true, (FIRST + length) as u64);
    frame.extend(vec![0; 4 + FIRST + length]);
    // The loop's own buffer takes the start of the frame, and all of it.
    let (start, rest) = frame.split_at(FIRST);
    client.write_all(start).unwrap();
    settled_turn(&mut reactor);
    let head = frame.len() - FIRST - length;
    let (surplus, rest) = rest.split_at(head);
    client.write_all(surplus).unwrap();
    settled_turn(&mut reactor);
    client.write_all(rest).unwrap();
    assert_eq!((rest.len(), reactor.handler().bytes), (length, 0));
    in_one_turn(&mut reactor, FIRST + length, |handler| handler.bytes)
}

/// Counts what it is told.
#[derive(Default)]
struct Counting {
    opened: usize,
    bytes: usize,
    posts: usize,
    timers: usize,
    closed: Vec<String>,
}

impl Handler for Counting {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, _: &mut Context<'_, Self>, _: ConnId) {
        self.opened += 1;
    }

    fn on_message(&mut self, _: &mut Context<'_, Self>, _: ConnId, message: Message<'_>) {
        self.bytes += message.len();
    }

    fn on_bytes(&mut self, _: &mut Context<'_, Self>, _: ConnId, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    fn on_post(&mut self, _: &mut Context<'_, Self>, (): ()) {
        self.posts += 1;
    }

    fn on_timer(&mut self, _: &mut Context<'_, Self>, _: u64) {
        self.timers += 1;
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, _: ConnId, closed: &Closed) {
        self.closed.push(format!("{:?}", closed.reason));
    }
}

fn listening(config: Config, listen: &Listen) -> (Reactor<Counting>, std::net::SocketAddr) {
    let mut reactor = Reactor::new(Counting::default(), config).unwrap();
    let listening = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), listen).unwrap();
    (reactor, listening.addr.as_tcp().unwrap())
}

fn turn_until(reactor: &mut Reactor<Counting>, is_so: impl Fn(&Counting) -> bool) {
    let began = Instant::now();
    while !is_so(reactor.handler()) {
        assert!(began.elapsed() < PATIENCE);
        reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }
}

/// A turn that finds all that was sent before: the loopback of a busy machine may need a moment for it.
fn settled_turn(reactor: &mut Reactor<Counting>) {
    std::thread::sleep(Duration::from_millis(50));
    reactor.turn(Some(PATIENCE)).unwrap();
}

/// Whether one turn is enough for all; the turns after it are, in any case.
fn in_one_turn(reactor: &mut Reactor<Counting>, all: usize, count: fn(&Counting) -> usize) -> bool {
    settled_turn(reactor);
    let done = count(reactor.handler());
    turn_until(reactor, |handler| count(handler) == all);
    done == all
}

// Spans.

/// A span, and a way to wait for what comes at its end.
struct Span {
    name: &'static str,
    set: fn(&mut Config, Duration),
    /// Returns when it has come.
    run: fn(Config),
}

const SPANS: &[Span] = &[
    Span {
        name: "timeouts.opening",
        set: |config, span| config.timeouts.opening = span,
        run: |config| {
            let server = Server::start(Scripted::echo(), config);
            let mut client = Client::silent(&server);
            client.send(&request(&GOOD)[..40]);
            client.expect_end(PATIENCE);
        },
    },
    Span { name: "timeouts.connect", set: |config, span| config.timeouts.connect = span, run: call_the_deaf },
    Span {
        name: "timeouts.ping",
        set: |config, span| config.timeouts.ping = Some(span),
        run: |config| {
            let server = Server::start(Scripted::echo(), config);
            assert_eq!(Client::open(&server).next().opcode, PING);
        },
    },
    Span {
        name: "timeouts.idle",
        set: |config, span| (config.timeouts.ping, config.timeouts.idle) = (None, Some(span)),
        run: |config| {
            let server = Server::start(Scripted::echo(), config);
            Client::open(&server).expect_end(PATIENCE);
            eventually("it was told", || server.reasons() == ["TimedOut(Idle)"]);
        },
    },
    Span {
        name: "timeouts.lifetime",
        set: |config, span| config.timeouts.lifetime = Some(span),
        run: |config| {
            let server = Server::start(Scripted::echo(), config);
            assert_eq!(Client::open(&server).next().close_code(), Some(1001));
        },
    },
    Span {
        name: "timeouts.close",
        set: |config, span| config.timeouts.close = span,
        run: |config| {
            let close = Scripted::default().on_open(|cx, id| cx.close(id, CloseCode::NORMAL, "").unwrap());
            let server = Server::start(close, config);
            let mut client = Client::open(&server);
            assert_eq!(client.next().close_code(), Some(1000));
            client.expect_end(PATIENCE);
            eventually("it was told", || server.reasons() == ["TimedOut(Close)"]);
        },
    },
    Span {
        name: "settings.stall_timeout",
        set: |config, span| config.settings.stall_timeout = span,
        run: |config| {
            let handler = Scripted::default().on_open(|cx, id| {
                while !matches!(cx.send(id, &vec![0; 100_000]).unwrap(), Sent::Queued { .. }) {}
            });
            let server = raw_server(handler, config);
            let _client = Client::narrow(&server, 4_096);
            eventually("it was told", || server.reasons() == ["TimedOut(Write)"]);
        },
    },
    Span {
        name: "settings.linger_timeout",
        set: |config, span| config.settings.linger_timeout = span,
        run: |config| {
            let server = raw_server(finishing(), config);
            let mut client = Client::silent(&server);
            client.send(b"enough");
            client.expect_fin();
            // What comes behind the end is thrown away for as long, and then it is refused.
            while client.try_send(b"?").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        },
    },
];

#[test]
fn every_span_is_kept_never_early_and_not_late() {
    // Below and above the shortest of the defaults, so that none of these can be taken for one of them.
    let lengths = [250, 2_500].map(Duration::from_millis);
    std::thread::scope(|scope| {
        for (span, length) in SPANS.iter().flat_map(|span| lengths.map(|length| (span, length))) {
            scope.spawn(move || {
                let mut config = Config::default();
                (span.set)(&mut config, length);
                let began = Instant::now();
                (span.run)(config);
                let took = began.elapsed();
                let in_time = took >= length && took < length + SOON;
                assert!(in_time, "{}: {took:?} instead of {length:?}", span.name);
            });
        }
    });
}

/// Calls a WebSocket server that accepts nothing and says nothing.
fn call_the_deaf(config: Config) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = Connect::to(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
    let mut reactor = Reactor::new(Counting::default(), config).unwrap();
    reactor.with(|_, cx| cx.connect(&connect)).unwrap();
    turn_until(&mut reactor, |handler| !handler.closed.is_empty());
    assert_eq!(reactor.handler().closed, ["TimedOut(Connect)"]);
}

// Marks.

/// What is told at the low-water mark is told at the mark and not above it.
#[test]
fn the_low_water_mark_is_where_a_choked_peer_is_heard_again() {
    let mut config = Config::default();
    let (low, high) = (20_000, 60_000);
    (config.settings.low_water, config.settings.high_water) = (low, high);
    let drained = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&drained);
    let handler = Scripted::default()
        .on_open(move |cx, id| {
            while cx.pending(id) <= high {
                let _ = cx.send(id, &vec![0; 10_000]).unwrap();
            }
            assert!(cx.is_choked(id));
        })
        .on_drain(move |cx, id| {
            assert!(cx.pending(id) <= low && !cx.is_choked(id), "{} bytes", cx.pending(id));
            told.store(true, Ordering::SeqCst);
        });
    let server = raw_server(handler, config);
    let mut client = Client::narrow(&server, 4_096);
    eventually("it is choked", || server.opened() == 1);
    assert!(!drained.load(Ordering::SeqCst));
    // The word may come when all was read.
    eventually("it is told", || {
        client.rest(Duration::from_millis(1));
        drained.load(Ordering::SeqCst)
    });
}

/// R36: where all that waits is too much, the peer for whom most waits is cut, and the others stay.
#[test]
fn of_all_that_waits_the_longest_queue_goes_first() {
    let mut config = Config::default();
    config.settings.max_queued = 300_000;
    let (server, mut clients, _told) = queues_of(config, &[90_000, 120_000, 80_000, 70_000]);
    eventually("one was cut", || server.closed() == 1);
    assert_eq!(server.reasons(), ["Crowded"]);
    // What it was sent before is lost, so its stream ends with a reset.
    assert_eq!(clients[1].rest(PATIENCE).1, End::Reset);
    for other in [0, 2, 3] {
        assert_eq!(clients[other].rest(Duration::from_millis(100)).1, End::Open);
    }
}

/// R50: where all that is half received is too much, the peer of which most is held is cut, and the messages of the others
/// become whole.
#[test]
fn of_all_that_is_half_received_the_most_goes_first() {
    let config = Config { max_partial: 300_000, ..Config::default() };
    let (server, mut clients) = half_messages(config, &[90_000, 120_000, 80_000, 70_000]);
    eventually("one was cut", || server.closed() == 1);
    assert_eq!(server.reasons(), ["Crowded"]);
    assert_eq!(clients[1].rest(PATIENCE).1, End::Reset);
    for (other, size) in [(0, 90_000), (2, 80_000), (3, 70_000)] {
        clients[other].frame(&Frame::more("!"));
        assert_eq!(clients[other].message().len(), size + 1);
    }
}
