//! A client that blocks, reads strictly and sends whatever it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gnezdo::Addr;

use super::{CLOSE, CONTINUATION, Frame, PATIENCE, PONG, SOON, Server, TEXT};

/// The example of RFC 6455 §1.3: a key and what is to be answered to it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The lines of a request that nothing is wrong with.
pub(crate) const GOOD: [&str; 6] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// A head of these lines.
pub(crate) fn request(lines: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// The good request with more lines.
pub(crate) fn upgrade_request(more: &[&str]) -> Vec<u8> {
    request(&[&GOOD[..], more].concat())
}

/// What came back over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of the only line of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
        let headers = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header line: {line:?}"));
            assert!(!line.contains(['\r', '\n']), "a lone line end in {line:?}");
            (name.to_owned(), value.to_owned())
        });
        Self { status: status[..3].parse().unwrap(), headers: headers.collect(), body: Vec::new() }
    }
}

/// How the server's half of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
    /// Not within the time.
    Open,
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(crate) struct Client {
    wire: Wire,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
    end: End,
}

impl Client {
    /// Connected, with nothing said.
    pub(crate) fn silent(server: &Server) -> Self {
        Self::to(&server.addrs[0])
    }

    pub(crate) fn to(addr: &Addr) -> Self {
        match addr {
            Addr::Tcp(addr) => Self::over_tcp(TcpStream::connect(addr).unwrap()),
            Addr::Unix(_) => {
                let path = addr.to_string();
                let wire = UnixStream::connect(path.strip_prefix("unix:").unwrap()).unwrap();
                wire.set_read_timeout(Some(PATIENCE)).unwrap();
                wire.set_write_timeout(Some(PATIENCE)).unwrap();
                Self { wire: Wire::Unix(wire), ahead: Vec::new(), end: End::Open }
            }
        }
    }

    /// With a receive buffer of so many bytes (the kernel doubles it and has a least value).
    pub(crate) fn narrow(server: &Server, receive_buffer: usize) -> Self {
        let addr: SocketAddr = server.addrs[0].as_tcp().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(receive_buffer).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::over_tcp(socket.into())
    }

    fn over_tcp(wire: TcpStream) -> Self {
        wire.set_nodelay(true).unwrap();
        wire.set_read_timeout(Some(PATIENCE)).unwrap();
        wire.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { wire: Wire::Tcp(wire), ahead: Vec::new(), end: End::Open }
    }

    /// Connected and upgraded.
    pub(crate) fn open(server: &Server) -> Self {
        Self::open_at(&server.addrs[0])
    }

    pub(crate) fn open_at(addr: &Addr) -> Self {
        let mut client = Self::to(addr);
        client.upgrade(&[]);
        client
    }

    /// Upgrades with more lines in the request; gives the 101.
    pub(crate) fn upgrade(&mut self, more: &[&str]) -> Response {
        self.send(&upgrade_request(more));
        self.expect_101()
    }

    pub(crate) fn expect_101(&mut self) -> Response {
        let response = self.response();
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        assert!(response.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
        assert!(response.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
        response
    }

    /// The same stream, for a second thread that sends.
    pub(crate) fn twin(&self) -> Self {
        let wire = match &self.wire {
            Wire::Tcp(wire) => Wire::Tcp(wire.try_clone().unwrap()),
            Wire::Unix(wire) => Wire::Unix(wire.try_clone().unwrap()),
        };
        Self { wire, ahead: Vec::new(), end: End::Open }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        let Wire::Tcp(wire) = &self.wire else { panic!("no TCP") };
        wire.local_addr().unwrap()
    }

    // Sending.

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// A server that is done with us may have reset the stream.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Tcp(wire) => wire.write_all(bytes),
            Wire::Unix(wire) => wire.write_all(bytes),
        }
    }

