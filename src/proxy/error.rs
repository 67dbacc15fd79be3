//! What is wrong with a header, by the rule it breaks, and who may not send one: values only.

use core::net::IpAddr;

/// Why a connection behind proxies was refused. There is no answer to a proxy: the connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It did not come from a proxy that is trusted: from this address, or, without one, over a Unix-domain socket.
    #[error("{} is not among the trusted proxies", Sender(*.0))]
    Untrusted(Option<IpAddr>),
    /// The first bytes are those of no header: a client that came directly, or a proxy that was not told to send one.
    #[error("it does not begin with a PROXY header: have the proxy send one (`send-proxy-v2`)")]
    NotProxy,
    /// Version 1: the line has no end within 107 bytes (§2.1).
    #[error("the PROXY line is longer than 107 bytes")]
    LineTooLong,
    /// Version 1: a line feed without a carriage return before it.
    #[error("the PROXY line ends without a carriage return")]
    BareLineFeed,
    /// Version 1: not five words with one space between each two.
    #[error("the PROXY line has not the five fields it must have")]
    Fields,
    /// An address that is none, or is of another family than the header says.
    #[error("an address of the PROXY header is not valid")]
    Address,
    /// Version 1: a port that is no decimal number from 0 to 65535, or has zeros before it.
    #[error("a port of the PROXY header is not valid")]
    Port,
    /// Neither TCP over IPv4 or IPv6, nor a Unix-domain stream, nor unknown: the relayed connection cannot be this one.
    #[error("the PROXY header is for another kind of connection")]
    Family,
    /// Version 2: another version, or another command than LOCAL and PROXY; this is the byte.
    #[error("the PROXY header has the version and command {0:#04x}, which are not known")]
    Command(u8),
    /// Version 2: it would be longer than [`MOST_BYTES`](crate::proxy::MOST_BYTES), so much.
    #[error("the PROXY header has {0} bytes, more than are taken")]
    TooLong(usize),
    /// Version 2: too short for the addresses it says it has.
    #[error("the PROXY header is too short for its addresses")]
    Short,
    /// Version 2: an option (TLV) that does not end where the header does, or a checksum that is none.
    #[error("the options of the PROXY header are not well formed")]
    Options,
    /// Version 2: the checksum is another one (§2.2.3).
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Who it came from, to be shown.
struct Sender(Option<IpAddr>);

impl core::fmt::Display for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("a peer on a Unix-domain socket"),
        }
    }
}
