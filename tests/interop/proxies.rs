//! HAProxy in front of a server in a thread of this process, and the `takeover` example as systemd starts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gnezdo::http::{Response, Status};
use gnezdo::{
    Answer, Config, ConnId, Context, Handler, Listen, ProxyError, Reactor, Request, TrustedProxies,
};
use libtest_mimic::{Failed, Trial};

use super::{build_directory, missing, output};
use crate::support::{PATIENCE, build};

/// A test by its name.
type Case = (&'static str, fn() -> Result<(), Failed>);

/// The cases of whichever of the programs is there.
pub(crate) fn trials() -> Vec<Trial> {
    let haproxy: [Case; 4] = [
        ("haproxy::version_1_tells_who_connects", || tells_who_connects("V1")),
        ("haproxy::version_2_tells_who_connects", || tells_who_connects("V2")),
        ("haproxy::version_2_before_http_tells_who_asks", tells_who_asks),
        ("haproxy::a_look_at_the_server_is_the_proxys_own", looks),
    ];
    let systemd: [Case; 1] = [("systemd::its_sockets_are_served_and_taken_over", is_activated)];
    let haproxy = of("haproxy", "-v", haproxy.into());
    haproxy.into_iter().chain(of("systemd-socket-activate", "--version", systemd.into())).collect()
}

/// The cases of a program, or one that says that it is missing.
fn of(program: &str, version: &str, cases: Vec<Case>) -> Vec<Trial> {
    match output(Command::new(program).arg(version)) {
        Ok(_) => cases.into_iter().map(|(name, case)| Trial::test(name, case)).collect(),
        Err(why) => vec![missing(program, why)],
    }
}

/// Says of each connection in which version its proxy spoke, and of whom.
struct Telling;

impl Handler for Telling {
    type Conn = ();
    type Post = ();

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, _bytes: &[u8]) {
        let said = told(cx, id);
        let _ = cx.send(id, said.as_str());
    }

    fn on_request(&mut self, cx: &mut Context<'_, Self>, id: ConnId, _request: &Request<'_>) -> Answer {
        Response::new(Status::OK).text(told(cx, id)).into()
    }

    fn on_proxy_error(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, error: &ProxyError) {
        eprintln!("refused: {error}");
        cx.stop();
    }
}

fn told(cx: &Context<'_, Telling>, id: ConnId) -> String {
    let version = cx.proxy_header(id).map(|header| header.version);
    format!("{:?} of {}\n", version.unwrap(), cx.peer(id).unwrap())
}

/// A process that is killed in the end, and what it was told to do.
struct Running {
    child: Child,
    file: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Where HAProxy listens: raw in version 1, raw in version 2, HTTP in version 2, and one that only looks.
struct Proxied {
    ports: [SocketAddr; 4],
    running: std::sync::Mutex<Option<Running>>,
}

/// Ends HAProxy, if it was started.
pub(crate) fn clean() {
    if let Some(proxied) = PROXIED.get() {
        drop(proxied.running.lock().unwrap().take());
    }
}

static PROXIED: OnceLock<Proxied> = OnceLock::new();

fn proxied() -> &'static Proxied {
    PROXIED.get_or_init(|| {
        let [raw, web] = server();
        // Whoever takes one of the ports in between is met by another try.
        let start = || {
            let ports = free_ports();
            let running = haproxy(&ports, raw, web)?;
            Some(Proxied { ports, running: std::sync::Mutex::new(Some(running)) })
        };
        (0..5).find_map(|_| start()).unwrap()
    })
}

/// Ports that nobody listened on a moment ago.
fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// A raw listener and one for HTTP, in a thread that ends with the process.
fn server() -> [SocketAddr; 2] {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut reactor = Reactor::new(Telling, Config::default()).unwrap();
        let proxy = TrustedProxies::networks(["127.0.0.1"]).ok();
        let listens =
            [Listen { proxy: proxy.clone(), ..Listen::raw() }, Listen { proxy, ..Listen::default() }];
        let addrs = listens.map(|listen| {
            let listening = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &listen).unwrap();
            listening.addr.as_tcp().unwrap()
        });
        tell.send(addrs).unwrap();
        reactor.run().unwrap();
    });
    told.recv().unwrap()
}

