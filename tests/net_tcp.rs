//! TCP through the real system: listening, connecting, bytes, and every way a connection ends.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod net_support;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use gnezdo::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, OsSystem,
    Peer, Readiness, SocketId, System,
};
use net_support::{PATIENCE, accept, connect, wait_for};
use socket2::{Domain, Socket, Type};

/// The answer for a closed descriptor, everywhere.
const EBADF: i32 = 9;

const KEY: Key = Key(7 << 32 | 1);

fn listen(system: &mut OsSystem, text: &str) -> (SocketId, Addr) {
    system.listen(&text.parse().unwrap(), &ListenOptions::default()).unwrap()
}

/// A registered server-side stream and the client at its other end.
fn pair(system: &mut OsSystem) -> (SocketId, TcpStream) {
    let (listener, addr) = listen(system, "127.0.0.1:0");
    let client = TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (server, _) = accept(system, listener);
    system.register(server, KEY).unwrap();
    (server, client)
}

#[test]
fn port_zero_reports_the_port_taken() {
    let mut system = OsSystem::new().unwrap();
    for text in ["127.0.0.1:0", "[::1]:0"] {
        let (_, addr) = listen(&mut system, text);
        assert_ne!(addr.as_tcp().unwrap().port(), 0);
        TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
    }
}

#[test]
fn an_ipv6_listener_leaves_the_ipv4_port_free() {
    let mut system = OsSystem::new().unwrap();
    // Another program may hold one port or another.
    let is_free = (0..20).any(|_| {
        let (_, addr) = listen(&mut system, "[::]:0");
        let same = format!("0.0.0.0:{}", addr.as_tcp().unwrap().port()).parse().unwrap();
        system.listen(&same, &ListenOptions::default()).is_ok()
    });
    assert!(is_free);
}

#[test]
fn one_ipv6_listener_can_serve_both() {
    let mut system = OsSystem::new().unwrap();
    let options = ListenOptions { only_v6: false, ..ListenOptions::default() };
    let (listener, addr) = system.listen(&"[::]:0".parse().unwrap(), &options).unwrap();
    let client = TcpStream::connect(("127.0.0.1", addr.as_tcp().unwrap().port())).unwrap();
    let (_, peer) = accept(&mut system, listener);
    assert_eq!(peer.ip(), Some(client.local_addr().unwrap().ip()));
}

#[test]
fn two_listeners_are_told_apart_by_their_keys() {
    let mut system = OsSystem::new().unwrap();
    let (first, _) = listen(&mut system, "127.0.0.1:0");
    let (second, addr) = listen(&mut system, "127.0.0.1:0");
    system.register(first, Key(1)).unwrap();
    system.register(second, Key(2)).unwrap();
    let client = TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
    wait_for(&mut system, Key(2), Readiness::READABLE);
    assert!(matches!(system.accept(first), Err(AcceptError::WouldBlock)));
    let (_, peer) = system.accept(second).unwrap();
    assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
    assert!(matches!(system.accept(second), Err(AcceptError::WouldBlock)));
}

