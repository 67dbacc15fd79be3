//! R48: thousands of clients come back at the same moment: all are served soon, and those who stayed hardly feel it.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Bystander, Control, Crowd, Field, Ground, Schedule, upgrade};

pub(crate) const ATTACK: Attack = Attack {
    name: "reconnect_storm",
    rules: "R48 G18",
    ground: Ground::Alone,
    quick: false,
    growth: 8 << 20,
    kept: 4 << 20,
    run,
    ..Attack::DEFAULT
};

const STORM: usize = 4_000;

fn run(field: &Field) {
    let crowd = Crowd::new(STORM, |number| field.connect_as(number).opened());
    crowd.0.into_iter().for_each(crate::kit::Peer::reset);
    let control = Control::start();
    let stayed = [Bystander::start(&field.target(), Schedule::HUNDRED), control.bystander(Schedule::HUNDRED)];
    let (began, request) = (Instant::now(), upgrade(&[]));
    let mut crowd = Crowd::new(STORM, |number| {
        let mut peer = field.connect_as(number);
        peer.send(&request);
        peer
    });
    let knocked = began.elapsed();
    for peer in &mut crowd.0 {
        assert_eq!(peer.status(), Some(101));
    }
    let all = began.elapsed();
    let [beside, elsewhere] = stayed.map(|stayed| stayed.finish().unwrap().p99);
    field.note(format!(
        "{STORM} in {} ms, all served after {} ms, p99 of those who stayed {:.1} ms (elsewhere {:.1} ms)",
        knocked.as_millis(),
        all.as_millis(),
        beside.as_secs_f64() * 1e3,
        elsewhere.as_secs_f64() * 1e3
    ));
    assert!(all <= Duration::from_secs(3), "{all:?}");
    let bound = Duration::from_millis(20) + 2 * elsewhere;
    assert!(beside <= bound, "p99 of those who stayed: {beside:?}, more than {bound:?}");
}
