//! R2: 100 header lines are taken, 101 are refused, wherever the required ones stand among them.

use crate::kit::{Attack, Field, GOOD, SOON, request};

pub(crate) const ATTACK: Attack = Attack { name: "header_counts", rules: "R2", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    for (count, accepted) in [(99, true), (100, true), (101, false)] {
        let more: Vec<String> = (0..count - (GOOD.len() - 1)).map(|number| format!("h{number}: v")).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let (line, required) = (&GOOD[..1], &GOOD[1..]);
        for lines in [[line, required, &more].concat(), [line, &more, required].concat()] {
            let mut peer = field.connect();
            peer.send(&request(&lines));
            let status = peer.status();
            assert_eq!(status, Some(if accepted { 101 } else { 431 }), "{count} lines");
            if !accepted {
                peer.expect_end(SOON);
            }
        }
    }
}
