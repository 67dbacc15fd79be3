//! Every example, run as its header says, and talked to.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

#[cfg(target_os = "linux")]
mod replacement;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor};

/// Where the examples lie, built with the profile of this test.
fn examples() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let release = !cfg!(debug_assertions);
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--examples", "--manifest-path"]);
        build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).arg("--target-dir").arg(target);
        build.args(release.then_some("--release"));
        // Those of this test itself, so that nothing is built twice.
        let features = [
            (cfg!(feature = "sim"), "sim"),
            (cfg!(feature = "tls"), "tls"),
            (cfg!(feature = "tls-aws-lc"), "tls-aws-lc"),
        ];
        build.args(features.into_iter().filter(|(is_on, _)| *is_on).flat_map(|(_, it)| ["--features", it]));
        assert!(build.status().unwrap().success(), "the examples do not build");
        target.join(if release { "release" } else { "debug" }).join("examples")
    })
}

/// A running example, killed in the end.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(examples().join(name));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// A server on a free port, and where it listens.
    fn server(name: &str, arguments: &[&str]) -> (Self, String) {
        let mut example = Self::start(name, arguments);
        let line = example.line();
        let addr = line.rsplit_once(' ').unwrap().1;
        let addr = addr.rsplit_once("//").map_or(addr, |(_, addr)| addr).to_owned();
        (example, addr)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the example ended");
        line.trim_end().to_owned()
    }

    fn say(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends its input, and answers with the rest of its output; it has to end well.
    fn finish(mut self) -> String {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

#[cfg(feature = "_tls")]
impl Example {
    /// As [`Example::finish`], for one that has to fail.
    fn finish_badly(mut self) -> String {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(!self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn client_sends_lines_to_echo_and_prints_what_comes_back() {
    let (_echo, addr) = Example::server("echo", &["127.0.0.1:0"]);
    let mut client = Example::start("client", &[&format!("ws://{addr}/")]);
    client.say("hello\n");
    assert_eq!(client.line(), "hello");
    client.say("мир\n");
    assert_eq!(client.line(), "мир");
    assert_eq!(client.finish(), "");
}

fn thread_names(process: u32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let name = |thread: PathBuf| std::fs::read_to_string(thread.join("comm")).unwrap().trim().to_owned();
    threads.map(|thread| name(thread.unwrap().path())).collect()
}

#[test]
fn echo_serves_on_several_threads_and_closes_them_all() {
    let directory = TempDir::new("threads");
    let path = format!("unix:{}", directory.0.join("echo.sock").display());
    let (mut echo, addr) = Example::server("echo", &["--threads", "2", "127.0.0.1:0", &path]);
    assert!(echo.line().ends_with(&path));
    let urls = [format!("ws://{addr}/"), format!("ws+{path}:/")];
    let mut clients: Vec<Example> =
        urls.iter().cycle().take(6).map(|url| Example::start("client", &[url])).collect();
    for client in &mut clients {
        client.say("hello\n");
        assert_eq!(client.line(), "hello");
    }
    let names = thread_names(echo.child.id());
    assert!(names.contains(&"gnezdo-1".to_owned()) && !names.contains(&"gnezdo-2".to_owned()), "{names:?}");
    assert!(Command::new("kill").arg(echo.child.id().to_string()).status().unwrap().success());
    assert!(echo.line().starts_with("6 connections closed, 0 cut, in "));
    assert!(echo.child.wait().unwrap().success());
}

#[test]
#[cfg(feature = "_tls")]
fn client_trusts_the_certificate_that_tls_echo_made() {
    let mut echo = Example::start("tls_echo", &["127.0.0.1:0"]);
    let (certificate, listening) = (echo.line(), echo.line());
    let certificate = certificate.strip_prefix("certificate ").unwrap();
    let url = listening.strip_prefix("listening on ").unwrap();
    let mut client = Example::start("client", &["--ca", certificate, url]);
    client.say("secret\n");
    assert_eq!(client.line(), "secret");
    assert_eq!(client.finish(), "");
    let stranger = Example::start("client", &[url]).finish_badly();
    std::fs::remove_file(certificate).unwrap();
    assert_eq!(stranger, "", "nothing was said to whom nobody trusts");
}

#[test]
fn client_comes_back_when_it_is_told_to() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut client = Example::start("client", &["--reconnect", &format!("ws://{addr}/")]);
    client.say("patient\n");
    std::thread::sleep(Duration::from_millis(300));
    let (echo, _) = Example::server("echo", &[&addr]);
    assert_eq!(client.line(), "patient");
    drop(echo);
    let _echo = Example::server("echo", &[&addr]);
    // What is said before the client knows that the first one is gone is lost with it.
    let (mut input, (told, hears)) = (client.input.take().unwrap(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while hears.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                input.write_all(b"again\n").unwrap();
            }
        });
        assert_eq!(client.line(), "again");
        drop(told);
    });
}

/// What an example said to its end: on standard output, or, where it failed, on standard error.
fn said(name: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(examples().join(name));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let [said, failed] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(!failed.contains("panicked"), "{failed}");
    if output.status.success() { Ok(said) } else { Err(failed) }
}

#[test]
fn every_example_with_arguments_helps() {
    let names =
        ["echo", "tcp_echo", "client", "proxy", "embed", "remote", "chat", "ticker", "metrics", "takeover"];
    for name in names {
        let help = said(name, &["--help"]).unwrap();
        assert!(help.contains(&format!("usage: {name}")), "{help}");
    }
}

#[test]
fn every_example_says_what_is_wrong_with_its_arguments() {
    for (name, arguments, cure) in [
        ("client", &[][..], "--help"),
        ("client", &["http://127.0.0.1/"], "`ws://host:port/path`"),
        ("client", &["ws://127.0.0.1:1/", "more"], "more"),
        ("client", &["--ping", "soon", "ws://127.0.0.1:1/"], "soon"),
        ("client", &["--no-such"], "--no-such"),
        ("proxy", &["127.0.0.1:0"], "--help"),
        ("proxy", &["127.0.0.1:0", "tcp://nowhere"], "no port"),
        ("embed", &["nowhere"], "no port"),
        ("remote", &["nowhere"], "no port"),
        ("chat", &["nowhere"], "no port"),
        ("metrics", &["nowhere"], "no port"),
        ("ticker", &["--rounds", "many"], "many"),
        ("takeover", &[], "--help"),
        ("takeover", &["/nowhere/at/all", "nowhere"], "no port"),
    ] {
        let failed = said(name, arguments).unwrap_err();
        assert!(failed.starts_with(&format!("{name}: ")) && failed.contains(cure), "{arguments:?}: {failed}");
    }
}

#[test]
#[cfg(not(feature = "_tls"))]
fn client_says_what_to_do_without_tls() {
    let failed = said("client", &["wss://127.0.0.1/"]).unwrap_err();
    assert!(failed.contains("TLS proxy"), "{failed}");
}

#[test]
fn client_names_what_it_could_not_reach_and_fails() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging_up = silent.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || drop(silent.accept().unwrap()));
    for (url, why) in [
        (format!("ws://{addr}/"), "nobody listens"),
        (format!("ws://{hanging_up}/"), "client: "),
        ("ws://does-not-exist.invalid/".to_owned(), "cannot be resolved"),
        ("ws+unix:/nowhere/at/all.sock:/".to_owned(), "no socket"),
    ] {
        let failed = said("client", &[&url]).unwrap_err();
        assert!(failed.contains(&url) && failed.contains(why), "{failed}");
    }
    server.join().unwrap();
}

