//! A client that sends whatever it is told to, reads strictly, and takes no offence when it is cut off.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::{CLOSE, Frame, PATIENCE, PING, PONG, SOON, upgrade};
use crate::support::Stream;

/// How the server's half of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
    /// Not within the time.
    Open,
}

pub(crate) struct Peer {
    stream: Stream,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
    end: End,
}

impl Peer {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new(), end: End::Open }
    }

    /// Upgraded, with nothing negotiated.
    pub(crate) fn opened(self) -> Self {
        self.opened_with(&[])
    }

    /// Upgraded with more lines in the request.
    pub(crate) fn opened_with(mut self, more: &[&str]) -> Self {
        self.send(&upgrade(more));
        assert_eq!(self.status(), Some(101));
        self
    }

    /// The same connection, for a thread that writes while another reads.
    pub(crate) fn twin(&self) -> Self {
        Self::new(self.stream.duplicate())
    }

    // Sending.

    /// Sends all of it; `false` where the server has ended the connection meanwhile.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn frame(&mut self, frame: &Frame) -> bool {
        self.send(&frame.masked())
    }

    pub(crate) fn text(&mut self, text: &str) -> bool {
        self.frame(&Frame::text(text))
    }

    /// Sends as much as the server takes, until it has taken nothing for `patience`, or has ended the connection.
    pub(crate) fn push(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.stream.set_nonblocking(true);
        let (mut sent, mut progress) = (0, Instant::now());
        while sent < bytes.len() && progress.elapsed() < patience {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => (sent, progress) = (sent + count, Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false);
        sent
    }

    /// FIN.
    pub(crate) fn shut(&self) {
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// RST, where the stream is TCP.
    pub(crate) fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    // Receiving.

    /// The status of the next response, whose head alone is taken; `None` where the connection ended instead.
    pub(crate) fn status(&mut self) -> Option<u16> {
        let head = self.head()?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Some(status.unwrap_or_else(|| panic!("no status line: {head:?}")))
    }

    /// The next response's head, its empty line included.
    pub(crate) fn head(&mut self) -> Option<String> {
        let began = Instant::now();
        loop {
            let end = self.ahead.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                return Some(String::from_utf8(self.ahead.drain(..end + 4).collect()).unwrap());
            }
            let received = self.more(PATIENCE.saturating_sub(began.elapsed()));
            if !received && self.end == End::Open {
                assert!(began.elapsed() < PATIENCE, "no answer within {PATIENCE:?}");
            } else if !received {
                return None;
            }
        }
    }

    /// The next frame; `None` where the stream ended. No frame at all within the time is a failure.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        self.next_within(PATIENCE)
    }

    fn next_within(&mut self, limit: Duration) -> Option<Frame> {
        let began = Instant::now();
        loop {
            if let Some((frame, size)) = parse(&self.ahead) {
                self.ahead.drain(..size);
                return Some(frame);
            }
            let received = self.more(limit.saturating_sub(began.elapsed()));
            if !received && self.end == End::Open {
                assert!(began.elapsed() < limit, "neither a frame nor an end within {limit:?}");
            } else if !received {
                return None;
            }
        }
    }

    /// The next frame is this one, but for pings of the server's own, which are answered.
    #[track_caller]
    pub(crate) fn expect(&mut self, frame: &Frame) {
        let mut next = self.next();
        while let Some(ping) = next.as_ref().filter(|next| next.opcode == PING) {
            self.send(&Frame::new(PONG, &ping.payload).masked());
            next = self.next();
        }
        assert!(next.as_ref() == Some(frame), "{next:?} instead of {frame:?}");
    }

    /// Alive: an echo server gives back what it gets.
    #[track_caller]
    pub(crate) fn expect_echo(&mut self, text: &str) {
        assert!(self.text(text), "the connection is gone");
        self.expect(&Frame::text(text));
    }

    /// All frames up to the end of the stream, which comes soon.
    #[track_caller]
    pub(crate) fn farewell(&mut self) -> (Vec<Frame>, End) {
        let began = Instant::now();
        let mut frames = Vec::new();
        while let Some(frame) = self.next_within(PATIENCE.saturating_sub(began.elapsed())) {
            frames.push(frame);
        }
        (frames, self.end)
    }

    /// The code of the Close that the server said last, if it said one; the stream ended.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        let (frames, _) = self.farewell();
        frames.last().filter(|frame| frame.opcode == CLOSE).and_then(Frame::close_code)
    }

    /// The server says Close with this code, and ends the stream.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) {
        let (frames, end) = self.farewell();
        let last = frames.last().unwrap_or_else(|| panic!("{end:?} instead of a Close with {code}"));
        assert_eq!((last.opcode, last.close_code()), (CLOSE, Some(code)), "{last:?}, then {end:?}");
    }

    /// The server ends the stream by itself and says nothing more that matters.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, limit: Duration) -> Duration {
        let began = Instant::now();
        while self.end == End::Open {
            assert!(began.elapsed() < limit, "still open after {limit:?}");
            self.more(limit.saturating_sub(began.elapsed()));
            self.ahead.clear();
        }
        began.elapsed()
    }

    /// Everything that comes to the end of the stream or of the time, raw.
    pub(crate) fn rest(&mut self, limit: Duration) -> (Vec<u8>, End) {
        let began = Instant::now();
        while self.end == End::Open && began.elapsed() < limit {
            self.more(limit.saturating_sub(began.elapsed()));
        }
        (std::mem::take(&mut self.ahead), self.end)
    }

    /// Nothing but silence for a while, on a stream that stays open.
    pub(crate) fn is_silent(&mut self, span: Duration) -> bool {
        self.ahead.is_empty() && !self.more(span) && self.end == End::Open
    }

    /// At most so many bytes, as they come; empty at the end.
    pub(crate) fn sip(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    /// Whether the stream has ended by now; what came is thrown away. Does not wait.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.stream.set_nonblocking(true);
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.end = End::Fin,
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.end = End::Reset,
            }
            self.stream.set_nonblocking(false);
            return self.end != End::Open;
        }
    }

    /// Receives something within a time; `false` at the end of the stream or of the time.
    fn more(&mut self, limit: Duration) -> bool {
        if self.end != End::Open || limit.is_zero() {
            return false;
        }
        let mut bytes = [0; 16 * 1024];
        let limit = Some(limit.clamp(Duration::from_millis(1), SOON));
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(limit),
            Stream::Unix(stream) => stream.set_read_timeout(limit),
        };
        match self.stream.read(&mut bytes).map_err(|error| error.kind()) {
            Ok(0) => self.end = End::Fin,
            Ok(count) => {
                self.ahead.extend_from_slice(&bytes[..count]);
                return true;
            }
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => self.end = End::Reset,
        }
        false
    }
}

/// The first whole frame and its size, strict in every point of RFC 6455 §5.2 and §5.5.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [first, second] = *bytes.first_chunk::<2>()?;
    assert_eq!(second & 0x80, 0, "a server's frame is masked");
    let (length, start) = match second {
        126 => (u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes[2..].first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let is_short = match second {
        126 => length > 125,
        127 => length > 0xFFFF,
        _ => true,
    };
    assert!(is_short, "a length in more bytes than it needs");
    let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
    assert!(matches!(opcode, 0..=2 | 8..=10), "the opcode {opcode} is reserved");
    assert!(opcode < 8 || (fin && rsv == 0 && length <= 125), "a broken control frame");
    let end = start + usize::try_from(length).unwrap();
    let payload = bytes.get(start..end)?.to_vec();
    Some((Frame { fin, rsv, opcode, payload }, end))
}
