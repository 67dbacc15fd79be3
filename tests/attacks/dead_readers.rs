//! R36, R42: a process whose connections asked for much is stopped: what waits for them is bounded, and they are cut
//! once they have taken nothing for too long.

use std::time::Duration;

use crate::kit::{Attack, Duty, Field, Regiment, open_descriptors};

pub(crate) const ATTACK: Attack = Attack {
    name: "dead_readers",
    rules: "R36 R42",
    quick: false,
    growth: 10 << 20,
    kept: 1 << 20,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let before = field.process.map(open_descriptors);
    let regiment = Regiment::raise(field, field.up_to(20), Duty::Unread);
    regiment.signal("STOP");
    std::thread::sleep(field.terms.stall + Duration::from_secs(2));
    if let (Some(process), Some(before)) = (field.process, before) {
        let left = open_descriptors(process).saturating_sub(before);
        assert_eq!(left, 0, "connections left after the bound of a stall");
    }
}
