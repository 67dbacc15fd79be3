//! The simulated kernel held to the real one: the same random script of calls runs on both, over TCP and Unix-domain
//! sockets, and every answer, every event and every byte must be alike.
//!
//! `GNEZDO_SCRIPTS` says how many scripts of each family; a failure names the one that shows it.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use gnezdo::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, OsSystem, Readiness,
    SocketId, StreamOptions, System, UnixAddr,
};
use gnezdo::sim::{SimSystem, Tape, World, WorldConfig};

/// One call of a script. Ends are numbered as they came to be: clients and accepted ones alike.
#[derive(Clone, Copy, Debug)]
enum Op {
    Connect,
    Accept,
    Send { end: usize, bytes: usize },
    Receive { end: usize, most: usize },
    ShutdownWrite { end: usize },
    Close { end: usize, how: CloseHow },
    CloseListener,
    TakeError { end: usize },
    Peer { end: usize },
    Poll,
}

/// The families of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Tcp,
    Unix,
}

/// A script: all of a seed.
fn script(seed: u64) -> Vec<Op> {
    let mut tape = Tape::seed(seed);
    let length = 8 + tape.choose(40);
    let mut ops = vec![Op::Connect, Op::Accept];
    ops.extend((0..length).map(|_| op(&mut tape)));
    ops.push(Op::Poll);
    ops
}

fn op(tape: &mut Tape) -> Op {
    let end = tape.choose(6);
    match tape.choose(32) {
        0..2 => Op::Connect,
        2..4 => Op::Accept,
        4..11 => Op::Send { end, bytes: 1 + tape.choose(200) },
        11..18 => Op::Receive { end, most: 1 + tape.choose(300) },
        18..20 => Op::ShutdownWrite { end },
        20 => Op::Close { end, how: CloseHow::Graceful },
        21 => Op::Close { end, how: CloseHow::Abort },
        22 if tape.chance(4) => Op::CloseListener,
        22..24 => Op::TakeError { end },
        24 => Op::Peer { end },
        _ => Op::Poll,
    }
}

/// One system with a script running on it, and what it answered so far.
struct Run<'a, S: System> {
    system: &'a mut S,
    addr: Addr,
    listener: Option<SocketId>,
    ends: Vec<Option<SocketId>>,
    /// Added to the number of an end to make its key: scripts share a system.
    first_key: u64,
    settle: Duration,
    log: Vec<String>,
    sent: u8,
}

