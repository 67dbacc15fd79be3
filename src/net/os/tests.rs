//! What can be seen from inside alone: options on accepted sockets, the size of the batch, counts that cannot be.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::*;
use crate::net::{Keepalive, StreamOptions, UnixAddr};

fn loopback() -> Addr {
    Addr::Tcp("127.0.0.1:0".parse().unwrap())
}

fn accept(system: &mut OsSystem, listener: SocketId) -> SocketId {
    loop {
        match system.accept(listener) {
            Ok((socket, _)) => return socket,
            Err(AcceptError::WouldBlock) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn accepted_and_connected_streams_have_the_options_asked_for() {
    let options = StreamOptions {
        nodelay: true,
        receive_buffer: Some(16 * 1024),
        send_buffer: Some(24 * 1024),
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(7),
            interval: Duration::from_secs(3),
            probes: 5,
        }),
        user_timeout: Some(Duration::from_millis(1234)),
        ..StreamOptions::default()
    };
    let mut system = OsSystem::new().unwrap();
    let listen_options = ListenOptions { stream: options.clone(), ..ListenOptions::default() };
    let (listener, addr) = system.listen(&loopback(), &listen_options).unwrap();
    let (Connecting::InProgress(client) | Connecting::Established(client)) = system
        .connect(&addr, &ConnectOptions { source: Some("127.0.0.1".parse().unwrap()), stream: options })
        .unwrap()
    else {
        panic!("busy")
    };
    let server = accept(&mut system, listener);
    for socket in [client, server].map(|id| system.stream(id).unwrap()) {
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(3));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(1234)));
        assert!(socket.recv_buffer_size().unwrap() >= 16 * 1024);
        assert!((24 * 1024..=48 * 1024).contains(&socket.send_buffer_size().unwrap()));
    }
}

/// An unprivileged process may not raise `SO_BUSY_POLL`, and every process may leave it as it is.
#[cfg(target_os = "linux")]
#[test]
fn streams_poll_the_network_card_for_as_long_as_their_listener_was_told() {
    let mut system = OsSystem::new().unwrap();
    let may_raise = socket::tcp("127.0.0.1:0".parse().unwrap()).unwrap().set_busy_poll(49).is_ok();
    for (span, expected) in [(Duration::from_micros(50), if may_raise { 50 } else { 0 }), (Duration::ZERO, 0)]
    {
        let stream = StreamOptions { busy_poll: Some(span), ..StreamOptions::default() };
        let options = ListenOptions { stream, ..ListenOptions::default() };
        let Ok((listener, addr)) = system.listen(&loopback(), &options) else {
            assert!(!may_raise && !span.is_zero());
            continue;
        };
        let _client = TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
        let server = accept(&mut system, listener);
        let socket = system.stream(server).unwrap();
        assert_eq!(socket.busy_poll().unwrap(), expected);
    }
}

#[test]
fn the_defaults_are_nodelay_and_no_keepalive() {
    let mut system = OsSystem::new().unwrap();
    let (listener, addr) = system.listen(&loopback(), &ListenOptions::default()).unwrap();
    let _client = TcpStream::connect(addr.as_tcp().unwrap()).unwrap();
    let server = accept(&mut system, listener);
    let socket = system.stream(server).unwrap();
    assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
}

#[test]
fn accepted_unix_streams_have_the_buffer_asked_for() {
    let path = std::env::temp_dir().join(format!("gnezdo-buffer-{}.sock", std::process::id()));
    let stream = StreamOptions { send_buffer: Some(24 * 1024), ..StreamOptions::default() };
    let mut system = OsSystem::new().unwrap();
    let addr = Addr::Unix(UnixAddr::path(&path).unwrap());
    let (listener, _) = system.listen(&addr, &ListenOptions { stream, ..ListenOptions::default() }).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let server = accept(&mut system, listener);
    assert_eq!(system.stream(server).unwrap().send_buffer_size().unwrap(), 48 * 1024);
}

#[test]
fn the_batch_doubles_when_it_was_full_up_to_its_limit() {
    let mut system = OsSystem::new().unwrap();
    system.grow_if_full(EVENTS_AT_FIRST - 1);
    assert_eq!(system.events.capacity(), 1024);
    for expected in [2048, 4096, 8192, 8192] {
        system.grow_if_full(system.events.capacity());
        assert_eq!(system.events.capacity(), expected);
    }
}

#[test]
fn more_events_than_fit_come_with_the_next_poll() {
    let mut system = OsSystem::new().unwrap();
    system.events = Events::with_capacity(4);
    let (listener, addr) = system.listen(&loopback(), &ListenOptions::default()).unwrap();
    let mut clients = Vec::new();
    for number in 0..9 {
        clients.push(TcpStream::connect(addr.as_tcp().unwrap()).unwrap());
        let server = accept(&mut system, listener);
        system.register(server, Key(number)).unwrap();
    }
    let mut events = Vec::new();
    system.poll(&mut events, None).unwrap();
    assert_eq!((events.len(), system.events.capacity()), (4, 8));
    system.poll(&mut events, None).unwrap();
    let mut keys: Vec<_> = events.iter().map(|event| event.key.0).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_count_beyond_what_was_offered_is_an_error() {
    assert_eq!(checked(Ok(7), 8).unwrap(), 7);
    assert_eq!(checked(Ok(8), 8).unwrap(), 8);
    for count in [9, usize::MAX] {
        assert_eq!(checked(Ok(count), 8).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_signal_makes_the_call_again() {
    let mut interruptions = 3;
    let answer = again_if_interrupted(|| {
        if interruptions == 0 {
            return Ok("done");
        }
        interruptions -= 1;
        Err(io::Error::from(io::ErrorKind::Interrupted))
    });
    assert_eq!(answer.unwrap(), "done");
}

#[test]
fn a_stream_costs_four_bytes_in_the_table() {
    assert_eq!(size_of::<Option<Socket>>(), 4);
}
