//! R51: a flood of broken requests doesn't become a flood of log lines.

use crate::kit::{Attack, Field, Ground};

pub(crate) const ATTACK: Attack = Attack {
    name: "log_flood",
    rules: "R51",
    ground: Ground::Own(&["sh", "-c", r#"exec "$@" 2>"${TMPDIR:-/tmp}/gnezdo-attacks-$PPID.log""#, "sh"]),
    growth: 128 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    for number in 0..5_000 {
        let mut peer = field.connect_as(number);
        peer.send(b"NONSENSE \x1b[31m / HTTP/1.1\r\n\r\n");
        peer.status();
        peer.reset();
    }
    let path = std::env::temp_dir().join(format!("gnezdo-attacks-{}.log", std::process::id()));
    let log = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines = log.split(|byte| *byte == b'\n').count() - 1;
    field.note(format!("{lines} lines"));
    assert!(lines <= 100, "{lines} lines");
    assert!(!log.contains(&0x1b), "a control character in the log");
}
