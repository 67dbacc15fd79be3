//! R6, R36, R41: requests without an end whose answers nobody reads get one answer at most, and the connection ends.

use std::time::Duration;

use crate::kit::{Attack, Crowd, Field};

pub(crate) const ATTACK: Attack =
    Attack { name: "request_never_read", rules: "R6 R36 R41", growth: 256 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20_000);
    let mut taken = 0;
    let mut crowd = Crowd::new(field.up_to(50), |_| {
        let mut peer = field.connect();
        taken += peer.push(requests.as_bytes(), Duration::from_millis(20));
        peer
    });
    let after = crowd.expect_end(Duration::from_secs(6));
    field.note(format!("{} KiB taken, ended after {:.2} s", taken / 1024, after.as_secs_f32()));
}
