//! R36, R39, R50: a server in a box of 64 MiB whose peers all want as much memory as they may have lives on.

use std::time::Duration;

use crate::kit::{Attack, Crowd, Field, Frame, Ground, MemoryBox, long_head};
use crate::support::resident;

pub(crate) const ATTACK: Attack = Attack {
    name: "memory_box",
    rules: "R36 R39 R50",
    ground: Ground::Own(&[]),
    quick: false,
    run,
    ..Attack::DEFAULT
};

const BOX: u64 = 64 << 20;

fn run(field: &Field) {
    let boxed = MemoryBox::new(BOX);
    if let Err(why) = &boxed {
        field.note(format!("no control group ({why}): judged by the resident memory alone"));
    }
    let wrapper = boxed.as_ref().map(MemoryBox::wrapper).unwrap_or_default();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let (mut server, inside) =
        Field::start(if boxed.is_ok() { &wrapper } else { &[] }, &["--max-message", "65536"]);
    let mut stayed = inside.open();
    let mut most = 0;
    for round in 0..3 {
        let crowd = Crowd::new(400, |number| hog(&inside, number));
        stayed.expect_echo(&format!("round {round}"));
        most = most.max(resident(server.process));
        drop(crowd);
    }
    assert!(server.is_running());
    let events = boxed.as_ref().map(MemoryBox::events).unwrap_or_default();
    field.note(format!("{} KiB at most seen; {events}", most / 1024));
    assert!(most <= BOX, "{most} bytes");
    drop(server);
}

/// A third asks for echoes and doesn't read them, a third begins messages, a third are idle.
fn hog(field: &Field, number: usize) -> crate::kit::Peer {
    let mut peer = field.narrow(4_096).opened();
    match number % 3 {
        0 => drop(peer.push(&Frame::binary(vec![0; 60_000]).masked().repeat(4), Duration::from_millis(1))),
        1 => drop(peer.send(&[long_head(0x82, true, 8, 65_536), vec![0; 65_000]].concat())),
        _ => {}
    }
    peer
}
