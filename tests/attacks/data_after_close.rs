//! R21: what comes after a Close is ignored, be it good or broken, and no data frame is sent any more.

use crate::kit::{Attack, End, Field, Frame, PING};

pub(crate) const ATTACK: Attack = Attack { name: "data_after_close", rules: "R21", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let close = Frame::close(1000, "");
    for after in
        [Frame::text("late"), Frame::new(PING, "late"), Frame::close(1001, "again"), Frame::new(15, "late")]
    {
        let mut peer = field.open();
        peer.send(&[Frame::text("good").masked(), close.masked(), after.masked()].concat());
        assert_eq!(peer.farewell(), (vec![Frame::text("good"), close.clone()], End::Fin));
    }
    let mut peer = field.open();
    peer.send(
        &[Frame::text("begun").unfinished().masked(), close.masked(), Frame::more("end").masked()].concat(),
    );
    assert_eq!(peer.farewell(), (vec![close], End::Fin));
}
