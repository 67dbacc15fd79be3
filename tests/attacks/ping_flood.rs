//! R13: 24 MB of pings from a peer that reads no pong wait nowhere in memory, or end the connection.

use std::time::Duration;

use crate::kit::{Attack, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "ping_flood", rules: "R13", growth: 256 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let pings = Frame::ping([b'p'; 125]).masked().repeat(24_000_000 / 131);
    let mut narrow = field.narrow(4_096).opened();
    let taken = narrow.push(&pings, Duration::from_millis(500));
    field.note(format!("{} KiB taken of {}", taken / 1024, pings.len() / 1024));
    assert!(taken < pings.len(), "all of them were taken");
    let (frames, _) = narrow.farewell();
    let code = frames.last().and_then(|frame| (frame.opcode == 8).then(|| frame.close_code()).flatten());
    assert!(matches!(code, None | Some(1008)), "{code:?}");
}
