//! The client's side of the reactor, against its own server's side and against servers that answer badly.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use gnezdo::ws::{Agreed, CloseCode, DeflateConfig};
use gnezdo::{
    Accept, Answer, Closed, Config, ConnId, Connect, Context, Handler, Listen, Message, Reactor, Reason,
    Request, Side, Timeout,
};
use socket2::{Domain, Socket, Type};

/// Both ends in one handler: a server that echoes, and a client that notes what it meets.
#[derive(Default)]
struct Both {
    called: Vec<ConnId>,
    heard: Vec<Vec<u8>>,
    agreed: Option<Agreed>,
    ended: Vec<String>,
}

impl Handler for Both {
    type Conn = ();
    type Post = u32;

    fn on_request(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, request: &Request<'_>) -> Answer {
        let accept = Accept::new();
        match request.subprotocols().last() {
            Some(last) => accept.subprotocol(last).into(),
            None => accept.into(),
        }
    }

    fn on_accepted(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, agreed: &Agreed) {
        self.agreed = Some(agreed.clone());
    }

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        if self.called.contains(&id) {
            let _ = cx.send(id, "hello");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if self.called.contains(&id) {
            self.heard.push(message.as_bytes().to_vec());
        } else {
            cx.send(id, message).map(drop).unwrap();
        }
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        if self.called.contains(&id) {
            self.heard.push(bytes.to_vec());
        } else {
            cx.send(id, bytes).map(drop).unwrap();
        }
    }

    fn on_post(&mut self, _cx: &mut Context<'_, Self>, post: u32) {
        self.heard.push(post.to_le_bytes().to_vec());
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        if self.called.contains(&id) {
            self.ended.push(match &closed.reason {
                Reason::Handshake { by: Side::Local, frame } => {
                    format!("closed {:?}", frame.map(|f| f.code()))
                }
                Reason::TimedOut(Timeout::Connect) => "timed out".to_owned(),
                Reason::NotConnected(error) => format!("not connected: {error}"),
                Reason::Refused(failure) => format!("refused: {failure}"),
                other => format!("{other:?}"),
            });
        }
    }
}

fn reactor(config: Config) -> Reactor<Both> {
    Reactor::new(Both::default(), config).unwrap()
}

fn call(reactor: &mut Reactor<Both>, connect: &Connect) -> ConnId {
    reactor.with(|both, cx| {
        let id = cx.connect(connect).unwrap();
        both.called.push(id);
        id
    })
}

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Turns until `done`.
fn until(reactor: &mut Reactor<Both>, done: impl Fn(&Both) -> bool) {
    let began = Instant::now();
    while !done(reactor.handler()) {
        assert!(
            began.elapsed() < PATIENCE,
            "heard {:?}, ended {:?}",
            reactor.handler().heard,
            reactor.handler().ended
        );
        reactor.turn(Some(Duration::from_millis(20))).unwrap();
    }
}

fn with_deflate() -> Config {
    let mut config = Config::default();
    config.websocket.deflate = Some(DeflateConfig { threshold: 16, ..DeflateConfig::default() });
    config
}

#[test]
fn a_client_and_a_server_in_one_loop_exchange_messages_and_close_well() {
    for config in [Config::default(), with_deflate()] {
        let mut reactor = reactor(config);
        let listening = reactor.listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let mut connect = Connect::to(&format!("ws://{}/chat?room=1", listening.addr)).unwrap();
        connect.subprotocols = vec!["first".into(), "second".into()];
        let id = call(&mut reactor, &connect);
        until(&mut reactor, |both| both.heard.len() == 1);
        assert_eq!(reactor.handler().heard[0], b"hello");
        assert_eq!(reactor.handler().agreed.as_ref().unwrap().subprotocol.as_deref(), Some("second"));
        let large = vec![b'x'; 700_000];
        reactor.with(|_, cx| cx.send(id, &large).map(drop).unwrap());
        until(&mut reactor, |both| both.heard.len() == 2);
        assert_eq!(reactor.handler().heard[1], large);
        reactor.with(|_, cx| cx.close(id, CloseCode::NORMAL, "done").unwrap());
        until(&mut reactor, |both| both.ended.len() == 1);
        assert_eq!(reactor.handler().ended[0], "closed Some(CloseCode(1000))");
    }
}

#[test]
fn a_name_is_resolved_off_the_loop_and_its_addresses_race() {
    let mut reactor = reactor(Config::default());
    let listening = reactor.listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listening.addr.as_tcp().unwrap().port();
    // On most machines `localhost` is ::1 too, where nobody listens: the other address wins.
    call(&mut reactor, &Connect::to(&format!("ws://localhost:{port}/")).unwrap());
    until(&mut reactor, |both| both.heard.len() == 1);
}

