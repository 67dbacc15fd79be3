//! R23, R43: connections that come and go at once, at every stage, leave nothing behind.

use std::time::Instant;

use crate::kit::{Attack, Field, Frame, upgrade};

pub(crate) const ATTACK: Attack =
    Attack { name: "vanish_churn", rules: "R23 R43", growth: 160 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let (count, began) = (field.up_to(6_000), Instant::now());
    let request = upgrade(&[]);
    for number in 0..count {
        let mut peer = field.connect_as(number);
        match number % 4 {
            0 => {}
            1 => drop(peer.send(&request[..number % request.len()])),
            2 => drop(peer.send(&request)),
            _ => drop(peer.send(&[&request[..], &Frame::text("gone").masked()].concat())),
        }
    }
    field.note(format!("{count} in {} ms", began.elapsed().as_millis()));
}
