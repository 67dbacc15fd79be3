//! The subscribers of a topic, all in one process: `subscribers COUNT SIZE ADDR`. Each line of standard input is a number of
//! seconds: for so long one of them publishes messages, the next when all have the last, and a line of JSON says how that
//! went. Every byte is compared. It knows of the server that what one says all hear, each message in one frame.
//!
//! They are read in an order of chance. A reader that waited for the one who is served next would be woken by every send,
//! and the server would pay for it; so it has to wait a few times for each message, whatever order the server has.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gnezdo::ws::{FrameHeader, Kind, MaskKey, mask};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() {
    if let Err(error) = run() {
        eprintln!("subscribers: {error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, size, addr] = arguments.as_slice() else {
        return Err("usage: subscribers COUNT SIZE ADDR".into());
    };
    let mut crowd = Crowd::open(count.parse()?, size.parse()?, addr)?;
    println!("{}", json!({ "connections": crowd.subscribers.len() }));
    for line in std::io::stdin().lines() {
        let span = Duration::try_from_secs_f64(line?.trim().parse()?)?;
        println!("{}", crowd.publish_for(span)?);
    }
    Ok(())
}

trait Socket: Read + Write {}

impl<S: Read + Write> Socket for S {}

struct Crowd {
    subscribers: Vec<Box<dyn Socket>>,
    /// The next message.
    payload: Vec<u8>,
    /// A subscriber's, to read into.
    room: Vec<u8>,
}

impl Crowd {
    fn open(count: usize, size: usize, addr: &str) -> Outcome<Self> {
        let mut subscribers = (0..count).map(|_| subscriber(addr)).collect::<Outcome<Vec<_>>>()?;
        fastrand::shuffle(&mut subscribers);
        let payload = std::iter::repeat_with(|| fastrand::u8(..)).take(size).collect();
        Ok(Self { subscribers, payload, room: Vec::new() })
    }

    /// At least one message.
    fn publish_for(&mut self, span: Duration) -> Outcome<Value> {
        let (began, cpu_before, mut messages) = (Instant::now(), own_cpu()?, 0);
        while messages == 0 || began.elapsed() < span {
            self.publish()?;
            messages += self.subscribers.len();
        }
        let messages = messages as f64;
        Ok(json!({
            "messages": messages,
            "messages_per_second": messages / began.elapsed().as_secs_f64(),
            "own_cpu_ns_per_message": (own_cpu()? - cpu_before) as f64 / messages,
        }))
    }

    /// Says something that was not said before, and hears it on every connection.
    fn publish(&mut self) -> Outcome<()> {
        self.payload.rotate_left(1);
        for (byte, more) in self.payload.iter_mut().zip(fastrand::u64(..).to_le_bytes()) {
            *byte ^= more;
        }
        let said = frame(&self.payload, Some(MaskKey(fastrand::u32(..).to_le_bytes())));
        let expected = frame(&self.payload, None);
        self.room.resize(expected.len(), 0);
        self.subscribers.first_mut().ok_or("nobody is there")?.write_all(&said)?;
        for subscriber in &mut self.subscribers {
            subscriber.read_exact(&mut self.room)?;
            if self.room != expected {
                return Err("a subscriber did not hear what was said".into());
            }
        }
        Ok(())
    }
}

/// A connection that is open.
fn subscriber(addr: &str) -> Outcome<Box<dyn Socket>> {
    let mut socket = connect(addr)?;
    socket.write_all(REQUEST)?;
    let mut head = Vec::new();
    // Nothing is read of what may follow.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(String::from_utf8_lossy(&head).into());
    }
    Ok(socket)
}

fn connect(addr: &str) -> Outcome<Box<dyn Socket>> {
    if let Some(path) = addr.strip_prefix("unix:") {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        return Ok(Box::new(socket));
    }
    let socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(Box::new(socket))
}

/// A whole message as its sender puts it: a client masks it.
fn frame(payload: &[u8], key: Option<MaskKey>) -> Vec<u8> {
    let header = FrameHeader { mask: key, ..FrameHeader::message(Kind::Binary, payload.len() as u64) };
    let head = header.encode();
    let mut frame = [head.as_bytes(), payload].concat();
    if let Some(key) = key {
        mask(&mut frame[head.as_bytes().len()..], key);
    }
    frame
}

/// Nanoseconds of processor time of this process, which has one thread.
fn own_cpu() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Until a message counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
