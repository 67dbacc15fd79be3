//! Each named scenario once in calm, and then once for each call it makes and each outcome that call may have, with
//! nothing else disturbed.
//!
//! `GNEZDO_SIM_FAULTS=all` plays every point, else one in so many is; `GNEZDO_SIM_POINT` plays one of them alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use gnezdo::sim::{CallKind, FaultPlan, Faults, Outcome, Tape};

use super::plan::Plan;
use super::run::{Disturbance, Report, run};
use super::scenarios;

/// The outcomes of one call that are tried.
fn outcomes(call: CallKind) -> Vec<Outcome> {
    let more: &[Outcome] = match call {
        CallKind::Receive | CallKind::Send => {
            &[2, 3, 4, 5, 6, 9, 14, 20, 40, 60, 125, 130, 300, 999, 3_000].map(Outcome::Short)
        }
        _ => &[],
    };
    call.outcomes().iter().chain(more).copied().collect()
}

/// All points of a scenario, given how often it makes which call in calm.
fn points(calm: &Report) -> Vec<FaultPlan> {
    let calls = CallKind::ALL.into_iter();
    let of = |call: CallKind| (1..=calm.calls.of(call).min(MOST_OF_A_CALL)).map(move |nth| (call, nth));
    let each =
        |(call, nth)| outcomes(call).into_iter().map(move |outcome| FaultPlan::at(Some(call), nth, outcome));
    calls.flat_map(of).flat_map(each).collect()
}

fn play(plan: &Plan, disturbance: Disturbance, name: &str) -> Report {
    catch_unwind(AssertUnwindSafe(|| run(plan, Tape::calm(), disturbance))).unwrap_or_else(|_| {
        panic!("GNEZDO_SIM_POINT='{name}' cargo test --all-features --test sim faults -- --nocapture")
    })
}

fn name_of(plan: &Plan, index: usize) -> String {
    format!("{}/{index}", plan.name)
}

#[test]
fn scenarios_play_out_in_calm() {
    for plan in scenarios::in_all_sizes() {
        let report = play(&plan, Disturbance::None, &plan.name);
        let is_so = |end: &&str| report.ends.iter().any(|found| found.contains(end));
        assert_eq!(plan.end, plan.end.filter(is_so), "{}: {:?}", plan.name, report.ends);
    }
}

#[test]
fn scenarios_lose_nothing_to_lateness() {
    let plans = scenarios::all().into_iter().filter(|plan| plan.all_is_heard);
    let tapes = (0..LATE_TAPES).map(Tape::seed);
    for (plan, tape) in plans.flat_map(|plan| tapes.clone().map(move |tape| (plan.clone(), tape))) {
        run(&plan, tape, Disturbance::Drawn(Faults::GENTLE));
    }
}

#[test]
fn what_a_failed_send_lost_is_counted() {
    let plans = scenarios::all().into_iter().filter(|plan| plan.name.ends_with("at once over a unix socket"));
    for (plan, nth) in plans.flat_map(|plan| (1..9).map(move |nth| (plan.clone(), nth))) {
        let fault = FaultPlan::at(Some(CallKind::Send), nth, Outcome::NoBuffers);
        run(&plan, Tape::calm(), Disturbance::One(fault));
    }
}

#[test]
fn faults_at_every_call_of_every_scenario() {
    if let Ok(point) = std::env::var("GNEZDO_SIM_POINT") {
        return one(&point);
    }
    let is_all = std::env::var("GNEZDO_SIM_FAULTS").is_ok_and(|which| which == "all");
    let (mut count, mut injected, began) = (0, 0, Instant::now());
    let plans = scenarios::in_all_sizes();
    for plan in &plans {
        let calm = play(plan, Disturbance::None, &plan.name);
        let is_played = |(index, fault): &(usize, FaultPlan)| is_all || index % sample(fault.call) == 0;
        for (index, fault) in points(&calm).into_iter().enumerate().filter(is_played) {
            let report = play(plan, Disturbance::One(fault), &name_of(plan, index));
            count += 1;
            injected += report.stats.injected;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{} scenarios, {count} fault points ({injected} took place) in {seconds:.1} s", plans.len());
    assert!(injected * 10 > count * 9, "of {count} faults only {injected} took place");
}

/// Plays one point, or with no number a scenario in calm, and prints what came of it.
fn one(point: &str) {
    let (name, index) = point.split_once('/').unwrap_or((point, ""));
    let plans = scenarios::in_all_sizes();
    let plan = plans.iter().find(|plan| plan.name == name).unwrap_or_else(|| panic!("no scenario {name:?}"));
    let calm = run(plan, Tape::calm(), Disturbance::None);
    let Ok(index) = index.parse::<usize>() else { return println!("{calm:#?}") };
    let fault = points(&calm)[index];
    println!("{fault:?}");
    println!("{:#?}", run(plan, Tape::calm(), Disturbance::One(fault)));
}

/// Of a call that a scenario makes very often, the later ones are like the earlier ones.
const MOST_OF_A_CALL: u64 = 400;
/// How many tapes are tried where something is late.
const LATE_TAPES: u64 = 40;

/// Without being asked for all, one point in so many is played.
fn sample(call: Option<CallKind>) -> usize {
    match call {
        Some(CallKind::Poll | CallKind::Receive | CallKind::Send) | None => 197,
        Some(CallKind::Accept) => 3,
        Some(_) => 29,
    }
}
