//! R21: peers that say Close and hang, and peers that are told Close and hang, are gone within the bounds.

use std::time::Duration;

use crate::kit::{Attack, Crowd, End, Field, Frame};

pub(crate) const ATTACK: Attack =
    Attack { name: "close_and_hang", rules: "R21", growth: 256 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let mut crowd = Crowd::new(field.up_to(1_000), |number| {
        let mut peer = field.connect_as(number).opened();
        // Every other one makes a mistake, and is told Close.
        if number % 2 == 0 {
            peer.frame(&Frame::close(1000, ""));
        } else {
            peer.frame(&Frame::new(3, ""));
        }
        peer
    });
    let (frames, end) = crowd.0[0].farewell();
    assert_eq!((frames, end), (vec![Frame::close(1000, "")], End::Fin));
    let after = crowd.expect_end(Duration::from_secs(3));
    field.note(format!("FIN for all after {} ms", after.as_millis()));
    // They hang on until the server lets go by itself.
    std::thread::sleep(Duration::from_millis(2_500));
}
