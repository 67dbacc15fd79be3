//! TLS through the whole reactor and the real kernel: its own client, and a blocking one of rustls that may misbehave.
#![cfg(feature = "_tls")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod flood;
mod shared;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gnezdo::tls::rustls::{self, CertificateError, ClientConfig, ClientConnection, RootCertStore, pki_types};
use gnezdo::tls::{Identity, ServerName, TlsClient, TlsError, TlsServer};
use gnezdo::ws::CloseCode;
use gnezdo::{
    Addr, Closed, Config, ConnId, Connect, Context, Handler, Listen, Message, Reactor, Reason, Timeout,
    TrustedProxies,
};
use pki_types::pem::PemObject;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who issues the certificates of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    fn server(&self) -> TlsServer {
        TlsServer::new(vec![self.identity("localhost")]).unwrap()
    }

    fn client(&self) -> TlsClient {
        TlsClient::with_roots(self.0.pem().as_bytes()).unwrap()
    }
}

/// Both ends in one handler: a server that echoes, and a client that notes what it meets.
#[derive(Default)]
struct Both {
    called: Vec<ConnId>,
    opened: Vec<ConnId>,
    served: Vec<ConnId>,
    heard: Vec<u8>,
    messages: usize,
    /// How connections of the client's and of the server's ended.
    ended: Vec<Reason>,
    served_ended: Vec<Reason>,
    ends: usize,
    refused: Vec<TlsError>,
    /// Whether the server reads no more once it opened.
    pauses: bool,
}

impl Handler for Both {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        assert!(cx.is_secure(id));
        if self.called.contains(&id) {
            return self.opened.push(id);
        }
        self.served.push(id);
        if self.pauses {
            cx.pause(id);
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if self.called.contains(&id) {
            self.heard.extend_from_slice(message.as_bytes());
            self.messages += 1;
        } else {
            cx.send(id, message).map(drop).unwrap();
        }
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        if self.called.contains(&id) {
            self.heard.extend_from_slice(bytes);
        } else {
            cx.send(id, bytes).map(drop).unwrap();
        }
    }

    fn on_end(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.ends += 1;
        cx.finish(id);
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        let reason = match &closed.reason {
            Reason::Tls(error) => Reason::Tls(error.clone()),
            Reason::TimedOut(timeout) => Reason::TimedOut(*timeout),
            Reason::Handshake { by, frame } => Reason::Handshake { by: *by, frame: *frame },
            Reason::EndOfStream => Reason::EndOfStream,
            Reason::Finished => Reason::Finished,
            other => panic!("{other:?}"),
        };
        if self.called.contains(&id) { self.ended.push(reason) } else { self.served_ended.push(reason) }
    }

    fn on_tls_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, error: &TlsError) {
        self.refused.push(error.clone());
    }
}

struct Loop {
    reactor: Reactor<Both>,
    addr: SocketAddr,
}

impl Loop {
    fn new(listen: &Listen) -> Self {
        Self::with(listen, Config::default())
    }

    fn with(listen: &Listen, config: Config) -> Self {
        let mut reactor = Reactor::new(Both::default(), config).unwrap();
        let listening = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), listen).unwrap();
        let Addr::Tcp(addr) = listening.addr else { panic!("a TCP address") };
        Self { reactor, addr }
    }

    fn call(&mut self, scheme: &str, client: TlsClient) -> ConnId {
        let target = format!("{scheme}://localhost:{}", self.addr.port());
        let connect = Connect { tls: Some(client), ..Connect::to(&target).unwrap() };
        self.reactor.with(|both, cx| {
            let id = cx.connect(&connect).unwrap();
            both.called.push(id);
            id
        })
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Both) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self.reactor.handler()) {
            assert!(Instant::now() < end, "not in time: {what}");
            self.reactor.turn(Some(Duration::from_millis(20))).unwrap();
        }
    }

    fn both(&self) -> &Both {
        self.reactor.handler()
    }
}

fn websocket(tls: &TlsServer) -> Listen {
    Listen { tls: Some(tls.clone()), ..Listen::default() }
}

