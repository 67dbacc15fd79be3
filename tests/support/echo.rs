//! The `echo` example, built for release, as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{PATIENCE, Target};

/// Where this build keeps its products: `target`, or what stands for it.
pub(crate) fn build_directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// The program under test: `GNEZDO_ECHO` if that is set (to try another one), else the example, built for release
/// whatever this test is built for, since what is measured is what users run.
pub(crate) fn echo_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("GNEZDO_ECHO").map_or_else(|| build("echo"), PathBuf::from))
}

/// An example, built for release.
pub(crate) fn build(example: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--example",
            example,
            "--message-format=json",
            "--quiet",
            "--target-dir",
        ])
        .arg(build_directory())
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the example {example} does not build");
    let messages = String::from_utf8(output.stdout).unwrap();
    // Of all that was built, only an example has an executable.
    let path = messages.lines().find_map(|line| line.split_once(r#""executable":""#)?.1.split_once('"'));
    PathBuf::from(path.unwrap().0)
}

/// A running echo server, killed in the end.
pub(crate) struct Echo {
    child: Child,
    /// The process of the server, which is the child or the child's child.
    pub(crate) process: u32,
    pub(crate) tcp: SocketAddr,
    pub(crate) unix: PathBuf,
    _lines: BufReader<ChildStdout>,
    directory: PathBuf,
}

impl Echo {
    /// Starts it with these options, on a free port and on a Unix-domain socket.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_under(&[], options)
    }

    /// Starts it as the last words of another command.
    pub(crate) fn start_under(wrapper: &[&str], options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("gnezdo-echo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let unix = directory.join("echo.sock");
        let program = echo_program().as_os_str();
        let mut words = wrapper.iter().map(std::ffi::OsStr::new).chain([program]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(options)
            .arg("127.0.0.1:0")
            .arg(format!("unix:{}", unix.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut tcp = None;
        for _ in 0..2 {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the server ended before it listened");
            tcp = tcp.or_else(|| line.trim().split_once(" ws://").map(|(_, addr)| addr.parse().unwrap()));
        }
        let process = if wrapper.is_empty() { child.id() } else { server_below(child.id()) };
        Echo { child, process, tcp: tcp.unwrap(), unix, _lines: lines, directory }
    }

    /// Both ways to reach it.
    pub(crate) fn targets(&self) -> [Target; 2] {
        [Target::Tcp(self.tcp), Target::Unix(self.unix.clone())]
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process.to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end, and answers with how it ended and after how long.
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let running = self.child.try_wait().is_ok_and(|status| status.is_none());
        if running && self.process != self.child.id() {
            let _ = Command::new("kill").args(["-s", "KILL", &self.process.to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The server below a wrapper: the wrapper itself, where that has replaced itself, else its child.
fn server_below(wrapper: u32) -> u32 {
    let program = echo_program().canonicalize().unwrap();
    let is_server = |process: u32| {
        let running = std::fs::read_link(format!("/proc/{process}/exe"));
        running.is_ok_and(|running| running == program) || std::env::var_os("GNEZDO_ECHO").is_some()
    };
    let children = processes().filter(|process| parent(*process) == Some(wrapper));
    let below = children.filter(|process| is_server(*process)).last();
    below.unwrap_or(wrapper)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
