//! Listening sockets, TCP and Unix: knows no table, no poll and no protocol.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use socket2::{SockRef, Socket};

use super::socket;
use crate::net::takeover::Parcel;
use crate::net::unix::UnixBound;
use crate::net::{AcceptError, Addr, Inherited, ListenOptions, NetError, Peer, StreamOptions, UnixAddr};

/// A socket that listens.
pub(super) enum Listener {
    Tcp { listener: mio::net::TcpListener, stream: StreamOptions },
    Unix { bound: UnixBound, stream: StreamOptions },
}

impl Listener {
    /// Binds and listens; answers with the address really taken.
    pub(super) fn open(addr: &Addr, options: &ListenOptions) -> Result<(Self, Addr), NetError> {
        match addr {
            Addr::Tcp(tcp_addr) => Listener::open_tcp(*tcp_addr, options)
                .map_err(|(doing, source)| NetError::listen(addr, doing, source)),
            Addr::Unix(unix_addr) => Listener::open_unix(unix_addr, options),
        }
    }

    fn open_tcp(addr: SocketAddr, options: &ListenOptions) -> socket::Step<(Self, Addr)> {
        let socket = socket::tcp(addr).map_err(|error| ("open a socket", error))?;
        set_up_tcp(&socket, addr, options)?;
        socket.bind(&addr.into()).map_err(|error| ("bind", error))?;
        socket.listen(backlog(options)).map_err(|error| ("listen", error))?;
        let listener = TcpListener::from(socket);
        let bound = listener.local_addr().map_err(|error| ("ask for the address", error))?;
        let listener = mio::net::TcpListener::from_std(listener);
        Ok((Listener::Tcp { listener, stream: options.stream.clone() }, Addr::Tcp(bound)))
    }

    fn open_unix(addr: &UnixAddr, options: &ListenOptions) -> Result<(Self, Addr), NetError> {
        let bound = UnixBound::bind(addr, options.unix_mode)?;
        let named = Addr::Unix(addr.clone());
        bound
            .socket()
            .listen(backlog(options))
            .map_err(|source| NetError::listen(&named, "listen", source))?;
        Ok((Listener::Unix { bound, stream: options.stream.clone() }, named))
    }

    /// Serves one that another process has opened; answers with the address it has.
    pub(super) fn adopt(inherited: Inherited, options: &ListenOptions) -> Result<(Self, Addr), NetError> {
        let Inherited { socket, addr, claim, .. } = inherited;
        let set_up = socket.set_nonblocking(true).map_err(|error| ("make it non-blocking", error));
        let set_up = set_up.and_then(|()| socket::set_up(&socket, &options.stream, addr.is_unix()));
        set_up.map_err(|(doing, source)| NetError::listen(&addr, doing, source))?;
        let stream = options.stream.clone();
        let listener = match addr {
            Addr::Tcp(_) => {
                let listener = mio::net::TcpListener::from_std(TcpListener::from(socket));
                Listener::Tcp { listener, stream }
            }
            Addr::Unix(_) => Listener::Unix { bound: UnixBound::inherited(socket, claim), stream },
        };
        Ok((listener, addr))
    }

    /// What another process needs to serve it.
    pub(super) fn parcel(&self) -> Parcel<'_> {
        match self {
            Listener::Tcp { listener, .. } => Parcel { socket: listener.as_fd(), claim: None },
            Listener::Unix { bound, .. } => Parcel { socket: bound.socket().as_fd(), claim: bound.claim() },
        }
    }

    /// Leaves its file to another process.
    pub(super) fn leave(&mut self) {
        if let Listener::Unix { bound, .. } = self {
            bound.leave();
        }
    }

    /// Takes the next connection, close-on-exec and non-blocking, with the stream options in force.
    pub(super) fn accept(&self) -> Result<(Socket, Peer), AcceptError> {
        let (socket, peer) = self.accept_raw()?;
        let (Listener::Tcp { stream, .. } | Listener::Unix { stream, .. }) = self;
        let set_up = match self {
            Listener::Tcp { .. } if TCP_OPTIONS_ARE_INHERITED => Ok(()),
            Listener::Tcp { .. } => socket::set_up(&socket, stream, false),
            Listener::Unix { .. } => socket::set_buffers(&socket, stream),
        };
        // An option that held on another socket fails on this one when its connection is gone.
        set_up.map_err(|_| AcceptError::Retry)?;
        Ok((socket, peer))
    }

    fn accept_raw(&self) -> Result<(Socket, Peer), AcceptError> {
        match self {
            Listener::Tcp { listener, .. } => accept_tcp(listener),
            Listener::Unix { bound, .. } => accept_unix(bound.socket()),
        }
    }

    /// The error the kernel holds for the listener.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Listener::Tcp { listener, .. } => SockRef::from(listener).take_error(),
            Listener::Unix { bound, .. } => bound.socket().take_error(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp { listener, .. } => listener.as_raw_fd(),
            Listener::Unix { bound, .. } => bound.socket().as_raw_fd(),
        }
    }
}

/// The options that must be there before bind(2), and those that accepted streams inherit: the receive buffer decides
/// the window that is offered with the very first segment.
fn set_up_tcp(socket: &Socket, addr: SocketAddr, options: &ListenOptions) -> socket::Step<()> {
    if options.reuse_address {
        socket.set_reuse_address(true).map_err(|error| ("set SO_REUSEADDR", error))?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true).map_err(|error| ("set SO_REUSEPORT", error))?;
    }
    if addr.is_ipv6() {
        socket.set_only_v6(options.only_v6).map_err(|error| ("set IPV6_V6ONLY", error))?;
    }
    socket::set_up(socket, &options.stream, false)
}

/// One system call where there is accept4(2).
fn accept_tcp(listener: &mio::net::TcpListener) -> Result<(Socket, Peer), AcceptError> {
    let (stream, addr) = listener.accept()?;
    let socket = Socket::from(TcpStream::from(stream));
    #[cfg(target_vendor = "apple")]
    socket.set_nosigpipe(true).map_err(|_| AcceptError::Retry)?;
    Ok((socket, Peer::Tcp(addr)))
}

/// Two system calls. Not mio's one: it panics when a client has bound itself to a name of 108 bytes, which Linux allows
/// and reports as 109.
fn accept_unix(listener: &Socket) -> Result<(Socket, Peer), AcceptError> {
    let (socket, address) = listener.accept()?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok((Socket::from(OwnedFd::from(stream)), Peer::from_kernel(&address)?))
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// On Linux an accepted TCP socket is a copy of the listener's, with its options: no call per connection is needed.
const TCP_OPTIONS_ARE_INHERITED: bool = cfg!(any(target_os = "linux", target_os = "android"));
