//! Messages prepared once for many: the same bytes for all who agreed on the same, and no harm done by those that never
//! arrive, whatever was agreed.

use std::sync::Arc;

use gnezdo::ws::{
    Compress, DeflateParams, Event, Limits, Message, Prepared, Protocol, Workspace, WorkspaceConfig,
};

fn params(bits: u8, keeps_window: bool) -> DeflateParams {
    DeflateParams {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        server_no_context_takeover: !keeps_window,
        client_no_context_takeover: !keeps_window,
        ..DeflateParams::default()
    }
}

/// Every agreement there may be, with how many bytes of RSV1-marked frames it allows.
fn agreements() -> Vec<Option<DeflateParams>> {
    let deflate = |bits| [true, false].map(|keeps_window| Some(params(bits, keeps_window)));
    [9, 15].into_iter().flat_map(deflate).chain([None]).collect()
}

fn workspace() -> Workspace {
    let mut space = Workspace::new(WorkspaceConfig { compress_from: 16, ..WorkspaceConfig::default() });
    provide_keys(&mut space);
    space
}

fn provide_keys(space: &mut Workspace) {
    if space.keys().remaining() < 4 {
        let numbered = |bytes: &mut [u8]| {
            (1..=255).cycle().zip(bytes).for_each(|(number, byte)| *byte = number);
            Ok::<_, ()>(())
        };
        space.keys().refill(numbered).unwrap();
    }
}

/// What the other end makes of these bytes.
fn heard(end: &mut Protocol, wire: &[u8], space: &mut Workspace) -> Vec<Vec<u8>> {
    let (mut wire, mut heard) = (wire.to_vec(), Vec::new());
    let mut input = &mut wire[..];
    while let Some(event) = end.receive(&mut input, space, &Limits::default(), 0) {
        assert!(matches!(event, Event::Message(_)), "{event:?}");
        let Event::Message(payload) = event else { break };
        heard.push(payload.message().as_bytes().to_vec());
        space.recycle(payload);
        space.renew_inflate_budget();
    }
    heard
}

fn text(seed: usize) -> String {
    let words = ["nest ", "socket ", "event ", "loop ", "frame "];
    (0..5 + seed % 40).map(|at| words[(seed * at + at / 3) % words.len()]).collect()
}

#[test]
fn those_who_agreed_on_the_same_are_sent_the_same_bytes() {
    let (mut space, mut message) = (workspace(), Prepared::new("again and again and again and again"));
    for deflate in agreements() {
        let [mut one, mut other] = [(); 2].map(|()| Protocol::server(deflate));
        let [first, second] = [&mut one, &mut other].map(|end| end.share(&mut message, &mut space).unwrap());
        assert!(Arc::ptr_eq(&first, &second), "{deflate:?}");
        assert_eq!(first[0] & 0x40 != 0, deflate.is_some());
    }
    let mut plain = message.clone().compress(Compress::Never);
    let bytes = Protocol::server(Some(params(15, false))).share(&mut plain, &mut space).unwrap();
    assert!(Arc::ptr_eq(&bytes, plain.plain()));
    let [mut one, mut other] = [(); 2].map(|()| Protocol::client(None));
    let [first, second] = [&mut one, &mut other].map(|end| end.share(&mut message, &mut space).unwrap());
    assert_ne!(first, second, "no two frames of a client have the same key (RFC 6455 §5.3)");
}

#[test]
fn what_is_short_or_gets_no_shorter_goes_out_as_it_is() {
    let mut space = workspace();
    for payload in ["too short", "0123456789abcdefghijklmnopqrstuvwxyz"] {
        let mut message = Prepared::new(payload);
        let bytes = Protocol::server(Some(params(15, false))).share(&mut message, &mut space).unwrap();
        assert!(Arc::ptr_eq(&bytes, message.plain()), "{payload}");
    }
}

/// What is encoded behind one with a key refers to nothing before it, whatever takes its place.
#[test]
fn one_may_take_the_place_of_another_with_its_key() {
    let deflate = Some(params(15, false));
    let (mut ours, mut theirs) = (Protocol::server(deflate), Protocol::client(deflate));
    let (mut space, long, later) = (workspace(), text(39), text(38));
    let mut wire = Vec::new();
    ours.encode(Message::from(&long), Compress::Auto, &mut space).unwrap().write_to(&mut wire);
    let _earlier = ours.share(&mut Prepared::new("short").keyed(1), &mut space).unwrap();
    let mut behind = Vec::new();
    ours.encode(Message::from(&long), Compress::Auto, &mut space).unwrap().write_to(&mut behind);
    wire.extend_from_slice(&ours.share(&mut Prepared::new(&later).keyed(1), &mut space).unwrap());
    wire.extend_from_slice(&behind);
    let expected = [&long, &later, &long].map(|text| text.clone().into_bytes());
    assert_eq!(heard(&mut theirs, &wire, &mut space), expected);
}

/// Those of many are in no window but their own, so any of them may be left out, and whatever else was sent still comes out.
#[test]
fn any_of_those_prepared_may_be_left_out() {
    for (deflate, is_server) in
        agreements().into_iter().flat_map(|deflate| [(deflate, true), (deflate, false)])
    {
        let (mut ours, mut theirs) = if is_server {
            (Protocol::server(deflate), Protocol::client(deflate))
        } else {
            (Protocol::client(deflate), Protocol::server(deflate))
        };
        let (mut space, mut wire, mut expected) = (workspace(), Vec::new(), Vec::new());
        for seed in 0..300 {
            provide_keys(&mut space);
            let text = text(seed);
            if seed % 3 == 0 {
                let bytes = ours.share(&mut Prepared::new(&text), &mut space).unwrap();
                if seed % 2 == 1 {
                    continue;
                }
                wire.extend_from_slice(&bytes);
            } else {
                let message = Message::from(&text);
                ours.encode(message, Compress::Auto, &mut space).unwrap().write_to(&mut wire);
            }
            expected.push(text.into_bytes());
        }
        assert_eq!(heard(&mut theirs, &wire, &mut space), expected, "{deflate:?}");
    }
}
