//! Drawn worlds: as many as asked for, each out of one seed. A violation prints the line that plays its world again.
//!
//! `GNEZDO_SIM_WORLDS` says how many; `GNEZDO_SIM_SEED` plays one world alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use gnezdo::sim::{Faults, Tape};
use gnezdo::time::Time;

use crate::run::{Disturbance, Report, run};
use crate::{draw, number};

/// The world of a seed.
fn world(seed: u64) -> Report {
    let mut tape = Tape::seed(seed);
    let plan = draw::plan(&mut tape);
    let faults = [Faults::HARSH, Faults::GENTLE, Faults::NONE][tape.choose(3)];
    if number("GNEZDO_SIM_SEED").is_some() {
        println!("{plan:#?}\n{faults:?}");
    }
    run(&plan, tape, Disturbance::Drawn(faults))
}

/// Plays the world of a seed; where that fails, says how to play it again.
fn check(seed: u64) -> Report {
    catch_unwind(AssertUnwindSafe(|| world(seed))).unwrap_or_else(|_| {
        panic!("GNEZDO_SIM_SEED={seed} cargo test --all-features --test sim worlds -- --nocapture")
    })
}

#[test]
fn worlds_keep_every_promise() {
    if let Some(seed) = number("GNEZDO_SIM_SEED") {
        println!("{:#?}", check(seed));
        return;
    }
    let (count, began) = (number("GNEZDO_SIM_WORLDS").unwrap_or(500), Instant::now());
    let first = number("GNEZDO_SIM_FIRST").unwrap_or(0);
    let mut total = Total::default();
    for seed in first..first + count {
        let report = check(seed);
        // One in so many is played twice: the same tape makes the same world.
        if seed % 50 == 0 {
            assert_eq!(check(seed).trace, report.trace, "seed {seed} plays differently the second time");
        }
        total.add(&report);
    }
    println!("{count} worlds in {:.1} s: {total:?}", began.elapsed().as_secs_f64());
    assert!(total.messages > 0 && total.faults > 0, "the worlds are empty: {total:?}");
}

/// What happened in all worlds together.
#[derive(Debug, Default)]
struct Total {
    connections: usize,
    ends: usize,
    messages: usize,
    faults: u64,
    turns: u64,
    /// In all worlds together.
    time: Duration,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.connections += report.connections;
        self.ends += report.ends.len();
        self.messages += report.messages;
        self.faults += report.stats.injected;
        self.turns += report.turns;
        self.time += report.over.since(Time::ZERO);
    }
}
