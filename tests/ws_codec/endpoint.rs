//! The endpoint for those who use the codec alone, as a dialogue with a client and a clock that jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gnezdo::ws::{
    CloseCode, CloseFrame, Compress, Control, DeflateParams, Endpoint, Limits, NoKeys, NotSent, OwnedEvent,
    ProtocolError,
};

use crate::rig::{frame, refusal};

fn server() -> Endpoint {
    Endpoint::server(None, Limits::default())
}

fn receive(endpoint: &mut Endpoint, wire: &[u8]) {
    endpoint.handle_input(&mut wire.to_vec(), 0);
}

#[test]
fn messages_pings_and_the_close_are_events_and_the_answers_are_output() {
    let mut server = server();
    receive(&mut server, &[frame(0x01, b"hel"), frame(0x89, b"?"), frame(0x80, b"lo")].concat());
    receive(&mut server, &[frame(0x82, &[1, 2]), frame(0x8A, b"!"), frame(0x88, b"\x03\xE9bye")].concat());
    let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
    let expected = [
        OwnedEvent::Ping(Control::new(b"?").unwrap()),
        OwnedEvent::Text("hello".into()),
        OwnedEvent::Binary(vec![1, 2]),
        OwnedEvent::Pong(Control::new(b"!").unwrap()),
        OwnedEvent::Close(Some(close)),
    ];
    assert_eq!(std::iter::from_fn(|| server.poll_event()).collect::<Vec<_>>(), expected);
    assert_eq!(server.poll_output().unwrap(), b"\x8A\x01?\x88\x02\x03\xE9");
    assert_eq!(server.poll_output(), None);
    assert!(server.is_over());
    assert!(server.send("late", Compress::Auto).is_err());
}

#[test]
fn a_broken_rule_is_answered_after_what_came_before_it() {
    let mut server = server();
    server.send("before", Compress::Auto).unwrap();
    receive(&mut server, &[frame(0x81, b"good"), frame(0x81, b"\xFF"), frame(0x81, b"ignored")].concat());
    assert_eq!(server.poll_event(), Some(OwnedEvent::Text("good".into())));
    assert_eq!(server.poll_event(), Some(OwnedEvent::Failed(ProtocolError::InvalidUtf8)));
    assert_eq!(server.poll_event(), None);
    let output = [&b"\x81\x06before"[..], &refusal(ProtocolError::InvalidUtf8)].concat();
    assert_eq!(server.poll_output().unwrap(), output);
    assert!(server.is_over());
}

#[test]
fn the_peer_has_five_seconds_to_answer_a_close() {
    let mut server = server();
    assert_eq!(server.poll_timeout(), None);
    server.close(CloseCode::NORMAL, "", 70_000).unwrap();
    assert!(server.close(CloseCode::NORMAL, "", 70_001).is_err());
    assert_eq!(server.poll_timeout(), Some(75_000));
    server.handle_timeout(74_999);
    assert_eq!((server.poll_event(), server.is_over()), (None, false));
    server.handle_timeout(75_000);
    assert_eq!((server.poll_event(), server.is_over()), (Some(OwnedEvent::TimedOut), true));
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(80_000);
    receive(&mut server, &frame(0x88, b""));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn an_answer_in_time_ends_the_wait() {
    let mut server = server();
    server.close(CloseCode::NORMAL, "", 0).unwrap();
    receive(&mut server, &[frame(0x81, b"late"), frame(0x88, b"\x03\xE8")].concat());
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(1 << 40);
    assert_eq!(server.poll_event(), Some(OwnedEvent::Close(Some(CloseFrame::new(CloseCode::NORMAL, "")))));
    assert_eq!(server.poll_event(), None);
    assert_eq!(server.poll_output().unwrap(), b"\x88\x02\x03\xE8");
}

#[test]
fn pings_do_not_pile_up_answers_when_nobody_takes_the_output() {
    const PONG: usize = 64;
    let mut server = Endpoint::server(None, Limits { pings_per_second: 1_000_000, ..Limits::default() });
    for number in 0..10_000_u32 {
        receive(&mut server, &frame(0x89, &[&number.to_be_bytes()[..], &[0; PONG - 2 - 4]].concat()));
    }
    let output = server.poll_output().unwrap();
    assert_eq!(output.len(), 64 * 1024 + PONG, "as much as may wait, and the latest");
    let latest = &output[output.len() - PONG + 2..][..4];
    assert_eq!(latest, 9_999_u32.to_be_bytes());
}

#[test]
fn a_ping_that_came_while_there_were_no_keys_is_answered_once_there_are() {
    let working = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&working);
    let mut client = Endpoint::client(None, Limits::default(), move |bytes| {
        bytes.fill(0);
        if switch.load(Ordering::Relaxed) { Ok(()) } else { Err(NoKeys) }
    });
    receive(&mut client, b"\x89\x01?");
    assert_eq!(client.ping(&Control::default()), Err(NotSent::NoKeys));
    assert_eq!((client.poll_output(), client.poll_output()), (None, None));
    working.store(true, Ordering::Relaxed);
    client.ping(&Control::default()).unwrap();
    assert_eq!(client.poll_output().unwrap(), b"\x89\x80\0\0\0\0\x8A\x81\0\0\0\0?");
    assert_eq!(client.poll_output(), None);
}

#[test]
fn after_a_fork_the_keys_that_were_fetched_ahead_are_not_used() {
    let mut portion = 0;
    let mut client = Endpoint::client(None, Limits::default(), move |bytes| {
        portion += 1;
        bytes.fill(portion);
        Ok(())
    });
    client.send("", Compress::Auto).unwrap();
    client.discard_keys();
    client.send("", Compress::Auto).unwrap();
    assert_eq!(client.poll_output().unwrap(), b"\x81\x80\x01\x01\x01\x01\x81\x80\x02\x02\x02\x02");
}

#[test]
fn an_endpoint_in_the_middle_of_its_work_is_printed_without_its_keys() {
    let deflate = cfg!(feature = "deflate").then(DeflateParams::default);
    let mut client = Endpoint::client(deflate, Limits::default(), |bytes| {
        bytes.fill(77);
        Ok(())
    });
    client.send(&"long ".repeat(1000), Compress::Auto).unwrap();
    let sent = client.poll_output().unwrap();
    client.handle_input(&mut [if sent[0] == 0xC1 { 0x41 } else { 0x01 }, 0x00], 0);
    let printed = format!("{client:?}");
    assert!(printed.contains("MaskKeys { remaining: 1023, .. }") && !printed.contains("77, 77"), "{printed}");
    assert!(printed.contains("random: Some(Random)"), "{printed}");
    assert_eq!(printed.contains("Deflater"), cfg!(feature = "deflate"), "{printed}");
    assert_eq!(printed.contains("Some(Inflater)"), cfg!(feature = "deflate"), "{printed}");
}
