//! Peers that drip, say nothing, die or talk to a process that is stopped, and the release build of the `echo` example
//! that has to tell them apart. Each test prints what it measured.
//!
//!     cargo test --release --test slow_peers -- --include-ignored --test-threads 1
#![cfg(all(target_os = "linux", feature = "net", feature = "deflate"))]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use support::{
    BINARY, Client, Echo, PATIENCE, PING, Stream, Target, processor_time, report, skipped, sockets_of,
    soft_limit_of_descriptors, switches,
};

/// One at a time: they measure.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How late the process may be told of what is due, where other processes want the processor as well.
const SCHEDULING: Duration = Duration::from_secs(1);

// Clients that never come to the end of their request (R4)

const DRIPPING: usize = 1_000;
const SILENT: usize = 1_000;
const HEALTHY: usize = 100;
/// What the server is told to allow for an opening handshake.
const OPENING: Duration = Duration::from_secs(4);
/// As the rule says: gone one second after the deadline.
const GONE: Duration = Duration::from_secs(1);

#[test]
#[ignore = "measures latencies: takes half a minute, and a machine that is not too busy"]
fn slow_clients_are_gone_in_time_and_healthy_ones_do_not_notice() {
    let _alone = alone();
    // The bound of connections that have not opened is a quarter of a million here: it ends none of these.
    let server = Echo::start(&["--opening-timeout", &OPENING.as_secs().to_string(), "--idle-timeout", "0"]);
    let target = Target::Tcp(server.tcp);
    let mut healthy: Vec<Client> = (0..HEALTHY).map(|_| Client::connect(&target)).collect();
    let span = OPENING + GONE + Duration::from_secs(1);
    // Another process may disturb a run; an effect of the slow clients would be there in each.
    let undisturbed = (1..=3).any(|run| {
        let before = slowest_hundredth(&mut healthy, span);
        let (during, fates) = std::thread::scope(|scope| {
            let slow = scope.spawn(|| SlowClients::open(server.tcp).watch(OPENING + 3 * GONE));
            (slowest_hundredth(&mut healthy, span), slow.join().unwrap())
        });
        let after = slowest_hundredth(&mut healthy, span);
        judge_fates(&fates);
        let bound = before.max(after).mul_f64(1.25) + Duration::from_millis(1);
        report(&format!(
            "run {run}: p99 of {HEALTHY} healthy clients {before:.1?} before, {during:.1?} beside the slow ones, \
             {after:.1?} after; bound {bound:.1?}"
        ));
        during <= bound
    });
    assert!(undisturbed, "healthy clients notice the slow ones in each of three runs");
    assert!(sockets_of(server.process) >= HEALTHY, "a healthy client was closed");
}

