//! `host[:port]` as in Host and in a target (RFC 9110 §7.2, RFC 3986 §3.2): knows no scheme and resolves no name.

use core::net::Ipv6Addr;

/// A host with or without a port, checked and not decoded.
///
/// ```
/// use gnezdo::http::Authority;
///
/// let authority = Authority::parse("Example.com:8080").expect("a host and a port");
/// assert_eq!((authority.host(), authority.port()), ("Example.com", Some(8080)));
/// assert_eq!(Authority::parse("[::1]").map(|authority| authority.host()), Some("[::1]"));
/// assert_eq!(Authority::parse("user@example.com"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`; nothing for an empty host, user information, a path, a list or a port above 65535.
    pub fn parse(text: &'a str) -> Option<Self> {
        let host_len = if text.starts_with('[') {
            text.find(']')?.checked_add(1)?
        } else {
            text.find(':').unwrap_or(text.len())
        };
        let (host, rest) = text.split_at_checked(host_len)?;
        let valid = if host.starts_with('[') { is_ip_literal(host) } else { is_registered_name(host) };
        let port = match rest.as_bytes() {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        valid.then_some(Self { host, port })
    }

    /// The host as it was written; an IPv6 address is in its brackets.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether both name the same host, in any case, and the same port, or none.
    pub(super) fn is_same(&self, other: &Authority<'_>) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }
}

/// RFC 3986 §3.2.3: digits, here within 16 bits.
fn parse_port(digits: &[u8]) -> Option<u16> {
    let valid = digits.iter().all(u8::is_ascii_digit);
    if valid { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// RFC 3986 §3.2.2: an IPv6 address in brackets. No scope and no future version.
fn is_ip_literal(host: &str) -> bool {
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// RFC 3986 §3.2.2: a registered name or an IPv4 address, without the comma, which would make it look like a list.
fn is_registered_name(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    let is_encoded =
        |part: &str| matches!(part.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    !host.is_empty() && host.bytes().all(is_name_byte) && host.split('%').skip(1).all(is_encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("localhost:", "localhost", None),
            ("a_b.example:65535", "a_b.example", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:9001", "[::1]", Some(9001)),
            ("%2Frun%2Fa.sock", "%2Frun%2Fa.sock", None),
        ] {
            let authority = Authority::parse(text).map(|authority| (authority.host(), authority.port()));
            assert_eq!(authority, Some((host, port)));
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for text in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:+1",
            "a:80:80",
            "a:80 ",
            "a b",
            "a/b",
            "u@a",
            "a,b",
            "a, b",
            "a?b",
            "a#b",
            "a\\b",
            "[::1",
            "[::1]x",
            "[::g]",
            "[]",
            "::1",
            "[a]",
            "a%2",
            "a%zz",
            "é.example",
            "a\0",
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn authorities_are_the_same_in_any_case_and_with_the_same_port() {
        for (left, right, same) in [
            ("Example.COM:80", "example.com:80", true),
            ("example.com:", "example.com", true),
            ("example.com", "example.com:80", false),
            ("example.com", "example.com.evil", false),
            ("example.com:80", "example.com:8080", false),
        ] {
            let is_same =
                Authority::parse(left).zip(Authority::parse(right)).map(|(left, right)| left.is_same(&right));
            assert_eq!(is_same, Some(same), "{left} and {right}");
        }
    }
}
