//! R36, R42: peers that read a little now and then are waited for, within bounds of memory, and get all in order.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Field, Frame};

pub(crate) const ATTACK: Attack = Attack {
    name: "slow_reader",
    rules: "R36 R42",
    quick: false,
    growth: 10 << 20,
    kept: 1300 * 1024,
    run,
    ..Attack::DEFAULT
};

/// Longer than a peer may take nothing.
const SPAN: Duration = Duration::from_millis(4_500);

fn run(field: &Field) {
    let echoed = Frame::binary(vec![5; 2_000]);
    let mut peers: Vec<_> = (0..field.up_to(40)).map(|_| field.narrow(4_096).opened()).collect();
    let flood = echoed.masked().repeat(2_000);
    for peer in &mut peers {
        peer.push(&flood, Duration::from_millis(20));
    }
    let (began, expected) = (Instant::now(), echoed.bare());
    let mut read = vec![0; peers.len()];
    while began.elapsed() < SPAN {
        for (peer, read) in peers.iter_mut().zip(&mut read) {
            for byte in peer.sip(2_048) {
                assert_eq!(byte, expected[*read % expected.len()], "byte {read}");
                *read += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let least = field.up_to(10_000);
    assert!(read.iter().all(|count| *count > least), "a slow reader was left alone: {read:?}");
    field.note(format!("{} readers, {} KiB each", read.len(), read[0] / 1024));
}
