//! The property that holds it all together: however the bytes are cut, whatever place they are received in and however
//! little may be inflated at a time, the same events and the same answers come out.

use gnezdo::ws::{DeflateParams, Limits, WorkspaceConfig};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::rig::{Receive, Seen, Vector, masked};

/// One thing that a client does.
#[derive(Clone, Debug)]
enum Act {
    Message { text: Option<String>, binary: Vec<u8>, cuts: Vec<Index>, pings: bool, compressed: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Damage(Vec<u8>),
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 4000_usize..70_000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let text = prop::option::of(prop_oneof!["\\PC{0,80}", "[а-яa-z ]{0,2000}"]);
    let cuts = prop::collection::vec(any::<Index>(), 0..4);
    let message = (text, payload(), cuts, any::<bool>(), any::<bool>()).prop_map(
        |(text, binary, cuts, pings, compressed)| Act::Message { text, binary, cuts, pings, compressed },
    );
    let control = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        8 => message,
        2 => control().prop_map(Act::Ping),
        1 => control().prop_map(Act::Pong),
        1 => prop::collection::vec(any::<u8>(), 1..30).prop_map(Act::Damage),
    ]
}

/// What the client sends, and what a server must see up to the first damage.
#[derive(Default)]
struct Script {
    wire: Vec<u8>,
    seen: Vec<Seen>,
    damaged: bool,
}

impl Script {
    fn of(acts: &[Act], key: [u8; 4]) -> Script {
        let mut script = Script::default();
        for act in acts {
            script.play(act, key);
        }
        script
    }

    fn play(&mut self, act: &Act, key: [u8; 4]) {
        match act {
            Act::Ping(payload) => self.control(0x89, payload, key, Seen::Ping),
            Act::Pong(payload) => self.control(0x8A, payload, key, Seen::Pong),
            Act::Damage(bytes) => {
                self.damaged = true;
                self.wire.extend_from_slice(bytes);
            }
            Act::Message { text, binary, cuts, pings, compressed } => {
                let payload = text.as_ref().map_or(&binary[..], String::as_bytes);
                let (payload, rsv1) = deflated(payload, *compressed);
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                cuts.sort_unstable();
                cuts.push(payload.len());
                let (mut from, mut first) = (0, (u8::from(text.is_none()) + 1) | rsv1);
                for (index, to) in cuts.iter().enumerate() {
                    let last = if index + 1 == cuts.len() { 0x80 } else { 0 };
                    self.wire.extend_from_slice(&masked(first | last, &payload[from..*to], key));
                    if *pings && last == 0 {
                        self.control(0x89, b"between", key, Seen::Ping);
                    }
                    (from, first) = (*to, 0);
                }
                self.see(
                    text.as_ref()
                        .map_or_else(|| Seen::Binary(binary.clone()), |text| Seen::Text(text.clone())),
                );
            }
        }
    }

    fn control(&mut self, first: u8, payload: &[u8], key: [u8; 4], seen: fn(Vec<u8>) -> Seen) {
        self.wire.extend_from_slice(&masked(first, payload, key));
        self.see(seen(payload.to_vec()));
    }

    fn see(&mut self, seen: Seen) {
        if !self.damaged {
            self.seen.push(seen);
        }
    }
}

/// The payload on the wire, and RSV1 if it was compressed.
#[cfg(feature = "deflate")]
fn deflated(payload: &[u8], compressed: bool) -> (Vec<u8>, u8) {
    if !compressed {
        return (payload.to_vec(), 0);
    }
    let mut out = Vec::with_capacity(payload.len() + 1000);
    flate2::Compress::new(flate2::Compression::new(6), false)
        .compress_vec(payload, &mut out, flate2::FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    (out, 0x40)
}

#[cfg(not(feature = "deflate"))]
fn deflated(payload: &[u8], _: bool) -> (Vec<u8>, u8) {
    (payload.to_vec(), 0)
}

fn vector(wire: Vec<u8>, takeover: bool) -> Vector {
    let deflate = DeflateParams {
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        ..DeflateParams::default()
    };
    let limits = Limits { pings_per_second: 1_000_000, ..Limits::default() };
    Vector { wire, limits, deflate: Some(deflate), ..Vector::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    #[test]
    fn what_was_sent_is_seen_however_it_was_cut(
        acts in prop::collection::vec(act(), 1..8),
        key: [u8; 4],
        cuts in prop::collection::vec(any::<Index>(), 0..40),
        takeover: bool,
        at_client: bool,
        inflate_budget in prop_oneof![Just(1_usize), 1_usize..10_000, Just(1 << 20)],
    ) {
        let script = Script::of(&acts, key);
        let vector = vector(script.wire, takeover);
        let vector = if at_client { vector.mirrored() } else { vector };
        let whole = vector.whole();
        if script.damaged {
            prop_assert_eq!(&whole.events[..script.seen.len()], &script.seen[..]);
        } else {
            prop_assert_eq!(&whole.events, &script.seen);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(vector.wire.len() + 1)).collect();
        cuts.sort_unstable();
        for how in [Receive::Buffer, Receive::Landing] {
            let config = WorkspaceConfig { inflate_budget, ..WorkspaceConfig::default() };
            prop_assert_eq!(&vector.cut_with(&cuts, how, config), &whole);
        }
        if vector.wire.len() < 2_000 {
            let every: Vec<usize> = (1..vector.wire.len()).collect();
            prop_assert_eq!(&vector.cut(&every, Receive::Buffer), &whole);
        }
    }

    #[test]
    fn any_bytes_at_all_do_the_same_however_cut(
        mut wire in prop::collection::vec(any::<u8>(), 0..200),
        first in prop_oneof![Just(0x81), Just(0x01), Just(0xC1), Just(0x88), Just(0x82), any::<u8>()],
        length in 0_u8..=127,
    ) {
        wire.splice(0..0, [first, 0x80 | length]);
        vector(wire, true).same_however_cut();
    }
}

#[cfg(feature = "deflate")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    #[test]
    fn damaged_deflate_data_fails_the_same_however_cut(
        payload in payload(), at: Index, byte: u8, first in prop_oneof![Just(0xC1_u8), Just(0xC2)],
    ) {
        let (mut bytes, _) = deflated(&payload, true);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(600);
        vector([masked(first, &bytes, [9, 8, 7, 6]), masked(0xC1, b"\x02\x00", [1; 4])].concat(), true).same_however_cut();
    }

    #[test]
    fn random_deflate_data_does_the_same_however_cut(bytes in prop::collection::vec(any::<u8>(), 1..60), takeover: bool) {
        let wire = [masked(0xC2, &bytes, [9, 8, 7, 6]), masked(0xC2, &bytes, [1; 4])].concat();
        vector(wire, takeover).same_however_cut();
    }
}