/// The p99 of echoes, one at a time on one connection after the other, for so long.
fn slowest_hundredth(clients: &mut [Client], span: Duration) -> Duration {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < span {
        for client in &mut *clients {
            let sent = Instant::now();
            client.echoed(b"healthy");
            took.push(sent.elapsed());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// What became of a client that does not open.
struct Fate {
    connecting: Instant,
    connected: Instant,
    /// When its next byte is due, if it drips.
    drips: Instant,
    closed: Option<Instant>,
}

fn judge_fates(fates: &[Fate]) {
    let closed: Vec<_> =
        fates.iter().filter_map(|fate| Some((fate, fate.closed?.duration_since(fate.connected)))).collect();
    let slowest = closed.iter().map(|(_, took)| *took).max().unwrap_or_default();
    let early = closed.iter().filter(|(fate, _)| fate.closed.unwrap() - fate.connecting < OPENING).count();
    report(&format!(
        "{} of {} slow clients gone, the last {slowest:.3?} after it connected, {early} of them before the deadline \
         of {OPENING:?}",
        closed.len(),
        fates.len()
    ));
    assert_eq!(closed.len(), DRIPPING + SILENT, "some are still there");
    assert!(slowest <= OPENING + GONE, "{slowest:?} for a deadline of {OPENING:?}");
    assert_eq!(early, 0, "the deadline alone may end them");
}

/// Whether this is one of those that drip, and not of those that say nothing.
fn drips(number: usize) -> bool {
    number.is_multiple_of((DRIPPING + SILENT) / DRIPPING)
}

/// Two thousand of them on one thread.
struct SlowClients {
    addr: SocketAddr,
    poll: Poll,
    streams: Vec<Stream>,
    fates: Vec<Fate>,
}

impl SlowClients {
    fn open(addr: SocketAddr) -> Self {
        Self { addr, poll: Poll::new().unwrap(), streams: Vec::new(), fates: Vec::new() }
    }

    /// Connects a few at a time, lets half of them drip a byte a second, and notes when each is closed.
    fn watch(mut self, limit: Duration) -> Vec<Fate> {
        let mut events = Events::with_capacity(1_024);
        let mut open = DRIPPING + SILENT;
        // On a busy machine the first of them are gone before the last have come.
        let is_in_time = |fates: &[Fate]| fates.last().is_none_or(|last| last.connected.elapsed() < limit);
        while open > 0 && is_in_time(&self.fates) {
            self.connect_some();
            self.drip();
            self.poll.poll(&mut events, Some(Duration::from_millis(5))).unwrap();
            let now = Instant::now();
            for event in &events {
                open -= usize::from(self.is_closed_now(event.token(), now));
            }
        }
        self.fates
    }

    fn connect_some(&mut self) {
        const AT_ONCE: usize = 10;
        let most = (self.streams.len() + AT_ONCE).min(DRIPPING + SILENT);
        while self.streams.len() < most {
            let connecting = Instant::now();
            let number = self.streams.len();
            let source = 2 + u8::try_from(number / 500).unwrap();
            let mut stream = Target::Tcp(self.addr).connect_from(source).unwrap();
            stream.set_nonblocking(true);
            if drips(number) {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
            }
            let descriptor = stream.descriptor();
            let registry = self.poll.registry();
            registry.register(&mut SourceFd(&descriptor), Token(number), Interest::READABLE).unwrap();
            self.streams.push(stream);
            let connected = Instant::now();
            self.fates.push(Fate { connecting, connected, drips: connected, closed: None });
        }
    }

    /// One byte of a header that never ends, once a second for each.
    fn drip(&mut self) {
        let now = Instant::now();
        for (number, fate) in self.fates.iter_mut().enumerate() {
            if drips(number) && fate.closed.is_none() && now >= fate.drips {
                fate.drips += Duration::from_secs(1);
                // One that was cut meanwhile is told so by the next poll.
                let _ = self.streams[number].write(b"x");
            }
        }
    }

    fn is_closed_now(&mut self, Token(number): Token, now: Instant) -> bool {
        let fate = &mut self.fates[number];
        let answer = self.streams[number].read(&mut [0; 256]);
        let closed = match answer {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        let news = closed && fate.closed.is_none();
        if news {
            fate.closed = Some(now);
        }
        news
    }
}

// Nobody to hear (R32)

#[test]
#[ignore = "takes half of the descriptors of two processes"]
fn ten_thousand_idle_connections_wake_nobody() {
    const COUNT: usize = 10_000;
    let _alone = alone();
    let limit = soft_limit_of_descriptors();
    if limit < COUNT + 200 {
        return skipped("10,000 idle connections", &format!("{limit} descriptors a process"));
    }
    let server = Echo::start(&["--idle-timeout", "3600"]);
    let target = Target::Tcp(server.tcp);
    let began = Instant::now();
    let connections: Vec<Client> = (0..COUNT)
        .map(|number| {
            let source = 1 + u8::try_from(number / 2_000).unwrap();
            let mut client = Client::open(target.connect_from(source).unwrap());
            client.echoed(b"once");
            client
        })
        .collect();
    let opened = began.elapsed();
    let (woken, spent) = (switches(server.process), processor_time(server.process));
    std::thread::sleep(Duration::from_secs(5));
    let spent = processor_time(server.process).saturating_sub(spent);
    let woken = switches(server.process) - woken;
    report(&format!(
        "{COUNT} idle connections, opened in {opened:.1?}: {woken} wake-ups and {spent:?} of processor time in 5 s"
    ));
    assert!(opened < Duration::from_secs(20), "the first pings, 30 s after the opening, may have come");
    assert_eq!((woken, spent), (0, Duration::ZERO), "wake-ups and processor time of an idle process");
    drop(connections);
}

// Peers that are gone without a word (R42)

/// What the server is told: silent for half of it, a peer is pinged; for all of it, cut.
const IDLE: Duration = Duration::from_secs(4);

#[test]
fn peers_behind_a_dead_link_are_noticed_in_time() {
    const PEERS: usize = 200;
    let _alone = alone();
    let network = match Network::new() {
        Ok(network) => network,
        Err(why) => return skipped("peers behind a dead link", &why),
    };
    let idle = IDLE.as_secs().to_string();
    let server = Echo::start_under(&network.within(), &["--idle-timeout", &idle, Network::SERVER]);
    let target = Target::Tcp(server.tcp);
    let mut clients: Vec<Client> = (0..PEERS).map(|_| Client::connect(&target)).collect();
    let talking = Instant::now();
    for client in &mut clients {
        client.echoed(b"alive");
    }
    let heard = Instant::now();
    // The server's own are counted late: it has opened the last of them some time after it began to listen.
    let own = sockets_of(server.process) - PEERS;
    network.cut();
    let cut = heard.elapsed();
    let left = || sockets_of(server.process).saturating_sub(own);
    let mut first = None;
    while left() > 0 {
        if left() < PEERS {
            first.get_or_insert_with(|| talking.elapsed());
        }
        assert!(heard.elapsed() < IDLE + PATIENCE, "{} dead peers are still there", left());
        std::thread::sleep(Duration::from_millis(2));
    }
    let last = heard.elapsed();
    report(&format!(
        "{PEERS} peers behind a link that died {cut:.1?} after they were heard: the first gone {first:.3?} after the \
         first, the last {last:.3?} after the last was heard, with {IDLE:?} for ping and pong"
    ));
    assert!(first.is_none_or(|first| first >= IDLE), "one was cut after {first:?}");
    assert!(last <= IDLE + TICK + SCHEDULING, "the last was cut after {last:?}");
}

/// The documented granularity of deadlines.
const TICK: Duration = Duration::from_millis(4);

/// A network namespace for the server, and a link to it that can be cut without a word to either end.
struct Network {
    namespace: String,
    link: String,
}

impl Network {
    /// Where the server listens in there.
    const SERVER: &str = "10.213.97.1:0";

    fn new() -> Result<Self, String> {
        let number = std::process::id();
        let network = Network { namespace: format!("gnezdo-{number}"), link: format!("gn{number}") };
        let (namespace, link) = (network.namespace.as_str(), network.link.as_str());
        let inside = format!("{link}s");
        for command in [
            &["netns", "add", namespace][..],
            &["link", "add", link, "type", "veth", "peer", "name", &inside, "netns", namespace],
            &["addr", "add", "10.213.97.2/30", "dev", link],
            &["link", "set", link, "up"],
            &["-n", namespace, "addr", "add", "10.213.97.1/30", "dev", &inside],
            &["-n", namespace, "link", "set", &inside, "up"],
            &["-n", namespace, "link", "set", "lo", "up"],
        ] {
            ip(command)?;
        }
        Ok(network)
    }

    /// What stands before a command that is to run in there.
    fn within(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespace]
    }

    /// From now on every packet is lost, in both directions.
    fn cut(&self) {
        ip(&["link", "set", &self.link, "down"]).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.link]);
        let _ = ip(&["netns", "del", &self.namespace]);
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| format!("no ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", words.join(" "), said.trim())) }
}

