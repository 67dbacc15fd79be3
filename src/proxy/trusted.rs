//! Whose headers are believed: networks in the notation of RFC 4632 §3.1, and Unix-domain peers where that is said.
//! Knows no socket.

use core::net::IpAddr;
use core::str::FromStr;

/// The proxies that a listener believes. Every connection of the listener has to come from one of them and to begin
/// with a header; all others are refused.
///
/// ```
/// use gnezdo::proxy::TrustedProxies;
///
/// let proxies = TrustedProxies::networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])?;
/// assert!(proxies.trusts(Some("10.1.2.3".parse().unwrap())));
/// assert!(!proxies.trusts(Some("192.0.2.2".parse().unwrap())));
/// assert!(!proxies.trusts(None), "Unix-domain peers are trusted only where that is said");
/// # Ok::<(), gnezdo::proxy::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    unix: UnixPeers,
}

/// Whether the permissions of the socket's file are proof enough of who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnixPeers {
    Refused,
    Trusted,
}

impl TrustedProxies {
    /// Proxies in these networks; an address without a length is itself alone.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`] that shows the text and the cure; there has to be at least one.
    pub fn networks<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, NetworkError> {
        let networks = texts.into_iter().map(Network::from_str).collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            Err(NetworkError::None)
        } else {
            Ok(Self { networks, unix: UnixPeers::Refused })
        }
    }

    /// Whoever can connect to a listener on a Unix-domain socket: its mode says who that is, which an abstract name has
    /// not.
    #[must_use]
    pub fn unix() -> Self {
        Self { networks: Vec::new(), unix: UnixPeers::Trusted }
    }

    /// These, and whoever can connect to a listener on a Unix-domain socket.
    #[must_use]
    pub fn and_unix(self) -> Self {
        Self { unix: UnixPeers::Trusted, ..self }
    }

    /// Whether a header is believed that comes from this address, or, without one, over a Unix-domain socket. An IPv4
    /// address counts as such also where it is written in IPv6.
    #[must_use]
    pub fn trusts(&self, ip: Option<IpAddr>) -> bool {
        match ip.map(|ip| ip.to_canonical()) {
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
            None => self.unix == UnixPeers::Trusted,
        }
    }
}

/// The addresses that begin with the same `length` bits as `first`, whose other bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    length: u32,
}

impl Network {
    fn contains(&self, ip: IpAddr) -> bool {
        common_bits(self.first, ip).is_some_and(|bits| bits >= self.length)
    }
}

/// How many bits two addresses of one family have in common from their beginning on.
fn common_bits(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        _ => None,
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let invalid = || NetworkError::Invalid { text: text.to_owned() };
        let (address, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
        let first: IpAddr = address.parse().map_err(|_| invalid())?;
        let (bits, most) = match first {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
            IpAddr::V6(ip) => (ip.to_bits(), 128),
        };
        let length = length.map_or(Ok(most), |length| prefix_length(length).ok_or_else(invalid))?;
        let host_bits = most.checked_sub(length).ok_or_else(invalid)?;
        if bits.trailing_zeros() < host_bits {
            return Err(NetworkError::HostBits { text: text.to_owned() });
        }
        if first != first.to_canonical() {
            return Err(NetworkError::Mapped { text: text.to_owned() });
        }
        Ok(Network { first, length })
    }
}

/// A number of one to three digits.
fn prefix_length(text: &str) -> Option<u32> {
    let plain = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// What is wrong with the text of a network. Each message shows a good example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No network was given.
    #[error("no proxy would be trusted: name at least one network, as `10.0.0.0/8`")]
    None,
    /// It is no address, or the length is no number of its bits.
    #[error("{text:?} is no network: write for example `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`")]
    Invalid {
        /// What was given.
        text: String,
    },
    /// Bits are set that the length leaves open: it is not clear which of the two is meant.
    #[error(
        "{text:?} has bits beyond its length: write `10.0.0.0/8` for the network, `10.1.2.3` for one address"
    )]
    HostBits {
        /// What was given.
        text: String,
    },
    /// An IPv4 network in IPv6.
    #[error("{text:?} is IPv4 written as IPv6: write for example `10.0.0.0/8`")]
    Mapped {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(network: &str, ip: &str) -> bool {
        TrustedProxies::networks([network]).unwrap().trusts(Some(ip.parse().unwrap()))
    }

    #[test]
    fn a_network_ends_with_its_last_address() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.3.0"]),
            ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
            ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff::1"], ["2001:db8:8000::", "2001:db7::"]),
            ("::1/128", ["::1", "0::1"], ["::2", "127.0.0.1"]),
        ] {
            assert!(inside.iter().all(|ip| trusts(network, ip)), "{network}");
            assert!(!outside.iter().any(|ip| trusts(network, ip)), "{network}");
        }
    }

    #[test]
    fn all_of_one_family_are_none_of_the_other() {
        assert!(trusts("0.0.0.0/0", "255.1.2.3") && !trusts("0.0.0.0/0", "::1"));
        assert!(trusts("::/0", "ff::1") && !trusts("::/0", "1.2.3.4"));
    }

    #[test]
    fn unix_peers_are_trusted_where_that_is_said() {
        assert!(TrustedProxies::unix().trusts(None));
        assert!(!TrustedProxies::unix().trusts(Some("127.0.0.1".parse().unwrap())));
        let networks = TrustedProxies::networks(["127.0.0.1"]).unwrap();
        assert!(!networks.trusts(None));
        assert!(networks.and_unix().trusts(None));
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_cure() {
        for text in
            ["", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "::/-1", "10.0.0.0/+8", "a/8", "10/8", "0/0/0"]
        {
            assert_eq!(TrustedProxies::networks([text]), Err(NetworkError::Invalid { text: text.into() }));
        }
        for text in ["10.0.0.1/8", "192.0.2.129/25", "2001:db8::1/64", "0.0.0.1/31"] {
            assert_eq!(TrustedProxies::networks([text]), Err(NetworkError::HostBits { text: text.into() }));
        }
        let text = "::ffff:10.0.0.1";
        assert_eq!(TrustedProxies::networks([text]), Err(NetworkError::Mapped { text: text.into() }));
        assert_eq!(TrustedProxies::networks([]), Err(NetworkError::None));
    }
}
