//! Addresses to listen on or connect to, as text and as values: knows no socket and asks no resolver.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::UnixAddr;

/// What can be listened on or connected to.
///
/// | text | what |
/// |---|---|
/// | `127.0.0.1:9001` | TCP over IPv4 |
/// | `[::1]:9001` | TCP over IPv6 |
/// | `0.0.0.0:0` | every IPv4 interface, a free port |
/// | `unix:/run/echo.sock` | a Unix-domain socket at a path |
/// | `unix:echo.sock` | the same, from the working directory |
/// | `unix:@echo` | a Linux abstract name: no file, no permissions |
///
/// Host names are not resolved here, for a resolver blocks.
///
/// ```
/// use gnezdo::net::Addr;
///
/// let addr: Addr = "[::1]:9001".parse()?;
/// assert_eq!(addr.to_string(), "[::1]:9001");
/// assert!("unix:/run/echo.sock".parse::<Addr>()?.is_unix());
/// # Ok::<(), gnezdo::net::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addr {
    /// TCP: an IP address and a port.
    Tcp(SocketAddr),
    /// A Unix-domain stream socket.
    Unix(UnixAddr),
}

impl Addr {
    /// Whether it is a Unix-domain socket.
    #[must_use]
    pub const fn is_unix(&self) -> bool {
        matches!(self, Addr::Unix(_))
    }

    /// The IP address and port, if it is TCP.
    #[must_use]
    pub const fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Addr::Tcp(addr) => Some(*addr),
            Addr::Unix(_) => None,
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::Tcp(addr) => addr.fmt(formatter),
            Addr::Unix(addr) => addr.fmt(formatter),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Addr::Tcp(addr)
    }
}

impl From<UnixAddr> for Addr {
    fn from(addr: UnixAddr) -> Self {
        Addr::Unix(addr)
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        if let Some(rest) = text.strip_prefix(UnixAddr::PREFIX) {
            return rest.parse().map(Addr::Unix);
        }
        text.parse().map(Addr::Tcp).map_err(|_| why_not_tcp(text))
    }
}

/// Says what is wrong with a text that is no IP address with a port.
fn why_not_tcp(text: &str) -> AddrError {
    let owned = text.to_owned();
    if text.is_empty() {
        return AddrError::Empty;
    }
    if text.contains("://") {
        return AddrError::IsUrl { text: owned };
    }
    if text.contains('/') {
        return AddrError::PrefixMissing { text: owned };
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return AddrError::PortMissing { text: owned },
        Ok(IpAddr::V6(_)) => return AddrError::BracketsMissing { text: owned },
        Err(_) => {}
    }
    let Some((host, port)) = text.rsplit_once(':') else { return AddrError::PortMissing { text: owned } };
    why_not_host_and_port(owned.clone(), host, port)
}

/// The same for a text that has a colon.
fn why_not_host_and_port(text: String, host: &str, port: &str) -> AddrError {
    if host.is_empty() {
        AddrError::HostMissing { text }
    } else if host.parse::<Ipv6Addr>().is_ok() {
        AddrError::BracketsMissing { text }
    } else if port.ends_with(']') {
        AddrError::PortMissing { text }
    } else if port.parse::<u16>().is_err() {
        AddrError::PortInvalid { text }
    } else {
        AddrError::HostNotIp { text }
    }
}