    /// In two segments, the second when the server has had time for the first.
    pub(crate) fn send_cut(&mut self, bytes: &[u8], at: usize, pause: Duration) {
        self.send(&bytes[..at]);
        std::thread::sleep(pause);
        self.send(&bytes[at..]);
    }

    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.send(&frame.masked());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.frame(&Frame::text(text));
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        self.frame(&Frame::binary(bytes));
    }

    pub(crate) fn close(&mut self, code: u16) {
        self.frame(&Frame::close(code, ""));
    }

    /// FIN.
    pub(crate) fn shut(&self) {
        let _ = match &self.wire {
            Wire::Tcp(wire) => wire.shutdown(Shutdown::Write),
            Wire::Unix(wire) => wire.shutdown(Shutdown::Write),
        };
    }

    /// RST, where the stream is TCP.
    pub(crate) fn reset(self) {
        if let Wire::Tcp(wire) = self.wire {
            socket2::SockRef::from(&wire).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    // Receiving.

    /// The next response, with its body.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.response_head();
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response.body = self.bytes(length);
        response
    }

    /// The next response's head alone, as for HEAD.
    pub(crate) fn response_head(&mut self) -> Response {
        let mut end = None;
        while end.is_none() {
            end = self.ahead.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            let goes_on = end.is_some() || self.more(PATIENCE);
            assert!(goes_on, "{:?} inside a head: {:?}", self.end, String::from_utf8_lossy(&self.ahead));
        }
        let head = self.ahead.drain(..end.unwrap()).collect::<Vec<u8>>();
        Response::parse(std::str::from_utf8(&head).unwrap())
    }

    /// Exactly so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(self.more(PATIENCE), "{:?} with {} of {count} bytes", self.end, self.ahead.len());
        }
        self.ahead.drain(..count).collect()
    }

    /// Steps to the next border in a stream of frames that all have so many bytes, the counted one included.
    pub(crate) fn realign(&mut self, frame: usize, counted: usize) {
        self.bytes((frame - counted % frame) % frame);
    }

    /// Everything to the end, and how it ended.
    pub(crate) fn rest(&mut self, limit: Duration) -> (Vec<u8>, End) {
        let began = Instant::now();
        while self.more(limit.saturating_sub(began.elapsed())) {}
        (std::mem::take(&mut self.ahead), self.end)
    }

    /// The next frame, strict in every point of RFC 6455 §5.2 and §5.5.
    pub(crate) fn next(&mut self) -> Frame {
        self.next_or_end().unwrap_or_else(|| panic!("{:?} instead of a frame", self.end))
    }

    /// The next frame; nothing at the end of the stream.
    pub(crate) fn next_or_end(&mut self) -> Option<Frame> {
        if self.ahead.is_empty() && !self.more(PATIENCE) {
            assert_ne!(self.end, End::Open, "nothing came");
            return None;
        }
        let [first, second] = self.bytes(2).try_into().unwrap();
        assert_eq!(second & 0x80, 0, "a server's frame is masked");
        let length = match second {
            126 => u64::from(u16::from_be_bytes(self.bytes(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.bytes(8).try_into().unwrap()),
            short => u64::from(short),
        };
        assert!(second != 126 || length > 125, "a length in more bytes than it needs");
        assert!(second != 127 || length > 0xFFFF, "a length in more bytes than it needs");
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
        assert!(matches!(opcode, 0..=2 | 8..=10), "the opcode {opcode} is reserved");
        assert!(opcode < 8 || (fin && rsv == 0 && length <= 125), "a broken control frame");
        assert!(matches!(rsv, 0 | 4), "RSV bits {rsv}");
        let payload = self.bytes(usize::try_from(length).unwrap());
        Some(Frame { fin, rsv, opcode, payload })
    }

    /// The next frame is a message in one piece, uncompressed.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        let frame = self.next();
        assert!(frame.fin && frame.rsv == 0 && matches!(frame.opcode, 1 | 2), "{frame:?} is no message");
        frame.payload
    }

    pub(crate) fn expect_text(&mut self, text: &str) {
        assert_eq!(self.next(), Frame::text(text));
    }

    pub(crate) fn expect_binary(&mut self, bytes: &[u8]) {
        let frame = self.next();
        assert!(frame == Frame::binary(bytes), "{frame:?} instead of {} bytes", bytes.len());
    }

    pub(crate) fn expect_pong(&mut self, payload: &[u8]) {
        assert_eq!(self.next(), Frame::new(PONG, payload));
    }

    /// The next frame is a Close with this code (`None`: empty), and a FIN follows soon, before we answer.
    pub(crate) fn expect_close(&mut self, code: impl Into<Option<u16>>) {
        let frame = self.next();
        assert_eq!(frame.opcode, CLOSE, "{frame:?} is no Close");
        assert_eq!(frame.close_code(), code.into(), "{frame:?}");
        std::str::from_utf8(frame.payload.get(2..).unwrap_or_default()).unwrap();
        self.expect_fin();
    }

    /// Nothing follows but a FIN, and soon.
    pub(crate) fn expect_fin(&mut self) {
        let (rest, end) = self.rest(SOON);
        let shown = String::from_utf8_lossy(&rest);
        assert_eq!((shown.as_ref(), end), ("", End::Fin));
    }

    /// Nothing follows but the end, by FIN or RST.
    pub(crate) fn expect_end(&mut self, limit: Duration) {
        let (rest, end) = self.rest(limit);
        assert_eq!(String::from_utf8_lossy(&rest), "");
        assert_ne!(end, End::Open, "still open after {limit:?}");
    }

    /// Nothing comes for a while, and the stream stays open.
    pub(crate) fn expect_silence(&mut self, span: Duration) {
        let (rest, end) = self.rest(span);
        assert_eq!((String::from_utf8_lossy(&rest).as_ref(), end), ("", End::Open));
    }

    /// Upgraded, and alive: an echo server gives back what it gets.
    pub(crate) fn expect_alive(&mut self) {
        self.text("alive?");
        self.expect_text("alive?");
    }

    /// Receives something within a time; `false` at the end of the stream or of the time.
    fn more(&mut self, limit: Duration) -> bool {
        if self.end != End::Open || limit.is_zero() {
            return false;
        }
        let mut bytes = vec![0; 64 * 1024];
        let limit = Some(limit.max(Duration::from_millis(1)));
        let answer = match &mut self.wire {
            Wire::Tcp(wire) => {
                wire.set_read_timeout(limit).unwrap();
                wire.read(&mut bytes)
            }
            Wire::Unix(wire) => {
                wire.set_read_timeout(limit).unwrap();
                wire.read(&mut bytes)
            }
        };
        let received = answer.as_ref().is_ok_and(|count| *count > 0);
        match answer.map_err(|error| error.kind()) {
            Ok(0) => self.end = End::Fin,
            Ok(count) => self.ahead.extend_from_slice(&bytes[..count]),
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(ErrorKind::Interrupted) => return true,
            Err(_) => self.end = End::Reset,
        }
        received
    }
}

/// What a fragmented message is put together from.
pub(crate) fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode, CONTINUATION..=TEXT | 2)
}
