//! A client and a server of this crate, from the first byte of the handshake: what one sends the other receives, whatever was
//! agreed and however the bytes are cut.

use gnezdo::http::{HeadLimits, HeadScanner, HeaderStorage, Headers, Request};
use gnezdo::ws::{
    CloseCode, Compress, Control, DeflateConfig, DeflateParams, Endpoint, Limits, OwnedEvent, Proposal,
    encode_accept, examine,
};
use proptest::prelude::*;

use crate::rig::random;

/// Both sides of a handshake, and what each believes was agreed.
fn shake_hands(
    wanted: Option<&DeflateConfig>,
    allowed: Option<&DeflateConfig>,
    key: [u8; 16],
) -> (Option<DeflateParams>, Option<DeflateParams>) {
    let limits = HeadLimits::default();
    let mut proposal = Proposal::new("localhost", "/", key).unwrap().subprotocols(["a", "b"]).unwrap();
    if let Some(config) = wanted {
        proposal = proposal.deflate(config).unwrap();
    }
    let (mut wire, mut storage, mut answer) = (Vec::new(), HeaderStorage::new(), Vec::new());
    proposal.encode(&mut wire);
    let request = Request::parse(&wire, &mut storage, &limits).unwrap();
    let upgrade = examine(&request).unwrap().unwrap();
    let servers = allowed.and_then(|config| upgrade.deflate(config));
    encode_accept(&mut answer, &upgrade, Some("b"), &Headers::new(), servers.as_ref()).unwrap();
    let (agreed, head_len) =
        proposal.read_answer(&answer, &mut HeadScanner::new(), &limits).unwrap().unwrap();
    assert_eq!((agreed.subprotocol.as_deref(), head_len), (Some("b"), answer.len()));
    (agreed.deflate, servers)
}

/// What one of the two does.
#[derive(Clone, Debug)]
enum Act {
    Text(String, Compress),
    Binary(Vec<u8>, Compress),
    Ping(Control),
}

impl Act {
    fn play(&self, end: &mut Endpoint) {
        match self {
            Act::Text(text, compress) => end.send(text, *compress).unwrap(),
            Act::Binary(bytes, compress) => end.send(bytes, *compress).unwrap(),
            Act::Ping(payload) => end.ping(payload).unwrap(),
        }
    }

    fn seen(self) -> OwnedEvent {
        match self {
            Act::Text(text, _) => OwnedEvent::Text(text),
            Act::Binary(bytes, _) => OwnedEvent::Binary(bytes),
            Act::Ping(payload) => OwnedEvent::Ping(payload),
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let compress = || prop_oneof![4 => Just(Compress::Auto), 1 => Just(Compress::Never)];
    let binary = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..1500),
        1 => (any::<u8>(), 0_usize..100_000).prop_map(|(byte, length)| vec![byte; length]),
        1 => (prop::collection::vec(any::<u8>(), 1..600), 1_usize..200).prop_map(|(seed, times)| seed.repeat(times)),
    ];
    let control = prop::collection::vec(any::<u8>(), 0..=125).prop_map(|bytes| Control::new(&bytes).unwrap());
    prop_oneof![
        4 => ("(гнездо |nest |сокет, |[a-z]{1,4} ){0,400}", compress()).prop_map(|(text, compress)| Act::Text(text, compress)),
        4 => (binary, compress()).prop_map(|(bytes, compress)| Act::Binary(bytes, compress)),
        1 => control.prop_map(Act::Ping),
    ]
}

fn config() -> impl Strategy<Value = DeflateConfig> {
    (9_u8..=15, 8_u8..=15, any::<bool>(), any::<bool>()).prop_map(
        |(server_max_window_bits, client_max_window_bits, server_forgets, client_forgets)| DeflateConfig {
            server_max_window_bits,
            client_max_window_bits,
            server_no_context_takeover: server_forgets,
            client_no_context_takeover: client_forgets,
            ..DeflateConfig::default()
        },
    )
}

/// Carries what `from` has to say to `to`, in pieces of the lengths that come round and round.
fn carry(from: &mut Endpoint, to: &mut Endpoint, pieces: &[usize]) -> Vec<OwnedEvent> {
    let wire = from.poll_output().unwrap_or_default();
    let (mut rest, mut pieces) = (wire.as_slice(), pieces.iter().cycle());
    while !rest.is_empty() {
        let count = rest.len().min(pieces.next().copied().unwrap_or(usize::MAX));
        let (piece, after) = rest.split_at(count);
        to.handle_input(&mut piece.to_vec(), 0);
        rest = after;
    }
    std::iter::from_fn(|| to.poll_event()).collect()
}

/// The pings that the other end has answered.
fn pongs(acts: &[Act]) -> Vec<OwnedEvent> {
    let pings = acts.iter().filter_map(|act| match act {
        Act::Ping(payload) => Some(OwnedEvent::Pong(*payload)),
        Act::Text(..) | Act::Binary(..) => None,
    });
    pings.collect()
}

