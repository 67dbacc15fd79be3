//! The one small trait through which the operating system is reached: knows no protocol, no loop and no connection.
//!
//! It is object-safe and names sockets by number, so that a simulated kernel with virtual sockets and a virtual clock
//! can take the place of the real one.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use super::{AcceptError, Addr, ConnectOptions, Event, Inherited, Key, ListenOptions, NetError, Peer, Waker};
use crate::time::Time;

/// The number of an open socket of one [`System`].
///
/// Numbers are small and dense. A number is free for reuse as soon as [`System::close`] returned, so whoever keeps one
/// must forget it when closing. For the real system it is the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

impl SocketId {
    /// The number as an index into a dense table.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// The kernel still delivers what was sent, then says so with a FIN. With unread input it sends a reset all the
    /// same, and that can destroy what was sent: shut down the write side and read to the end first.
    Graceful,
    /// A TCP reset at once; what was not delivered is thrown away. For hostile peers and the end of patience.
    Abort,
}

/// What became of [`System::resolve`].
#[derive(Debug)]
pub struct Resolved {
    /// The one that was given.
    pub token: u64,
    /// The host's addresses, with the port, in the order in which to try them; or why there are none.
    pub addrs: io::Result<Vec<SocketAddr>>,
}

/// What became of [`System::connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the socket inside is open and belongs to the caller"]
pub enum Connecting {
    /// The connection is there. Unix-domain sockets connect at once.
    Established(SocketId),
    /// It is on its way: register, wait for a writable event, then ask [`System::finish_connect`].
    InProgress(SocketId),
    /// A Unix-domain listener's backlog is full. There is no socket and no event will come when there is room again:
    /// call `connect` again after a pause, with growing pauses, until the deadline.
    Busy,
}

/// The operating system, as far as an event loop needs it.
///
/// # Contract
///
/// - Readiness is edge-triggered: after an event, call until [`io::ErrorKind::WouldBlock`] (or, for a stream, until
///   fewer bytes than asked for came or went), else no further event may come. Events are hints: a spurious one is
///   allowed, and so is one for a socket that was closed after the event was gathered; the [`Key`] tells.
/// - No call blocks but [`poll`](System::poll). A signal never surfaces: the call is made again.
/// - No call raises SIGPIPE, and every descriptor is close-on-exec from birth.
/// - Counts of bytes are checked: never more than was offered.
/// - A [`SocketId`] that is not open answers like a closed descriptor (`EBADF`), it never panics.
pub trait System {
    /// Waits until something is ready, the waker was used or `timeout` is over, and appends what is ready to `events`.
    ///
    /// `None` waits without end and zero does not wait. A wait is never shorter than asked unless something happened;
    /// the real system rounds up to a millisecond. Wake-ups and signals add no event.
    ///
    /// # Errors
    ///
    /// What the system says; the loop cannot go on after that.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// Whether the last [`poll`](System::poll) may have left events behind, because it answered as many as it can at
    /// once; the next one answers with those first. Whoever waits for [`as_raw_fd`](System::as_raw_fd) then polls again
    /// first: where that wait is edge-triggered, what was left behind would not end it.
    fn has_more(&self) -> bool {
        false
    }

    /// The monotonic time since this system was made.
    fn now(&self) -> Time;

    /// Fills `bytes` with unpredictable ones. A system call each time: ask for many bytes at once.
    ///
    /// # Errors
    ///
    /// If the system has no source of randomness.
    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()>;

    /// Listens on `addr`; answers with the address really taken (port 0 takes a free port).
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address and the cure; nothing is left open or on disk.
    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError>;

    /// Serves a listening socket of another process, as [`listen`](System::listen) would have it but for the backlog;
    /// answers with the address it has.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address, and that of a system which has no other processes.
    fn adopt(
        &mut self,
        inherited: Inherited,
        _options: &ListenOptions,
    ) -> Result<(SocketId, Addr), NetError> {
        let source = io::ErrorKind::Unsupported.into();
        Err(NetError::System { doing: "serve a listener of another process", addr: inherited.addr, source })
    }

