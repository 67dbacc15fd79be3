//! Listeners from one reactor to another: what passes over, what stays behind, and who gets nothing. Both reactors are in
//! this process here; the kernel makes no difference.
#![cfg(all(target_os = "linux", feature = "net"))]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gnezdo::net::{Predecessor, TakeoverError, UnixAddr};
use gnezdo::{
    Addr, Config, ConfigError, ConnId, Context, Drain, Error, Handler, Listen, Reactor, Remote, Serve,
    ShutdownReport, TrustedProxies,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Soon enough to wait for in a test.
const SOON: Duration = Duration::from_millis(300);

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        cx.send(id, bytes).map(drop).unwrap();
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gnezdo-takeover-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where successors ask.
    fn at(&self) -> UnixAddr {
        UnixAddr::path(self.path("takeover")).unwrap()
    }

    fn unix(&self) -> Addr {
        UnixAddr::path(self.path("echo.sock")).unwrap().into()
    }

    /// The names of all files in it.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A reactor that runs in its thread.
struct Serving {
    remote: Remote<()>,
    thread: Option<JoinHandle<Option<ShutdownReport>>>,
}

impl Serving {
    fn run(mut reactor: Reactor<Echo>) -> Self {
        let remote = reactor.remote();
        let thread = std::thread::spawn(move || {
            reactor.run().unwrap();
            reactor.shutdown_report()
        });
        Self { remote, thread: Some(thread) }
    }

    /// Waits until it has ended by itself.
    fn ended(mut self) -> ShutdownReport {
        let end = Instant::now() + PATIENCE;
        let thread = self.thread.take().unwrap();
        while !thread.is_finished() {
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        thread.join().unwrap().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.remote.stop().unwrap();
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

fn reactor() -> Reactor<Echo> {
    Reactor::new(Echo, Config::default()).unwrap()
}

/// A server on a free port and on a path, that can be replaced.
fn first(directory: &Directory, drain: Drain, config: Config) -> (Serving, Addr) {
    let mut reactor = Reactor::new(Echo, config).unwrap();
    let tcp = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap().addr;
    reactor.listen_with(&directory.unix(), &Listen::raw()).unwrap();
    offer(&mut reactor, directory, drain);
    (Serving::run(reactor), tcp)
}

fn offer(reactor: &mut Reactor<Echo>, directory: &Directory, drain: Drain) {
    let listen = Listen { serve: Serve::Takeover(drain), ..Listen::default() };
    reactor.listen_with(&directory.at().into(), &listen).unwrap();
}

/// What takes the place of the one that serves.
fn next(directory: &Directory) -> Serving {
    let mut reactor = reactor();
    let mut predecessor = Predecessor::find(&directory.at(), PATIENCE).unwrap().unwrap();
    for inherited in predecessor.listeners() {
        reactor.listen_on(inherited, &Listen::raw()).unwrap();
    }
    predecessor.relieve(PATIENCE).unwrap();
    offer(&mut reactor, directory, Drain::default());
    Serving::run(reactor)
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn connect(addr: &Addr) -> Box<dyn Stream> {
    match addr {
        Addr::Tcp(addr) => {
            let stream = TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        }
        Addr::Unix(addr) => Box::new(unix(addr.as_path().unwrap())),
    }
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn echo(stream: &mut dyn Stream) {
    let mut heard = [0; 5];
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

fn is_ended(stream: &mut dyn Stream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
}

#[test]
fn a_successor_has_the_addresses_and_the_files_and_the_predecessor_its_connections() {
    let directory = Directory::new();
    let (old, tcp) = first(&directory, Drain::default(), Config::default());
    let addrs = [tcp, directory.unix()];
    let mut stay: Vec<_> = addrs.iter().map(connect).collect();
    let new = next(&directory);
    for (addr, stays) in addrs.iter().zip(&mut stay) {
        echo(stays.as_mut());
        echo(connect(addr).as_mut());
    }
    drop(stay);
    let report = old.ended();
    assert_eq!((report.closed, report.cut), (2, 0));
    assert_eq!(directory.files(), ["echo.sock", "echo.sock.lock", "takeover", "takeover.lock"]);
    echo(connect(&directory.unix()).as_mut());
    drop(new);
    assert_eq!(directory.files(), Vec::<String>::new(), "the last one took its files away");
}

#[test]
fn one_may_follow_the_other() {
    let directory = Directory::new();
    let (mut serving, tcp) = first(&directory, Drain::default(), Config::default());
    for _ in 0..4 {
        let old = std::mem::replace(&mut serving, next(&directory));
        old.ended();
        echo(connect(&tcp).as_mut());
        echo(connect(&directory.unix()).as_mut());
    }
    drop(serving);
    assert_eq!(directory.files(), Vec::<String>::new());
}

#[test]
fn who_comes_while_nobody_accepts_waits_for_the_successor() {
    let directory = Directory::new();
    let (old, tcp) = first(&directory, Drain::default(), Config::default());
    let addrs = [tcp, directory.unix()];
    let mut new = reactor();
    let mut predecessor = Predecessor::find(&directory.at(), PATIENCE).unwrap().unwrap();
    for inherited in predecessor.listeners() {
        new.listen_on(inherited, &Listen::raw()).unwrap();
    }
    predecessor.relieve(PATIENCE).unwrap();
    old.ended();
    let mut waiting: Vec<_> = addrs.iter().map(connect).collect();
    for stream in &mut waiting {
        stream.write_all(b"hello").unwrap();
    }
    let _new = Serving::run(new);
    for stream in &mut waiting {
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[test]
fn a_successor_that_gives_up_takes_nothing_away() {
    let directory = Directory::new();
    let (old, tcp) = first(&directory, Drain::default(), Config::default());
    for _ in 0..3 {
        let mut new = reactor();
        let mut predecessor = Predecessor::find(&directory.at(), PATIENCE).unwrap().unwrap();
        let mut listeners = predecessor.listeners();
        new.listen_on(listeners.pop().unwrap(), &Listen::raw()).unwrap();
        drop((new, listeners, predecessor));
        echo(connect(&tcp).as_mut());
        echo(connect(&directory.unix()).as_mut());
    }
    drop(old);
    assert_eq!(directory.files(), Vec::<String>::new());
}

#[test]
fn who_says_something_else_or_nothing_is_sent_away_and_nothing_changes() {
    let directory = Directory::new();
    let mut config = Config::default();
    config.timeouts.opening = SOON;
    let (_old, tcp) = first(&directory, Drain::default(), config);
    let greeting = &b"gnezdo takeover 1\n"[..];
    for said in [b"GET / HTTP/1.1\r\n\r\n", greeting, &greeting[..5], b"", b"R", b"gnezdo takeover 2\n"] {
        let mut stream = unix(&directory.path("takeover"));
        stream.write_all(said).unwrap();
        let is_answered = !is_ended(&mut stream);
        assert_eq!(is_answered, said == greeting, "{said:?}");
        while !is_ended(&mut stream) {}
        echo(connect(&tcp).as_mut());
    }
}

#[test]
fn connections_that_stay_are_ended_when_patience_is_over() {
    let directory = Directory::new();
    // Long enough for an echo on a busy machine.
    let patience = Duration::from_secs(2);
    let drain = Drain { patience, grace: PATIENCE };
    let (old, tcp) = first(&directory, drain, Config::default());
    let mut stays = connect(&tcp);
    echo(stays.as_mut());
    let _new = next(&directory);
    echo(stays.as_mut());
    assert!(is_ended(stays.as_mut()));
    drop(stays);
    let report = old.ended();
    assert_eq!((report.closed, report.cut), (1, 0));
    assert!(report.took >= patience);
}

#[test]
fn a_shutdown_is_not_put_off_by_a_drain() {
    let mut reactor = reactor();
    let tcp = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap().addr;
    let _stays = connect(&tcp);
    while reactor.with(|_, cx| cx.connections()) == 0 {
        reactor.turn(Some(SOON)).unwrap();
    }
    reactor.with(|_, cx| {
        cx.shutdown(SOON);
        cx.drain(Drain { patience: Duration::MAX, grace: Duration::MAX });
    });
    reactor.run().unwrap();
    assert!(reactor.shutdown_report().is_some());
}

#[test]
fn a_predecessor_that_is_none_is_told_apart() {
    let directory = Directory::new();
    let at = directory.at();
    assert!(Predecessor::find(&at, PATIENCE).unwrap().is_none(), "there is nobody");
    let listener = UnixListener::bind(directory.path("takeover")).unwrap();
    let find = |patience| Predecessor::find(&at, patience).unwrap_err();
    assert!(matches!(find(SOON), TakeoverError::TimedOut { .. }));
    drop(listener.accept().unwrap());
    for (said, is_right) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            (|error| matches!(error, TakeoverError::NotUnderstood { .. })) as fn(_) -> _,
        ),
        (b"gnezdo takeover 1\n\0\0\0\x01\0", |error| matches!(error, TakeoverError::NotUnderstood { .. })),
        (b"gnezdo takeover 1\n\0\0", |error| matches!(error, TakeoverError::HungUp { .. })),
        (b"", |error| matches!(error, TakeoverError::HungUp { .. })),
    ] {
        let listener = listener.try_clone().unwrap();
        let answering = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0; 18]).unwrap();
            stream.write_all(said).unwrap();
        });
        let error = find(PATIENCE);
        assert!(is_right(error), "{said:?}");
        answering.join().unwrap();
    }
    drop(listener);
    assert!(Predecessor::find(&at, PATIENCE).unwrap().is_none(), "it has left its file behind");
}

#[test]
fn of_two_successors_one_follows() {
    let directory = Directory::new();
    let (old, tcp) = first(&directory, Drain::default(), Config::default());
    let candidate = || {
        let (mut reactor, at) = (reactor(), directory.at());
        let mut predecessor = Predecessor::find(&at, PATIENCE).unwrap().unwrap();
        for inherited in predecessor.listeners() {
            reactor.listen_on(inherited, &Listen::raw()).unwrap();
        }
        (reactor, predecessor)
    };
    let [(successor, chosen), (other, late)] = [candidate(), candidate()];
    chosen.relieve(PATIENCE).unwrap();
    late.relieve(PATIENCE).unwrap_err();
    drop(other);
    old.ended();
    let _serving = Serving::run(successor);
    echo(connect(&tcp).as_mut());
    echo(connect(&directory.unix()).as_mut());
}

#[test]
fn a_successor_that_is_gone_when_it_is_heard_is_none() {
    let directory = Directory::new();
    let mut reactor = reactor();
    let tcp = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &Listen::raw()).unwrap().addr;
    offer(&mut reactor, &directory, Drain::default());
    let mut stream = unix(&directory.path("takeover"));
    stream.set_nonblocking(true).unwrap();
    stream.write_all(b"gnezdo takeover 1\n").unwrap();
    while stream.read(&mut [0; 4_096]).is_err() {
        reactor.turn(Some(SOON)).unwrap();
    }
    stream.write_all(b"R").unwrap();
    drop(stream);
    while reactor.with(|_, cx| cx.connections()) > 0 {
        reactor.turn(Some(SOON)).unwrap();
    }
    let _serving = Serving::run(reactor);
    echo(connect(&tcp).as_mut());
}

#[test]
fn more_listeners_than_can_be_handed_over_stay() {
    let directory = Directory::new();
    let mut reactor = reactor();
    for number in 0..65 {
        let addr = format!("unix:{}", directory.path(&number.to_string()).display());
        reactor.listen_with(&addr.parse().unwrap(), &Listen::raw()).unwrap();
    }
    offer(&mut reactor, &directory, Drain::default());
    let _serving = Serving::run(reactor);
    let error = Predecessor::find(&directory.at(), PATIENCE).unwrap_err();
    assert!(matches!(error, TakeoverError::HungUp { .. }), "{error}");
    echo(&mut unix(&directory.path("64")));
}

#[test]
fn a_reactor_that_listens_nowhere_else_has_nothing_to_hand_over() {
    let directory = Directory::new();
    let mut reactor = reactor();
    offer(&mut reactor, &directory, Drain::default());
    let _serving = Serving::run(reactor);
    let error = Predecessor::find(&directory.at(), PATIENCE).unwrap_err();
    assert!(matches!(error, TakeoverError::HungUp { .. }), "{error}");
}

#[test]
fn successors_are_listened_for_at_a_path_alone() {
    let directory = Directory::new();
    let mut reactor = reactor();
    let mut refused = |addr: &Addr, listen: Listen| {
        let refused = reactor.listen_with(addr, &listen);
        matches!(refused, Err(Error::Config(ConfigError::TakeoverElsewhere)))
    };
    assert!(refused(&"127.0.0.1:0".parse().unwrap(), Listen::takeover()));
    assert!(refused(&"unix:@gnezdo-takeover".parse().unwrap(), Listen::takeover()));
    let behind_proxies = Listen { proxy: Some(TrustedProxies::unix()), ..Listen::takeover() };
    assert!(refused(&directory.at().into(), behind_proxies));
    assert!(!refused(&directory.at().into(), Listen::takeover()));
}
