//! What a client sends (RFC 6455 §5.1, §5.3): masked all of it, each frame with a key of its own that nobody used before.

use std::collections::HashSet;

use gnezdo::ws::{
    CloseCode, Compress, Control, Kind, Limits, MaskKeys, Message, NoKeys, NotSent, Protocol, Role, State,
    Workspace,
};

use crate::mirror::mirror;
use crate::rig::{Receive, Rig, Seen, Vector, fill, random};

fn client() -> (Protocol, Workspace) {
    (Protocol::client(None), Workspace::default())
}

/// The masking keys of what a client sent, and what a server would have sent instead.
#[track_caller]
fn keys_of(wire: &[u8]) -> (Vec<[u8; 4]>, Vec<u8>) {
    let sent = mirror(wire);
    assert!(!sent.cut, "half a frame");
    (sent.keys.into_iter().map(Option::unwrap).collect(), sent.wire)
}

#[test]
fn all_that_a_client_sends_is_masked() {
    let (mut protocol, mut space) = client();
    let (mut out, mut given) = (Vec::new(), Vec::new());
    let mut random = random(7);
    space
        .keys()
        .refill(|bytes| {
            random(bytes)?;
            given.extend_from_slice(bytes.as_chunks::<4>().0);
            Ok::<_, NoKeys>(())
        })
        .unwrap();
    let long = vec![0x5A; 70_000];
    let control = Control::new(b"?").unwrap();
    for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
        let message = Message::Binary(&long[..length]);
        protocol.encode(message, Compress::Auto, &mut space).unwrap().write_to(&mut out);
    }
    protocol.ping(&control, &mut space, &mut out).unwrap();
    protocol.pong(&control, &mut space, &mut out).unwrap();
    protocol.encode("hi".into(), Compress::Never, &mut space).unwrap().write_to(&mut out);
    protocol.close(CloseCode::NORMAL, "bye", &mut space, &mut out).unwrap();

    let (keys, plain) = keys_of(&out);
    given.reverse();
    assert_eq!(keys, given[..11], "the keys that were given, one per frame");
    assert_eq!(space.keys().remaining(), MaskKeys::MAX - 11);
    let heads: [&[u8]; 7] = [
        b"\x82\x00",
        b"\x82\x01",
        b"\x82\x7D",
        b"\x82\x7E\x00\x7E",
        b"\x82\x7E\xFF\xFF",
        b"\x82\x7F\0\0\0\0\0\x01\0\0",
        b"\x82\x7F\0\0\0\0\0\x01\x11\x70",
    ];
    let mut expected = Vec::new();
    for (head, length) in heads.iter().zip([0, 1, 125, 126, 65_535, 65_536, 70_000]) {
        expected.extend([head, &long[..length]].concat());
    }
    expected.extend_from_slice(b"\x89\x01?\x8A\x01?\x81\x02hi\x88\x05\x03\xE8bye");
    assert_eq!(plain, expected);
}

#[test]
fn what_goes_out_by_itself_is_masked_too() {
    for (wire, answer) in [
        (&b"\x88\x05\x03\xE9bye"[..], &b"\x88\x02\x03\xE9"[..]),
        (b"\x88\x00", b"\x88\x00"),
        (b"\x83\x00", b"\x88\x18\x03\xEAthe opcode is reserved"),
        (b"\x81\x81\x01\x02\x03\x04\x60", b"\x88\x1C\x03\xEAa server's frame is masked"),
    ] {
        let mut rig = Rig::new(&Vector { end: Role::Client, ..Vector::default() });
        rig.receive(wire, Receive::Buffer);
        assert_eq!(keys_of(&rig.trace.output).1, answer, "{wire:?}");
    }
}

