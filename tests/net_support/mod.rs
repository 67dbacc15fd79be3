//! What the tests of the sockets share: a directory that cleans up after itself, waiting for events, and children.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gnezdo::net::{
    Addr, ConnectOptions, Connecting, Event, Key, OsSystem, Peer, Readiness, SocketId, System, UnixAddr,
};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The variable that tells a test of this binary that it runs as a child, and with what.
pub(crate) const CHILD: &str = "GNEZDO_NET_CHILD";

/// A directory of its own, removed in the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gnezdo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn addr(&self, name: &str) -> Addr {
        unix(&self.path(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn unix(path: &Path) -> Addr {
    Addr::Unix(UnixAddr::path(path).unwrap())
}

/// Polls until an event of `key` has all of `wanted`, and answers with all bits seen for that key.
pub(crate) fn wait_for(system: &mut OsSystem, key: Key, wanted: Readiness) -> Readiness {
    let mut seen = Readiness::NONE;
    let began = Instant::now();
    while !seen.contains(wanted) {
        assert!(began.elapsed() < PATIENCE, "{wanted:?} did not come, only {seen:?}");
        let mut events: Vec<Event> = Vec::new();
        system.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        for event in events.iter().filter(|event| event.key == key) {
            seen |= event.readiness;
        }
    }
    seen
}

/// Accepts, waiting for somebody to come; the listener must not be registered.
pub(crate) fn accept(system: &mut OsSystem, listener: SocketId) -> (SocketId, Peer) {
    let began = Instant::now();
    loop {
        match system.accept(listener) {
            Ok(accepted) => return accepted,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a connection and answers with its socket.
pub(crate) fn connect(system: &mut OsSystem, addr: &Addr) -> SocketId {
    match system.connect(addr, &ConnectOptions::default()).unwrap() {
        Connecting::Established(socket) | Connecting::InProgress(socket) => socket,
        Connecting::Busy => unreachable!("the backlog is full"),
    }
}

/// Another process that runs one test of this binary.
pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    /// Runs `test` with `argument` after `shell` ("umask 0", "ulimit -n 40").
    pub(crate) fn start(test: &str, argument: &Path, shell: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Process { child, lines }
    }

    /// The rest of the next line that has `mark` in it.
    pub(crate) fn line(&mut self, mark: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the child ended without {mark:?}");
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Sends an empty line, for which the child waits.
    pub(crate) fn answer(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits until the child has ended well.
    pub(crate) fn finish(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }
}

/// Sends a signal by name.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The argument, if this process runs as a child.
pub(crate) fn child_argument() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}
