//! A system in memory: connections that are there at once, bytes that wait at every poll, sends that are all taken. What
//! runs over it is the whole loop and nothing else.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use gnezdo::net::{
    AcceptError, CloseHow, ConnectOptions, Connecting, Event, Key, NetError, Readiness, Resolved, SocketId,
    System, Wake, Waker,
};
use gnezdo::time::Time;
use gnezdo::{Addr, ListenOptions, Peer};

/// Sockets 0 to n - 1 are connections, and then comes the listener.
#[derive(Debug)]
pub(crate) struct Kernel {
    sockets: Vec<Socket>,
    accepted: usize,
    listener: Key,
    polls: u64,
    request: Vec<u8>,
    wire: Vec<u8>,
    tally: Rc<Tally>,
}

/// What came of it, for who gave the system away.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Whether a poll has found that all was sent, received and answered.
    pub(crate) done: Cell<bool>,
    /// How many bytes all connections were sent.
    pub(crate) sent: Cell<u64>,
}

/// One connection, as its peer sees it.
#[derive(Clone, Debug)]
struct Socket {
    key: Key,
    /// Whether its opening request is behind it.
    open: bool,
    /// How often it will send the wire.
    rounds: u32,
    /// How much of the request, or of this round's wire, was received.
    position: usize,
    /// How much of it has arrived.
    arrived: usize,
}

impl Kernel {
    /// So many connections, each of which opens with `request` and then sends `wire` so many times.
    pub(crate) fn new(connections: u32, request: &[u8], wire: &[u8], rounds: u32) -> Self {
        let socket = Socket { key: Key::RESERVED, open: false, rounds, position: 0, arrived: 0 };
        Self {
            sockets: vec![socket; connections as usize],
            accepted: 0,
            listener: Key::RESERVED,
            polls: 0,
            request: request.to_vec(),
            wire: wire.to_vec(),
            tally: Rc::default(),
        }
    }

    pub(crate) fn tally(&self) -> Rc<Tally> {
        Rc::clone(&self.tally)
    }

    fn count(&self, sent: usize) -> usize {
        self.tally.sent.set(self.tally.sent.get() + sent as u64);
        sent
    }
}

impl Socket {
    /// More arrives; says whether there is anything to receive.
    fn advance(&mut self, request: &[u8], wire: &[u8]) -> bool {
        let all = if self.open { wire.len() } else { request.len() };
        if self.position == all {
            self.rounds -= u32::from(self.open && self.rounds > 0);
            (self.open, self.position, self.arrived) = (true, 0, 0);
            return self.rounds > 0 && self.advance(request, wire);
        }
        self.arrived = (self.position + WINDOW).min(all);
        true
    }

    fn receive(&mut self, request: &[u8], wire: &[u8], into: &mut [u8]) -> io::Result<usize> {
        let all = if self.open { wire } else { request };
        let here = &all[self.position..self.arrived];
        if here.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = here.len().min(into.len());
        into[..count].copy_from_slice(&here[..count]);
        self.position += count;
        Ok(count)
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) -> io::Result<()> {
        Ok(())
    }
}

impl System for Kernel {
    fn poll(&mut self, events: &mut Vec<Event>, _timeout: Option<Duration>) -> io::Result<()> {
        self.polls += 1;
        if self.accepted < self.sockets.len() {
            events.push(Event { key: self.listener, readiness: Readiness::READABLE });
        }
        for socket in self.sockets.iter_mut().filter(|socket| socket.key != Key::RESERVED) {
            if socket.advance(&self.request, &self.wire) {
                events.push(Event { key: socket.key, readiness: Readiness::READABLE | Readiness::WRITABLE });
            }
        }
        self.tally.done.set(events.is_empty());
        // The end of the world ends the loop, too.
        if events.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(Duration::from_micros(self.polls))
    }

    fn listen(&mut self, addr: &Addr, _options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        Ok((SocketId(u32::try_from(self.sockets.len()).unwrap_or(u32::MAX)), addr.clone()))
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        match self.sockets.get_mut(socket.index()) {
            Some(socket) => socket.key = key,
            None => self.listener = key,
        }
        Ok(())
    }

    fn accept(&mut self, _listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        if self.accepted == self.sockets.len() {
            return Err(AcceptError::WouldBlock);
        }
        self.accepted += 1;
        Ok((SocketId(u32::try_from(self.accepted - 1).unwrap_or(u32::MAX)), Peer::Unix(None)))
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        let socket = self.sockets.get_mut(socket.index()).ok_or(io::ErrorKind::NotFound)?;
        socket.receive(&self.request, &self.wire, into)
    }

    fn send(&mut self, _socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.count(bytes.len()))
    }

    fn send_gathered(&mut self, _socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.count(parts.iter().map(|part| part.len()).sum()))
    }

    fn resolved(&mut self) -> Option<Resolved> {
        None
    }

    fn waker(&self) -> Waker {
        Waker::new(Nobody)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        None
    }

    fn peer(&self, _socket: SocketId) -> io::Result<Peer> {
        Ok(Peer::Unix(None))
    }

    fn close(&mut self, _socket: SocketId, _how: CloseHow) {}

    fn take_error(&mut self, _socket: SocketId) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    // Nothing that is measured comes here.

    fn random(&mut self, _bytes: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect(&mut self, addr: &Addr, _options: &ConnectOptions) -> Result<Connecting, NetError> {
        Err(NetError::connect(addr, io::ErrorKind::Unsupported.into()))
    }

    fn resolve(&mut self, _host: &str, _port: u16, _token: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_write(&mut self, _socket: SocketId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The most of a message that arrives between two polls.
const WINDOW: usize = 256 * 1024;
