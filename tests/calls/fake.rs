//! A server for one connection that says whatever it is told to, over a blocking socket in a thread of its own.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gnezdo::ws::accept_key;
use socket2::{Domain, SockAddr, Socket, Type};

use super::caller::PATIENCE;

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Unix,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Tcp, Kind::Unix];

/// A listener, and where it is reached.
pub(crate) struct Listening {
    pub(crate) socket: Socket,
    /// What stands behind `ws://` or `ws+unix:`.
    place: String,
    kind: Kind,
}

impl Listening {
    pub(crate) fn new(kind: Kind, backlog: i32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (domain, asked) = match kind {
            Kind::Tcp => (Domain::IPV4, SocketAddr::from(([127, 0, 0, 1], 0)).into()),
            Kind::Unix => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                let name = format!("\0gnezdo-fake-{}-{number}", std::process::id());
                (Domain::UNIX, SockAddr::unix(name).unwrap())
            }
        };
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        socket.bind(&asked).unwrap();
        socket.listen(backlog).unwrap();
        let place = match socket.local_addr().unwrap().as_socket() {
            Some(addr) => addr.to_string(),
            None => format!("@{}", asked.as_abstract_namespace().unwrap().escape_ascii()),
        };
        Self { socket, place, kind }
    }

    /// The target of a WebSocket.
    pub(crate) fn websocket(&self) -> String {
        match self.kind {
            Kind::Tcp => format!("ws://{}/", self.place),
            Kind::Unix => format!("ws+unix:{}:/", self.place),
        }
    }

    /// The target of a raw connection.
    pub(crate) fn raw(&self) -> String {
        match self.kind {
            Kind::Tcp => format!("tcp://{}", self.place),
            Kind::Unix => format!("unix:{}", self.place),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.place.parse().unwrap()
    }

    pub(crate) fn accept(&self) -> Line {
        let (socket, _) = self.socket.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if self.kind == Kind::Tcp {
            socket.set_tcp_nodelay(true).unwrap();
        }
        Line { socket, accept: String::new() }
    }
}

/// A server in its thread.
pub(crate) struct Fake {
    pub(crate) target: String,
    thread: JoinHandle<()>,
}

impl Fake {
    /// Accepts one connection and does this with it.
    pub(crate) fn start(kind: Kind, act: impl FnOnce(Line) + Send + 'static) -> Self {
        let listening = Listening::new(kind, 1);
        let target = listening.websocket();
        Self { target, thread: std::thread::spawn(move || act(listening.accept())) }
    }

    /// Reads the request, gives this answer to it, and stays until the client leaves.
    pub(crate) fn answering(kind: Kind, answer: impl FnOnce(&str) -> Vec<u8> + Send + 'static) -> Self {
        Self::start(kind, |mut line| {
            line.request();
            let answer = answer(&line.accept);
            line.write(&answer);
            line.wait();
        })
    }

    /// Waits for its end; then its descriptors are closed.
    pub(crate) fn join(self) {
        self.thread.join().unwrap();
    }
}

/// A connection that was accepted.
pub(crate) struct Line {
    socket: Socket,
    /// What a right answer says in `Sec-WebSocket-Accept`.
    pub(crate) accept: String,
}

impl Line {
    /// Reads the request to its end.
    pub(crate) fn request(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.socket.read(&mut byte).unwrap(), 1, "the client left inside its request");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        self.accept = String::from_utf8(accept_key(key.as_bytes()).to_vec()).unwrap();
    }

    /// Writes; that the client has left meanwhile is its right.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Writes one byte after the other, each after a pause; stops where the client has left.
    pub(crate) fn drip(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            std::thread::sleep(pause);
            if self.socket.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }

    /// Waits until the client leaves.
    pub(crate) fn wait(mut self) {
        let mut into = [0; 4096];
        while self.socket.read(&mut into).is_ok_and(|count| count > 0) {}
    }

    /// Waits until the client has sent so many bytes, and leaves them unread.
    pub(crate) fn wait_for_input(&self) {
        self.socket.peek(&mut [MaybeUninit::new(0)]).unwrap();
    }

    /// FIN.
    pub(crate) fn shut(self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
        self.wait();
    }

    /// RST, where there is such a thing.
    pub(crate) fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// An answer with nothing wrong.
pub(crate) fn good(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}
