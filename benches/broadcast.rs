//! One message to nineteen thousand subscribers: the time of `publish` and the turn that sends it, beside a bare loop of
//! sends over the same descriptors in the same run, and what memory it takes; the subscribers are in a process of their own,
//! which reads only between two measurements. Then what a reader that has stopped costs, and how much longer the others
//! wait for it.
//!
//!     cargo bench --bench broadcast
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on is over")]

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use gnezdo::net::{
    AcceptError, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, OsSystem, Peer,
    Resolved, SocketId, System, Waker,
};
use gnezdo::time::Time;
use gnezdo::{Addr, Config, ConnId, Context, Handler, Listen, Overflow, Prepared, Reactor};

const SUBSCRIBERS: usize = 19_000;
const ROUNDS: usize = 15;
const SIZES: [usize; 3] = [20, 1_000, 16_000];
const HEALTHY: usize = 200;
const TURNS: usize = 3_000;
/// Until the queue of the one that has stopped is full.
const WARM_UP: usize = 2_000;
/// Most that waits for it.
const CAP: usize = 256 * 1024;

/// The operating system, which this program reaches past the reactor too.
#[derive(Clone)]
struct Open {
    system: Rc<RefCell<OsSystem>>,
    accepted: Rc<RefCell<Vec<SocketId>>>,
}

impl System for Open {
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.system.borrow_mut().poll(events, timeout)
    }

    fn has_more(&self) -> bool {
        self.system.borrow().has_more()
    }

    fn now(&self) -> Time {
        self.system.borrow().now()
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.system.borrow_mut().random(bytes)
    }

    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        self.system.borrow_mut().listen(addr, options)
    }

    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        let accepted = self.system.borrow_mut().accept(listener);
        self.accepted.borrow_mut().extend(accepted.iter().map(|(socket, _)| *socket));
        accepted
    }

    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError> {
        self.system.borrow_mut().connect(addr, options)
    }

    fn resolve(&mut self, host: &str, port: u16, token: u64) -> io::Result<()> {
        self.system.borrow_mut().resolve(host, port, token)
    }

    fn resolved(&mut self) -> Option<Resolved> {
        self.system.borrow_mut().resolved()
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        self.system.borrow_mut().register(socket, key)
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        self.system.borrow_mut().receive(socket, into)
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.system.borrow_mut().send(socket, bytes)
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.system.borrow_mut().send_gathered(socket, parts)
    }

    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()> {
        self.system.borrow_mut().shutdown_write(socket)
    }

    fn close(&mut self, socket: SocketId, how: CloseHow) {
        self.system.borrow_mut().close(socket, how);
    }

    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>> {
        self.system.borrow_mut().take_error(socket)
    }

    fn peer(&self, socket: SocketId) -> io::Result<Peer> {
        self.system.borrow().peer(socket)
    }

    fn waker(&self) -> Waker {
        self.system.borrow().waker()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        self.system.borrow().as_raw_fd()
    }
}

#[derive(Default)]
struct Hub {
    open: Vec<ConnId>,
}

impl Handler for Hub {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.open.push(id);
        cx.subscribe(id, "all").unwrap();
    }
}

