//! The rules of frames, handshakes and the loop once more, with every server's reactor inside a foreign loop: another
//! `mio::Poll` waits, edge-triggered, for the reactor's descriptor and its next deadline, and runs turns that do not wait.
#![cfg(feature = "net")]
#![expect(clippy::duplicate_mod, reason = "each suite brings the helpers it shares with the others")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

#[path = "rules_frames.rs"]
mod frames;
#[path = "rules_handshake.rs"]
mod handshake;
#[path = "rules_loop.rs"]
mod inside;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gnezdo::{Config, ConnId, Context, Handler, Listen, Reactor};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends every byte back.
struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        cx.send(id, bytes).map(drop).unwrap();
    }
}

/// More than one poll answers: what it leaves behind must not wait for an event that never comes.
#[test]
fn more_peers_than_a_poll_answers_are_served_after_one_edge() {
    const PEERS: usize = 1_500;
    let mut reactor = Reactor::new(Echo, Config::default()).unwrap();
    let listening = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap();
    let mut peers: Vec<TcpStream> = Vec::new();
    while peers.len() < PEERS {
        peers.push(TcpStream::connect(listening.addr.as_tcp().unwrap()).unwrap());
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    while reactor.with(|_, cx| cx.connections()) < PEERS || reactor.next_wait() == Some(Duration::ZERO) {
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
    let descriptor = reactor.as_raw_fd().unwrap();
    poll.registry().register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE).unwrap();
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
    }
    let began = Instant::now();
    for peer in &mut peers {
        peer.set_nonblocking(true).unwrap();
        while peer.read(&mut [0]).is_err() {
            poll.poll(&mut events, reactor.next_wait().or(Some(PATIENCE))).unwrap();
            assert!(began.elapsed() < PATIENCE, "some were left behind");
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }
}