#[test]
fn client_tells_each_attempt() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(examples().join("client"));
    command.args(["--reconnect", &format!("ws://{addr}/")]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut lines = BufReader::new(client.stderr.take().unwrap()).lines();
    for _ in 0..3 {
        let [failed, next] = [(); 2].map(|()| lines.next().unwrap().unwrap());
        assert!(failed.contains(&addr) && failed.contains("nobody listens"), "{failed}");
        assert!(next.starts_with("client: trying again in "), "{next}");
    }
    let _echo = Example::server("echo", &[&addr]);
    let connected = lines.map(Result::unwrap).any(|line| line.contains("connected to"));
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(connected);
}

/// A server that is silent for two seconds would be given up, if it did not answer the ping.
#[test]
fn client_pings_a_silent_server() {
    let (_echo, addr) = Example::server("echo", &["127.0.0.1:0"]);
    let mut client = Example::start("client", &["--ping", "1", &format!("ws://{addr}/")]);
    client.say("hello\n");
    assert_eq!(client.line(), "hello");
    std::thread::sleep(Duration::from_millis(2_500));
    client.say("still here\n");
    assert_eq!(client.line(), "still here");
}

#[test]
fn client_ends_in_silence_where_nobody_reads_what_it_prints() {
    let (_echo, addr) = Example::server("echo", &["127.0.0.1:0"]);
    let mut command = Command::new(examples().join("client"));
    command.arg(format!("ws://{addr}/")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    drop(client.stdout.take());
    client.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    client.wait().unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn proxy_bridges_websocket_to_bytes() {
    let (_service, service) = Example::server("tcp_echo", &["127.0.0.1:0"]);
    let (_proxy, addr) = Example::server("proxy", &["127.0.0.1:0", &format!("tcp://{service}")]);
    let mut client = Example::start("client", &[&format!("ws://{addr}/")]);
    client.say("hello\n");
    assert_eq!(client.line(), "68656c6c6f", "bytes come back as a binary message");
    assert_eq!(client.finish(), "");
}

#[test]
fn proxy_bridges_bytes_to_websocket() {
    let (_echo, echo) = Example::server("echo", &["127.0.0.1:0"]);
    let (_proxy, addr) = Example::server("proxy", &["--raw", "127.0.0.1:0", &format!("ws://{echo}/")]);
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

#[test]
fn proxy_carries_much_to_a_slow_reader_and_passes_a_half_close_on() {
    let (_service, service) = Example::server("tcp_echo", &["127.0.0.1:0"]);
    let (_proxy, addr) = Example::server("proxy", &["--raw", "127.0.0.1:0", &format!("tcp://{service}")]);
    let sent: Vec<u8> =
        (0..8u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let mut stream = TcpStream::connect(addr).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    std::thread::sleep(Duration::from_millis(500)); // nothing is read yet: everything in between has to wait
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "byte for byte");
}

#[test]
fn embed_echoes_from_inside_a_foreign_loop() {
    let (_embed, addr) = Example::server("embed", &["127.0.0.1:0"]);
    let mut client = Example::start("client", &[&format!("ws://{addr}/")]);
    client.say("hello\n");
    assert_eq!(client.line(), "hello");
}

#[test]
fn remote_gives_the_ticks_of_another_thread_to_everybody() {
    let (_remote, addr) = Example::server("remote", &["127.0.0.1:0"]);
    let mut clients = [(); 3].map(|()| Example::start("client", &[&format!("ws://{addr}/")]));
    for client in &mut clients {
        let first: u64 = client.line().strip_prefix("tick ").unwrap().parse().unwrap();
        assert_eq!(client.line(), format!("tick {}", first + 1));
    }
}

#[test]
fn chat_has_rooms_names_and_a_memory() {
    let (_chat, addr) = Example::server("chat", &["127.0.0.1:0"]);
    let guest =
        |room: &str, name: &str| Example::start("client", &[&format!("ws://{addr}/{room}?name={name}")]);
    let mut anna = guest("attic", "anna");
    anna.say("anybody?\n");
    let mut other_room = guest("cellar", "carl");
    // What a guest says, others hear, and those who come later; carl hears none of it.
    let mut boris = guest("attic", "boris");
    assert_eq!([boris.line(), boris.line()], ["anna: is here", "anna: anybody?"]);
    boris.say("I am\n");
    while anna.line() != "boris: I am" {}
    let mut dora = cookie_guest(&addr, "/attic", "dora");
    while dora.next().unwrap() != "boris: I am" {}
    while boris.line() != "dora: is here" {}
    let mut carla = guest("cellar", "carla");
    assert_eq!(carla.line(), "carl: is here");
    assert_eq!(other_room.line(), "carla: is here");
    assert!(said("client", &[&format!("ws://{addr}/attic")]).unwrap_err().contains("400"));
    assert!(said("client", &[&format!("ws://{addr}/attic?name=<b>")]).unwrap_err().contains("400"));
}

/// The texts that somebody hears who says its name by a cookie.
fn cookie_guest(addr: &str, path: &str, name: &str) -> impl Iterator<Item = String> {
    let mut stream = TcpStream::connect(addr).unwrap();
    upgrade(&mut stream, path, &format!("Cookie: a=b; name={name}\r\n"));
    texts(stream)
}

/// Asks for a WebSocket, and reads the answer to its end.
fn upgrade(stream: &mut (impl Read + Write), path: &str, more: &str) {
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}{more}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
}

/// The messages of a server, all of them short texts.
fn texts(stream: impl Read) -> impl Iterator<Item = String> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    std::iter::from_fn(move || {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        assert!(head[0] == 0x81 && head[1] < 126, "{head:?}");
        let mut text = vec![0; usize::from(head[1])];
        stream.read_exact(&mut text).ok()?;
        String::from_utf8(text).ok()
    })
}

#[test]
fn chat_cuts_off_who_does_not_keep_up() {
    let directory = TempDir::new("chat");
    let path = directory.0.join("chat.sock");
    let (_chat, _) = Example::server("chat", &[&format!("unix:{}", path.display())]);
    let mut slow = UnixStream::connect(&path).unwrap();
    upgrade(&mut slow, "/attic?name=slow", "");
    let mut anna = Example::start("client", &[&format!("ws+unix:{}:/attic?name=anna", path.display())]);
    assert_eq!(anna.line(), "slow: is here");
    for _ in 0..1_000 {
        anna.say(&("x".repeat(4_000) + "\n"));
    }
    assert_eq!(anna.line(), "slow: has left");
}

#[test]
fn ticker_shows_a_slow_reader_the_latest_of_each_price() {
    const ROUNDS: u32 = 30;
    const SYMBOLS: usize = 10_000;
    let directory = TempDir::new("ticker");
    let path = directory.0.join("ticker.sock");
    let rounds = ROUNDS.to_string();
    let (_ticker, _) = Example::server("ticker", &["--rounds", &rounds, &format!("unix:{}", path.display())]);
    let reader = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        upgrade(&mut stream, "/", "");
        texts(stream)
    };
    // The slow one does not read before the healthy one has seen the last of every price.
    let slow = reader();
    for (reader, most) in [(reader(), usize::MAX), (slow, SYMBOLS * ROUNDS as usize / 2)] {
        let (mut prices, mut resting, mut heard) = (vec![None; SYMBOLS], 0, 0);
        for text in reader {
            let (symbol, change) = text.split_once(" @").unwrap();
            let symbol: usize = symbol[1..5].parse().unwrap();
            let change: u32 = change.parse().unwrap();
            assert!(prices[symbol] < Some(change), "{text} after {:?}", prices[symbol]);
            prices[symbol] = Some(change);
            resting += usize::from(change == ROUNDS);
            heard += 1;
            if resting == SYMBOLS {
                break;
            }
        }
        assert_eq!(resting, SYMBOLS);
        println!("{heard} of {} messages", SYMBOLS * (ROUNDS as usize + 1));
        assert!(heard < most, "nothing was left out");
    }
}

