//! R15: connections that agreed on compression and used it hold a bounded window each, and give it back.

use crate::kit::{Attack, BINARY, Crowd, Field, Frame, bomb};

pub(crate) const ATTACK: Attack = Attack {
    name: "window_hoard",
    rules: "R15 R39",
    growth: 1280 * 1024,
    kept: 1280 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let payload = bomb::deflated(&vec![b'w'; 40_000]);
    let count = field.up_to(500);
    let crowd = Crowd::new(count, |_| {
        let mut peer = bomb::open(field);
        peer.frame(&Frame::binary(&payload[..payload.len() - 4]).with_rsv(4));
        let echo = peer.next();
        assert!(echo.as_ref().is_some_and(|echo| echo.opcode == BINARY), "{echo:?}");
        peer
    });
    field.note(format!("{count} windows"));
    drop(crowd);
}
