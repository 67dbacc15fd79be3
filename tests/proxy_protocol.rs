//! Connections behind proxies: who may announce whom, in which form, within which time, and what the handler sees of it.
#![cfg(all(unix, feature = "net"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gnezdo::http::{Response, Status};
use gnezdo::proxy::{Header, Relayed};
use gnezdo::{
    Addr, Answer, Closed, Config, ConnId, Context, Handler, Listen, Peer, ProxyError, Reactor, Remote,
    Request, TrustedProxies,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the handler met, in order.
#[derive(Debug, PartialEq)]
enum Met {
    Open { peer: Peer, socket: Peer, header: Option<Header> },
    Bytes(Vec<u8>),
    Request { peer: Peer },
    Closed { peer: Option<Peer> },
    Refused(ProxyError),
}

struct Noting {
    tell: Sender<Met>,
    /// Whether a connection is paused as soon as it is open, and read again after a while.
    pauses: bool,
    paused: Option<ConnId>,
}

impl Handler for Noting {
    type Conn = ();
    type Post = ();

    fn on_request(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, request: &Request<'_>) -> Answer {
        self.tell.send(Met::Request { peer: request.peer().clone() }).unwrap();
        Response::new(Status::OK).text("fine").into()
    }

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        let (peer, socket) = (cx.peer(id).unwrap(), cx.socket_peer(id).unwrap());
        self.tell.send(Met::Open { peer, socket, header: cx.proxy_header(id).cloned() }).unwrap();
        if self.pauses {
            cx.pause(id);
            self.paused = Some(id);
            cx.set_timer(Duration::from_millis(50), 0).unwrap();
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, _token: u64) {
        cx.resume(self.paused.take().unwrap());
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        self.tell.send(Met::Bytes(bytes.to_vec())).unwrap();
        cx.send(id, bytes).map(drop).unwrap();
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, _closed: &Closed) {
        self.tell.send(Met::Closed { peer: cx.peer(id).ok() }).unwrap();
    }

    fn on_proxy_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, error: &ProxyError) {
        self.tell.send(Met::Refused(*error)).unwrap();
    }
}

/// A reactor in its thread, with one listener.
struct Server {
    addr: Addr,
    met: Receiver<Met>,
    remote: Remote<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn raw(proxies: TrustedProxies) -> Self {
        Self::start(
            "127.0.0.1:0",
            &Listen { proxy: Some(proxies), ..Listen::raw() },
            Config::default(),
            false,
        )
    }

    fn start(addr: &str, listen: &Listen, config: Config, pauses: bool) -> Self {
        let (tell, met) = mpsc::channel();
        let mut reactor = Reactor::new(Noting { tell, pauses, paused: None }, config).unwrap();
        let addr = reactor.listen_with(&addr.parse().unwrap(), listen).unwrap().addr;
        let remote = reactor.remote();
        let thread = Some(std::thread::spawn(move || reactor.run().unwrap()));
        Self { addr, met, remote, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr.as_tcp().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn next(&self) -> Met {
        self.met.recv_timeout(PATIENCE).unwrap()
    }

    /// The bytes the handler got, as soon as there are so many.
    fn bytes(&self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let Met::Bytes(bytes) = self.next() else { panic!("something else came") };
            all.extend(bytes);
        }
        all
    }

    fn opened(&self) -> (Peer, Peer, Option<Header>) {
        match self.next() {
            Met::Open { peer, socket, header } => (peer, socket, header),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.remote.stop().unwrap();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn loopback() -> TrustedProxies {
    TrustedProxies::networks(["127.0.0.0/8"]).unwrap()
}

fn tcp(addr: &str) -> Peer {
    Peer::Tcp(addr.parse().unwrap())
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

/// Version 2, from 192.0.2.7:40000 to 198.51.100.1:443.
fn header(command: u8) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x9C, 0x40, 0x01, 0xBB];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11, 0, 12], &addresses].concat()
}

/// Whether the other side ends the stream, by a reset or in order, without a byte.
fn is_sent_away(mut stream: impl Read) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

#[test]
fn the_handler_sees_whom_the_proxy_names_and_the_bytes_behind_the_header() {
    let server = Server::raw(loopback());
    for header in [LINE.to_vec(), header(0x21)] {
        let mut stream = server.connect();
        stream.write_all(&[&header[..], b"hello"].concat()).unwrap();
        let (peer, socket, header) = server.opened();
        assert_eq!((peer, socket), (tcp("192.0.2.7:40000"), Peer::Tcp(stream.local_addr().unwrap())));
        let destination: SocketAddr = "198.51.100.1:443".parse().unwrap();
        assert!(matches!(header.unwrap().relayed, Relayed::Tcp { destination: to, .. } if to == destination));
        assert_eq!(server.bytes(5), b"hello");
        stream.read_exact(&mut [0; 5]).unwrap();
        drop(stream);
        assert_eq!(server.next(), Met::Closed { peer: Some(tcp("192.0.2.7:40000")) });
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let server = Server::raw(loopback());
    for header in [LINE.to_vec(), header(0x21)] {
        let mut stream = server.connect();
        for byte in [&header[..], b"hello"].concat() {
            stream.write_all(&[byte]).unwrap();
            // So that most bytes come alone; where they do not, it is right as well.
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(server.opened().0, tcp("192.0.2.7:40000"));
        assert_eq!(server.bytes(5), b"hello");
        drop(stream);
        assert!(matches!(server.next(), Met::Closed { .. }));
    }
}

#[test]
fn what_follows_the_header_waits_while_the_connection_is_paused() {
    let listen = Listen { proxy: Some(loopback()), ..Listen::raw() };
    let server = Server::start("127.0.0.1:0", &listen, Config::default(), true);
    let mut stream = server.connect();
    stream.write_all(&[LINE, b"hello"].concat()).unwrap();
    assert_eq!(server.opened().0, tcp("192.0.2.7:40000"));
    assert_eq!(server.bytes(5), b"hello");
}

#[test]
fn a_proxy_that_speaks_for_itself_is_its_own_peer() {
    let server = Server::raw(loopback());
    for header in [header(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut stream = server.connect();
        stream.write_all(&header).unwrap();
        let (peer, socket, header) = server.opened();
        assert_eq!((&peer, peer.clone()), (&socket, Peer::Tcp(stream.local_addr().unwrap())));
        assert!(matches!(header.unwrap().relayed, Relayed::Own | Relayed::Unknown));
        drop(stream);
        assert!(matches!(server.next(), Met::Closed { .. }));
    }
}

#[test]
fn who_is_no_trusted_proxy_is_sent_away_whatever_it_says() {
    let server = Server::raw(TrustedProxies::networks(["192.0.2.0/24", "::1"]).unwrap().and_unix());
    for bytes in [LINE, b"hello", b""] {
        let mut stream = server.connect();
        // It may be reset before this is said.
        let _ = stream.write_all(bytes);
        assert!(is_sent_away(stream));
        let refused = ProxyError::Untrusted(Some("127.0.0.1".parse().unwrap()));
        assert_eq!(server.next(), Met::Refused(refused));
    }
}

#[test]
fn a_trusted_proxy_that_sends_no_header_or_a_wrong_one_is_sent_away() {
    let server = Server::raw(loopback());
    for (bytes, error) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], ProxyError::NotProxy),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 65536\r\n", ProxyError::Port),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF", ProxyError::TooLong(16 + 0xFFFF)),
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        assert!(is_sent_away(stream));
        assert_eq!(server.next(), Met::Refused(error));
    }
}

