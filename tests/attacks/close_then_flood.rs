//! R21, R41: a Close, and then 10 MB of data: the answer arrives, the rest is not kept, and the connection ends.

use std::time::Duration;

use crate::kit::{Attack, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "close_then_flood", rules: "R21 R41", growth: 256 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let flood = Frame::binary(vec![9; 10_000]).masked().repeat(1_000);
    for _ in 0..5 {
        let mut peer = field.open();
        peer.frame(&Frame::close(1000, "and now"));
        let mut twin = peer.twin();
        let reader = std::thread::spawn(move || peer.close_code());
        let taken = twin.push(&flood, Duration::from_secs(3));
        assert_eq!(reader.join().unwrap(), Some(1000));
        assert!(taken < flood.len(), "all of it was taken");
    }
}