// A server that is stopped (R31)

#[test]
#[ignore = "takes a quarter of a minute"]
fn who_talked_to_a_stopped_server_is_heard_before_anybody_is_cut() {
    // More than one poll can answer with.
    const TALKING: usize = 2_500;
    const SILENT: usize = 200;
    const IDLE: Duration = Duration::from_secs(6);
    let _alone = alone();
    let server = Echo::start(&["--idle-timeout", &IDLE.as_secs().to_string()]);
    let target = Target::Tcp(server.tcp);
    let mut silent: Vec<Client> = (0..SILENT).map(|_| Client::connect(&target)).collect();
    let mut talking: Vec<Client> = (0..TALKING).map(|_| Client::connect(&target)).collect();
    for client in &mut talking {
        client.send(BINARY, b"before");
    }
    for client in &mut talking {
        assert_eq!(next_message(client), b"before");
    }
    server.signal("STOP");
    let stopped = Instant::now();
    let mut said = 0_u8;
    while stopped.elapsed() < 2 * IDLE {
        for client in &mut talking {
            client.send(BINARY, &[said]);
        }
        said += 1;
        std::thread::sleep(IDLE / 4);
    }
    server.signal("CONT");
    for (number, client) in talking.iter_mut().enumerate() {
        for wanted in 0..said {
            assert_eq!(next_message(client), [wanted], "client {number} talked all the time");
        }
    }
    for client in &mut silent {
        while client.try_receive().is_ok_and(|frame| frame.opcode == PING) {}
    }
    let left = sockets_of(server.process);
    report(&format!(
        "stopped for {:.1?} with {IDLE:?} to be silent: all of {TALKING} who talked are served, {SILENT} who did not are \
         cut, {left} sockets left",
        stopped.elapsed()
    ));
    assert!((TALKING..TALKING + SILENT).contains(&left), "{left} sockets");
}

/// The next frame that is no ping.
fn next_message(client: &mut Client) -> Vec<u8> {
    loop {
        let frame = client.receive();
        if frame.opcode == BINARY {
            return frame.payload;
        }
        assert_eq!(frame.opcode, PING, "{frame:?}");
    }
}
