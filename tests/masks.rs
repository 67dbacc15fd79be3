//! The masking keys of our clients as they stand on the wire (RFC 6455 §5.3, §10.3; R18): unpredictable, each used once,
//! and in a forked child never those of its parent.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

#[path = "calls/caller.rs"]
mod caller;

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;

use caller::Caller;
use fork::{Fork, fork, waitpid};
use gnezdo::ws::accept_key;
use gnezdo::{Config, ConnId};

type Mask = [u8; 4];

/// A listener on a name of its own.
struct Server {
    listener: UnixListener,
    directory: std::path::PathBuf,
}

impl Server {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("gnezdo-masks-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self { listener: UnixListener::bind(directory.join("socket")).unwrap(), directory }
    }

    /// A call that was answered, and the server's end of it.
    fn called(&self, caller: &mut Caller) -> (ConnId, BufReader<UnixStream>) {
        let id = caller.call(&format!("ws+unix:{}:/", self.directory.join("socket").display()));
        caller.turn();
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(caller::PATIENCE)).unwrap();
        let mut wire = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            wire.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = String::from_utf8(accept_key(key.as_bytes()).to_vec()).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        wire.get_mut().write_all(answer.as_bytes()).unwrap();
        caller.opened(id);
        (id, wire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The masks of so many frames, each a message of two bytes.
fn masks(wire: &mut impl Read, count: usize) -> Vec<Mask> {
    let mut frame = [0; 8];
    let mut next = || {
        wire.read_exact(&mut frame).unwrap();
        let [0x82, 0x82, a, b, c, d, ..] = frame else {
            panic!("{frame:?} is no masked message of two bytes")
        };
        let mask = [a, b, c, d];
        assert_eq!([frame[6] ^ a, frame[7] ^ b], *b"hi", "the mask is not the one that was used");
        mask
    };
    (0..count).map(|_| next()).collect()
}

/// Sends so many messages, as fast as they are taken.
fn send(caller: &mut Caller, id: ConnId, count: usize) {
    let mut left = count;
    while left > 0 {
        left -= caller.reactor.with(|_, cx| (0..left).take_while(|_| cx.send(id, b"hi").is_ok()).count());
        caller.turn();
    }
    while caller.reactor.with(|_, cx| cx.pending(id)) > 0 {
        caller.turn();
    }
}

/// From the wire. The bounds are six standard deviations wide, so that chance alone breaks them in one of 10^8
/// runs; the expected number of repetitions among 2^20 draws of 32 bits is 128.
#[test]
fn r18_masks_are_fresh_even_and_do_not_repeat() {
    const COUNT: usize = 1 << 20;
    let server = Server::new("fresh");
    let mut caller = Caller::new(Config::default());
    let (id, mut wire) = server.called(&mut caller);
    let reading: JoinHandle<Vec<Mask>> = std::thread::spawn(move || masks(&mut wire, COUNT));
    send(&mut caller, id, COUNT);
    let masks = reading.join().unwrap();
    let distinct = masks.iter().collect::<HashSet<_>>().len();
    assert!(distinct >= COUNT - 200, "{} of 2^20 masks came before", COUNT - distinct);
    let in_a_row = masks.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(in_a_row <= 1, "{in_a_row} masks are that of the frame before");
    for bit in 0..32 {
        let ones = masks.iter().filter(|mask| u32::from_le_bytes(**mask) >> bit & 1 == 1).count();
        let off = ones.abs_diff(COUNT / 2);
        assert!(off <= COUNT * 3 / 1_000, "bit {bit} is one in {ones} of 2^20");
    }
}

/// Two loops, as two runs of a program, start with other masks.
#[test]
fn r18_two_runs_differ() {
    let server = Server::new("runs");
    let [first, second] = [(); 2].map(|()| {
        let mut caller = Caller::new(Config::default());
        let (id, mut wire) = server.called(&mut caller);
        send(&mut caller, id, 1_000);
        masks(&mut wire, 1_000).into_iter().collect::<HashSet<_>>()
    });
    let shared = first.intersection(&second).count();
    assert!(shared <= 1, "{shared} of 1,000 masks are those of the other run");
}

/// Parent and children have the same store of keys in memory, and use none of it twice.
#[test]
fn r18_forked_children_use_masks_of_their_own() {
    const EACH: usize = 2_000;
    let server = Server::new("fork");
    let mut caller = Caller::new(Config::default());
    let mut lines = [(); 3].map(|()| server.called(&mut caller));
    // Now there is a store that is half used.
    for (id, wire) in &mut lines {
        send(&mut caller, *id, 10);
        masks(wire, 10);
    }
    for (id, _) in &lines[1..] {
        match fork().unwrap() {
            Fork::Child => {
                send(&mut caller, *id, EACH);
                std::process::exit(0);
            }
            Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0, "a child failed"),
        }
    }
    send(&mut caller, lines[0].0, EACH);
    let sets = lines.map(|(_, mut wire)| masks(&mut wire, EACH).into_iter().collect::<HashSet<_>>());
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let shared = sets[one].intersection(&sets[other]).count();
        assert!(shared <= 1, "{shared} of {EACH} masks are shared by {one} and {other}");
    }
}