/// What is wrong with the text or the parts of an address. Each message shows a good example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// Nothing was given.
    #[error("the address is empty: write for example `127.0.0.1:9001` or `unix:/run/echo.sock`")]
    Empty,
    /// A URL was given.
    #[error("{text:?} is a URL: leave out the scheme and the path, as in `127.0.0.1:9001`")]
    IsUrl {
        /// What was given.
        text: String,
    },
    /// A path was given without saying so.
    #[error("{text:?} looks like a path: write `unix:` before it, as in `unix:/run/echo.sock`")]
    PrefixMissing {
        /// What was given.
        text: String,
    },
    /// There is no port.
    #[error(
        "{text:?} has no port: write for example `127.0.0.1:9001` or `[::1]:9001` (port 0 takes a free one)"
    )]
    PortMissing {
        /// What was given.
        text: String,
    },
    /// The port is no number from 0 to 65535.
    #[error("{text:?} has no valid port: a port is a number from 0 to 65535, as in `127.0.0.1:9001`")]
    PortInvalid {
        /// What was given.
        text: String,
    },
    /// There is a port alone.
    #[error(
        "{text:?} has no host: write `127.0.0.1` before it for this machine, `0.0.0.0` or `[::]` for every interface"
    )]
    HostMissing {
        /// What was given.
        text: String,
    },
    /// The host is a name, or nothing known.
    #[error(
        "{text:?} names no IP address: names are not resolved here; write for example `127.0.0.1:9001` or `[::1]:9001`"
    )]
    HostNotIp {
        /// What was given.
        text: String,
    },
    /// The host is neither an IP address nor a host name.
    #[error("{text:?} is no host: write for example `example.org`, `127.0.0.1` or `[::1]`")]
    HostInvalid {
        /// What was given.
        text: String,
    },
    /// An IPv6 address stands without brackets.
    #[error("{text:?} is IPv6 without brackets, so that no port can be told: write for example `[::1]:9001`")]
    BracketsMissing {
        /// What was given.
        text: String,
    },
    /// A Unix address without a path.
    #[error("the path of the Unix socket is empty: write for example `unix:/run/echo.sock`")]
    PathEmpty,
    /// A Unix path that ends like a directory.
    #[error("{text:?} names a directory: add the name of the socket, as in `unix:/run/echo.sock`")]
    PathIsDirectory {
        /// The path.
        text: String,
    },
    /// A Unix path or name with a NUL, or in a text another control character.
    #[error("{text:?} has a control character in it: use a plain path, as in `unix:/run/echo.sock`")]
    ControlCharacter {
        /// The path or name.
        text: String,
    },
    /// A Unix path or name that the kernel has no room for.
    #[error(
        "{text:?} is {length} bytes long and the system takes {limit}: \
         use a shorter path, as `unix:/run/echo.sock`, or a relative one, as `unix:echo.sock`"
    )]
    PathTooLong {
        /// The path or name.
        text: String,
        /// Its length in bytes.
        length: usize,
        /// The most bytes the system takes.
        limit: usize,
    },
    /// An abstract name that is empty.
    #[error("the abstract name is empty: write for example `unix:@echo`")]
    NameEmpty,
    /// An abstract name on a system without them.
    #[error("abstract names are known to Linux alone: use a path, as in `unix:/run/echo.sock`")]
    NameUnsupported,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> AddrError {
        text.parse::<Addr>().unwrap_err()
    }

    #[test]
    fn every_documented_form_is_read_and_shown_alike() {
        for text in ["127.0.0.1:9001", "[::1]:9001", "0.0.0.0:0", "[fe80::1%2]:80"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
        for text in ["unix:/run/echo.sock", "unix:echo.sock", "unix:./@echo", "unix:a b", "unix:/ä"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert_eq!(fault(""), AddrError::Empty);
        assert!(matches!(fault("tcp://127.0.0.1:9001"), AddrError::IsUrl { .. }));
        assert!(matches!(fault("/run/echo.sock"), AddrError::PrefixMissing { .. }));
        assert!(matches!(fault("127.0.0.1"), AddrError::PortMissing { .. }));
        assert!(matches!(fault("localhost"), AddrError::PortMissing { .. }));
        assert!(matches!(fault("[::1]"), AddrError::PortMissing { .. }));
        assert!(matches!(fault("127.0.0.1:"), AddrError::PortInvalid { .. }));
        assert!(matches!(fault("127.0.0.1:65536"), AddrError::PortInvalid { .. }));
        assert!(matches!(fault("127.0.0.1:-1"), AddrError::PortInvalid { .. }));
        assert!(matches!(fault(":9001"), AddrError::HostMissing { .. }));
        assert!(matches!(fault("localhost:9001"), AddrError::HostNotIp { .. }));
        assert!(matches!(fault("256.0.0.1:9001"), AddrError::HostNotIp { .. }));
        assert!(matches!(fault("::1"), AddrError::BracketsMissing { .. }));
        assert!(matches!(fault("::1:9001"), AddrError::BracketsMissing { .. }));
    }

    #[test]
    fn each_fault_shows_a_good_example() {
        let texts = [
            "",
            "tcp://a",
            "/a",
            "127.0.0.1",
            "1.1.1.1:x",
            ":1",
            "a:1",
            "::1",
            "unix:",
            "unix:a/",
            "unix:a\n",
        ];
        for text in texts {
            let message = fault(text).to_string();
            let shown = message.contains("127.0.0.1")
                || message.contains("[::1]:9001")
                || message.contains("unix:/run");
            assert!(shown, "{text:?}: {message}");
        }
    }
}
