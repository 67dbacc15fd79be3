//! Fights one attack and judges it: the wire by the attack itself, the rest by the healthy client and by `/proc`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::bystander::Service;
use super::table::Row;
use super::watch::{After, Cost};
use super::{Attack, Bystander, Field, Peer, Schedule, Watch};

/// How long after an attack the server may hold what belonged to it: its bound on lingering, and a margin.
const SETTLE: Duration = Duration::from_secs(8);
/// How long the server is watched doing nothing, and how much of it may be processor time.
const IDLE: Duration = Duration::from_millis(150);
const IDLE_COST: Duration = Duration::from_millis(15);

/// Fights it on this field.
pub(crate) fn fight(attack: &Attack, field: &Field) -> Row {
    let began = Instant::now();
    let bystander = attack.healthy.map(|_| Bystander::start(&field.target(), Schedule::ONE));
    let watch = field.process.map(Watch::start);
    let mut faults = Vec::new();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (attack.run)(field))) {
        faults.push(message(panic.as_ref()));
    }
    let seconds = began.elapsed();
    let mut row = Row::new(attack, seconds);
    // Settles while the healthy client is still there, so that the count of descriptors is the same.
    if let Some((cost, after)) = watch.map(Watch::finish) {
        judge_cost(attack, cost, &after, &mut row, &mut faults);
    }
    if let Some(bystander) = bystander {
        match bystander.finish() {
            Ok(service) => judge_service(attack, service, &mut row, &mut faults),
            Err(why) => faults.push(format!("the healthy client was not served: {why}")),
        }
    }
    if let Err(panic) =
        catch_unwind(|| Peer::new(field.target().connect().unwrap()).opened().expect_echo("after"))
    {
        faults.push(format!("afterwards nobody is served: {}", message(panic.as_ref())));
    }
    row.notes = field.notes();
    row.faults = faults;
    row
}

fn judge_cost(attack: &Attack, cost: Cost, after: &After, row: &mut Row, faults: &mut Vec<String>) {
    let (settled, left) = after.settle(SETTLE);
    if left > 0 {
        faults.push(format!("{left} descriptors are left {SETTLE:?} afterwards"));
    }
    let kept = after.kept();
    let idle = after.idle(IDLE);
    (row.cost, row.kept, row.settled) = (Some(cost), kept, settled);
    // The healthy client goes on, and costs a little.
    if idle > IDLE_COST {
        faults.push(format!("{idle:?} of processor time in {IDLE:?} afterwards"));
    }
    for (what, bytes, bound) in [("grew by", cost.growth, attack.growth), ("kept", kept, attack.kept)] {
        if bytes > bound {
            faults.push(format!("memory {what} {} KiB, more than {} KiB", bytes / 1024, bound / 1024));
        }
    }
    if let Some(bound) = attack.cpu.filter(|bound| cost.processor > *bound) {
        faults.push(format!("{:?} of processor time, more than {bound:?}", cost.processor));
    }
}

fn judge_service(attack: &Attack, service: Service, row: &mut Row, faults: &mut Vec<String>) {
    row.service = Some(service);
    if let Some(bound) = attack.healthy.filter(|bound| service.p99 > *bound) {
        faults.push(format!("the healthy client's p99 is {:?}, more than {bound:?}", service.p99));
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