#[test]
fn load_measures_an_echo_and_compares_every_byte() {
    let (_echo, addr) = Example::server("echo", &["127.0.0.1:0"]);
    for more in [["--connections", "9"], ["--in-flight", "5"], ["--rate", "200"], ["--size", "100000"]] {
        let url = format!("ws://{addr}/");
        let said =
            load(&["--json", "--utf8", "--warm-up", "0.1", "--seconds", "0.3", more[0], more[1], &url]);
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert!(said["messages"].as_u64().unwrap() > 0, "{said}");
        let (service, response) = (&said["service_us"]["p50"], &said["response_us"]["p50"]);
        assert!(service.as_f64().unwrap() > 1.0 && response.as_f64() >= service.as_f64(), "{said}");
    }
}

#[test]
fn load_runs_on_demand_over_unix_sockets() {
    let directory = TempDir::new("load");
    let path = format!("unix:{}", directory.0.join("echo.sock").display());
    let (_echo, _) = Example::server("echo", &[&path]);
    let mut load = Example::start("load", &["--on-demand", "--active", "2", &format!("ws+{path}:/")]);
    assert_eq!(load.line(), "{\"connections\":32}");
    for _ in 0..2 {
        load.say("0.1\n");
        assert!(load.line().contains("\"active\":2,"));
    }
    assert_eq!(load.finish(), "");
}

