//! R28, R31: a server that was stopped for longer than peers may be silent reads first and judges then: those who
//! spoke meanwhile are kept, with all that they said.

use std::process::Command;
use std::time::Duration;

use crate::kit::{Attack, Crowd, Field, Frame, Ground};

pub(crate) const ATTACK: Attack = Attack {
    name: "stopped_server",
    rules: "R28 R31",
    options: &["--idle-timeout", "2"],
    ground: Ground::Own(&[]),
    quick: false,
    healthy: None,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let signal = |name: &str| {
        let Some(process) = field.process else { return };
        assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
    };
    for _ in 0..20 {
        signal("STOP");
        signal("CONT");
    }
    let mut crowd = Crowd::new(200, |_| field.open());
    signal("STOP");
    for peer in &mut crowd.0 {
        assert!(peer.text("meanwhile"));
    }
    std::thread::sleep(Duration::from_secs(5));
    for peer in &mut crowd.0 {
        assert!(peer.text("at last"));
    }
    signal("CONT");
    for peer in &mut crowd.0 {
        peer.expect(&Frame::text("meanwhile"));
        peer.expect(&Frame::text("at last"));
    }
    field.note("200 peers kept");
}