#[test]
fn a_port_in_use_is_an_error_with_a_cure() {
    let mut system = OsSystem::new().unwrap();
    let (_, addr) = listen(&mut system, "127.0.0.1:0");
    let error = system.listen(&addr, &ListenOptions::default()).unwrap_err();
    assert!(matches!(error, NetError::PortInUse { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("{addr} is in use: stop the program")), "{error}");
}

#[test]
fn reuse_port_lets_two_listeners_share_it() {
    let mut system = OsSystem::new().unwrap();
    let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let (_, addr) = system.listen(&"127.0.0.1:0".parse().unwrap(), &options).unwrap();
    system.listen(&addr, &options).unwrap();
}

/// The administrator gets the port; this says something when it runs as another user.
#[test]
fn a_port_without_the_right_is_an_error_with_a_cure() {
    let mut system = OsSystem::new().unwrap();
    if let Err(error) = system.listen(&"127.0.0.1:1".parse().unwrap(), &ListenOptions::default()) {
        assert!(matches!(error, NetError::PortPrivileged { .. }), "{error}");
    }
}

#[test]
fn an_address_of_no_interface_is_an_error_with_a_cure() {
    let mut system = OsSystem::new().unwrap();
    let error = system.listen(&"192.0.2.1:0".parse().unwrap(), &ListenOptions::default()).unwrap_err();
    assert!(matches!(error, NetError::AddressNotAvailable { .. }), "{error}");
}

#[test]
fn a_restart_takes_the_port_although_old_connections_linger() {
    let mut system = OsSystem::new().unwrap();
    let (listener, addr) = listen(&mut system, "127.0.0.1:0");
    let mut client = TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
    let (server, _) = accept(&mut system, listener);
    // Whoever closes first lingers in TIME_WAIT.
    system.close(server, CloseHow::Graceful);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    system.close(listener, CloseHow::Graceful);
    listen(&mut system, &addr.to_string());
}

#[test]
fn bytes_go_both_ways_and_gathered_parts_keep_their_order() {
    let mut system = OsSystem::new().unwrap();
    let (server, mut client) = pair(&mut system);
    client.write_all(b"question").unwrap();
    wait_for(&mut system, KEY, Readiness::READABLE);
    let mut room = [0; 64];
    assert_eq!(system.receive(server, &mut room).unwrap(), 8);
    assert_eq!(&room[..8], b"question");
    assert_eq!(system.receive(server, &mut room).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(system.send(server, b"an").unwrap(), 2);
    assert_eq!(
        system.send_gathered(server, &[IoSlice::new(b"sw"), IoSlice::new(b""), IoSlice::new(b"er")]).unwrap(),
        4
    );
    system.shutdown_write(server).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn more_parts_than_the_kernel_takes_are_sent_in_part() {
    let mut system = OsSystem::new().unwrap();
    let (server, _client) = pair(&mut system);
    for (parts, sent) in [(1023, 1023), (1024, 1024), (1025, 1024)] {
        assert_eq!(system.send_gathered(server, &vec![IoSlice::new(b"x"); parts]).unwrap(), sent);
    }
}

#[test]
fn a_full_kernel_says_would_block_and_room_makes_an_event() {
    let mut system = OsSystem::new().unwrap();
    let (server, mut client) = pair(&mut system);
    wait_for(&mut system, KEY, Readiness::WRITABLE);
    let block = vec![0; 1 << 20];
    let mut sent = 0;
    let error = loop {
        match system.send(server, &block) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let reader = std::thread::spawn(move || {
        client.read_exact(&mut vec![0; sent]).unwrap();
        client
    });
    wait_for(&mut system, KEY, Readiness::WRITABLE);
    assert!(system.send(server, b"more").is_ok());
    reader.join().unwrap();
}

#[test]
fn an_empty_room_is_not_the_end_of_the_stream() {
    let mut system = OsSystem::new().unwrap();
    let (server, _client) = pair(&mut system);
    assert_eq!(system.receive(server, &mut []).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_peers_last_byte_is_readable_and_read_closed() {
    let mut system = OsSystem::new().unwrap();
    let (server, mut client) = pair(&mut system);
    client.write_all(b"bye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let seen = wait_for(&mut system, KEY, Readiness::READ_CLOSED);
    assert!(seen.is_readable() && !seen.contains(Readiness::HANGUP), "{seen:?}");
    let mut room = [0; 8];
    assert_eq!(system.receive(server, &mut room).unwrap(), 3);
    assert_eq!(system.receive(server, &mut room).unwrap(), 0);
}

#[test]
fn a_reset_is_a_hangup_met_by_read_and_write() {
    let mut system = OsSystem::new().unwrap();
    let (server, mut client) = pair(&mut system);
    // Closing with unread input sends a reset.
    system.send(server, b"unread").unwrap();
    client.read_exact(&mut [0; 1]).unwrap();
    drop(client);
    let seen = wait_for(&mut system, KEY, Readiness::HANGUP);
    assert!(seen.is_readable() && seen.is_writable(), "{seen:?}");
    assert_eq!(system.receive(server, &mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_abort_resets_the_peer_and_a_graceful_close_does_not() {
    let mut system = OsSystem::new().unwrap();
    for (how, answer) in [(CloseHow::Graceful, Ok(0)), (CloseHow::Abort, Err(ErrorKind::ConnectionReset))] {
        let (server, mut client) = pair(&mut system);
        system.close(server, how);
        assert_eq!(client.read(&mut [0]).map_err(|error| error.kind()), answer);
    }
}

#[test]
fn a_send_to_a_peer_that_is_gone_is_a_broken_pipe() {
    let mut system = OsSystem::new().unwrap();
    let (server, client) = pair(&mut system);
    drop(client);
    let began = Instant::now();
    let error = loop {
        assert!(began.elapsed() < PATIENCE);
        match system.send_gathered(server, &[IoSlice::new(b"hello?")]) {
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(system.send(server, b"hello?").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_connection_is_proven_before_it_is_trusted() {
    let mut system = OsSystem::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = Addr::from(server.local_addr().unwrap());
    let client = connect(&mut system, &addr);
    system.register(client, KEY).unwrap();
    wait_for(&mut system, KEY, Readiness::WRITABLE);
    assert_eq!(system.finish_connect(client).unwrap().unwrap().to_string(), addr.to_string());
}

#[test]
fn a_connection_on_its_way_is_neither_there_nor_failed() {
    let mut system = OsSystem::new().unwrap();
    let options = ListenOptions { backlog: 0, ..ListenOptions::default() };
    let (_, addr) = system.listen(&"127.0.0.1:0".parse().unwrap(), &options).unwrap();
    // The first fills the backlog; the kernel drops the SYN of those that follow.
    let clients: Vec<_> = (0..4).map(|_| connect(&mut system, &addr)).collect();
    std::thread::sleep(Duration::from_millis(50));
    let waiting = clients.iter().filter(|client| system.finish_connect(**client).unwrap().is_none()).count();
    assert!(waiting > 0);
}

#[test]
fn a_refused_connection_says_that_nobody_listens() {
    let mut system = OsSystem::new().unwrap();
    // A port that is taken, and on which nobody listens.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let addr = Addr::from(held.local_addr().unwrap().as_socket().unwrap());
    let error = match system.connect(&addr, &ConnectOptions::default()) {
        Err(error) => error,
        Ok(Connecting::InProgress(socket)) => {
            system.register(socket, KEY).unwrap();
            wait_for(&mut system, KEY, Readiness::HANGUP);
            NetError::connect(&addr, system.finish_connect(socket).unwrap_err())
        }
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(
        error.to_string(),
        format!("nobody listens on {addr}: start the server first, or correct the address")
    );
}

#[test]
fn a_number_that_is_not_open_answers_like_a_closed_descriptor() {
    let mut system = OsSystem::new().unwrap();
    let (server, _client) = pair(&mut system);
    system.close(server, CloseHow::Graceful);
    // Standard input is open, but not here.
    for socket in [server, SocketId(0), SocketId(u32::MAX)] {
        let closed = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(EBADF));
        closed(system.receive(socket, &mut [0]).unwrap_err());
        closed(system.send(socket, b"x").unwrap_err());
        closed(system.register(socket, KEY).unwrap_err());
        closed(system.take_error(socket).unwrap_err());
        closed(system.peer(socket).unwrap_err());
        assert!(matches!(system.accept(socket), Err(AcceptError::Broken(_))));
        system.close(socket, CloseHow::Abort);
    }
}

#[test]
fn the_wakers_key_cannot_be_registered() {
    let mut system = OsSystem::new().unwrap();
    let (listener, _) = listen(&mut system, "127.0.0.1:0");
    assert_eq!(system.register(listener, Key::RESERVED).unwrap_err().kind(), ErrorKind::InvalidInput);
    system.register(listener, KEY).unwrap();
    assert!(system.register(listener, KEY).is_err());
}

#[test]
fn a_wake_up_ends_the_wait_and_adds_no_event() {
    let mut system = OsSystem::new().unwrap();
    let waker = system.waker();
    let mut events: Vec<Event> = Vec::new();
    waker.wake().unwrap();
    system.poll(&mut events, None).unwrap();
    let waking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        waker.wake().unwrap();
    });
    system.poll(&mut events, None).unwrap();
    waking.join().unwrap();
    assert!(events.is_empty());
}

#[test]
fn a_wait_is_not_shorter_than_asked() {
    let mut system = OsSystem::new().unwrap();
    for asked in [Duration::from_micros(100), Duration::from_millis(3)] {
        let before = system.now();
        system.poll(&mut Vec::new(), Some(asked)).unwrap();
        assert!(system.now().since(before) >= asked);
    }
}

#[test]
fn randomness_differs() {
    let mut system = OsSystem::new().unwrap();
    let (mut one, mut other) = ([0; 32], [0; 32]);
    system.random(&mut one).unwrap();
    system.random(&mut other).unwrap();
    assert_ne!(one, other);
}
