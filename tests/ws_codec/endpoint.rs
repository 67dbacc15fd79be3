//! The endpoint for those who use the codec alone, as a dialogue with a client and a clock that jumps.

use gnezdo::ws::{CloseCode, CloseFrame, Compress, Control, Endpoint, Limits, OwnedEvent, ProtocolError};

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
    let mut server = Endpoint::server(None, Limits { pings_per_second: 1_000_000, ..Limits::default() });
    for number in 0..10_000_u32 {
        receive(&mut server, &frame(0x89, &[&number.to_be_bytes()[..], &[0; 100]].concat()));
    }
    let output = server.poll_output().unwrap();
    assert!(output.len() < 66_000, "{}", output.len());
    let latest = &output[output.len() - 104..][..4];
    assert_eq!(latest, 9_999_u32.to_be_bytes());
}