/// The process in which the subscribers are, which does what it is told and says when it has.
struct Readers {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Readers {
    fn start(path: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child =
            command.args(["--read", path]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Every subscriber reads so many bytes.
    fn read(&mut self, bytes: usize) {
        writeln!(self.input, "{bytes}").unwrap();
        self.output.read_line(&mut String::new()).unwrap();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--read") {
        return read_for_ever(&arguments.next().unwrap());
    }
    let path = std::env::temp_dir().join(format!("gnezdo-broadcast-{}.sock", std::process::id()));
    let path = path.to_str().unwrap();
    let system = Open { system: Rc::new(RefCell::new(OsSystem::new().unwrap())), accepted: Rc::default() };
    let mut reactor = Reactor::with_system(Hub::default(), patient(), system.clone()).unwrap();
    reactor.listen(&format!("unix:{path}").parse().unwrap()).unwrap();
    let mut readers = Readers::start(path);
    while reactor.handler().open.len() < SUBSCRIBERS {
        reactor.turn(Some(Duration::from_millis(100))).unwrap();
    }
    readers.read(0);
    println!(
        "{SUBSCRIBERS} subscribers over Unix-domain sockets, medians of {ROUNDS} rounds, in alternation"
    );
    println!("  bytes    publish+turn    bare sends   ratio   memory more, of one publish");
    for size in SIZES {
        compare(&mut reactor, &system, &mut readers, size);
    }
    drop((readers, reactor));
    println!(
        "{HEALTHY} readers and one that has stopped, {TURNS} publishes with it and as many without, in alternation"
    );
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest, Overflow::Coalesce] {
        stop_one(overflow);
    }
}

/// Publishes to many that read, in every other turn to one that does not as well.
fn stop_one(overflow: Overflow) {
    let mut config = patient();
    (config.settings.max_queue, config.settings.stall_timeout) = (CAP, Duration::MAX);
    let mut reactor = Reactor::new(Hub::default(), config).unwrap();
    let path = std::env::temp_dir().join(format!("gnezdo-stopped-{}.sock", std::process::id()));
    reactor.listen_with(&format!("unix:{}", path.display()).parse().unwrap(), &Listen::raw()).unwrap();
    let mut streams = Vec::new();
    for count in 1..=HEALTHY + 1 {
        streams.push(UnixStream::connect(&path).unwrap());
        while reactor.handler().open.len() < count {
            reactor.turn(None).unwrap();
        }
    }
    let (stopped, healthy) = (reactor.handler().open[0], &mut streams[1..]);
    reactor.with(|_, cx| cx.set_overflow(stopped, overflow));
    let (mut with, mut without, mut read, mut most) = (Vec::new(), Vec::new(), vec![0; 500], 0);
    for turn in 0..TURNS * 2 + WARM_UP {
        let mut message = Prepared::new(&[7; 500]).keyed(turn as u64 % 5_000);
        reactor.with(|_, cx| {
            if turn % 2 == 0 {
                cx.subscribe(stopped, "all").unwrap();
            } else {
                let _ = cx.unsubscribe(stopped, "all");
            }
        });
        let began = Instant::now();
        let outcome = reactor.with(|_, cx| cx.publish("all", &mut message));
        reactor.turn(Some(Duration::ZERO)).unwrap();
        let times = if turn % 2 == 0 { &mut with } else { &mut without };
        times.extend((turn >= WARM_UP).then(|| began.elapsed()));
        assert!(outcome.sent >= HEALTHY);
        most = most.max(reactor.with(|_, cx| cx.pending(stopped)));
        for stream in &mut *healthy {
            stream.read_exact(&mut read).unwrap();
        }
    }
    let [with, without] = [with, without].map(|times| of_a_hundred(times, 99));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!(
        "  {overflow:?}: p99 {with:.1?} with it, {without:.1?} without, ratio {ratio:.3}; {most} bytes waited for it, {CAP} may"
    );
    assert!(most <= CAP && ratio <= 1.25, "a stopped reader costs the others too much");
}

/// Nobody is pinged or cut while this runs.
fn patient() -> Config {
    let mut config = Config::default();
    (config.timeouts.ping, config.timeouts.idle) = (None, None);
    config
}

fn compare(reactor: &mut Reactor<Hub, Open>, system: &Open, readers: &mut Readers, size: usize) {
    let payload = vec![7; size];
    let frame = Prepared::new(&payload).plain().to_vec();
    let (mut published, mut bare, mut grown) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (before, began) = (resident(), Instant::now());
        let mut message = Prepared::new(&payload);
        let outcome = reactor.with(|_, cx| cx.publish("all", &mut message));
        let staged = resident();
        reactor.turn(Some(Duration::ZERO)).unwrap();
        published.push(began.elapsed());
        grown.push(staged.max(resident()).saturating_sub(before));
        assert_eq!(outcome.sent, SUBSCRIBERS);
        assert_eq!(reactor.with(|_, cx| cx.connections()), SUBSCRIBERS);
        readers.read(frame.len());
        let began = Instant::now();
        let sockets = system.accepted.borrow();
        let mut system = system.system.borrow_mut();
        for socket in sockets.iter() {
            assert_eq!(system.send(*socket, &frame).unwrap(), frame.len());
        }
        bare.push(began.elapsed());
        readers.read(frame.len());
    }
    let (first, most) = (grown[0], grown.iter().max().unwrap());
    let [published, bare] = [published, bare].map(|times| of_a_hundred(times, 50));
    let ratio = published.as_secs_f64() / bare.as_secs_f64();
    println!("{size:7}   {published:>12.3?}  {bare:>12.3?}   {ratio:.3}   first {first}, most {most} bytes");
    let allowed = size + 16 * SUBSCRIBERS;
    assert!(*most <= allowed, "{most} bytes, {allowed} allowed");
    assert!(ratio <= 2.0, "more than twice the sends alone");
}

fn of_a_hundred(mut all: Vec<Duration>, rank: usize) -> Duration {
    all.sort_unstable();
    all[all.len() * rank / 100]
}

/// Bytes of memory of this process that are its own.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// The subscribers: connect, and read what they are told to.
fn read_for_ever(path: &str) {
    let mut streams: Vec<UnixStream> = (0..SUBSCRIBERS).map(|_| subscriber(path)).collect();
    for line in io::stdin().lines() {
        let mut bytes = vec![0; line.unwrap().parse().unwrap()];
        for stream in &mut streams {
            stream.read_exact(&mut bytes).unwrap();
        }
        println!("read");
    }
}

fn subscriber(path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    stream
}
