//! Why a listener or a connection could not be opened, on which address, and what cures it: knows no socket.

use std::io;
use std::net::SocketAddr;

use super::{Addr, UnixAddr};

/// Why a listener or a connection could not be opened.
///
/// Each variant's message names the address and says what to do; what the system said is its `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// Another socket listens on the port.
    #[error(
        "{addr} is in use: stop the program that listens there, or take another port (port 0 takes a free one)"
    )]
    PortInUse {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port needs a right that the process has not.
    #[error(
        "no right to listen on {addr}: ports below 1024 are the administrator's; take a higher one, \
         or grant CAP_NET_BIND_SERVICE"
    )]
    PortPrivileged {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No interface of this machine has the IP address.
    #[error(
        "no interface here has the address of {addr}: use 127.0.0.1 for this machine, 0.0.0.0 or [::] for every interface"
    )]
    AddressNotAvailable {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system was built or started without this kind of address.
    #[error(
        "the system does not know addresses like {addr}: switch on IPv6 if it is one, or use another address"
    )]
    FamilyUnsupported {
        /// What was asked for.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// Every local port towards this peer is taken.
    #[error(
        "no local port is left for a connection to {addr}: keep fewer connections, or wait until closed ones are forgotten"
    )]
    LocalPortsExhausted {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("nobody listens on {addr}: start the server first, or correct the address")]
    Refused {
        /// What was asked for.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// No way leads there, or nobody answers.
    #[error("{addr} cannot be reached: look at the route and the firewalls on the way")]
    Unreachable {
        /// What was asked for.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no socket file at the path.
    #[error("there is no socket at {addr}: start the server first, or correct the path")]
    SocketMissing {
        /// What was asked for.
        addr: UnixAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of the path does not exist.
    #[error("the directory of {addr} does not exist: create it first, or correct the path")]
    DirectoryMissing {
        /// What was asked for.
        addr: UnixAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The user may not write there.
    #[error("no permission for {addr}: grant this user the directory and the socket, or take another path")]
    NotPermitted {
        /// What was asked for.
        addr: UnixAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A live server has the path or the abstract name.
    #[error("{addr} is in use by a running server: stop it, or take another name")]
    NameInUse {
        /// What was asked for.
        addr: UnixAddr,
    },
    /// Something that is no socket stands at the path; it was not touched.
    #[error("{addr} is taken by something that is no socket: move it away yourself, or take another path")]
    PathNotSocket {
        /// What was asked for.
        addr: UnixAddr,
    },
    /// A dead server of another user has left its socket at the path; it was not touched.
    #[error(
        "{addr} was left behind by user {owner}, and this is user {user}: remove it yourself, or take another path"
    )]
    PathNotOurs {
        /// What was asked for.
        addr: UnixAddr,
        /// The number of the user the file belongs to.
        owner: u32,
        /// The number of the user of this process.
        user: u32,
    },
    /// The permission bits asked for are more than permission bits.
    #[error("the mode {mode:#o} is no set of permissions: use for example 0o600 or 0o660")]
    ModeInvalid {
        /// What was asked for.
        mode: u32,
    },
    /// The process or the system has no descriptor left.
    #[error(
        "no descriptor is left for {addr}: raise the limit of open files (`ulimit -n`), or keep fewer connections"
    )]
    DescriptorsExhausted {
        /// What was asked for.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// The loop holds as many connections as it may.
    #[error("{limit} connections are open, and no more are allowed: close some, or raise `max_connections`")]
    TooMany {
        /// How many that is.
        limit: usize,
    },
    /// A host name led to no address.
    #[error("the host name cannot be resolved ({source}): check its spelling and the name server")]
    Unresolved {
        /// What the system said.
        source: io::Error,
    },
    /// What the loop itself needs could not be had.
    #[error(
        "cannot open what the event loop itself needs ({source}): raise the limit of open files (`ulimit -n`)"
    )]
    Start {
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {doing} for {addr}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What was asked for.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
}

impl NetError {
    /// The failure of listening on `addr`, while trying to do `doing` ("bind").
    #[must_use]
    pub fn listen(addr: &Addr, doing: &'static str, source: io::Error) -> Self {
        match addr {
            Addr::Tcp(tcp) => NetError::listen_tcp(*tcp, doing, source),
            Addr::Unix(unix) => NetError::listen_unix(unix, doing, source),
        }
    }

    /// The failure of connecting to `addr`, at once or when the connection was on its way.
    #[must_use]
    pub fn connect(addr: &Addr, source: io::Error) -> Self {
        match (addr, source.raw_os_error().unwrap_or(0)) {
            (Addr::Tcp(tcp), libc::EADDRNOTAVAIL | libc::EAGAIN) => {
                NetError::LocalPortsExhausted { addr: *tcp, source }
            }
            (Addr::Unix(unix), libc::ENOENT | libc::ENOTDIR) => {
                NetError::SocketMissing { addr: unix.clone(), source }
            }
            (Addr::Unix(unix), libc::EACCES | libc::EPERM) => {
                NetError::NotPermitted { addr: unix.clone(), source }
            }
            (_, libc::ECONNREFUSED) => NetError::Refused { addr: addr.clone(), source },
            (_, libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ETIMEDOUT | libc::ENETDOWN) => {
                NetError::Unreachable { addr: addr.clone(), source }
            }
            _ => NetError::other(addr.clone(), "connect", source),
        }
    }