#[track_caller]
fn converse(mut ends: [Endpoint; 2], acts: &[(bool, Vec<Act>)], pieces: &[usize]) {
    for (by_server, acts) in acts {
        let [client, server] = &mut ends;
        let (speaker, listener) = if *by_server { (server, client) } else { (client, server) };
        for act in acts {
            act.play(speaker);
        }
        let expected: Vec<OwnedEvent> = acts.iter().cloned().map(Act::seen).collect();
        assert_eq!(carry(speaker, listener, pieces), expected);
        assert_eq!(carry(listener, speaker, pieces), pongs(acts));
    }
    let [client, server] = &mut ends;
    client.close(CloseCode::NORMAL, "done", 0).unwrap();
    assert!(matches!(carry(client, server, pieces)[..], [OwnedEvent::Close(Some(_))]));
    assert!(matches!(carry(server, client, pieces)[..], [OwnedEvent::Close(Some(_))]));
    assert!(client.is_over() && server.is_over() && client.poll_output().is_none());
}

fn ends(agreed: (Option<DeflateParams>, Option<DeflateParams>), seed: u64) -> [Endpoint; 2] {
    let limits = Limits { pings_per_second: 1_000_000, ..Limits::default() };
    [Endpoint::client(agreed.0, limits.clone(), random(seed)), Endpoint::server(agreed.1, limits)]
}

#[cfg(feature = "deflate")]
#[test]
fn both_sides_of_every_handshake_believe_the_same() {
    let all = |bits: std::ops::RangeInclusive<u8>| {
        bits.flat_map(|bits| [true, false].into_iter().map(move |forgets| (bits, forgets)))
    };
    for (server, server_forgets) in all(9..=15) {
        for (client, client_forgets) in all(8..=15) {
            let wanted = DeflateConfig {
                server_max_window_bits: server,
                client_max_window_bits: client,
                server_no_context_takeover: server_forgets,
                client_no_context_takeover: client_forgets,
                ..DeflateConfig::default()
            };
            let strict = DeflateConfig { server_max_window_bits: 12, client_max_window_bits: 12, ..wanted };
            for allowed in [strict, DeflateConfig::default()] {
                let (clients, servers) = shake_hands(Some(&wanted), Some(&allowed), [3; 16]);
                let (clients, servers) = (clients.unwrap(), servers.unwrap());
                assert_eq!(clients.server_max_window_bits, servers.server_max_window_bits);
                assert_eq!(clients.server_no_context_takeover, servers.server_no_context_takeover);
                assert!(clients.client_max_window_bits <= servers.client_max_window_bits);
                assert!(clients.client_no_context_takeover >= servers.client_no_context_takeover);
                assert!(clients.server_max_window_bits <= server && clients.client_max_window_bits <= client);
            }
        }
    }
}

#[test]
fn compression_is_agreed_on_by_two_or_not_at_all() {
    let config = DeflateConfig::default();
    assert_eq!(shake_hands(None, Some(&config), [1; 16]), (None, None));
    assert_eq!(shake_hands(Some(&config), None, [1; 16]), (None, None));
}

#[test]
fn a_client_that_gets_no_randomness_sends_nothing() {
    let mut client = Endpoint::client(None, Limits::default(), |_| Err(gnezdo::ws::NoKeys));
    assert!(client.send("hi", Compress::Auto).is_err());
    client.handle_input(&mut b"\x89\x01?".to_vec(), 0);
    assert!(client.close(CloseCode::NORMAL, "", 0).is_err());
    assert_eq!(client.poll_output(), None);
    assert!(!client.is_over());
}

/// Sends the same text twice, and says whether the second time it took much less than the first.
#[cfg(feature = "deflate")]
fn keeps_its_window(from: &mut Endpoint, to: &mut Endpoint) -> bool {
    let text = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(30);
    let lengths = [(); 2].map(|()| {
        from.send(&text, Compress::Auto).unwrap();
        let mut wire = from.poll_output().unwrap();
        to.handle_input(&mut wire, 0);
        assert_eq!(to.poll_event(), Some(OwnedEvent::Text(text.clone())));
        wire.len()
    });
    lengths[1] < lengths[0] / 2
}

#[cfg(feature = "deflate")]
#[test]
fn each_end_keeps_or_forgets_its_window_as_agreed() {
    for (server_forgets, client_forgets) in [(false, false), (false, true), (true, false), (true, true)] {
        let config = |server_no_context_takeover, client_no_context_takeover| DeflateConfig {
            server_no_context_takeover,
            client_no_context_takeover,
            ..DeflateConfig::default()
        };
        let (strict, free) = (config(server_forgets, client_forgets), config(false, false));
        for (wanted, allowed) in [(&strict, &free), (&free, &strict)] {
            let [mut client, mut server] = ends(shake_hands(Some(wanted), Some(allowed), [1; 16]), 1);
            assert_eq!(keeps_its_window(&mut client, &mut server), !client_forgets);
            assert_eq!(keeps_its_window(&mut server, &mut client), !server_forgets);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    #[test]
    fn what_one_sends_the_other_receives(
        acts in prop::collection::vec((any::<bool>(), prop::collection::vec(act(), 0..6)), 1..6),
        wanted in prop::option::weighted(0.9, config()),
        allowed in prop::option::weighted(0.9, config()),
        pieces in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..5_000], 0..6),
        key: [u8; 16],
        seed: u64,
    ) {
        converse(ends(shake_hands(wanted.as_ref(), allowed.as_ref(), key), seed), &acts, &pieces);
    }
}
