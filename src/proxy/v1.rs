//! Version 1, a line of text (§2.1): knows no other one.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use super::{Header, Parsed, ProxyError, Relayed, Version, begins_alike};

/// What every line begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line there can be, its end included (§2.1).
const MOST_LINE: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    if !begins_alike(bytes, SIGNATURE) {
        return Err(ProxyError::NotProxy);
    }
    let window = bytes.get(..MOST_LINE).unwrap_or(bytes);
    // A line of so few bytes may as well be looked at again for each piece that comes.
    let Some(line_feed) = memchr::memchr(b'\n', window) else {
        let is_over = window.len() == MOST_LINE;
        return if is_over { Err(ProxyError::LineTooLong) } else { Ok(Parsed::Partial) };
    };
    let line = window.get(..line_feed).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or(ProxyError::BareLineFeed)?;
    let relayed = relayed(line.strip_prefix(SIGNATURE).unwrap_or_default())?;
    let header = Header { version: Version::V1, relayed };
    Ok(Parsed::Complete { header, length: line_feed.saturating_add(1) })
}

/// §2.1: what follows UNKNOWN is to be ignored, whatever it is.
fn relayed(fields: &[u8]) -> Result<Relayed, ProxyError> {
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Ok(Relayed::Unknown);
    }
    let fields = core::str::from_utf8(fields).map_err(|_| ProxyError::Fields)?;
    let mut words = fields.split(' ');
    let mut word = || words.next().ok_or(ProxyError::Fields);
    let (family, source, destination) = (word()?, word()?, word()?);
    let (source_port, destination_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(ProxyError::Fields);
    }
    let address: fn(&str) -> Result<IpAddr, ProxyError> = match family {
        "TCP4" => address::<Ipv4Addr>,
        "TCP6" => address::<Ipv6Addr>,
        _ => return Err(ProxyError::Family),
    };
    let (source, destination) = (address(source)?, address(destination)?);
    Ok(Relayed::Tcp {
        source: SocketAddr::new(source, port(source_port)?),
        destination: SocketAddr::new(destination, port(destination_port)?),
    })
}

fn address<A: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, ProxyError> {
    text.parse::<A>().map(Into::into).map_err(|_| ProxyError::Address)
}

/// §2.1: a decimal number without zeros before it.
fn port(text: &str) -> Result<u16, ProxyError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(ProxyError::Port)
}
