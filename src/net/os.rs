//! The real operating system behind [`System`]: `mio` for readiness, `socket2` for sockets, `rustix` for the bytes; knows no
//! protocol and no loop.
//!
//! `rustix` makes the system call itself where the C library makes each a place where a thread can be cancelled.

mod listener;
mod resolver;
mod socket;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::Socket;

use self::listener::Listener;
use self::resolver::{Resolver, interleaved};
use super::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Inherited, Key, ListenOptions, NetError,
    Peer, Readiness, Resolved, SocketId, System, Wake, Waker, takeover,
};
use crate::time::Time;

/// The operating system itself.
///
/// One of it serves one loop. All its descriptors are close-on-exec. Dropping it closes every socket and takes the files
/// of its Unix listeners away.
pub struct OsSystem {
    poll: Poll,
    /// What the last poll answered; grown when it was full.
    events: Events,
    /// Whether that was as much as it can.
    full: bool,
    waker: Waker,
    started: Instant,
    /// The streams, by descriptor: four bytes each.
    streams: Vec<Option<Socket>>,
    /// The few listeners.
    listeners: BTreeMap<SocketId, Listener>,
    resolver: Resolver,
}

impl OsSystem {
    /// Opens the poll and its waker: two descriptors.
    ///
    /// # Errors
    ///
    /// [`NetError::Start`] if one of them cannot be had.
    pub fn new() -> Result<Self, NetError> {
        OsSystem::open().map_err(|source| NetError::Start { source })
    }

    fn open() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(mio::Waker::new(poll.registry(), token(Key::RESERVED))?);
        let resolver = Resolver::new(waker.clone());
        Ok(OsSystem {
            poll,
            events: Events::with_capacity(EVENTS_AT_FIRST),
            full: false,
            waker,
            started: Instant::now(),
            streams: Vec::new(),
            listeners: BTreeMap::new(),
            resolver,
        })
    }

    fn stream(&self, socket: SocketId) -> io::Result<&Socket> {
        self.streams.get(socket.index()).and_then(Option::as_ref).ok_or_else(not_open)
    }

    /// Takes a stream into the table.
    fn keep(&mut self, socket: Socket) -> io::Result<SocketId> {
        let id = socket_id(&socket)?;
        if id.index() >= self.streams.len() {
            self.streams.resize_with(id.index() + 1, || None);
        }
        if let Some(place) = self.streams.get_mut(id.index()) {
            *place = Some(socket);
        }
        Ok(id)
    }

    fn keep_listener(&mut self, listener: Listener, addr: Addr) -> Result<(SocketId, Addr), NetError> {
        let id = socket_id(&listener).map_err(|source| NetError::listen(&addr, "listen", source))?;
        self.listeners.insert(id, listener);
        Ok((id, addr))
    }

    /// The poll would go on telling of a socket that another process has as well: only its last end leaves by itself.
    fn close_listener(&mut self, socket: SocketId) {
        if let Some(listener) = self.listeners.remove(&socket) {
            // One that was never registered need not be.
            let _ = self.poll.registry().deregister(&mut SourceFd(&listener.as_raw_fd()));
        }
    }

    fn is_open(&self, socket: SocketId) -> bool {
        self.stream(socket).is_ok() || self.listeners.contains_key(&socket)
    }

    /// A wait that a signal ended saw nothing, though much may be ready: that of a process which was stopped and goes
    /// on ends so.
    fn gather(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                again_if_interrupted(|| self.poll.poll(&mut self.events, Some(Duration::ZERO)))
            }
            answer => answer,
        }
    }

    /// Makes room for more events at once if the last poll may have left some behind.
    fn grow_if_full(&mut self, gathered: usize) {
        let capacity = self.events.capacity();
        self.full = gathered >= capacity;
        if self.full && capacity < EVENTS_AT_MOST {
            self.events = Events::with_capacity((capacity * 2).min(EVENTS_AT_MOST));
        }
    }
}

