//! Who is on the other side of a stream: knows no socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockAddr;

use super::UnixAddr;

/// The address of the other side. It is the peer's choice where it is a Unix name: never a proof of who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// TCP: the other side's IP address and port.
    Tcp(SocketAddr),
    /// A Unix-domain socket; clients seldom have a name.
    Unix(Option<UnixAddr>),
}

impl Peer {
    /// The IP address by which to count a peer's connections, an IPv4 one also where it came in over an IPv6 listener.
    /// `None` for Unix-domain peers.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(addr) => Some(addr.ip().to_canonical()),
            Peer::Unix(_) => None,
        }
    }

    /// What the kernel says about the other side.
    pub(super) fn from_kernel(address: &SockAddr) -> io::Result<Self> {
        if address.is_unix() {
            return Ok(Peer::Unix(UnixAddr::from_kernel(address)));
        }
        let unknown = || io::Error::new(io::ErrorKind::Unsupported, "the peer is neither TCP nor Unix");
        address.as_socket().map(Peer::Tcp).ok_or_else(unknown)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(addr) => addr.fmt(formatter),
            Peer::Unix(Some(addr)) => addr.fmt(formatter),
            Peer::Unix(None) => formatter.write_str("unix:(unnamed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_shown_as_an_address() {
        assert_eq!(Peer::Tcp("127.0.0.1:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(Peer::Unix(Some(UnixAddr::path("/a").unwrap())).to_string(), "unix:/a");
        assert_eq!(Peer::Unix(None).to_string(), "unix:(unnamed)");
    }

    #[test]
    fn a_mapped_address_counts_as_its_ipv4_one() {
        let peer = Peer::Tcp("[::ffff:10.0.0.1]:80".parse().unwrap());
        assert_eq!(peer.ip(), Some("10.0.0.1".parse().unwrap()));
    }
}