fn raw(tls: &TlsServer) -> Listen {
    Listen { tls: Some(tls.clone()), ..Listen::raw() }
}

/// A blocking client of rustls, which runs beside the loop in its own thread.
fn stranger(
    authority: &Authority,
    addr: SocketAddr,
    act: impl FnOnce(&mut rustls::StreamOwned<ClientConnection, TcpStream>) + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let mut roots = RootCertStore::empty();
    let pem = authority.0.pem();
    roots.add(pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    std::thread::spawn(move || {
        let connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        act(&mut rustls::StreamOwned::new(connection, socket));
    })
}

/// What a client says first.
fn greeting(authority: &Authority) -> Vec<u8> {
    let mut seal = gnezdo::tls::Seal::default();
    authority.client().session("localhost", None).unwrap().start(&mut seal).unwrap();
    seal.written().to_vec()
}

fn rustls_provider() -> rustls::crypto::CryptoProvider {
    #[cfg(feature = "tls-aws-lc")]
    use rustls::crypto::aws_lc_rs as chosen;
    #[cfg(not(feature = "tls-aws-lc"))]
    use rustls::crypto::ring as chosen;
    chosen::default_provider()
}

fn numbers(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn a_websocket_over_tls_echoes_and_closes() {
    let authority = Authority::new();
    let mut both = Loop::new(&websocket(&authority.server()));
    let id = both.call("wss", authority.client());
    both.until("open", |both| !both.opened.is_empty());
    let (small, large) = (numbers(100), numbers(1_000_000));
    for payload in [&small, &large, &small] {
        both.reactor.with(|_, cx| cx.send(id, payload.as_slice()).map(drop).unwrap());
    }
    both.until("three echoes", |both| both.messages == 3);
    assert_eq!(both.both().heard, [small.clone(), large, small].concat());
    both.reactor.with(|_, cx| cx.close(id, CloseCode::NORMAL, "").unwrap());
    both.until("both ends", |both| both.ended.len() + both.served_ended.len() == 2);
    for ended in both.both().ended.iter().chain(&both.both().served_ended) {
        assert!(matches!(ended, Reason::Handshake { .. }), "{ended:?}");
    }
    both.until("nothing more", |_| true);
    let stats = both.reactor.stats();
    assert_eq!((stats.tls.done, stats.tls.failed, stats.ends.tls), (2, 0, 0));
    assert_eq!((stats.sent.binaries, stats.received.binaries), (6, 6));
}

#[test]
fn a_proxy_speaks_before_the_handshake_begins() {
    let authority = Authority::new();
    let proxies = Some(TrustedProxies::networks(["127.0.0.1"]).unwrap());
    for together in [true, false] {
        let mut both = Loop::new(&Listen { proxy: proxies.clone(), ..raw(&authority.server()) });
        let client = stranger(&authority, both.addr, move |stream| {
            let mut bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n".to_vec();
            if together {
                stream.conn.write_tls(&mut bytes).unwrap();
            }
            stream.sock.write_all(&bytes).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        });
        both.until("open", |both| !both.served.is_empty());
        let peer = both.reactor.with(|both, cx| cx.peer(both.served[0]).unwrap());
        assert_eq!(peer.to_string(), "192.0.2.7:40000");
        both.until("the end", |both| !both.served_ended.is_empty());
        client.join().unwrap();
        assert_eq!(both.both().refused, []);
    }
}

#[test]
fn raw_bytes_over_tls_may_end_one_way_first() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let id = both.call("tls", authority.client());
    both.until("open", |both| !both.opened.is_empty());
    let payload = numbers(300_000);
    both.reactor.with(|_, cx| cx.send(id, payload.as_slice()).map(drop).unwrap());
    both.reactor.with(|_, cx| cx.finish_writing(id));
    both.until("both ends", |both| both.ended.len() + both.served_ended.len() == 2);
    assert_eq!(both.both().heard.len(), payload.len(), "the echo came after our end");
    assert_eq!(both.both().heard, payload);
    assert_eq!(both.both().ends, 2, "each heard the other's close_notify");
    assert!(matches!(both.both().served_ended[..], [Reason::Finished]), "{:?}", both.both().served_ended);
}

#[test]
fn a_stream_that_was_cut_is_told_from_one_that_ended() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let peer = stranger(&authority, both.addr, |stream| {
        stream.write_all(b"all of it?").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        // What was not finished is closed all the same, by close_notify.
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    });
    both.until("the end", |both| both.served_ended.len() == 1);
    both.until("the peer's end", |_| peer.is_finished());
    peer.join().unwrap();
    let ended = &both.both().served_ended[0];
    assert!(matches!(ended, Reason::Tls(TlsError::Truncated)), "{ended:?}");
    assert_eq!(both.both().ends, 0);
}

