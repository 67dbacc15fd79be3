//! R27, R42: a process that holds 9,000 connections, half of them in the middle of a message, is killed: all that
//! belonged to them is back within a second, and nothing spins. A second such crowd finds room in what the first left.

use std::time::{Duration, Instant};

use crate::kit::{Attack, Duty, Field, Ground, PATIENCE, Regiment, open_descriptors, time_in_line};
use crate::support::processor_time;

pub(crate) const ATTACK: Attack = Attack {
    name: "killed_peers",
    rules: "R27 R42 G7",
    options: &["--idle-timeout", "0"],
    ground: Ground::Alone,
    quick: false,
    // Small buffers stay with the C library, which gives them to the next crowd.
    growth: 48 << 20,
    kept: 48 << 20,
    healthy: Some(Duration::from_millis(250)),
    run,
    ..Attack::DEFAULT
};

const PEERS: usize = 9_000;

fn run(field: &Field) {
    for _ in 0..2 {
        crowd(field);
    }
}

fn crowd(field: &Field) {
    let before = field.process.map(open_descriptors);
    let regiment = Regiment::raise(field, PEERS, Duty::HalfSent);
    let (Some(process), Some(before)) = (field.process, before) else { return };
    assert!(open_descriptors(process) >= before + PEERS);
    regiment.kill();
    let (began, waited) = (Instant::now(), time_in_line(process));
    while open_descriptors(process) > before {
        assert!(began.elapsed() < PATIENCE, "{} left", open_descriptors(process) - before);
        std::thread::sleep(Duration::from_millis(5));
    }
    let back = began.elapsed();
    // What others on this machine took of the server's time is not the server's.
    let own = back.saturating_sub(time_in_line(process).saturating_sub(waited));
    let before = processor_time(process);
    std::thread::sleep(Duration::from_secs(1));
    let spent = processor_time(process).saturating_sub(before);
    field.note(format!("all back after {} ms, {} of them its own", back.as_millis(), own.as_millis()));
    field.note(format!("{} ms of processor time in the second after", spent.as_millis()));
    assert!(own <= Duration::from_secs(1), "{own:?}");
    assert!(spent <= Duration::from_millis(50), "{spent:?}");
}