impl<S: System> Run<'_, S> {
    fn run(mut self, ops: &[Op]) -> Vec<String> {
        for op in ops {
            let answer = self.step(*op);
            self.log.push(format!("{op:?}: {answer}"));
            std::thread::sleep(self.settle);
        }
        for end in 0..self.ends.len() {
            self.close(end, CloseHow::Abort);
        }
        self.close_listener();
        self.log
    }

    fn step(&mut self, op: Op) -> String {
        match op {
            Op::Connect => self.connect(),
            Op::Accept => self.accept(),
            Op::Send { end, bytes } => self.on(end, |run, socket| run.send(socket, bytes)),
            Op::Receive { end, most } => self.on(end, |run, socket| run.receive(socket, most)),
            Op::ShutdownWrite { end } => self.on(end, |run, socket| told(run.system.shutdown_write(socket))),
            Op::Close { end, how } => self.close(end, how),
            Op::CloseListener => self.close_listener(),
            Op::TakeError { end } => self.on(end, |run, socket| {
                told(run.system.take_error(socket).map(|error| error.and_then(|error| error.raw_os_error())))
            }),
            Op::Peer { end } => self.on(end, |run, socket| told(run.system.peer(socket).map(drop))),
            Op::Poll => self.poll(),
        }
    }

    fn on(&mut self, end: usize, act: impl FnOnce(&mut Self, SocketId) -> String) -> String {
        let end = end.checked_rem(self.ends.len()).unwrap_or(0);
        match self.ends.get(end).copied().flatten() {
            Some(socket) => act(self, socket),
            None => "not open".into(),
        }
    }

    fn connect(&mut self) -> String {
        let socket = match self.system.connect(&self.addr, &ConnectOptions::default()) {
            Ok(Connecting::Established(socket) | Connecting::InProgress(socket)) => socket,
            Ok(Connecting::Busy) => return "busy".into(),
            Err(error) => return kind_of(&error),
        };
        self.keep(socket);
        told(self.system.finish_connect(socket).map(|peer| peer.is_some()))
    }

    fn accept(&mut self) -> String {
        let Some(listener) = self.listener else { return "no listener".into() };
        match self.system.accept(listener) {
            Ok((socket, _)) => self.keep(socket),
            Err(AcceptError::WouldBlock) => "nobody".into(),
            Err(error) => panic!("{error}"),
        }
    }

    fn keep(&mut self, socket: SocketId) -> String {
        let key = Key(self.first_key + self.ends.len() as u64);
        self.system.register(socket, key).unwrap();
        self.ends.push(Some(socket));
        format!("end {}", self.ends.len() - 1)
    }

    fn send(&mut self, socket: SocketId, count: usize) -> String {
        let bytes: Vec<u8> = (0..count).map(|_| self.next_byte()).collect();
        told(self.system.send(socket, &bytes))
    }

    fn next_byte(&mut self) -> u8 {
        self.sent = self.sent.wrapping_mul(5).wrapping_add(1);
        self.sent
    }

    fn receive(&mut self, socket: SocketId, most: usize) -> String {
        let mut buffer = vec![0; most];
        let answer = self.system.receive(socket, &mut buffer);
        told(answer.map(|count| Bytes(buffer[..count].to_vec())))
    }

    fn close(&mut self, end: usize, how: CloseHow) -> String {
        let end = end.checked_rem(self.ends.len()).unwrap_or(0);
        if let Some(socket) = self.ends.get_mut(end).and_then(Option::take) {
            self.system.close(socket, how);
        }
        String::new()
    }

    fn close_listener(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            self.system.close(listener, CloseHow::Graceful);
        }
        String::new()
    }

    fn poll(&mut self) -> String {
        let mut events: Vec<Event> = Vec::new();
        self.system.poll(&mut events, Some(Duration::ZERO)).unwrap();
        let mut seen: BTreeMap<u64, Readiness> = BTreeMap::new();
        for event in events {
            *seen.entry(event.key.0 - self.first_key).or_default() |= event.readiness;
        }
        format!("{seen:?}")
    }
}

/// Bytes shown as their number and a sum.
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = self.0.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        write!(formatter, "{} bytes {sum:08x}", self.0.len())
    }
}

fn told<T: std::fmt::Debug>(answer: io::Result<T>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!(
            "{:?}",
            error.raw_os_error().map_or(error.kind(), |code| io::Error::from_raw_os_error(code).kind())
        ),
    }
}

fn kind_of(error: &gnezdo::net::NetError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// The real system, with a place of its own for each script.
struct Real {
    system: OsSystem,
    directory: std::path::PathBuf,
    scripts: u32,
}

impl Real {
    fn run(&mut self, family: Family, ops: &[Op], settle: Duration) -> Vec<String> {
        self.scripts += 1;
        let addr = match family {
            Family::Tcp => {
                format!("127.{}.{}.1:0", 1 + self.scripts / 250 % 250, self.scripts % 250).parse().unwrap()
            }
            Family::Unix => Addr::Unix(UnixAddr::path(self.directory.join("s")).unwrap()),
        };
        start(&mut self.system, &addr, u64::from(self.scripts) * 1000, settle).run(ops)
    }
}

fn simulated(family: Family, ops: &[Op]) -> Vec<String> {
    let world = World::new(WorldConfig::default(), Tape::calm());
    let addr = match family {
        Family::Tcp => "127.0.0.1:0".parse().unwrap(),
        Family::Unix => "unix:/s".parse().unwrap(),
    };
    start(&mut world.system(), &addr, 0, Duration::ZERO).run(ops)
}

fn start<'a, S: System>(system: &'a mut S, addr: &Addr, first_key: u64, settle: Duration) -> Run<'a, S> {
    let (listener, addr) = system.listen(addr, &ListenOptions::default()).unwrap();
    Run {
        system,
        addr,
        listener: Some(listener),
        ends: Vec::new(),
        first_key,
        settle,
        log: Vec::new(),
        sent: 0,
    }
}

