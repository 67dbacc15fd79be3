//! Agrees on permessage-deflate (RFC 7692 §5, §7) from Sec-WebSocket-Extensions (RFC 6455 §9.1): compresses nothing
//! and needs no compressor.

use std::io::Write as _;
use std::ops::RangeInclusive;

use crate::http::field::{Cursor, Value};

mod client;

pub(crate) use client::{AnswerError, check_answer};

/// How we compress, and what we ask of the peer's compression; the same for a server and for a client.
///
/// The defaults keep no window between messages on either side: memory is held only while a message is handled, and a
/// secret and a guess in two messages never share a window. Turn the `no_context_takeover` switches off for a better
/// ratio of many small similar messages, at the price of a compressor's memory for as long as each connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// The base-two logarithm of the largest window that the server compresses with: 9 to 15, 15 unless told otherwise. A
    /// client that lowers it agrees on no compression with a server that cannot.
    pub server_max_window_bits: u8,
    /// The same of the client's window: 8 to 15, 15 unless told otherwise. A server can lower it only for clients that
    /// say that they support it, as browsers do; the others are accepted with 15.
    pub client_max_window_bits: u8,
    /// Whether the server must forget its window after each message.
    pub server_no_context_takeover: bool,
    /// Whether the client must forget its window after each message.
    pub client_no_context_takeover: bool,
    /// The effort, 1 (fast) to 9 (small).
    pub level: u8,
    /// Messages shorter than so many bytes are sent as they are: 1024 unless told otherwise, less than a packet.
    pub threshold: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            server_max_window_bits: MOST_WINDOW_BITS,
            client_max_window_bits: MOST_WINDOW_BITS,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            level: 6,
            threshold: 1024,
        }
    }
}

/// A setting of [`DeflateConfig`] that is out of its range: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateConfigError {
    /// `server_max_window_bits` is not within 9 to 15.
    #[error("server_max_window_bits must be 9 to 15, not {0}")]
    ServerMaxWindowBits(u8),
    /// `client_max_window_bits` is not within 8 to 15.
    #[error("client_max_window_bits must be 8 to 15, not {0}")]
    ClientMaxWindowBits(u8),
    /// `level` is not within 1 to 9.
    #[error("the level of compression must be 1 to 9, not {0}")]
    Level(u8),
}

impl DeflateConfig {
    /// Checks the ranges; whoever accepts a configuration asks this once.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), DeflateConfigError> {
        if !OUR_WINDOW_BITS.contains(&self.server_max_window_bits) {
            return Err(DeflateConfigError::ServerMaxWindowBits(self.server_max_window_bits));
        }
        if !WINDOW_BITS.contains(&self.client_max_window_bits) {
            return Err(DeflateConfigError::ClientMaxWindowBits(self.client_max_window_bits));
        }
        if !LEVELS.contains(&self.level) {
            return Err(DeflateConfigError::Level(self.level));
        }
        Ok(())
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The base-two logarithm of the server's largest window, 8 to 15; this crate's servers have no 8.
    pub server_max_window_bits: u8,
    /// The base-two logarithm of the client's largest window, 8 to 15.
    pub client_max_window_bits: u8,
    /// Whether the server forgets its window after each message.
    pub server_no_context_takeover: bool,
    /// Whether the client forgets its window after each message.
    pub client_no_context_takeover: bool,
    /// Whether the answer has to name the server's window although it is the largest (RFC 7692 §7.1.2.1).
    pub names_server_window: bool,
}

impl Default for DeflateParams {
    /// What a bare `permessage-deflate` means: the largest windows, kept from message to message (RFC 7692 §7.1).
    fn default() -> Self {
        Self {
            server_max_window_bits: MOST_WINDOW_BITS,
            client_max_window_bits: MOST_WINDOW_BITS,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            names_server_window: false,
        }
    }
}

impl DeflateParams {
    /// Appends the value of Sec-WebSocket-Extensions that answers with this.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let names_server_window = self.names_server_window || self.server_max_window_bits < MOST_WINDOW_BITS;
        let names_client_window = self.client_max_window_bits < MOST_WINDOW_BITS;
        let answer = DeflateOffer {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            // RFC 7692 §7.1.2.1: an offer that names the server's window is accepted by naming it.
            server_max_window_bits: names_server_window.then_some(self.server_max_window_bits),
            // RFC 7692 §7.1.2.2: only an offer that allows it leads to a smaller window here.
            client_max_window_bits: names_client_window.then_some(self.client_max_window_bits),
        };
        answer.encode(out);
    }
}

