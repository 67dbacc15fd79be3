//! Opening, setting up and closing one socket: knows no table, no poll and no protocol.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::again_if_interrupted;
use crate::net::{Addr, CloseHow, ConnectOptions, Keepalive, NetError, StreamOptions};

/// How far a connection came at once.
pub(super) enum Progress {
    Established,
    Started,
}

/// What was tried when it failed, and how.
pub(super) type Step<T> = Result<T, (&'static str, io::Error)>;

/// A TCP socket for addresses like `addr`, close-on-exec and non-blocking from birth.
pub(super) fn tcp(addr: SocketAddr) -> io::Result<Socket> {
    open(Domain::for_address(addr), Some(Protocol::TCP))
}

/// A Unix-domain stream socket, close-on-exec and non-blocking from birth.
pub(super) fn unix() -> io::Result<Socket> {
    open(Domain::UNIX, None)
}

#[cfg(not(target_vendor = "apple"))]
fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}

#[cfg(target_vendor = "apple")]
fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Starts a connection; `None` if it must be tried again later, which only a full Unix backlog asks for: such a socket
/// gets no event when there is room, only another connect(2) helps.
pub(super) fn connect(addr: &Addr, options: &ConnectOptions) -> Result<Option<(Socket, Progress)>, NetError> {
    let fail = |source| NetError::connect(addr, source);
    let (socket, name) = match addr {
        Addr::Tcp(tcp_addr) => (tcp(*tcp_addr).map_err(fail)?, (*tcp_addr).into()),
        Addr::Unix(unix_addr) => (unix().map_err(fail)?, unix_addr.to_kernel().map_err(fail)?),
    };
    let prepared = set_up(&socket, &options.stream, addr.is_unix());
    prepared
        .and_then(|()| bind_source(&socket, addr, options.source))
        .map_err(|(doing, source)| NetError::System { doing, addr: addr.clone(), source })?;
    match again_if_interrupted(|| socket.connect(&name)) {
        Ok(()) => Ok(Some((socket, Progress::Established))),
        Err(error) if addr.is_unix() && error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINPROGRESS | libc::EALREADY) => Ok(Some((socket, Progress::Started))),
            Some(libc::EISCONN) => Ok(Some((socket, Progress::Established))),
            _ => Err(fail(error)),
        },
    }
}

/// Chooses the local address of a TCP connection. A port is used up for each: the system cannot give one port to
/// connections with different peers once bind(2) has chosen it.
fn bind_source(socket: &Socket, addr: &Addr, source: Option<IpAddr>) -> Step<()> {
    let (Some(source), Addr::Tcp(_)) = (source, addr) else { return Ok(()) };
    let local = SocketAddr::new(source, 0).into();
    socket.bind(&local).map_err(|error| ("take the source address", error))
}

/// Applies what is asked for; what is not stays as the system has it, without a call.
pub(super) fn set_up(socket: &Socket, options: &StreamOptions, is_unix: bool) -> Step<()> {
    set_buffers(socket, options)?;
    if is_unix {
        return Ok(());
    }
    if options.nodelay {
        socket.set_tcp_nodelay(true).map_err(|error| ("set TCP_NODELAY", error))?;
    }
    if let Some(keepalive) = options.keepalive {
        socket.set_tcp_keepalive(&probes(keepalive)).map_err(|error| ("set the keep-alive times", error))?;
    }
    if let Some(span) = options.user_timeout {
        set_user_timeout(socket, span).map_err(|error| ("set TCP_USER_TIMEOUT", error))?;
    }
    if let Some(span) = options.busy_poll {
        set_busy_poll(socket, span).map_err(|error| ("set SO_BUSY_POLL", error))?;
    }
    Ok(())
}

/// The kernel's buffers, the only options that Unix-domain streams have too.
pub(super) fn set_buffers(socket: &Socket, options: &StreamOptions) -> Step<()> {
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes).map_err(|error| ("set the receive buffer", error))?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes).map_err(|error| ("set the send buffer", error))?;
    }
    Ok(())
}

fn probes(keepalive: Keepalive) -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(keepalive.idle)
        .with_interval(keepalive.interval)
        .with_retries(keepalive.probes)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_user_timeout(socket: &Socket, span: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(span))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_user_timeout(_: &Socket, _: Duration) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_busy_poll(socket: &Socket, span: Duration) -> io::Result<()> {
    let microseconds = i32::try_from(span.as_micros()).unwrap_or(i32::MAX);
    socket.set_busy_poll(microseconds.unsigned_abs())
}

#[cfg(not(target_os = "linux"))]
fn set_busy_poll(_: &Socket, _: Duration) -> io::Result<()> {
    Ok(())
}

/// Ends a stream. A linger time of zero makes close(2) send a reset and forget what was not delivered.
pub(super) fn close(socket: Socket, how: CloseHow) {
    if how == CloseHow::Abort {
        // A connection that is gone already cannot be told to linger, and need not be.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
    drop(socket);
}