/// `None` where it ends before it listens.
fn haproxy(ports: &[SocketAddr; 4], raw: SocketAddr, web: SocketAddr) -> Option<Running> {
    let [v1, v2, http, looks] = ports;
    let config = format!(
        "defaults\n mode tcp\n timeout connect 30s\n timeout client 60s\n timeout server 60s\n\
         listen v1\n bind {v1}\n server s {raw} send-proxy\n\
         listen v2\n bind {v2}\n server s {raw} send-proxy-v2 proxy-v2-options crc32c\n\
         listen http\n mode http\n bind {http}\n server s {web} send-proxy-v2\n\
         listen looks\n bind {looks}\n option tcp-check\n tcp-check connect send-proxy\n\
         \x20tcp-check send look\n tcp-check expect rstring ^V[12].of.127\n\
         \x20server s {raw} send-proxy-v2 check inter 100ms fall 1 rise 1\n"
    );
    let file = build_directory().join(format!("interop-haproxy-{}.cfg", std::process::id()));
    std::fs::write(&file, config).unwrap();
    let child = Command::new("haproxy").args(["-db", "-f"]).arg(&file).stdin(Stdio::null()).spawn().unwrap();
    let mut running = Running { child, file };
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(v1).is_err() {
        if running.child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < end, "HAProxy does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(running)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn expect(said: &str, expected: &str) -> Result<(), Failed> {
    if said == expected { Ok(()) } else { Err(format!("{said:?} instead of {expected:?}").into()) }
}

fn tells_who_connects(version: &str) -> Result<(), Failed> {
    let proxied = proxied();
    for _ in 0..20 {
        let mut stream = connect(proxied.ports[usize::from(version == "V2")]);
        stream.write_all(b"who am I?")?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        expect(&line, &format!("{version} of {}\n", stream.local_addr()?))?;
    }
    Ok(())
}

fn tells_who_asks() -> Result<(), Failed> {
    let mut stream = connect(proxied().ports[2]);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").ok_or("no answer")?.1;
    expect(body, &format!("V2 of {}\n", stream.local_addr()?))
}

/// A server that did not answer the look would be taken out of service.
fn looks() -> Result<(), Failed> {
    let proxied = proxied();
    // So that it has looked some times.
    std::thread::sleep(Duration::from_secs(1));
    let mut stream = connect(proxied.ports[3]);
    stream.write_all(b"who am I?")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    expect(&line, &format!("V2 of {}\n", stream.local_addr()?))
}

/// Both sockets of a unit, first in the process that systemd starts, then in one that takes it over.
fn is_activated() -> Result<(), Failed> {
    let directory = std::env::temp_dir().join(format!("gnezdo-activated-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let (unix, takeover) = (directory.join("echo.sock"), directory.join("takeover"));
    let [tcp] = free_ports();
    let program = build("takeover");
    let mut activated = Command::new("systemd-socket-activate");
    activated.args(["-l", &tcp.to_string(), "-l"]).arg(&unix).arg("--fdname=tcp:unix");
    activated.arg(&program).arg(&takeover).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut activated = Running { child: activated.spawn()?, file: unix.clone() };
    let end = Instant::now() + PATIENCE;
    // What connects is served by the process that it starts.
    let first = loop {
        match TcpStream::connect(tcp) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() >= end => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    first.set_read_timeout(Some(PATIENCE))?;
    echo(first)?;
    let mut said = BufReader::new(activated.child.stdout.take().unwrap()).lines();
    for expected in [format!("listening on {tcp}"), format!("listening on unix:{}", unix.display())] {
        expect(&said.next().ok_or("it ended")??, &expected)?;
    }
    echo(unix_client(&unix)?)?;
    expect(&said.next().ok_or("it ended")??, "started")?;
    let mut successor = Command::new(&program);
    let successor = successor.arg(&takeover).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut successor = Running { child: successor, file: takeover };
    let mut lines = BufReader::new(successor.child.stdout.take().unwrap()).lines();
    while lines.next().ok_or("the successor ended")?? != "took over" {}
    if !activated.child.wait()?.success() {
        return Err("the first one failed".into());
    }
    echo(connect(tcp))?;
    echo(unix_client(&unix)?)?;
    drop((successor, activated));
    Ok(std::fs::remove_dir_all(directory)?)
}

fn unix_client(path: &PathBuf) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn echo(mut stream: impl Read + Write) -> Result<(), Failed> {
    let mut heard = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut heard)?;
    if &heard == b"hello" { Ok(()) } else { Err("another echo".into()) }
}