#[test]
fn unix_sockets_and_raw_bytes_are_called_alike() {
    let mut reactor = reactor(Config::default());
    let name = format!("gnezdo-client-test-{}", std::process::id());
    reactor.listen(&format!("unix:@{name}").parse().unwrap()).unwrap();
    let raw = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap();
    call(&mut reactor, &Connect::to(&format!("ws+unix:@{name}:/")).unwrap());
    until(&mut reactor, |both| both.heard.len() == 1);
    call(&mut reactor, &Connect::to(&format!("tcp://{}", raw.addr)).unwrap());
    until(&mut reactor, |both| both.heard.len() == 2);
    assert_eq!(reactor.handler().heard, [b"hello", b"hello"]);
}

#[test]
fn nobody_there_is_a_typed_failure_with_the_address() {
    let mut config = Config::default();
    // A resolver that is asked in vain may take its time.
    config.timeouts.connect = PATIENCE;
    let mut reactor = reactor(config);
    // A port that is taken, and on which nobody listens.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let free = held.local_addr().unwrap().as_socket().unwrap();
    call(&mut reactor, &Connect::to(&format!("ws://{free}/")).unwrap());
    until(&mut reactor, |both| both.ended.len() == 1);
    let ended = reactor.handler().ended[0].clone();
    assert!(ended.starts_with("not connected") && ended.contains(&free.to_string()), "{ended}");
    call(&mut reactor, &Connect::to("ws://does-not-exist.invalid/").unwrap());
    until(&mut reactor, |both| both.ended.len() == 2);
    assert!(reactor.handler().ended[1].starts_with("not connected"), "{:?}", reactor.handler().ended);
}

/// A server that answers the request with `answer` and then waits, or closes.
fn answers(answer: Vec<u8>, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            request.push(byte[0]);
        }
        let _ = stream.write_all(&answer);
        if then == Then::Wait {
            let _ = stream.read(&mut [0]);
        }
    });
    addr
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Wait,
    Close,
}

#[test]
fn a_wrong_answer_is_a_typed_failure() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let wrong_accept = format!("{upgrade}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
    let endless = format!("HTTP/1.1 101 Switching Protocols\r\nX: {}", "x".repeat(100_000));
    let cases: [(Vec<u8>, &str); 4] = [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "refused: the server answered with status 200",
        ),
        (wrong_accept.into_bytes(), "refused: Sec-WebSocket-Accept"),
        (endless.into_bytes(), "refused: "),
        (b"\x15\x03\x01\x00\x02\x02\x28".to_vec(), "refused: "),
    ];
    for (answer, expected) in cases {
        let mut reactor = reactor(Config::default());
        let addr = answers(answer, Then::Wait);
        call(&mut reactor, &Connect::to(&format!("ws://{addr}/")).unwrap());
        until(&mut reactor, |both| both.ended.len() == 1);
        assert!(reactor.handler().ended[0].starts_with(expected), "{:?}", reactor.handler().ended);
    }
}

#[test]
fn a_server_that_closes_in_the_middle_of_its_answer_is_a_typed_failure() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
    for length in 0..answer.len() {
        let mut reactor = reactor(Config::default());
        let addr = answers(answer[..length].to_vec(), Then::Close);
        call(&mut reactor, &Connect::to(&format!("ws://{addr}/")).unwrap());
        until(&mut reactor, |both| both.ended.len() == 1);
        assert_eq!(reactor.handler().ended, ["refused: the head is incomplete"]);
    }
}

#[test]
fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let mut config = Config::default();
    config.timeouts.connect = Duration::from_millis(200);
    let mut reactor = reactor(config);
    let addr = answers(b"HTTP/1.1 101".to_vec(), Then::Wait);
    let began = Instant::now();
    call(&mut reactor, &Connect::to(&format!("ws://{addr}/")).unwrap());
    until(&mut reactor, |both| both.ended.len() == 1);
    assert_eq!(reactor.handler().ended, ["timed out"]);
    assert!(began.elapsed() >= Duration::from_millis(200), "never early");
}

#[test]
fn a_post_wakes_the_loop_and_one_too_many_comes_back() {
    let mut reactor = reactor(Config { max_posts: 4, ..Config::default() });
    let remote = reactor.remote();
    let posted =
        std::thread::spawn(move || (0..6).filter(|n| remote.try_post(*n).is_ok()).count()).join().unwrap();
    assert_eq!(posted, 4);
    let began = Instant::now();
    reactor.turn(Some(PATIENCE)).unwrap();
    assert!(began.elapsed() < PATIENCE / 2, "a posted value does not wait");
    assert_eq!(reactor.handler().heard.len(), 4);
}
