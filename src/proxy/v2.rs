//! Version 2, bytes (§2.2): knows no other one. Options (TLVs) are walked through, and of them only the checksum is read.

use core::net::{IpAddr, SocketAddr};

use super::{Header, MOST_BYTES, Parsed, ProxyError, Relayed, Version, begins_alike};

/// What every header begins with: no text protocol does, and none that begins with a line end goes on so.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the command, the family, and how many bytes follow.
const FIXED: usize = 16;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    if !begins_alike(bytes, SIGNATURE) {
        return Err(ProxyError::NotProxy);
    }
    let Some([.., command, family, high, low]) = bytes.first_chunk::<FIXED>() else {
        return Ok(Parsed::Partial);
    };
    let command = Command::of(*command)?;
    let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_add(FIXED);
    if length > MOST_BYTES {
        return Err(ProxyError::TooLong(length));
    }
    let Some(whole) = bytes.get(..length) else { return Ok(Parsed::Partial) };
    let relayed = match command {
        // §2.2: the receiver must use the connection's own addresses, and discard what is said of others.
        Command::Local => Relayed::Own,
        Command::Proxy => relayed(*family, whole)?,
    };
    Ok(Parsed::Complete { header: Header { version: Version::V2, relayed }, length })
}

/// What the header is for (§2.2).
#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

impl Command {
    /// The upper half is the version.
    fn of(byte: u8) -> Result<Self, ProxyError> {
        match byte {
            0x20 => Ok(Self::Local),
            0x21 => Ok(Self::Proxy),
            other => Err(ProxyError::Command(other)),
        }
    }
}

/// §2.2: the family in the upper half, the kind of transport in the lower one. A datagram cannot have become a stream.
fn relayed(family: u8, whole: &[u8]) -> Result<Relayed, ProxyError> {
    let body = whole.get(FIXED..).unwrap_or_default();
    let (relayed, options) = match family {
        0x00 => return Ok(Relayed::Unknown),
        0x11 => addresses(body, tcp::<4, 12>)?,
        0x21 => addresses(body, tcp::<16, 36>)?,
        0x31 => addresses(body, unix)?,
        _ => return Err(ProxyError::Family),
    };
    check_options(whole, options)?;
    Ok(relayed)
}

/// Reads the addresses, and answers with what follows them.
fn addresses<const N: usize>(
    body: &[u8],
    read: fn(&[u8; N]) -> Result<Relayed, ProxyError>,
) -> Result<(Relayed, &[u8]), ProxyError> {
    let (block, options) = body.split_first_chunk().ok_or(ProxyError::Short)?;
    Ok((read(block)?, options))
}

/// Two addresses of `A` bytes and two ports.
fn tcp<const A: usize, const N: usize>(block: &[u8; N]) -> Result<Relayed, ProxyError>
where
    IpAddr: From<[u8; A]>,
{
    let (source, rest) = block.split_first_chunk::<A>().ok_or(ProxyError::Short)?;
    let (destination, rest) = rest.split_first_chunk::<A>().ok_or(ProxyError::Short)?;
    let [a, b, c, d] = *rest.first_chunk().ok_or(ProxyError::Short)?;
    Ok(Relayed::Tcp {
        source: SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes([c, d])),
    })
}

/// Two names as they stand in `sun_path`.
fn unix(block: &[u8; 216]) -> Result<Relayed, ProxyError> {
    let (source, destination) = block.split_first_chunk::<108>().ok_or(ProxyError::Short)?;
    Ok(Relayed::Unix { source: name(source), destination: name(destination) })
}

/// A path ends before its first NUL. An abstract name begins with one and may have others; its length is not told, so
/// those at its end are taken for what fills the field.
fn name(field: &[u8]) -> Box<[u8]> {
    let end = match memchr::memchr(0, field) {
        Some(0) => field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1)),
        Some(end) => end,
        None => field.len(),
    };
    field.get(..end).unwrap_or_default().into()
}

/// Every option has to end within the header (§2.2); there are as many as fit.
fn check_options(whole: &[u8], mut options: &[u8]) -> Result<(), ProxyError> {
    let mut checksum = None;
    while let [kind, high, low, rest @ ..] = options {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(ProxyError::Options)?;
        if *kind == CRC32C {
            let said = <[u8; 4]>::try_from(value).map_err(|_| ProxyError::Options)?;
            let at = whole.len().saturating_sub(rest.len()).saturating_sub(said.len());
            if checksum.replace((at, u32::from_be_bytes(said))).is_some() {
                return Err(ProxyError::Options);
            }
        }
        options = rest;
    }
    match checksum {
        _ if !options.is_empty() => Err(ProxyError::Options),
        Some((at, said)) if crc32c(whole, at) != said => Err(ProxyError::Checksum),
        _ => Ok(()),
    }
}

/// §2.2.3: the checksum of RFC 4960, appendix B, over the header with zeros where the checksum itself stands. Bit by bit:
/// a header is short, and few have one.
fn crc32c(whole: &[u8], at: usize) -> u32 {
    let own = at..at.saturating_add(size_of::<u32>());
    let bytes = whole.iter().enumerate().map(|(index, byte)| if own.contains(&index) { 0 } else { *byte });
    !bytes.fold(!0, |sum, byte| {
        (0..u8::BITS)
            .fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

/// The type of the option that is a checksum (§2.2.3).
const CRC32C: u8 = 0x03;

/// Castagnoli's polynomial, the lowest bit first.
const POLYNOMIAL: u32 = 0x82F6_3B78;

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789", usize::MAX), 0xE306_9283);
        // RFC 3720 §B.4.
        assert_eq!(crc32c(&[0; 32], usize::MAX), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32], usize::MAX), 0x62A8_AB43);
        assert_eq!(crc32c(&[0xFF; 4], 0), crc32c(&[0; 4], usize::MAX));
    }
}
