//! Drawn worlds: as many as asked for, each out of one seed. A violation leaves its tape behind, made small, and prints the
//! line that plays it again.
//!
//! `GNEZDO_SIM_WORLDS` says how many; `GNEZDO_SIM_SEED` plays one world alone, `GNEZDO_SIM_TAPE` that of a file;
//! `GNEZDO_SIM_SHRINK` says how often to try to make a tape smaller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use gnezdo::sim::Tape;
use gnezdo::time::Time;

use super::run::Report;
use super::shrink::shrink;
use super::violation::{Violation, quietly};
use super::{drawn, number};

/// Plays the world of a seed; where that fails, says how to play it again.
fn check(seed: u64) -> Report {
    catch_unwind(AssertUnwindSafe(|| drawn::play(Tape::seed(seed)))).unwrap_or_else(|_| {
        let tries =
            number("GNEZDO_SIM_SHRINK").map_or(TRIES, |tries| usize::try_from(tries).unwrap_or(TRIES));
        let (variable, whole) = match small(seed, tries) {
            Some(tape) => (keep(&tape, seed), format!("  # {} bytes of GNEZDO_SIM_SEED={seed}", tape.len())),
            None => (format!("GNEZDO_SIM_SEED={seed}"), String::new()),
        };
        panic!("{variable} cargo test --all-features --test sim worlds -- --nocapture{whole}")
    })
}

fn violation_of(tape: &[u8]) -> Option<Violation> {
    quietly(|| drawn::play(drawn::tape_of(tape))).err()
}

/// A small tape that fails as the world of a seed does; none where there is no time for that.
fn small(seed: u64, tries: usize) -> Option<Vec<u8>> {
    if tries == 0 {
        return None;
    }
    let violation = quietly(|| drawn::play(Tape::seed(seed))).err()?;
    let fails = |tape: &[u8]| violation_of(tape).as_ref() == Some(&violation);
    let mut lengths = (8..LONGEST).map(|bits| drawn::bytes_of(seed, 1 << bits));
    let tape = lengths.find(|tape| fails(tape))?;
    Some(shrink(tape, tries, fails))
}

/// Writes a tape to where the next run finds it; answers how to name it there.
fn keep(tape: &[u8], seed: u64) -> String {
    let path = format!("target/sim/{seed}.tape");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    let written =
        std::fs::create_dir_all(place.with_file_name("")).and_then(|()| std::fs::write(&place, tape));
    assert!(written.is_ok(), "{}: {written:?}", place.display());
    format!("GNEZDO_SIM_TAPE={path}")
}

/// Plays one world and prints what is in it and what came of it.
fn show(tape: Tape) {
    let (plan, faults) = drawn::begin(&mut tape.clone());
    println!("{plan:#?}\n{faults:?}");
    println!("{:#?}", drawn::play(tape));
}

#[test]
fn worlds_keep_every_promise() {
    if let Some(seed) = number("GNEZDO_SIM_SEED") {
        return show(Tape::seed(seed));
    }
    if let Ok(path) = std::env::var("GNEZDO_SIM_TAPE") {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        return show(drawn::tape_of(&bytes));
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

/// How often a tape is tried smaller: some seconds.
const TRIES: usize = 3_000;
/// No world takes so many bits of a number of decisions.
const LONGEST: u32 = 20;