/// Answers the offers in these values of Sec-WebSocket-Extensions: the first acceptable one wins.
///
/// Nothing is agreed on when there is no acceptable offer, when a value breaks the grammar, when there are more than
/// 16 offers, or when `config` is out of its ranges. The values are read once, from left to right.
///
/// ```
/// use gnezdo::ws::{DeflateConfig, negotiate};
///
/// let offers = b"permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits";
/// let agreed = negotiate([&offers[..]], &DeflateConfig::default()).expect("the second offer will do");
/// assert_eq!((agreed.server_max_window_bits, agreed.client_max_window_bits), (15, 15));
/// assert!(agreed.server_no_context_takeover && agreed.client_no_context_takeover);
/// ```
pub fn negotiate<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    config: &DeflateConfig,
) -> Option<DeflateParams> {
    first_offer(values)?.answer(config)
}

/// The parameters of permessage-deflate as they are written, in an offer or in an answer. Of an offer that was read it is
/// known that it can be accepted, whatever the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeflateOffer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl DeflateOffer {
    /// What we agree to: never more than the offer allows or the configuration wants.
    pub(crate) fn answer(self, config: &DeflateConfig) -> Option<DeflateParams> {
        config.validate().ok()?;
        let server_bits = self.server_max_window_bits.unwrap_or(MOST_WINDOW_BITS);
        // RFC 7692 §7.1.2.2: a client that does not say so cannot be asked for a smaller window.
        let client_bits = self.client_max_window_bits.map(|bits| bits.min(config.client_max_window_bits));
        Some(DeflateParams {
            server_max_window_bits: server_bits.min(config.server_max_window_bits),
            client_max_window_bits: client_bits.unwrap_or(MOST_WINDOW_BITS),
            // RFC 7692 §7.1.1.1: accepted by answering it; §7.1.1.2: the client's is a hint, free for us to take.
            server_no_context_takeover: self.server_no_context_takeover || config.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || config.client_no_context_takeover,
            names_server_window: self.server_max_window_bits.is_some(),
        })
    }

    /// Appends the value of Sec-WebSocket-Extensions that says this.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(EXTENSION.as_bytes());
        if self.server_no_context_takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        // Writing to a vector does not fail.
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(out, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            // RFC 7692 §7.1.2.2: an offer of the largest one says only that it is understood.
            Some(MOST_WINDOW_BITS) => out.extend_from_slice(b"; client_max_window_bits"),
            Some(bits) => drop(write!(out, "; client_max_window_bits={bits}")),
            None => {}
        }
    }

    /// Whether these parameters are a legal answer to this offer (RFC 7692 §7.1).
    pub(crate) fn allows(self, params: DeflateParams) -> bool {
        let server_bits = self.server_max_window_bits.unwrap_or(MOST_WINDOW_BITS);
        let server_window = *OUR_WINDOW_BITS.start()..=server_bits;
        let client_window = match self.client_max_window_bits {
            Some(_) => WINDOW_BITS,
            None => MOST_WINDOW_BITS..=MOST_WINDOW_BITS,
        };
        server_window.contains(&params.server_max_window_bits)
            && client_window.contains(&params.client_max_window_bits)
            && (params.server_no_context_takeover || !self.server_no_context_takeover)
            && (params.names_server_window || self.server_max_window_bits.is_none())
    }

    /// Takes a parameter; nothing when it is unknown, repeated, or has a value that it must not have.
    fn set(&mut self, name: &str, value: Option<Value<'_>>) -> Option<()> {
        match (name, value) {
            ("server_no_context_takeover", None) => set_once(&mut self.server_no_context_takeover),
            ("client_no_context_takeover", None) => set_once(&mut self.client_no_context_takeover),
            ("server_max_window_bits", Some(value)) => {
                let bits = window_bits(value)?;
                // RFC 7692 §7.1.2.1 allows 8. The zlib back end cannot compress with it, so such an offer is declined.
                let can_produce = OUR_WINDOW_BITS.contains(&bits);
                (can_produce && self.server_max_window_bits.replace(bits).is_none()).then_some(())
            }
            ("client_max_window_bits", value) => {
                let bits = value.map_or(Some(MOST_WINDOW_BITS), window_bits)?;
                self.client_max_window_bits.replace(bits).is_none().then_some(())
            }
            // RFC 7692 §5.2, §7.1: an offer with any other parameter or value is declined.
            _ => None,
        }
    }
}