/// After so many scripts that differ the next one tells nothing new.
const ENOUGH: usize = 10;

/// Runs the scripts of one family on both.
fn hold(family: Family) {
    let scripts = std::env::var("GNEZDO_SCRIPTS").map_or(1000, |count| count.parse().unwrap());
    let directory = std::env::temp_dir().join(format!("gnezdo-conform-{}-{family:?}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut real = Real { system: OsSystem::new().unwrap(), directory: directory.clone(), scripts: 0 };
    let began = Instant::now();
    let faults = (0..scripts).filter_map(|seed| compare(&mut real, family, seed).err());
    let faults: String = faults.take(ENOUGH).collect();
    std::fs::remove_dir_all(&directory).unwrap();
    println!("{scripts} scripts over {family:?} in {:.1?}", began.elapsed());
    assert!(faults.is_empty(), "{faults}");
}

/// The real network may be a moment late: a script that differs runs again with more time between its calls.
fn compare(real: &mut Real, family: Family, seed: u64) -> Result<(), String> {
    let ops = script(seed);
    let expected = simulated(family, &ops);
    let mut last = String::new();
    for settle in [0, 1, 10, 50, 250].map(Duration::from_millis) {
        let got = real.run(family, &ops, settle);
        if got == expected {
            return Ok(());
        }
        last = format!("\nscript {seed} over {family:?}:\n");
        for (got, expected) in got.iter().zip(&expected) {
            let mark = if got == expected { "  " } else { "! " };
            writeln!(last, "{mark}{expected}").unwrap();
            if got != expected {
                writeln!(last, "  really {got}").unwrap();
                break;
            }
        }
    }
    Err(last)
}

/// Fills one direction, reads it empty and fills it again, and says what could be seen; buffers differ in size, so counts
/// are left out.
fn fill_and_drain<S: System>(system: &mut S, addr: &Addr) -> Vec<String> {
    let stream =
        StreamOptions { send_buffer: Some(8192), receive_buffer: Some(8192), ..StreamOptions::default() };
    let options = ListenOptions { stream: stream.clone(), ..ListenOptions::default() };
    let (listener, addr) = system.listen(addr, &options).unwrap();
    let (Connecting::Established(client) | Connecting::InProgress(client)) =
        system.connect(&addr, &ConnectOptions { stream, ..ConnectOptions::default() }).unwrap()
    else {
        panic!("busy")
    };
    let server = until(|| system.accept(listener).ok()).0;
    system.register(client, Key(1)).unwrap();
    wait_for_room(system);
    let mut log = Vec::new();
    for _ in 0..2 {
        let sent = fill(system, client);
        assert_eq!(system.receive(server, &mut [0]).unwrap(), 1);
        log.push(format!("one byte read gives room: {}", hears_of_room(system, Duration::from_millis(20))));
        let received = 1 + drain(system, server, sent - 1);
        log.push(format!("all came: {}", received == sent));
        wait_for_room(system);
        log.push(format!("then: {}", told(system.receive(server, &mut [0; 9]))));
    }
    let sent = fill(system, client);
    log.push(told(system.shutdown_write(client)));
    log.push(format!("shut: {}", told(system.send(client, b"more"))));
    log.push(format!("all came: {}", drain(system, server, sent) == sent));
    log.push(until(|| {
        Some(told(system.receive(server, &mut [0; 9]))).filter(|answer| answer != "WouldBlock")
    }));
    let sent = fill(system, server);
    log.push(format!("all came: {}", drain(system, client, sent) == sent));
    for socket in [client, server, listener] {
        system.close(socket, CloseHow::Graceful);
    }
    log
}

/// Sends until nothing more is taken, and answers how much was. The real network moves bytes on for a while after that:
/// only what stays full is full.
fn fill<S: System>(system: &mut S, socket: SocketId) -> usize {
    let mut sent = 0;
    loop {
        match system.send(socket, &[7; 3000]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                if !hears_of_room(system, LONGEST_DELAYED_ACK) {
                    return sent;
                }
            }
        }
    }
}

/// Receives `expected` bytes, which may come late.
fn drain<S: System>(system: &mut S, socket: SocketId, expected: usize) -> usize {
    let (mut received, mut buffer) = (0, [0; 5000]);
    let began = Instant::now();
    while received < expected && began.elapsed() < PATIENCE {
        match system.receive(socket, &mut buffer) {
            Ok(0) => break,
            Ok(count) => received += count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    received
}

/// Whether the one registered socket becomes writable within a while.
fn hears_of_room<S: System>(system: &mut S, timeout: Duration) -> bool {
    let mut events = Vec::new();
    system.poll(&mut events, Some(timeout)).unwrap();
    events.iter().any(|event| event.readiness.is_writable())
}

fn wait_for_room<S: System>(system: &mut S) {
    until(|| hears_of_room(system, Duration::from_millis(10)).then_some(()));
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "it did not come");
    }
}

/// How many clients connect to a listener that accepts none, with a backlog of two.
fn clients_of_a_full_backlog<S: System>(system: &mut S, addr: &Addr) -> usize {
    let options = ListenOptions { backlog: 2, ..ListenOptions::default() };
    let (_, addr) = system.listen(addr, &options).unwrap();
    let mut connect = || match system.connect(&addr, &ConnectOptions::default()).unwrap() {
        Connecting::Established(_) => true,
        // Long enough for a busy kernel, and too short for it to ask again.
        Connecting::InProgress(socket) => (0..25).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            system.finish_connect(socket).unwrap().is_some()
        }),
        Connecting::Busy => false,
    };
    (0..6).take_while(|_| connect()).count()
}

