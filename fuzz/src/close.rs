//! Close frames: every payload is judged as a naive reader judges it, and a closing handshake begun by either end, or by
//! both at once, comes to its end (RFC 6455 §5.5.1, §7.1, §7.4).

use gnezdo::ws::{CloseCode, CloseFrame, Endpoint, Limits, NoKeys, OwnedEvent};

use super::budget::{Budget, within};
use super::reference;
use super::tape::{Tape, mixed};

/// Checks `bytes` as the payload of a Close, and as a code and a reason to close with.
pub fn check(bytes: &[u8]) {
    within(&Budget::NOTHING, || check_payload(bytes));
    let mut tape = Tape::new(bytes);
    let who = tape.byte();
    let code = tape.u16();
    let reason = String::from_utf8_lossy(tape.rest());
    if let Ok(code) = CloseCode::new(code) {
        let budget = Budget { live: 64 * 1024, taken: 256 * 1024, calls: 200 };
        check_reason(code, &reason);
        within(&budget, || check_handshake(who, code, &reason));
    }
}

fn check_payload(payload: &[u8]) {
    let parsed = CloseFrame::parse(payload);
    assert_eq!(parsed, reference::close(payload));
    if let Ok(Some(close)) = parsed {
        assert_eq!(&payload[..2], u16::from(close.code()).to_be_bytes());
        assert_eq!(&payload[2..], close.reason().as_bytes());
    }
}

/// A reason is kept as far as 123 bytes go, whole characters only.
fn check_reason(code: CloseCode, reason: &str) {
    let kept = CloseFrame::new(code, reason).reason().to_owned();
    assert!(reason.starts_with(&kept) && kept.len() <= 123);
    let next = reason[kept.len()..].chars().next();
    assert!(next.is_none_or(|next| kept.len() + next.len_utf8() > 123), "cut too early");
}

/// Who begins, and what comes of it.
fn check_handshake(who: u8, code: CloseCode, reason: &str) {
    let (mut server, mut client) = ends();
    if who & 1 == 0 {
        client.close(code, reason, 0).expect("open");
    }
    if who & 1 == 1 || who & 2 != 0 {
        server.close(code, reason, 0).expect("open");
    }
    let both = who & 3 == 2;
    for _ in 0..2 {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    let said = CloseFrame::new(code, reason);
    let echoed = CloseFrame::new(code, "");
    let (server_heard, client_heard) = match who & 1 {
        _ if both => (said, said),
        0 => (said, echoed),
        _ => (echoed, said),
    };
    for (end, heard) in [(&mut server, server_heard), (&mut client, client_heard)] {
        assert!(end.is_over());
        assert_eq!(end.poll_event(), Some(OwnedEvent::Close(Some(heard))));
        assert_eq!((end.poll_event(), end.poll_output(), end.poll_timeout()), (None, None, None));
        assert!(end.close(code, reason, 1).is_err(), "an end closes once");
    }
    check_garbage_after(&mut server, reason.as_bytes());
}

/// RFC 6455 §5.5.1: what follows a Close is not read.
fn check_garbage_after(end: &mut Endpoint, garbage: &[u8]) {
    end.handle_input(&mut garbage.to_vec(), 2);
    assert_eq!((end.poll_event(), end.poll_output()), (None, None));
}

fn carry(from: &mut Endpoint, to: &mut Endpoint) {
    if let Some(mut wire) = from.poll_output() {
        to.handle_input(&mut wire, 0);
    }
}

fn ends() -> (Endpoint, Endpoint) {
    let mut state = 1;
    let random = move |bytes: &mut [u8]| {
        bytes.fill_with(|| mixed(&mut state).to_le_bytes()[0]);
        Ok::<_, NoKeys>(())
    };
    (Endpoint::server(None, Limits::default()), Endpoint::client(None, Limits::default(), random))
}
