//! A WebSocket client of few words over a blocking socket: it says what a test tells it to, right or wrong.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// What RFC 6455 §1.3 computes from that key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// RFC 6455 §5.2: the bit that says so.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Where a server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Target {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Target::Tcp(_) => "TCP",
            Target::Unix(_) => "Unix",
        }
    }

    pub(crate) fn connect(&self) -> Result<Stream> {
        match self {
            Target::Tcp(addr) => TcpStream::connect(addr).and_then(Stream::tcp),
            Target::Unix(path) => UnixStream::connect(path).and_then(Stream::unix),
        }
    }

    /// Connects from 127.0.0.`host`: the kernel finds free ports fast only while there are few of an address.
    pub(crate) fn connect_from(&self, host: u8) -> Result<Stream> {
        let Target::Tcp(addr) = self else { return self.connect() };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0).into())?;
        socket.connect(&(*addr).into())?;
        Stream::tcp(socket.into())
    }

    /// Connects with as small a receive buffer as is asked for.
    pub(crate) fn connect_narrow(&self, receive_buffer: usize) -> Result<Stream> {
        let Target::Tcp(addr) = self else { return self.connect() };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(receive_buffer)?;
        socket.connect(&(*addr).into())?;
        Stream::tcp(socket.into())
    }
}

/// A connected socket of either kind; no call on it blocks for ever.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn tcp(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Stream::Tcp(stream))
    }

    fn unix(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Stream::Unix(stream))
    }

    /// The same connection, to write to it while another thread reads.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().unwrap()),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone().unwrap()),
        }
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(nonblocking).unwrap(),
            Stream::Unix(stream) => stream.set_nonblocking(nonblocking).unwrap(),
        }
    }

    pub(crate) fn request(&mut self) {
        self.write_all(REQUEST).unwrap();
    }

    /// Reads the answer to the request, and not one byte more.
    pub(crate) fn upgraded(&mut self) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
    }

    /// Writes until the peer takes no more, in spite of some patience, or everything is written; answers with how
    /// much that was, and the error that ended it otherwise.
    pub(crate) fn flood(&mut self, bytes: &[u8]) -> (usize, Option<ErrorKind>) {
        self.set_nonblocking(true);
        let (mut written, mut refused) = (0, 0);
        let mut failed = None;
        while written < bytes.len() && refused < 25 {
            match self.write(&bytes[written..]) {
                Ok(count) => (written, refused) = (written + count, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => {
                    failed = Some(error.kind());
                    break;
                }
            }
        }
        self.set_nonblocking(false);
        (written, failed)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(buffer),
            Stream::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A frame that came from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code, if this is a close frame with one.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().filter(|_| self.opcode == CLOSE)?;
        Some(u16::from_be_bytes(*code))
    }
}

/// An open WebSocket connection.
pub(crate) struct Client {
    pub(crate) stream: Stream,
}

impl Client {
    pub(crate) fn connect(target: &Target) -> Self {
        Self::open(target.connect().unwrap())
    }

    pub(crate) fn open(mut stream: Stream) -> Self {
        stream.request();
        stream.upgraded();
        Client { stream }
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.stream.write_all(&frame(opcode, payload)).unwrap();
    }

    /// The next frame.
    pub(crate) fn receive(&mut self) -> Frame {
        self.try_receive().unwrap()
    }

    pub(crate) fn try_receive(&mut self) -> Result<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!(head[0] & 0xF0, 0x80, "neither fragments nor extensions were asked for");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { opcode: head[0] & 0x0F, payload })
    }

    /// Sends a message and checks that it comes back.
    pub(crate) fn echoed(&mut self, payload: &[u8]) {
        self.send(BINARY, payload);
        assert!(
            self.receive() == Frame { opcode: BINARY, payload: payload.to_vec() },
            "another message came"
        );
    }
}

/// A masked final frame.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    fragment(0x80 | opcode, payload)
}

/// A masked frame with this first byte.
pub(crate) fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => bytes.push(MASKED | length),
        (_, Ok(length)) => {
            bytes.push(MASKED | 0x7e);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 0x7f);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