#[test]
fn load_fails_at_the_first_wrong_byte() {
    let mut reactor = Reactor::new(Liar { told: 0 }, Config::default()).unwrap();
    let addr = reactor.listen(&"127.0.0.1:0".parse().unwrap()).unwrap().addr;
    let remote = reactor.remote();
    let server = std::thread::spawn(move || reactor.run().unwrap());
    let output = load(&["--connections", "3", "--warm-up", "0", "--seconds", "20", &format!("ws://{addr}/")]);
    remote.stop().unwrap();
    server.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not what was sent"), "{said}");
}

fn load(arguments: &[&str]) -> Output {
    Command::new(examples().join("load")).args(arguments).output().unwrap()
}

/// An echo whose hundredth answer has a bit turned.
struct Liar {
    told: usize,
}

impl Handler for Liar {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let mut answer = message.as_bytes().to_vec();
        self.told += 1;
        if self.told == 100 {
            answer[7] ^= 1;
        }
        let _ = cx.send(id, &answer);
    }
}

/// A directory of one test, removed in the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gnezdo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn timers_beat_are_cancelled_and_end() {
    let said = Example::start("timers", &[]).finish();
    assert!(said.contains("cancelled: true") && !said.contains("never printed"), "{said}");
    // On a busy machine each beat is a little later, and fewer come before the end.
    let is_the_end = (1..=4).any(|beats| said.contains(&format!("the end, after {beats} beats")));
    assert!(is_the_end, "{said}");
}