#[test]
fn a_peer_that_says_goodbye_is_answered_so() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let peer = stranger(&authority, both.addr, |stream| {
        stream.write_all(b"hello").unwrap();
        stream.conn.send_close_notify();
        let mut echo = Vec::new();
        // An end without close_notify would be an error here.
        stream.read_to_end(&mut echo).unwrap();
        assert_eq!(echo, b"hello");
    });
    both.until("the end", |both| both.served_ended.len() == 1);
    both.until("the peer's end", |_| peer.is_finished());
    peer.join().unwrap();
    assert!(matches!(both.both().served_ended[0], Reason::Finished));
    assert_eq!(both.both().ends, 1);
}

#[test]
fn plain_http_to_a_port_with_tls_is_named() {
    let authority = Authority::new();
    let mut both = Loop::new(&websocket(&authority.server()));
    let mut peer = TcpStream::connect(both.addr).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    both.until("the refusal", |both| !both.refused.is_empty());
    assert_eq!(both.both().refused, [TlsError::NotTls]);
    assert!(both.both().served.is_empty() && both.both().served_ended.is_empty());
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(peer.read(&mut [0; 9]).unwrap(), 0);
    let stats = both.reactor.stats();
    assert_eq!((stats.tls.done, stats.tls.failed, stats.ends.tls), (0, 1, 1));
}

#[test]
fn a_client_that_leaves_its_handshake_by_a_reset_is_named_as_one_that_ends_it() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let hello = greeting(&authority);
    for sent in [&hello[..20], &hello] {
        let mut peer = TcpStream::connect(both.addr).unwrap();
        peer.write_all(sent).unwrap();
        if sent.len() == hello.len() {
            // Its answer comes, and is not read.
            peer.set_nonblocking(true).unwrap();
            both.until("the answer", |_| peer.peek(&mut [0]).is_ok());
        }
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let before = both.both().refused.len();
        both.until("the refusal", |both| both.refused.len() > before);
    }
    // One that is gone before it is answered: the answer meets the reset.
    let mut peer = TcpStream::connect(both.addr).unwrap();
    peer.write_all(&hello).unwrap();
    drop(peer);
    both.until("the last refusal", |both| both.refused.len() == 3);
    assert_eq!(both.both().refused, vec![TlsError::Interrupted; 3]);
}

