//! R26, R50: at the bound of connections newcomers wait, and each one that leaves makes room for the next at once.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Crowd, Field, Ground, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "full_house",
    rules: "R26 R50",
    options: &["--max-connections", "60"],
    ground: Ground::Own(&[]),
    growth: 128 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    // The healthy client holds one place.
    let mut inside = Crowd::new(59, |_| field.open());
    let mut waiting = Crowd::new(200, |_| {
        let mut peer = field.connect();
        peer.send(&upgrade(&[]));
        peer
    });
    assert!(waiting.0[0].is_silent(Duration::from_millis(200)), "there was room for one more");
    let (mut slowest, mut served) = (Duration::ZERO, Vec::new());
    for mut next in waiting.0.drain(..) {
        let began = Instant::now();
        inside.0.pop();
        assert_eq!(next.status(), Some(101));
        slowest = slowest.max(began.elapsed());
        served.push(next);
        inside.0.extend(served.pop());
    }
    field.note(format!("slowest change of place {} ms", slowest.as_millis()));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