#[test]
fn who_only_looks_whether_somebody_listens_is_no_error() {
    let server = Server::raw(loopback());
    drop(server.connect());
    let mut stream = server.connect();
    stream.write_all(&LINE[..20]).unwrap();
    drop(stream);
    let mut stream = server.connect();
    stream.write_all(LINE).unwrap();
    assert_eq!(server.opened().0, tcp("192.0.2.7:40000"), "nothing was said of the others");
}

#[test]
fn a_header_that_does_not_come_in_time_ends_the_connection() {
    let span = Duration::from_millis(300);
    let mut config = Config::default();
    config.timeouts.opening = span;
    let listen = Listen { proxy: Some(loopback()), ..Listen::raw() };
    let server = Server::start("127.0.0.1:0", &listen, config, false);
    for bytes in [&b""[..], &LINE[..40]] {
        let began = Instant::now();
        let mut stream = server.connect();
        // On a busy machine it may be sent away before this is said.
        let _ = stream.write_all(bytes);
        assert!(is_sent_away(stream));
        assert!(began.elapsed() >= span, "{:?}", began.elapsed());
    }
    assert!(server.met.try_recv().is_err(), "the handler never met them");
}

#[test]
fn a_request_tells_whom_the_proxy_names() {
    let listen = Listen { proxy: Some(loopback()), ..Listen::default() };
    let server = Server::start("127.0.0.1:0", &listen, Config::default(), false);
    let mut stream = server.connect();
    stream.write_all(&[&header(0x21)[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.next(), Met::Request { peer: tcp("192.0.2.7:40000") });
    // The request alone is no header.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(is_sent_away(stream));
    assert_eq!(server.next(), Met::Refused(ProxyError::NotProxy));
}

/// A path in the directory for temporary files, taken away in the end.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gnezdo-{name}-{}.sock", std::process::id())))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn unix_peers_are_proxies_only_where_that_is_said() {
    let path = Path::new("proxied");
    let addr = format!("unix:{}", path.0.display());
    let connect = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&path.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be sent away before this is said.
        let _ = stream.write_all(bytes);
        stream
    };
    let mut names = [0; 216];
    names[..9].copy_from_slice(b"/run/a\0xx");
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x31, 0, 216], &names].concat();
    let listen = |proxies| Listen { proxy: Some(proxies), ..Listen::raw() };
    {
        let server = Server::start(&addr, &listen(loopback()), Config::default(), false);
        assert!(is_sent_away(connect(LINE)));
        assert_eq!(server.next(), Met::Refused(ProxyError::Untrusted(None)));
    }
    let server = Server::start(&addr, &listen(TrustedProxies::unix()), Config::default(), false);
    let _tcp = connect(LINE);
    assert_eq!(server.opened().0, tcp("192.0.2.7:40000"));
    let _unix = connect(&unix);
    assert_eq!(server.opened().0.to_string(), "unix:/run/a");
}
