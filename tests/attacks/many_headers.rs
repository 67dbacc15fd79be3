//! R1, R2: 20,000 short header lines are refused; no required header is looked for in what was cut off.

use crate::kit::{Attack, Field, GOOD, SOON};

pub(crate) const ATTACK: Attack = Attack { name: "many_headers", rules: "R1 R2", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let many = (0..20_000).map(|number| format!("h{number}: v\r\n")).collect::<Vec<_>>().concat();
    let (line, required) = (GOOD[0], GOOD[1..].join("\r\n"));
    for head in [format!("{line}\r\n{required}\r\n{many}\r\n"), format!("{line}\r\n{many}{required}\r\n\r\n")]
    {
        let mut peer = field.connect();
        peer.send(head.as_bytes());
        let status = peer.status();
        assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
        peer.expect_end(SOON);
    }
}