/// Linux acknowledges after 200 ms at the latest, and that can make room.
const LONGEST_DELAYED_ACK: Duration = Duration::from_millis(250);

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both kinds of addresses, the second with a place of its own.
fn addresses(name: &str) -> [Addr; 2] {
    let unix = format!("unix:@gnezdo-{name}-{}", std::process::id());
    ["127.0.0.1:0".parse().unwrap(), unix.parse().unwrap()]
}

fn simulation() -> SimSystem {
    World::new(WorldConfig { capacity: 16 * 1024, ..WorldConfig::default() }, Tape::calm()).system()
}

#[test]
fn a_full_buffer_is_told_alike() {
    for addr in addresses("full") {
        let expected = fill_and_drain(&mut simulation(), &addr);
        assert_eq!(fill_and_drain(&mut OsSystem::new().unwrap(), &addr), expected, "{addr}");
    }
}

#[test]
fn a_full_backlog_takes_as_many() {
    for addr in addresses("backlog") {
        let expected = clients_of_a_full_backlog(&mut simulation(), &addr);
        assert_eq!(clients_of_a_full_backlog(&mut OsSystem::new().unwrap(), &addr), expected, "{addr}");
        assert_eq!(expected, 3, "{addr}");
    }
}

#[test]
fn the_model_is_the_real_kernel_over_tcp() {
    hold(Family::Tcp);
}

#[test]
fn the_model_is_the_real_kernel_over_unix_sockets() {
    hold(Family::Unix);
}