#[test]
fn each_side_knows_why_a_certificate_was_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let elsewhere = TlsServer::new(vec![authority.identity("elsewhere.test")]).unwrap();
    for server in [elsewhere, other.server()] {
        let mut both = Loop::new(&websocket(&server));
        both.call("wss", authority.client());
        both.until("both refusals", |both| both.ended.len() + both.refused.len() == 2);
        let ended = &both.both().ended[0];
        assert!(matches!(ended, Reason::Tls(TlsError::Certificate(_))), "{ended:?}");
        assert!(matches!(both.both().refused[0], TlsError::Alert(_)), "{:?}", both.both().refused);
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_needed() {
    let authority = Authority::new();
    let server = authority.server().require_clients_of(authority.0.pem().as_bytes()).unwrap();
    let mut both = Loop::new(&raw(&server));
    both.call("tls", authority.client());
    both.until("both refusals", |both| both.ended.len() + both.refused.len() == 2);
    assert_eq!(both.both().refused, [TlsError::NoCertificate]);
    assert!(matches!(both.both().ended[0], Reason::Tls(TlsError::Alert(_))), "{:?}", both.both().ended);
    let known = authority.client().identity(&authority.identity("client"));
    let before = both.both().opened.len();
    both.call("tls", known);
    both.until("open", |both| both.opened.len() > before && both.served.len() == 1);
}

#[test]
fn a_client_that_calls_a_port_without_tls_is_told_so() {
    let authority = Authority::new();
    let mut both = Loop::new(&Listen::default());
    both.call("wss", authority.client());
    both.until("the end", |both| both.ended.len() == 1);
    let ended = &both.both().ended[0];
    assert!(matches!(ended, Reason::Tls(TlsError::NotTls | TlsError::Interrupted)), "{ended:?}");
}

#[test]
fn a_handshake_that_drips_or_stops_is_cut_at_the_deadline() {
    let authority = Authority::new();
    let mut config = Config::default();
    config.timeouts.opening = Duration::from_millis(300);
    let mut both = Loop::with(&raw(&authority.server()), config);
    let mut peer = TcpStream::connect(both.addr).unwrap();
    peer.set_nonblocking(true).unwrap();
    let began = Instant::now();
    // A record that is promised, and never comes whole.
    let mut hello = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"[..], &[0; 16_000]].concat().into_iter();
    loop {
        let _ = hello.next().map(|byte| peer.write(&[byte]));
        both.reactor.turn(Some(Duration::from_millis(2))).unwrap();
        match peer.read(&mut [0; 9]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(began.elapsed() < PATIENCE),
            _ => break,
        }
    }
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert!(both.both().served.is_empty() && both.both().served_ended.is_empty());
}

#[test]
fn a_call_whose_handshake_is_not_answered_ends_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new();
    let mut config = Config::default();
    config.timeouts.connect = Duration::from_millis(200);
    let mut both = Loop::with(&raw(&authority.server()), config);
    both.addr = silent.local_addr().unwrap();
    both.call("tls", authority.client());
    both.until("the end", |both| both.ended.len() == 1);
    assert!(matches!(both.both().ended[0], Reason::TimedOut(Timeout::Connect)));
}

#[test]
fn other_certificates_come_into_force_under_traffic() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = old.server();
    let mut both = Loop::new(&raw(&server));
    let id = both.call("tls", old.client());
    both.until("open", |both| both.opened.len() == 1);
    server.reload(vec![new.identity("localhost")]).unwrap();
    both.call("tls", new.client());
    both.reactor.with(|_, cx| cx.send(id, b"still here").map(drop).unwrap());
    both.until("the second, and the echo to the first", |both| {
        both.opened.len() == 2 && both.heard == b"still here"
    });
    both.call("tls", old.client());
    both.until("the third is refused", |both| both.ended.len() == 1);
    assert!(matches!(
        both.both().ended[0],
        Reason::Tls(TlsError::Certificate(CertificateError::UnknownIssuer | CertificateError::BadSignature))
    ));
}

