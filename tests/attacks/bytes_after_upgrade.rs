//! R7: frames that follow the request at once, in the same segment or cut anywhere, are answered like all others.

use crate::kit::{Attack, Field, Frame, upgrade};

pub(crate) const ATTACK: Attack = Attack { name: "bytes_after_upgrade", rules: "R7", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let request = upgrade(&[]);
    let bytes =
        [request.clone(), Frame::text("at once").masked(), Frame::text("and again").masked()].concat();
    for at in (0..=bytes.len()).step_by(if field.up_to(10) == 1 { 7 } else { 1 }) {
        let mut peer = field.connect();
        peer.send(&bytes[..at]);
        if at % 3 == 0 {
            std::thread::yield_now();
        }
        peer.send(&bytes[at..]);
        assert_eq!(peer.status(), Some(101));
        peer.expect(&Frame::text("at once"));
        peer.expect(&Frame::text("and again"));
        peer.reset();
    }
}