/// RFC 7692 §5.2: a parameter that comes twice makes the offer invalid.
fn set_once(flag: &mut bool) -> Option<()> {
    let first = !*flag;
    *flag = true;
    first.then_some(())
}

/// RFC 7692 §7.1.2: 8 to 15, without leading zeros, plain or in quotes (RFC 6455 §9.1).
fn window_bits(value: Value<'_>) -> Option<u8> {
    let mut bytes = value.bytes();
    let bits = match (bytes.next()?, bytes.next(), bytes.next()) {
        (b'8', None, None) => 8,
        (b'9', None, None) => 9,
        (b'1', Some(b'0'), None) => 10,
        (b'1', Some(b'1'), None) => 11,
        (b'1', Some(b'2'), None) => 12,
        (b'1', Some(b'3'), None) => 13,
        (b'1', Some(b'4'), None) => 14,
        (b'1', Some(b'5'), None) => 15,
        _ => return None,
    };
    Some(bits)
}

/// The first acceptable offer of permessage-deflate in these values of Sec-WebSocket-Extensions.
pub(crate) fn first_offer<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<DeflateOffer> {
    let mut first = None;
    let mut count = 0_usize;
    for value in values {
        let mut cursor = Cursor::new(value);
        while next_element(&mut cursor) {
            count = count.saturating_add(1);
            if count > MOST_OFFERS {
                return None;
            }
            // RFC 6455 §9.1: a malformed header cannot be trusted; no part of it is used.
            let offer = read_offer(&mut cursor).ok()?;
            first = first.or(offer);
        }
    }
    first
}

/// Steps to the next element of a list, over empty ones (RFC 9110 §5.6.1.2).
fn next_element(cursor: &mut Cursor<'_>) -> bool {
    cursor.skip_white_space();
    while cursor.eat(b',') {}
    !cursor.is_at_end()
}

/// The value breaks the grammar of RFC 6455 §9.1.
struct Malformed;

/// Reads an offer. Nothing when it is not one that can be accepted.
fn read_offer(cursor: &mut Cursor<'_>) -> Result<Option<DeflateOffer>, Malformed> {
    let mut offer = Some(DeflateOffer::default());
    let extension = read_element(cursor, |name, value| {
        offer = offer.and_then(|mut offer| offer.set(name, value).map(|()| offer));
    })?;
    Ok(offer.filter(|_| extension == EXTENSION))
}

/// Reads one element: an extension, which comes back, and its parameters.
fn read_element<'a>(
    cursor: &mut Cursor<'a>,
    mut parameter: impl FnMut(&'a str, Option<Value<'a>>),
) -> Result<&'a str, Malformed> {
    let extension = cursor.take_token().ok_or(Malformed)?;
    // No bound but the head's is needed: of the fifth parameter on, each is unknown or a repetition.
    while cursor.eat(b';') {
        let (name, value) = read_parameter(cursor)?;
        parameter(name, value);
    }
    let ended = cursor.is_at_end() || cursor.eat(b',');
    if ended { Ok(extension) } else { Err(Malformed) }
}

/// Reads `name`, `name=token` or `name="quoted"`.
fn read_parameter<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Option<Value<'a>>), Malformed> {
    let name = cursor.take_token().ok_or(Malformed)?;
    let value = if cursor.eat(b'=') { Some(cursor.take_value().ok_or(Malformed)?) } else { None };
    Ok((name, value))
}

/// The registered name (RFC 7692 §7), which is case-sensitive as all tokens of RFC 6455 §9.1 are.
const EXTENSION: &str = "permessage-deflate";
const MOST_WINDOW_BITS: u8 = 15;
/// RFC 7692 §7.1.2.
const WINDOW_BITS: RangeInclusive<u8> = 8..=MOST_WINDOW_BITS;
/// What zlib can produce: it silently makes 9 of 8, which a peer with a window of 8 could not read.
const OUR_WINDOW_BITS: RangeInclusive<u8> = 9..=MOST_WINDOW_BITS;
const LEVELS: RangeInclusive<u8> = 1..=9;
/// No honest client offers more extensions than this.
const MOST_OFFERS: usize = 16;

#[cfg(test)]
mod tests;
