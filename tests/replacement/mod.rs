//! The `takeover` example, replaced by its successors under load, and by one that is killed on its way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gnezdo::net::{Predecessor, UnixAddr};

use super::Example;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many clients come one after the other in each of so many threads: 200 in a second.
const THREADS: u64 = 32;
const PAUSE: Duration = Duration::from_millis(160);

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gnezdo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The first of its line, and where it listens.
fn first(directory: &Directory) -> (Example, SocketAddr, PathBuf) {
    let unix = directory.file("echo.sock");
    let arguments = [&directory.file("takeover"), "127.0.0.1:0", &format!("unix:{unix}")];
    let mut example = Example::start("takeover", &arguments);
    let [tcp, _unix, started] = [(); 3].map(|()| example.line());
    assert_eq!(started, "started");
    let tcp = tcp.rsplit_once(' ').unwrap().1.parse().unwrap();
    (example, tcp, unix.into())
}

/// The next one, which serves already.
fn successor(directory: &Directory) -> Example {
    let mut example = Example::start("takeover", &[&directory.file("takeover")]);
    let [_tcp, _unix, took_over] = [(); 3].map(|()| example.line());
    assert_eq!(took_over, "took over");
    example
}

trait Stream: Read + Write {
    fn end(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

fn connect(tcp: SocketAddr, unix: &Path, number: u64) -> io::Result<Box<dyn Stream>> {
    if number.is_multiple_of(2) {
        let stream = TcpStream::connect(tcp)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Box::new(stream))
    } else {
        let stream = UnixStream::connect(unix)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Box::new(stream))
    }
}

/// Says something, and hears the same.
fn echo(stream: &mut dyn Stream, said: &str) -> io::Result<()> {
    stream.write_all(said.as_bytes())?;
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard)?;
    if heard == said.as_bytes() { Ok(()) } else { Err(io::Error::other("another echo")) }
}

/// One client: it speaks at once, and once more after a while, and ends in good order.
fn visit(tcp: SocketAddr, unix: &Path, number: u64) -> io::Result<()> {
    let mut stream = connect(tcp, unix, number)?;
    echo(stream.as_mut(), &format!("client {number} is here"))?;
    std::thread::sleep(Duration::from_millis(number % 7 * 20));
    echo(stream.as_mut(), &format!("client {number} goes"))?;
    stream.end()?;
    if stream.read(&mut [0; 1])? == 0 { Ok(()) } else { Err(io::Error::other("more than an echo")) }
}

/// Lets clients come for as long as `act` takes; answers how many there were, within which time, and what went wrong.
fn under_load(tcp: SocketAddr, unix: &Path, act: impl FnOnce()) -> (u64, Duration, Vec<String>) {
    let (is_over, count, faults) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (is_over, count, faults) = (&is_over, &count, &faults);
            scope.spawn(move || {
                let mut next =
                    began + PAUSE * u32::try_from(thread).unwrap() / u32::try_from(THREADS).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    next += PAUSE;
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = visit(tcp, unix, number) {
                        faults.lock().unwrap().push(format!("client {number}: {error}"));
                    }
                }
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        is_over.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    (count.into_inner(), began.elapsed(), faults.into_inner().unwrap())
}

#[test]
fn a_server_is_replaced_under_load_and_nobody_is_refused_or_reset() {
    let directory = Directory::new("takeover-load");
    let (mut serving, tcp, unix) = first(&directory);
    let (clients, took, faults) = under_load(tcp, &unix, || {
        for number in 0..4 {
            // One that came before, and stays for a while after.
            let mut stays = connect(tcp, &unix, number).unwrap();
            echo(stays.as_mut(), "before").unwrap();
            std::thread::sleep(Duration::from_millis(700));
            let old = std::mem::replace(&mut serving, successor(&directory));
            echo(stays.as_mut(), "after").unwrap();
            drop(stays);
            let report = old.finish();
            assert!(report.contains(" closed, 0 cut, "), "{report}");
        }
    });
    println!("{clients} clients in {took:?}, and 4 takeovers");
    assert_eq!(faults, Vec::<String>::new());
    assert!(clients > 100);
}

#[test]
fn a_successor_that_is_killed_before_it_serves_changes_nothing() {
    let directory = Directory::new("takeover-killed");
    let (serving, tcp, unix) = first(&directory);
    let (clients, _, faults) = under_load(tcp, &unix, || {
        for _ in 0..3 {
            let mut hangs = Command::new(std::env::current_exe().unwrap());
            hangs.args(["--exact", "replacement::a_successor_that_hangs", "--nocapture"]);
            hangs.env(HANG, directory.file("takeover")).stdout(Stdio::piped());
            let mut hangs = hangs.spawn().unwrap();
            let mut said =
                io::BufRead::lines(io::BufReader::new(hangs.stdout.take().unwrap())).map(Result::unwrap);
            assert!(said.any(|line| line.contains("it has 2 listeners")));
            hangs.kill().unwrap();
            hangs.wait().unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    assert_eq!(faults, Vec::<String>::new());
    assert!(clients > 10);
    drop(successor(&directory));
    assert!(serving.finish().contains(" closed, 0 cut, "));
}

/// What the test above starts: it has the listeners, and never serves them.
#[test]
fn a_successor_that_hangs() {
    let Some(path) = std::env::var_os(HANG) else { return };
    let mut predecessor = Predecessor::find(&UnixAddr::path(path).unwrap(), PATIENCE).unwrap().unwrap();
    println!("it has {} listeners", predecessor.listeners().len());
    std::thread::sleep(10 * PATIENCE);
}

/// Names the path to a process that is to hang.
const HANG: &str = "GNEZDO_TAKEOVER_HANGS";