#[test]
fn r18_without_keys_nothing_is_sent_and_nothing_moves() {
    let (mut protocol, mut space) = client();
    let (mut out, control) = (Vec::new(), Control::default());
    for _ in 0..2 {
        let sent = protocol.encode("hi".into(), Compress::Auto, &mut space);
        assert_eq!(sent.map(drop), Err(NotSent::NoKeys));
        assert_eq!(protocol.ping(&control, &mut space, &mut out), Err(NotSent::NoKeys));
        assert_eq!(protocol.pong(&control, &mut space, &mut out), Err(NotSent::NoKeys));
        assert_eq!(protocol.close(CloseCode::NORMAL, "", &mut space, &mut out), Err(NotSent::NoKeys));
        assert_eq!((protocol.state(), out.len()), (State::Open, 0));
        // All keys are used up, or forgotten.
        fill(&mut space);
        space.keys().discard();
    }
    fill(&mut space);
    while space.keys().remaining() > 0 {
        protocol.ping(&control, &mut space, &mut Vec::new()).unwrap();
    }
    let mut close = *b"\x88\x02\x03\xE8";
    let event = protocol.receive(&mut &mut close[..], &mut space, &Limits::default(), 0);
    assert!(event.is_some());
    assert_eq!((protocol.state(), space.replies.len()), (State::Closed, 0));
}

#[test]
fn a_client_has_no_plain_way_out_and_a_server_needs_no_keys() {
    let (client, _) = client();
    assert_eq!((client.role(), client.is_plain()), (Role::Client, false));
    assert_eq!(client.head(Kind::Text, 1).map(drop), Err(NotSent::NoKeys));
    let server = Protocol::server(None);
    assert_eq!((server.role(), server.is_plain()), (Role::Server, true));
    assert_eq!(server.head(Kind::Text, 1).unwrap().as_bytes(), [0x81, 1]);
    assert!(!Protocol::server(Some(gnezdo::ws::DeflateParams::default())).is_plain());
}

/// As many frames as R18 wants to see, of every kind, and all the keys that were given for them.
fn many_keys(count: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let (mut protocol, mut space) = client();
    let (mut random, mut given, mut used, mut out) = (random(seed), Vec::new(), Vec::new(), Vec::new());
    let control = Control::new(b"ping").unwrap();
    for number in 0..count {
        if space.keys().remaining() == 0 {
            let fill = |bytes: &mut [u8]| {
                random(bytes)?;
                given.extend(bytes.as_chunks::<4>().0.iter().map(|key| u32::from_le_bytes(*key)));
                Ok::<_, NoKeys>(())
            };
            space.keys().refill(fill).unwrap();
        }
        out.clear();
        match number % 3 {
            0 => protocol.ping(&control, &mut space, &mut out).unwrap(),
            1 => protocol.pong(&control, &mut space, &mut out).unwrap(),
            _ => protocol.encode("text".into(), Compress::Auto, &mut space).unwrap().write_to(&mut out),
        }
        let (keys, plain) = keys_of(&out);
        assert!(plain.ends_with(b"ping") || plain.ends_with(b"text"));
        used.extend(keys.into_iter().map(u32::from_le_bytes));
    }
    (used, given)
}

#[test]
fn r18_a_million_frames_have_a_million_keys() {
    const COUNT: usize = 1 << 20;
    let (used, mut given) = many_keys(COUNT, 42);
    assert!(used.windows(2).all(|pair| pair[0] != pair[1]), "equal neighbours");
    let distinct = used.iter().collect::<HashSet<_>>().len();
    assert!(distinct >= COUNT - 140, "{distinct}");
    for bit in 0..32 {
        let ones = used.iter().filter(|key| **key >> bit & 1 == 1).count();
        assert!(ones.abs_diff(COUNT / 2) < COUNT * 3 / 1000, "bit {bit}: {ones}");
    }
    let mut sorted = used.clone();
    sorted.sort_unstable();
    given.sort_unstable();
    assert_eq!(sorted, given, "every key that was given, and each once");
    assert_ne!(many_keys(100, 43).0, used[..100], "another seed, other keys");
}

#[test]
fn a_client_drops_late_messages_after_its_close_as_a_server_does() {
    let mut rig = Rig::new(&Vector { end: Role::Client, ..Vector::default() });
    fill(&mut rig.space);
    rig.protocol.close(CloseCode::GOING_AWAY, "", &mut rig.space, &mut Vec::new()).unwrap();
    rig.receive(b"\x81\x04late\x89\x01?\x88\x02\x03\xE9", Receive::Buffer);
    assert_eq!(rig.trace.events, [Seen::Ping(b"?".to_vec()), Seen::Close(Some((1001, String::new())))]);
    assert_eq!(keys_of(&rig.trace.output).1, b"\x8A\x01?");
    assert_eq!(rig.protocol.state(), State::Closed);
}