    fn listen_tcp(addr: SocketAddr, doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error().unwrap_or(0) {
            libc::EADDRINUSE => NetError::PortInUse { addr, source },
            libc::EACCES => NetError::PortPrivileged { addr, source },
            libc::EADDRNOTAVAIL => NetError::AddressNotAvailable { addr, source },
            _ => NetError::other(Addr::Tcp(addr), doing, source),
        }
    }

    fn listen_unix(addr: &UnixAddr, doing: &'static str, source: io::Error) -> Self {
        let addr = addr.clone();
        match source.raw_os_error().unwrap_or(0) {
            libc::EADDRINUSE => NetError::NameInUse { addr },
            libc::ENOENT | libc::ENOTDIR => NetError::DirectoryMissing { addr, source },
            libc::EACCES | libc::EPERM | libc::EROFS => NetError::NotPermitted { addr, source },
            _ => NetError::other(Addr::Unix(addr), doing, source),
        }
    }

    /// What can go wrong with any address, and the rest.
    fn other(addr: Addr, doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error().unwrap_or(0) {
            libc::EMFILE | libc::ENFILE => NetError::DescriptorsExhausted { addr, source },
            libc::EAFNOSUPPORT => NetError::FamilyUnsupported { addr, source },
            _ => NetError::System { doing, addr, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    fn tcp() -> Addr {
        "127.0.0.1:80".parse().unwrap()
    }

    fn unix() -> Addr {
        "unix:/run/echo.sock".parse().unwrap()
    }

    #[test]
    fn a_failed_listen_names_the_address_and_the_cure() {
        let rows = [
            (tcp(), libc::EADDRINUSE, "127.0.0.1:80 is in use", "port 0 takes a free one"),
            (tcp(), libc::EACCES, "127.0.0.1:80", "CAP_NET_BIND_SERVICE"),
            (tcp(), libc::EADDRNOTAVAIL, "127.0.0.1:80", "0.0.0.0"),
            (tcp(), libc::EMFILE, "127.0.0.1:80", "ulimit -n"),
            (tcp(), libc::EAFNOSUPPORT, "127.0.0.1:80", "IPv6"),
            (tcp(), libc::EINVAL, "cannot bind for 127.0.0.1:80", "Invalid argument"),
            (unix(), libc::EADDRINUSE, "unix:/run/echo.sock is in use", "stop it"),
            (unix(), libc::ENOENT, "unix:/run/echo.sock", "create it first"),
            (unix(), libc::EACCES, "unix:/run/echo.sock", "grant"),
            (unix(), libc::EROFS, "unix:/run/echo.sock", "grant"),
            (unix(), libc::ENFILE, "unix:/run/echo.sock", "ulimit -n"),
        ];
        for (addr, code, names, cures) in rows {
            let message = NetError::listen(&addr, "bind", os(code)).to_string();
            assert!(message.contains(names) && message.contains(cures), "{message}");
        }
    }

    #[test]
    fn a_failed_connect_names_the_address_and_the_cure() {
        let rows = [
            (tcp(), libc::ECONNREFUSED, "nobody listens on 127.0.0.1:80", "start the server"),
            (tcp(), libc::EADDRNOTAVAIL, "127.0.0.1:80", "fewer connections"),
            (tcp(), libc::EAGAIN, "127.0.0.1:80", "fewer connections"),
            (tcp(), libc::EHOSTUNREACH, "127.0.0.1:80", "route"),
            (tcp(), libc::ETIMEDOUT, "127.0.0.1:80", "firewalls"),
            (tcp(), libc::EMFILE, "127.0.0.1:80", "ulimit -n"),
            (unix(), libc::ECONNREFUSED, "nobody listens on unix:/run/echo.sock", "start the server"),
            (unix(), libc::ENOENT, "unix:/run/echo.sock", "correct the path"),
            (unix(), libc::EACCES, "unix:/run/echo.sock", "grant"),
        ];
        for (addr, code, names, cures) in rows {
            let message = NetError::connect(&addr, os(code)).to_string();
            assert!(message.contains(names) && message.contains(cures), "{message}");
        }
    }

    #[test]
    fn what_the_system_said_is_the_source() {
        let error = NetError::listen(&tcp(), "bind", os(libc::EADDRINUSE));
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(libc::EADDRINUSE));
    }

    #[test]
    fn an_error_is_small_enough_to_be_returned_by_value() {
        assert!(size_of::<NetError>() <= 64, "{}", size_of::<NetError>());
    }
}
