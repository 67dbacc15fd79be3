//! R4: whoever drips a head beyond the deadline of the opening handshake is cut, though bytes come all the time.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Crowd, Field, upgrade};

pub(crate) const ATTACK: Attack =
    Attack { name: "slow_drip", rules: "R4", growth: 288 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let (began, limit) = (Instant::now(), field.terms.opening + field.second());
    let mut crowd = Crowd::new(field.up_to(300), |_| field.connect());
    let head = upgrade(&["X-Slow: yes"]);
    for byte in head.iter().take(head.len() - 1) {
        for peer in &mut crowd.0 {
            peer.send(&[*byte]);
        }
        std::thread::sleep(Duration::from_millis(50));
        crowd.take_ended();
        if crowd.0.is_empty() {
            break;
        }
        assert!(began.elapsed() < limit, "{} drip still after {limit:?}", crowd.0.len());
    }
    field.note(format!("all cut {:.2} s after the first connected", began.elapsed().as_secs_f32()));
    assert!(began.elapsed() >= field.terms.opening.mul_f32(0.9), "cut too early");
}