    /// Sends listeners to the process at the other end of `to`, a Unix-domain stream, all or none. They stay open here.
    ///
    /// # Errors
    ///
    /// If the other process is another user's, or the system cannot.
    fn hand_over(&mut self, _to: SocketId, _listeners: &[SocketId]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Closes a listener that another process has as well: its queue stays, and so does the file of a Unix-domain one.
    fn release(&mut self, listener: SocketId) {
        self.close(listener, CloseHow::Graceful);
    }

    /// Takes the next connection; the stream options of its listener are in force already.
    ///
    /// # Errors
    ///
    /// Sorted by what the caller must do next, see [`AcceptError`].
    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError>;

    /// Lets go of a stream that was accepted and not registered, so that another system can [`attach`](System::attach) it:
    /// its number is free.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported), the default, where there are no real descriptors; the stream stays.
    fn detach(&mut self, stream: SocketId) -> io::Result<OwnedFd> {
        let _ = stream;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes in a stream that another system accepted and [`detach`](System::detach)ed, as it is.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported), the default, where there are no real descriptors; the stream is closed.
    fn attach(&mut self, stream: OwnedFd) -> io::Result<SocketId> {
        drop(stream);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Starts a connection to `addr`.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address and the cure; nothing is left open. That the backlog of a Unix-domain
    /// listener is full is not an error but [`Connecting::Busy`].
    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError>;

    /// Starts to look up the addresses of a host, off this thread; [`resolved`](System::resolved) answers with `token`,
    /// after the waker ended a wait.
    ///
    /// # Errors
    ///
    /// If too many names wait already.
    fn resolve(&mut self, host: &str, port: u16, token: u64) -> io::Result<()>;

    /// An answer to [`resolve`](System::resolve) that has come; costs nothing while none is due.
    fn resolved(&mut self) -> Option<Resolved>;

    /// Asks for events of `socket`, both directions, edge-triggered, under `key`. Once per socket; closing ends it.
    ///
    /// # Errors
    ///
    /// If the key is [`Key::RESERVED`], the socket is registered already or the system has no memory for it.
    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()>;

    /// Receives up to `into.len()` bytes. Zero means that the peer has sent its last byte.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is nothing now, [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// when `into` is empty (its answer would read as the end of the stream), else the failure of the connection.
    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize>;

    /// Sends a first part of `bytes`, as much as the kernel takes now.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when it takes nothing now, else the failure of the connection.
    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize>;

    /// Sends a first part of all `parts` in their order, in one call. Parts beyond the system's limit (1024) are left
    /// for the next call, as any bytes not taken.
    ///
    /// # Errors
    ///
    /// As [`send`](System::send).
    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Tells the peer that no more bytes will come. Reading goes on.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) when the connection is gone already.
    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()>;

    /// Closes a stream or a listener, and ends its registration. A listener on a Unix path takes its file away.
    fn close(&mut self, socket: SocketId, how: CloseHow);

    /// Takes the error the kernel holds for `socket`, if it holds one.
    ///
    /// # Errors
    ///
    /// If the question itself fails.
    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>>;

    /// Who is on the other side.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) when nobody is, yet or any more.
    fn peer(&self, socket: SocketId) -> io::Result<Peer>;

    /// After a writable event of a [`Connecting::InProgress`] socket: the peer if the connection stands, `None` if it is
    /// still on its way (the event was spurious).
    ///
    /// # Errors
    ///
    /// Why the connection failed; [`NetError::connect`] names the cure.
    fn finish_connect(&mut self, socket: SocketId) -> io::Result<Option<Peer>> {
        if let Some(error) = self.take_error(socket)? {
            return Err(error);
        }
        match self.peer(socket) {
            Ok(peer) => Ok(Some(peer)),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A handle that wakes [`poll`](System::poll) from any thread.
    fn waker(&self) -> Waker;

    /// The descriptor that becomes readable when `poll` has something, to sit inside another loop.
    fn as_raw_fd(&self) -> Option<RawFd>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_is_object_safe() {
        fn takes(_: Option<&mut dyn System>) {}
        takes(None);
    }
}