impl System for OsSystem {
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.gather(timeout)?;
        let mut gathered = 0;
        for event in &self.events {
            gathered += 1;
            if event.token() != token(Key::RESERVED) {
                events.push(Event { key: key(event.token()), readiness: readiness(event) });
            }
        }
        self.grow_if_full(gathered);
        Ok(())
    }

    fn has_more(&self) -> bool {
        self.full
    }

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.started.elapsed())
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }

    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        let (listener, bound) = Listener::open(addr, options)?;
        self.keep_listener(listener, bound)
    }

    fn adopt(&mut self, inherited: Inherited, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        let (listener, bound) = Listener::adopt(inherited, options)?;
        self.keep_listener(listener, bound)
    }

    fn hand_over(&mut self, to: SocketId, listeners: &[SocketId]) -> io::Result<()> {
        let parcel = |id| self.listeners.get(id).map(Listener::parcel).ok_or_else(not_open);
        let parcels = listeners.iter().map(parcel).collect::<io::Result<Vec<_>>>()?;
        takeover::send(self.stream(to)?, &parcels)
    }

    fn release(&mut self, listener: SocketId) {
        if let Some(listener) = self.listeners.get_mut(&listener) {
            listener.leave();
        }
        self.close(listener, CloseHow::Graceful);
    }

    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        let listener = self.listeners.get(&listener).ok_or_else(not_open)?;
        let (socket, peer) = listener.accept()?;
        Ok((self.keep(socket)?, peer))
    }

    fn detach(&mut self, stream: SocketId) -> io::Result<OwnedFd> {
        let socket = self.streams.get_mut(stream.index()).and_then(Option::take);
        socket.map(OwnedFd::from).ok_or_else(not_open)
    }

    fn attach(&mut self, stream: OwnedFd) -> io::Result<SocketId> {
        self.keep(Socket::from(stream))
    }

    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError> {
        let Some((socket, progress)) = socket::connect(addr, options)? else { return Ok(Connecting::Busy) };
        let id = self.keep(socket).map_err(|source| NetError::connect(addr, source))?;
        Ok(match progress {
            socket::Progress::Established => Connecting::Established(id),
            socket::Progress::Started => Connecting::InProgress(id),
        })
    }

    fn resolve(&mut self, host: &str, port: u16, token: u64) -> io::Result<()> {
        self.resolver.ask(host, port, token)
    }

    fn resolved(&mut self) -> Option<Resolved> {
        let Resolved { token, addrs } = self.resolver.answer()?;
        Some(Resolved { token, addrs: addrs.map(interleaved) })
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        if key == Key::RESERVED {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this key is the waker's"));
        }
        if !self.is_open(socket) {
            return Err(not_open());
        }
        let descriptor = RawFd::try_from(socket.0).map_err(|_| not_open())?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&descriptor), token(key), both)
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no room to receive into"));
        }
        let stream = self.stream(socket)?;
        let receive = || Ok(rustix::net::recv(stream, &mut *into, RecvFlags::empty())?.0);
        checked(again_if_interrupted(receive), into.len())
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream(socket)?;
        checked(again_if_interrupted(|| Ok(rustix::net::send(stream, bytes, NO_SIGNAL)?)), bytes.len())
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let stream = self.stream(socket)?;
        let parts = parts.get(..PARTS_AT_MOST).unwrap_or(parts);
        let most = parts.iter().map(|part| part.len()).sum();
        let send = || {
            let nothing = &mut SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(stream, parts, nothing, NO_SIGNAL)?)
        };
        checked(again_if_interrupted(send), most)
    }

    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()> {
        self.stream(socket)?.shutdown(Shutdown::Write)
    }

    fn close(&mut self, socket: SocketId, how: CloseHow) {
        match self.streams.get_mut(socket.index()).and_then(Option::take) {
            Some(stream) => socket::close(stream, how),
            None => self.close_listener(socket),
        }
    }

    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>> {
        match self.listeners.get(&socket) {
            Some(listener) => listener.take_error(),
            None => self.stream(socket)?.take_error(),
        }
    }

    fn peer(&self, socket: SocketId) -> io::Result<Peer> {
        Peer::from_kernel(&self.stream(socket)?.peer_addr()?)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.poll.as_raw_fd())
    }
}

impl Wake for mio::Waker {
    fn wake(&self) -> io::Result<()> {
        mio::Waker::wake(self)
    }
}

/// A Unix-domain stream socket, close-on-exec and non-blocking from birth.
pub(super) fn unix_socket() -> io::Result<Socket> {
    socket::unix()
}

/// The key in mio's word, which is as wide on every system this crate is for.
const fn token(key: Key) -> Token {
    const { assert!(usize::BITS == u64::BITS, "a key needs 64 bits of mio's token") };
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    Token(key.0 as usize)
}

const fn key(token: Token) -> Key {
    Key(token.0 as u64)
}

/// mio's event as bits. A hang-up or an error wakes both directions, so that a drain meets it.
fn readiness(event: &mio::event::Event) -> Readiness {
    let bits = [
        (event.is_readable(), Readiness::READABLE),
        (event.is_writable(), Readiness::WRITABLE),
        (event.is_read_closed(), Readiness::READ_CLOSED),
        (event.is_error() || event.is_write_closed(), Readiness::HANGUP),
    ];
    let set = bits.into_iter().filter(|(on, _)| *on).fold(Readiness::NONE, |set, (_, bit)| set | bit);
    set.with_consequences()
}

/// The descriptor as the number of a socket.
fn socket_id(socket: &impl AsRawFd) -> io::Result<SocketId> {
    u32::try_from(socket.as_raw_fd()).map(SocketId).map_err(|_| not_open())
}

/// The answer to a number that is not open.
fn not_open() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

/// Makes the call again for each signal that came between.
pub(super) fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// Lets no count pass that is more than was offered: whoever trusted it would read or skip what is not there.
fn checked(count: io::Result<usize>, offered: usize) -> io::Result<usize> {
    match count? {
        count if count <= offered => Ok(count),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the system counts more bytes than it was offered",
        )),
    }
}

/// Events one poll can answer: at first, and at most after doubling.
const EVENTS_AT_FIRST: usize = 1024;
const EVENTS_AT_MOST: usize = 8192;

/// Parts one gathered send can take (`UIO_MAXIOV`); with more the kernel refuses the whole call.
const PARTS_AT_MOST: usize = 1024;

/// A send to a peer that is gone answers EPIPE and kills nobody. Apple's systems say it once per socket instead.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

#[cfg(test)]
mod tests;
