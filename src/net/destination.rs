//! Where to connect to: an address, or a host name and a port still to be resolved; knows no socket.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::{Addr, AddrError};

/// What can be connected to.
///
/// ```
/// use gnezdo::net::Destination;
///
/// assert!(matches!("[::1]:9001".parse()?, Destination::Addr(_)));
/// assert!(matches!("unix:/run/echo.sock".parse()?, Destination::Addr(_)));
/// assert!(matches!("example.org:80".parse()?, Destination::Name { port: 80, .. }));
/// # Ok::<(), gnezdo::net::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An address, which needs no resolver.
    Addr(Addr),
    /// A host by its name. It is resolved off the loop's thread.
    Name {
        /// Letters, digits, hyphens and dots, up to 253 of them (RFC 1123 §2.1); no internationalised form but the
        /// encoded one.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Destination {
    /// A host, which may be an IP address (IPv6 in brackets or not), and a port.
    ///
    /// # Errors
    ///
    /// If the host is neither.
    pub fn host(host: &str, port: u16) -> Result<Self, AddrError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse() {
            return Ok(Destination::Addr(Addr::Tcp(SocketAddr::new(ip, port))));
        }
        if is_host_name(host) {
            return Ok(Destination::Name { host: host.to_owned(), port });
        }
        Err(AddrError::HostInvalid { text: host.to_owned() })
    }
}

impl Destination {
    /// The host without the port: its name, its IP address, or `localhost` where it is this machine by a path.
    #[must_use]
    pub fn host_text(&self) -> String {
        match self {
            Destination::Addr(Addr::Tcp(addr)) => addr.ip().to_string(),
            Destination::Addr(Addr::Unix(_)) => "localhost".to_owned(),
            Destination::Name { host, .. } => host.clone(),
        }
    }
}

impl From<Addr> for Destination {
    fn from(addr: Addr) -> Self {
        Destination::Addr(addr)
    }
}

impl FromStr for Destination {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let error = match text.parse() {
            Ok(addr) => return Ok(Destination::Addr(addr)),
            Err(error) => error,
        };
        match (error, text.rsplit_once(':')) {
            (AddrError::HostNotIp { .. }, Some((host, port))) => {
                let port = port.parse().map_err(|_| AddrError::PortInvalid { text: text.to_owned() })?;
                Destination::host(host, port)
            }
            (error, _) => Err(error),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Addr(addr) => addr.fmt(formatter),
            Destination::Name { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

/// RFC 1123 §2.1 and RFC 1035 §2.3.4, with the underscore that many names have.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let known = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        known && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    // A name whose last label is a number would be taken for an IPv4 address by some resolvers.
    let last_is_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_shown_as_it_is_read() {
        for text in ["127.0.0.1:9001", "[::1]:9001", "unix:/run/a.sock", "example.org:80", "a_b.c-d.e.:1"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_an_example() {
        for text in
            ["", ":80", "example.org", "example.org:", "-a.org:1", "a..b:1", "a b:1", "1.2.3:4", "ü.org:1"]
        {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains('`'), "{text:?}: {error}");
        }
        assert!(format!("{}:1", "a".repeat(64)).parse::<Destination>().is_err());
    }

    #[test]
    fn an_ip_address_needs_no_resolver() {
        for host in ["127.0.0.1", "::1", "[::1]"] {
            assert!(matches!(Destination::host(host, 1), Ok(Destination::Addr(_))), "{host}");
        }
    }
}
