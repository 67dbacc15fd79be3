//! Fights one attack and judges it: the wire by the attack itself, the rest by the healthy client and by `/proc`.

use std::any::Any;
use std::time::{Duration, Instant};

use super::bystander::Service;
use super::table::Row;
use super::watch::{After, Cost};
use super::{Attack, Bystander, Control, Field, Peer, Schedule, Watch, give_way};

/// How long after an attack the server may hold what belonged to it: its bound on lingering, and a margin.
const SETTLE: Duration = Duration::from_secs(8);
/// How long the server is watched doing nothing, and how much of it may be processor time.
const IDLE: Duration = Duration::from_millis(150);
const IDLE_COST: Duration = Duration::from_millis(15);

/// Fights it on this field.
pub(crate) fn fight(attack: &Attack, field: &Field, control: &Control) -> Row {
    let bystanders = attack
        .healthy
        .map(|_| (Bystander::start(&field.target(), Schedule::ONE), control.bystander(Schedule::ONE)));
    let watch = field.process.map(Watch::start);
    let (began, mut faults) = (Instant::now(), Vec::new());
    faults.extend(attempt(|| (attack.run)(field)).err());
    let mut row = Row::new(attack, began.elapsed());
    // Settles while the healthy client is still there, so that the count of descriptors is the same.
    if let Some((cost, after)) = watch.map(Watch::finish) {
        judge_cost(attack, cost, &after, &mut row, &mut faults);
    }
    if let Some((beside, elsewhere)) = bystanders {
        match (beside.finish(), elsewhere.finish()) {
            (Ok(beside), Ok(elsewhere)) => judge_service(attack, beside, elsewhere, &mut row, &mut faults),
            (Err(why), _) => faults.push(format!("the healthy client was not served: {why}")),
            (_, Err(why)) => faults.push(format!("nor was the one of a server that nobody attacks: {why}")),
        }
    }
    let newcomer = || Peer::new(field.target().connect().unwrap()).opened().expect_echo("after");
    faults.extend(attempt(newcomer).err().map(|why| format!("afterwards nobody is served: {why}")));
    row.notes = field.notes();
    row.faults = faults;
    row
}

/// Does it on a thread that gives way to all others; answers with what a panic said.
pub(crate) fn attempt(what: impl FnOnce() + Send) -> Result<(), String> {
    let act = || {
        give_way();
        what();
    };
    let joined = std::thread::scope(|scope| scope.spawn(act).join());
    joined.map_err(|panic| message(panic.as_ref()))
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

/// The bound holds beyond what the machine does to a client whose server nobody attacks.
fn judge_service(
    attack: &Attack,
    beside: Service,
    elsewhere: Service,
    row: &mut Row,
    faults: &mut Vec<String>,
) {
    (row.service, row.control) = (Some(beside), elsewhere);
    let bound = attack.healthy.map(|bound| bound + 2 * elsewhere.p99);
    if let Some(bound) = bound.filter(|bound| beside.p99 > *bound) {
        faults.push(format!("the healthy client's p99 is {:?}, more than {bound:?}", beside.p99));
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
