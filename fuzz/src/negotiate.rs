//! The agreement on compression: whatever is offered, the answer is a legal one to an offer that is there; what is offered
//! well is agreed on; and both ends then mean the same (RFC 7692 §5, §7.1).

use gnezdo::http::{HeadLimits, HeadScanner, HeaderStorage, Headers, Request};
use gnezdo::ws::{Agreed, DeflateConfig, DeflateParams, Proposal, encode_accept, examine, negotiate};

use super::budget::{Budget, within};
use super::tape::Tape;

/// Checks hostile bytes, well-formed offers, or both ends, as the first byte says.
pub fn check(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    match tape.byte() % 3 {
        0 => check_hostile(tape),
        1 => check_written(tape),
        _ => check_ends(tape),
    }
}

fn config(tape: &mut Tape<'_>) -> DeflateConfig {
    let flags = tape.byte();
    DeflateConfig {
        server_max_window_bits: 15 - (tape.byte() % 7),
        client_max_window_bits: 15 - (tape.byte() % 8),
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        ..DeflateConfig::default()
    }
}

/// An offer as the answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Offer {
    server_forgets: bool,
    client_forgets: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

fn check_hostile(mut tape: Tape<'_>) {
    let config = config(&mut tape);
    let lines: Vec<&[u8]> = tape.rest().split(|byte| *byte == b'\n').collect();
    let agreed = within(&Budget::NOTHING, || negotiate(lines.iter().copied(), &config));
    let Some(params) = agreed else { return };
    let offers = lines.iter().flat_map(|line| split(line, b',')).filter_map(|offer| read_naively(&offer));
    let legal = offers.into_iter().any(|offer| expected(offer, &config) == params);
    assert!(legal, "{params:?} answers no offer");
}

/// Cuts at a separator outside of quotes, as the simplest reader would.
fn split(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let (mut parts, mut quoted, mut escaped) = (vec![Vec::new()], false, false);
    for &byte in text {
        if byte == separator && !quoted {
            parts.push(Vec::new());
            continue;
        }
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
        parts.last_mut().expect("one at least").push(byte);
    }
    parts
}

fn read_naively(offer: &[u8]) -> Option<Offer> {
    let mut parts = split(offer, b';').into_iter();
    let mut read = Offer::default();
    if parts.next()?.trim_ascii() != b"permessage-deflate" {
        return None;
    }
    for part in parts {
        let mut pair = part.splitn(2, |byte| *byte == b'=');
        let (name, value) = (pair.next()?.trim_ascii(), pair.next().map(unquoted));
        let bits = value.as_ref().and_then(|value| bits_of(value));
        match (name, value.is_some()) {
            (b"server_no_context_takeover", false) => read.server_forgets = true,
            (b"client_no_context_takeover", false) => read.client_forgets = true,
            (b"server_max_window_bits", true) => read.server_bits = Some(bits?),
            (b"client_max_window_bits", true) => read.client_bits = Some(bits?),
            (b"client_max_window_bits", false) => read.client_bits = Some(15),
            _ => return None,
        }
    }
    Some(read)
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().iter().copied().filter(|byte| !matches!(byte, b'"' | b'\\')).collect()
}

fn bits_of(value: &[u8]) -> Option<u8> {
    let bits: u8 = std::str::from_utf8(value).ok()?.parse().ok()?;
    ((8..=15).contains(&bits) && !value.starts_with(b"0") && !value.starts_with(b"+")).then_some(bits)
}

/// What this configuration makes of an offer (RFC 7692 §7.1.1, §7.1.2).
fn expected(offer: Offer, config: &DeflateConfig) -> DeflateParams {
    let server = offer.server_bits.unwrap_or(15).min(config.server_max_window_bits);
    DeflateParams {
        server_max_window_bits: server,
        client_max_window_bits: offer.client_bits.map_or(15, |bits| bits.min(config.client_max_window_bits)),
        server_no_context_takeover: offer.server_forgets || config.server_no_context_takeover,
        client_no_context_takeover: offer.client_forgets || config.client_no_context_takeover,
        names_server_window: offer.server_bits.is_some(),
    }
}

