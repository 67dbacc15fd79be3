//! Listening sockets that this process has from another one, which opened them: knows no loop, and not how they came.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use socket2::Socket;

use super::unix::PathClaim;
use super::{Addr, Peer, UnixAddr};

/// A listening socket from another process: from the predecessor whose place this one takes
/// ([`Predecessor`](super::Predecessor)), or from systemd ([`Inherited::from_systemd`]).
///
/// [`Reactor::listen_on`](crate::Reactor::listen_on) serves it. Dropped unserved it is closed here, and stays open where
/// it came from.
pub struct Inherited {
    pub(super) socket: Socket,
    pub(super) addr: Addr,
    pub(super) name: Option<String>,
    /// Where the file of the socket is this process's to take away in the end.
    pub(super) claim: Option<PathClaim>,
}

impl Inherited {
    /// Looks at a socket, which has to be a listening one, of TCP or in the Unix domain.
    pub(super) fn new(
        descriptor: OwnedFd,
        name: Option<String>,
        claim: Option<PathClaim>,
    ) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        if !is_listener(&socket)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
        }
        let path = claim.as_ref().map(|claim| claim.path().to_owned());
        let addr = name_of(&socket, path)?;
        Ok(Inherited { socket, addr, name, claim })
    }

    /// Where it listens; the path of a Unix-domain socket from a [`Predecessor`](super::Predecessor) is an absolute one.
    #[must_use]
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// The name it was given, as by `FileDescriptorName=` of a socket unit.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl std::fmt::Debug for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inherited")
            .field("addr", &self.addr)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_listener(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Where the system does not say, the first accept does.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_listener(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Where a socket listens: at `path`, where that is known, for the kernel knows the path only as it was given to it.
fn name_of(socket: &Socket, path: Option<PathBuf>) -> io::Result<Addr> {
    use std::os::unix::ffi::OsStrExt;

    let path = path.and_then(|path| UnixAddr::from_bytes(path.as_os_str().as_bytes()));
    let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the socket has no name");
    match (path, Peer::from_kernel(&socket.local_addr()?)?) {
        (Some(path), Peer::Unix(_)) => Ok(Addr::Unix(path)),
        (None, Peer::Unix(Some(name))) => Ok(Addr::Unix(name)),
        (None, Peer::Tcp(addr)) => Ok(Addr::Tcp(addr)),
        _ => Err(unnamed()),
    }
}
