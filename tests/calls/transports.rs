//! Transports that never stand, hardly stand, or are over before they are looked at.

use std::time::{Duration, Instant};

use gnezdo::Config;
use socket2::{Domain, Socket, Type};

use super::caller::{Caller, PATIENCE, Told};
use super::fake::{KINDS, Kind, Listening};
use super::ledger::Ledger;

/// A loopback listener that takes no connection: its backlog is full, so the kernel drops what asks.
pub(crate) struct BlackHole {
    listening: Listening,
    _filling: Vec<Socket>,
}

impl BlackHole {
    pub(crate) fn dig() -> Self {
        let listening = Listening::new(Kind::Tcp, 0);
        let fill = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&listening.addr().into());
            socket
        };
        let filling = std::iter::repeat_with(fill).take(4).collect();
        std::thread::sleep(Duration::from_millis(20));
        Self { listening, _filling: filling }
    }

    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        self.listening.addr()
    }
}

/// A port that is taken, and on which nobody listens.
pub(crate) struct DeadPort(Socket);

impl DeadPort {
    pub(crate) fn take(host: &str) -> Self {
        let addr: std::net::SocketAddr = format!("{host}:0").parse().unwrap();
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
        socket.bind(&addr.into()).unwrap();
        Self(socket)
    }

    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Config::default());
    let dead = DeadPort::take("127.0.0.1");
    ledger.count();
    for scheme in ["ws", "tcp"] {
        let id = caller.call(&format!("{scheme}://{}", dead.addr()));
        let ended = caller.ended(id);
        assert!(ended.reason.starts_with("NotConnected(Refused"), "{ended:?}");
        assert!(ended.is_failure && ended.said.contains(&dead.addr().to_string()), "{ended:?}");
        ledger.balance(&mut caller);
    }
}

#[test]
fn a_unix_socket_that_is_not_there_is_named() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Config::default());
    ledger.count();
    for (target, reason) in [
        ("ws+unix:/nowhere/at/all.sock:/", "NotConnected(SocketMissing"),
        ("unix:@gnezdo-nobody-listens-here", "NotConnected(Refused"),
    ] {
        let id = caller.call(target);
        let ended = caller.ended(id);
        assert!(ended.reason.starts_with(reason), "{ended:?}");
        assert_eq!(ended.target.as_deref(), Some(target));
        ledger.balance(&mut caller);
    }
}

#[test]
fn a_name_that_leads_nowhere_is_named() {
    let mut ledger = Ledger::open();
    // A resolver that is asked in vain may take its time.
    let mut caller = Caller::giving_up_after(PATIENCE);
    ledger.count();
    let id = caller.call("ws://does-not-exist.invalid/chat");
    let ended = caller.ended(id);
    assert!(ended.reason.starts_with("NotConnected(Unresolved"), "{ended:?}");
    assert!(ended.said.starts_with("ws://does-not-exist.invalid/chat: "), "{ended:?}");
    ledger.balance(&mut caller);
}

#[test]
fn an_address_that_swallows_everything_is_given_up_at_the_deadline() {
    let mut ledger = Ledger::open();
    let span = Duration::from_millis(300);
    let mut caller = Caller::giving_up_after(span);
    let hole = BlackHole::dig();
    ledger.count();
    let began = Instant::now();
    let id = caller.call(&format!("ws://{}/", hole.addr()));
    let ended = caller.ended(id);
    assert_eq!(ended.reason, "TimedOut(Connect)");
    assert!(ended.said.contains(&hole.addr().to_string()), "{ended:?}");
    assert!(began.elapsed() >= span, "never early");
    ledger.balance(&mut caller);
}

/// R45: a full backlog of a Unix-domain socket is no failure but a wait.
#[test]
fn r45_two_hundred_clients_at_a_backlog_of_one_all_connect() {
    let mut ledger = Ledger::open();
    // Each waits for those who came before it, and for the processor.
    let mut caller = Caller::giving_up_after(4 * PATIENCE);
    ledger.count();
    let listening = Listening::new(Kind::Unix, 1);
    let target = listening.raw();
    let clients: Vec<_> = (0..200).map(|_| caller.call(&target)).collect();
    let server = std::thread::spawn(move || {
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(1));
            let mut line = listening.accept();
            line.write(b"hello");
            line.shut();
        }
    });
    for id in &clients {
        assert_eq!(caller.next(*id), Told::Open);
    }
    for id in clients {
        assert_eq!(caller.next(id), Told::Bytes(b"hello".to_vec()));
        assert_eq!(caller.ended(id).reason, "Finished");
    }
    server.join().unwrap();
    ledger.balance(&mut caller);
}

#[test]
fn r45_a_backlog_that_stays_full_is_given_up_at_the_deadline() {
    let mut ledger = Ledger::open();
    let span = Duration::from_millis(300);
    let mut caller = Caller::giving_up_after(span);
    let listening = Listening::new(Kind::Unix, 0);
    let filling = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    filling.connect(&listening.socket.local_addr().unwrap()).unwrap();
    ledger.count();
    let began = Instant::now();
    let id = caller.call(&listening.websocket());
    assert_eq!(caller.ended(id).reason, "TimedOut(Connect)");
    assert!(began.elapsed() >= span, "never early");
    ledger.balance(&mut caller);
}

/// The bytes and the end come in one event, before the connection is known to stand.
#[test]
fn a_server_that_spoke_and_left_before_the_first_look_is_heard_to_the_end() {
    let mut ledger = Ledger::open();
    let mut caller = Caller::new(Config::default());
    ledger.count();
    for kind in KINDS {
        let listening = Listening::new(kind, 1);
        let id = caller.call(&listening.raw());
        let mut line = listening.accept();
        line.write(b"12:34\r\n");
        drop((line, listening));
        assert_eq!(caller.next(id), Told::Open);
        assert_eq!(caller.next(id), Told::Bytes(b"12:34\r\n".to_vec()));
        assert_eq!(caller.ended(id).reason, "Finished");
        ledger.balance(&mut caller);
    }
}