#[test]
fn what_a_slow_reader_is_sent_waits_encrypted_within_the_bound_and_comes_in_order() {
    let authority = Authority::new();
    let mut config = Config::default();
    config.settings.max_queue = 8 << 20;
    let mut both = Loop::with(&raw(&authority.server()), config);
    let payload = numbers(3_000_000);
    let expected = payload.clone();
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let peer = stranger(&authority, both.addr, move |stream| {
        stream.conn.complete_io(&mut stream.sock).unwrap();
        waits.recv().unwrap();
        let mut received = vec![0; 2 * expected.len()];
        stream.read_exact(&mut received).unwrap();
        assert!(received[..expected.len()] == expected && received[expected.len()..] == expected);
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    both.until("open", |both| both.served.len() == 1);
    let id = both.both().served[0];
    both.reactor.with(|_, cx| {
        for _ in 0..2 {
            cx.send(id, payload.as_slice()).map(drop).unwrap();
        }
        let pending = cx.pending(id);
        assert!((1..=6_100_000).contains(&pending), "{pending}");
    });
    go.send(()).unwrap();
    both.until("the end", |both| both.served_ended.len() == 1);
    peer.join().unwrap();
}

#[test]
fn what_came_behind_the_handshake_waits_for_who_paused_in_on_open() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    both.reactor.with(|both, _| both.pauses = true);
    let peer = stranger(&authority, both.addr, |stream| {
        stream.write_all(b"early").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).unwrap();
        assert_eq!(echo, b"early");
    });
    both.until("open", |both| both.served.len() == 1);
    for _ in 0..20 {
        both.reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    assert_eq!(both.both().ends, 0, "the end comes behind what was left for later");
    let id = both.both().served[0];
    both.reactor.with(|_, cx| cx.resume(id));
    both.until("the end", |both| both.served_ended.len() == 1);
    peer.join().unwrap();
    assert_eq!(both.both().ends, 1);
}

#[test]
fn a_shutdown_says_goodbye_to_everyone() {
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let peer = stranger(&authority, both.addr, |stream| {
        stream.write_all(b"x").unwrap();
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).unwrap();
    });
    both.until("open", |both| both.served.len() == 1);
    both.reactor.turn(Some(Duration::from_millis(20))).unwrap();
    both.reactor.with(|_, cx| cx.shutdown(Duration::from_secs(30)));
    both.reactor.run().unwrap();
    peer.join().unwrap();
    assert_eq!(both.reactor.shutdown_report().unwrap().cut, 0);
}

#[test]
fn who_drips_its_greeting_takes_nobodys_turn() {
    const DRIPPING: usize = 50;
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let mut dripping: Vec<_> = (0..DRIPPING).map(|_| TcpStream::connect(both.addr).unwrap()).collect();
    while both.reactor.with(|_, cx| cx.connections()) < DRIPPING {
        both.reactor.turn(Some(Duration::from_millis(20))).unwrap();
    }
    let client = authority.client().server_name(ServerName::new("localhost").unwrap());
    let target = format!("tls://{}", both.addr);
    let connect = Connect { tls: Some(client), ..Connect::to(&target).unwrap() };
    both.reactor.with(|both, cx| both.called.push(cx.connect(&connect).unwrap()));
    // A record that is promised, and comes by single bytes.
    let mut hello = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"[..], &[0; 100]].concat().into_iter();
    let mut turns = 0;
    while both.both().opened.is_empty() {
        turns += 1;
        assert!(turns < DRIPPING, "the handshake waits until all have had their turn");
        let byte = hello.next().unwrap();
        for peer in &mut dripping {
            peer.write_all(&[byte]).unwrap();
        }
        both.reactor.turn(Some(Duration::from_millis(20))).unwrap();
    }
}

#[test]
fn handshakes_take_their_turns_and_those_that_stand_go_on() {
    const GREETINGS: usize = 40;
    let authority = Authority::new();
    let mut both = Loop::new(&raw(&authority.server()));
    let id = both.call("tls", authority.client());
    both.until("open", |both| both.opened.len() == 1);
    let hello = greeting(&authority);
    let mut flood: Vec<_> = (0..GREETINGS).map(|_| TcpStream::connect(both.addr).unwrap()).collect();
    for peer in &mut flood {
        peer.write_all(&hello).unwrap();
        peer.set_nonblocking(true).unwrap();
    }
    let answered = |flood: &[TcpStream]| flood.iter().filter(|peer| peer.peek(&mut [0]).is_ok()).count();
    both.reactor.with(|_, cx| cx.send(id, b"healthy").map(drop).unwrap());
    // Two ways through the loop, and the greetings that are answered meanwhile: no more than there were turns.
    let mut turns = 0;
    while both.both().heard.is_empty() {
        both.reactor.turn(Some(Duration::from_millis(20))).unwrap();
        turns += 1;
        assert!(turns < GREETINGS, "the flood comes first");
        assert!(answered(&flood) <= turns, "more than one handshake in a turn");
    }
    let end = Instant::now() + PATIENCE;
    while answered(&flood) < GREETINGS {
        both.reactor.turn(Some(Duration::from_millis(20))).unwrap();
        assert!(Instant::now() < end, "{} of {GREETINGS} were answered", answered(&flood));
    }
}