#[test]
fn metrics_are_written_as_prometheus_reads_them() {
    let (_metrics, addr) = Example::server("metrics", &["127.0.0.1:0"]);
    let mut stream = TcpStream::connect(&addr).unwrap();
    upgrade(&mut stream, "/", "");
    for word in ["one", "two"] {
        stream.write_all(&[&[0x81, 0x83, 0, 0, 0, 0], word.as_bytes()].concat()).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[2..], word.as_bytes());
    }
    let (head, page) = page(&addr, "/metrics");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    let families = families(&page);
    let value = |family: &str, series: &str| families[family].1[series];
    assert_eq!(value("gnezdo_connections", "gnezdo_connections").to_string(), "2");
    assert_eq!(value("gnezdo_arrivals_total", "gnezdo_arrivals_total{how=\"accepted\"}").to_string(), "2");
    assert_eq!(value("gnezdo_received_total", "gnezdo_received_total{kind=\"texts\"}").to_string(), "2");
    assert_eq!(value("gnezdo_sent_total", "gnezdo_sent_total{kind=\"texts\"}").to_string(), "2");
    assert_eq!(
        value("gnezdo_requests_total", "gnezdo_requests_total{outcome=\"accepted\"}").to_string(),
        "1"
    );
    assert!(value("gnezdo_turns_total", "gnezdo_turns_total") >= 5.0, "{page}");
    check_histogram(&families, "gnezdo_turn_seconds");
    let (head, _) = self::page(&addr, "/elsewhere");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

/// The head and the body of an answer.
fn page(addr: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (format!("{head}\r\n"), body.to_owned())
}

/// The type of each family of metrics, and the value of each of its series.
type Families<'p> = BTreeMap<&'p str, (&'p str, BTreeMap<&'p str, f64>)>;

/// Reads the text-based exposition format, version 0.0.4, as strictly as it can be read.
fn families(page: &str) -> Families<'_> {
    assert!(page.ends_with('\n'), "the last line has an end");
    let (mut families, mut lines) = (Families::new(), page.lines().peekable());
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(is_name(name) && !help.is_empty(), "{line}");
        let (typed, kind) = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().split_once(' ').unwrap();
        assert_eq!(name, typed);
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let mut all = BTreeMap::new();
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = sample.rsplit_once(' ').unwrap();
            let (of, labels) = series.split_once('{').unwrap_or((series, "}"));
            let suffix = of.strip_prefix(name).unwrap();
            let is_part = ["_bucket", "_sum", "_count"].contains(&suffix);
            assert_eq!(is_part, kind == "histogram", "{sample}");
            assert!(suffix.is_empty() || is_part, "{sample}");
            let labels = labels.strip_suffix('}').unwrap();
            assert!(labels.is_empty() || is_label(labels), "{sample}");
            assert!(all.insert(series, value.parse().unwrap()).is_none(), "{series} comes twice");
        }
        assert!(!all.is_empty(), "{name} has no value");
        assert!(families.insert(name, (kind, all)).is_none(), "{name} comes twice");
    }
    families
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

/// One label is all that is needed here.
fn is_label(label: &str) -> bool {
    let value = |text: &str| text.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    let (name, text) = label.split_once('=').unwrap();
    is_name(name) && value(text).is_some_and(|value| !value.contains(['"', '\\', '\n']))
}

/// The buckets of a histogram grow, and the last of them has all.
fn check_histogram(families: &Families<'_>, name: &str) {
    let (kind, series) = &families[name];
    assert_eq!(*kind, "histogram");
    let bound = |series: &str| series.split('"').nth(1).map(|bound| bound.parse::<f64>().unwrap());
    let mut buckets: Vec<(f64, f64)> =
        series.iter().filter_map(|(series, count)| Some((bound(series)?, *count))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1), "{buckets:?}");
    let (last, all) = buckets[buckets.len() - 1];
    assert_eq!((last, all), (f64::INFINITY, series[format!("{name}_count").as_str()]));
    assert!(all >= 1.0 && series[format!("{name}_sum").as_str()] > 0.0, "{buckets:?}");
}
