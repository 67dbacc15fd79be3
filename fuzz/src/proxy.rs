//! Headers of the PROXY protocol: the verdict does not depend on how the bytes were cut, and what was read can be written
//! again by another writer, and is then read the same (`proxy-protocol.txt` §2).

use std::net::{IpAddr, SocketAddr};

use gnezdo::proxy::{self, Header, MOST_BYTES, Parsed, Relayed, TrustedProxies, Version};

/// The bytes are what a connection begins with, and, as text, a network.
pub fn check(bytes: &[u8]) {
    let whole = proxy::parse(bytes);
    let mut is_judged = false;
    for end in 0..=bytes.len().min(MOST_BYTES + 1) {
        match proxy::parse(&bytes[..end]) {
            Ok(Parsed::Partial) => assert!(!is_judged && end < MOST_BYTES, "partial again, or for ever"),
            verdict => {
                assert_eq!(verdict, whole, "cut at {end}");
                is_judged = true;
            }
        }
    }
    if let Ok(Parsed::Complete { header, length }) = whole {
        assert!(length <= bytes.len() && length <= MOST_BYTES);
        check_again(&header);
    }
    check_network(&String::from_utf8_lossy(bytes));
}

/// Writes what was read in both versions, where they can say it.
fn check_again(header: &Header) {
    let Relayed::Tcp { source, destination } = header.relayed else { return };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let line = format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
    assert_reads(line.as_bytes(), &Header { version: Version::V1, relayed: header.relayed.clone() });
    let bytes = written(source, destination);
    assert_reads(&bytes, &Header { version: Version::V2, relayed: header.relayed.clone() });
}

fn written(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let body = [octets(source.ip()), octets(destination.ip()), ports].concat();
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let length = u8::try_from(body.len()).expect("36 at most");
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, family, 0, length], &body].concat()
}

fn assert_reads(bytes: &[u8], expected: &Header) {
    let Ok(Parsed::Complete { header, length }) = proxy::parse(bytes) else { panic!("{bytes:?}") };
    assert_eq!((&header, length), (expected, bytes.len()));
}

/// A network holds its own first address.
fn check_network(text: &str) {
    if let Ok(proxies) = TrustedProxies::networks([text]) {
        let first: IpAddr = text.split('/').next().unwrap_or_default().parse().expect("it was taken");
        assert!(proxies.trusts(Some(first)) && !proxies.trusts(None));
    }
}