/// Well-formed elements, some of them of other extensions: the first offer that can be met is answered.
fn check_written(mut tape: Tape<'_>) {
    let config = config(&mut tape);
    let (mut value, mut first, mut count) = (String::new(), None, 0);
    while !tape.is_at_end() && count < 20 {
        let offer = write_element(&mut value, &mut tape);
        first = first.or(offer);
        count += 1;
    }
    let wanted = first.filter(|_| count <= 16).map(|offer| expected(offer, &config));
    assert_eq!(negotiate([value.as_bytes()], &config), wanted, "{value:?}");
}

/// Appends an element; answers the offer that it is, if it can be met.
fn write_element(value: &mut String, tape: &mut Tape<'_>) -> Option<Offer> {
    let (flags, mut offer) = (tape.byte(), Offer::default());
    let gap = tape.pick(&["", " ", "\t "]);
    let name = tape.pick(&["permessage-deflate", "x-webkit-deflate-frame", "Permessage-Deflate"]);
    if !value.is_empty() {
        value.extend([",", gap]);
    }
    value.push_str(name);
    let mut good = name == "permessage-deflate";
    if flags & 1 != 0 {
        value.extend([gap, ";", gap, "server_no_context_takeover"]);
        offer.server_forgets = true;
    }
    if flags & 2 != 0 {
        value.extend([gap, ";", gap, "client_no_context_takeover"]);
        offer.client_forgets = true;
    }
    if flags & 4 != 0 {
        let bits = tape.byte() % 18;
        value.extend([";", gap, "server_max_window_bits=", &quoted(bits, flags)]);
        good &= (9..=15).contains(&bits);
        offer.server_bits = Some(bits);
    }
    if flags & 8 != 0 {
        let bits = tape.byte() % 18;
        value.extend([";", gap, "client_max_window_bits=", &quoted(bits, flags)]);
        good &= (8..=15).contains(&bits);
        offer.client_bits = Some(bits);
    } else if flags & 16 != 0 {
        value.push_str(";client_max_window_bits");
        offer.client_bits = Some(15);
    }
    if flags & 32 != 0 {
        value.extend([";", tape.pick(&["constructor", "__proto__=1", "server_no_context_takeover=1"])]);
        good = false;
    }
    good.then_some(offer)
}

fn quoted(bits: u8, flags: u8) -> String {
    if flags & 64 != 0 { format!("\"{bits}\"") } else { bits.to_string() }
}

/// A client and a server of this crate, each as it is configured.
fn check_ends(mut tape: Tape<'_>) {
    let (ours, theirs) = (config(&mut tape), config(&mut tape));
    let key = *b"the sample nonce";
    let client = Proposal::new("host", "/", key).and_then(|proposal| proposal.deflate(&ours)).expect("valid");
    let mut request = Vec::new();
    client.encode(&mut request);
    let mut storage = HeaderStorage::new();
    let limits = HeadLimits::default();
    let parsed = Request::parse(&request, &mut storage, &limits).expect("a request of our own");
    let upgrade = examine(&parsed).expect("a valid handshake").expect("an attempt");
    let Some(agreed) = upgrade.deflate(&theirs) else { panic!("the server declined {ours:?}") };
    let mut answer = Vec::new();
    encode_accept(&mut answer, &upgrade, None, &Headers::new(), Some(&agreed)).expect("a legal answer");
    let read = client.read_answer(&answer, &mut HeadScanner::new(), &limits);
    let Ok(Some((Agreed { deflate: Some(read), .. }, _))) = read else { panic!("{read:?} to {agreed:?}") };
    assert_eq!(read.server_max_window_bits, agreed.server_max_window_bits);
    assert_eq!(read.server_no_context_takeover, agreed.server_no_context_takeover);
    // Of its own side a client may do more than was agreed: forget, and look back less far.
    assert!(read.client_max_window_bits <= agreed.client_max_window_bits);
    assert!(read.client_no_context_takeover || !agreed.client_no_context_takeover);
}
